"""What readers see: the terminal's tables, the figures, the page and the exported tables.

Importing this package loads neither pandas, matplotlib nor Jinja; each function loads what it
draws with.
"""

from causal_sae.reporting.record import ArmFlow, Flow, Manifest, TrialRecord
from causal_sae.reporting.verdict import Verdict, judge

__all__ = ["ArmFlow", "Flow", "Manifest", "TrialRecord", "Verdict", "judge"]
