"""What a declared trial is worth: simulated many times, and held against other designs.

After DeclareDesign (Blair, Cooper, Coppock and Humphreys 2019, "Declaring and diagnosing research
designs", American Political Science Review 113, 838): a design is its model, inquiry, data strategy
and answer strategy, and what it is worth is what its answers are like over many repetitions.
Importing this package loads next to nothing.
"""

from causal_sae.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
