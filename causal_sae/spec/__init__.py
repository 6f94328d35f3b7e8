"""The trial file: what a user declares, as frozen Pydantic models."""

from causal_sae.spec.analysis import Analysis, Multiplicity, Power
from causal_sae.spec.design import Assignment, Eligibility, Population
from causal_sae.spec.interventions import Arm, Intervention
from causal_sae.spec.outcomes import Outcome
from causal_sae.spec.sources import ModelSpec, SAESpec
from causal_sae.spec.trial import Trial

__all__ = [
    "Analysis",
    "Arm",
    "Assignment",
    "Eligibility",
    "Intervention",
    "ModelSpec",
    "Multiplicity",
    "Outcome",
    "Population",
    "Power",
    "SAESpec",
    "Trial",
]
