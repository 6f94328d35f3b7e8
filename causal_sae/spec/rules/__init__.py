"""What must hold between the fields of a trial: one function for each rule.

A rule takes a well-formed trial and yields a problem for each breach, at the field to mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from causal_sae.spec.rules import (
    analysis,
    arms,
    design,
    effect_sizes,
    instruments,
    looks,
    outcomes,
    rerandomized,
    several_arms,
    within_units,
)
from causal_sae.spec.rules.analysis import CLEAN_OUTCOME
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import Problem

__all__ = ["CLEAN_OUTCOME", "RULES", "Rule", "broken_rules"]

Rule = Callable[[Trial], Iterator[Problem]]


def broken_rules(trial: Trial, *, screen: bool = False) -> list[Problem]:
    """The rules that a well-formed trial breaks, each at its field.

    Parameters
    ----------
    trial:
        The declaration.
    screen:
        Whether it is read as a screen, where an arm may say ``features: all``.
    """
    rules = RULES if screen else (*RULES, arms.no_screened_arm)
    return [problem for rule in rules for problem in rule(trial)]


RULES: tuple[Rule, ...] = (
    design.unique_names,
    analysis.known_arms,
    analysis.contrasts_differ,
    arms.pushes_of_known_length,
    arms.features_once,
    arms.placebos_stand_in_for_treated,
    outcomes.primary_outcome,
    outcomes.margins_of_guardrails,
    outcomes.bounds_in_order,
    outcomes.expectations_of_effects,
    analysis.estimator_fits_assignment,
    within_units.pairs_are_there,
    within_units.clusters_of_pairs_are_heeded,
    within_units.placebos_have_draws,
    analysis.robust_errors_are_used,
    analysis.one_reference_for_dunnett,
    analysis.graph_of_tests,
    analysis.covariates_are_pre_treatment,
    effect_sizes.effect_size_fits,
    instruments.instruments_fit,
    arms.factorial_cells,
    several_arms.factorial_has_cells,
    several_arms.doses_are_known,
    several_arms.several_arms_are_estimated,
    design.equal_shares_within_units,
    design.distinct_design_columns,
    outcomes.positions_exist,
    outcomes.generated_positions_are_read,
    outcomes.outcomes_make_sense,
    design.population_can_be_met,
    rerandomized.rerandomizing_makes_sense,
    rerandomized.rerandomizing_is_heeded,
    looks.looks_in_order,
    looks.looks_are_supported,
    analysis.power_is_planned,
)
"""Every rule; a new one is a function and a line."""
