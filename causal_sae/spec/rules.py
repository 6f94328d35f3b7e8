"""What must hold between the fields of a trial."""

from __future__ import annotations

from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import Problem

CLEAN_OUTCOME = "clean_outcome"
"""The covariate that is measured on the untouched model, not a column of the prompts."""


def broken_rules(trial: Trial, *, screen: bool = False) -> list[Problem]:
    """The rules that a well-formed trial breaks, each at its field."""
    del trial, screen
    return []
