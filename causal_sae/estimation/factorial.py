"""Joint tests of factorial effects: all levels of a factor, or all parts of an interaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae import flags as codes
from causal_sae.estimation.arm_means import UNTESTED, ArmMeans
from causal_sae.estimation.arm_models import fit_means
from causal_sae.estimation.contrasts import unit_values
from causal_sae.estimation.finite_population import is_known
from causal_sae.estimation.linear_contrasts import weights_of
from causal_sae.estimation.several_arms import Arms, several_arms
from causal_sae.estimation.spread import spread_ratio
from causal_sae.spec.combinations import ORDERS, TIMES, cells, factorial_effects

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Matrix
    from causal_sae.spec import Outcome, Trial

ALL = "all interactions"
ENOUGH = 30
"""Units of a cell from which on its variance is known well enough for Wald's F."""


def factorial(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row per outcome and term: whether any of its effects differs from zero.

    Parameters
    ----------
    trial:
        Declares ``analysis.factorial``; without it there are no rows.
    observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        The main estimates; not used.

    Returns
    -------
    Columns ``outcome``, ``role``, ``term``, ``test``, ``df_num``, ``df_den``, ``statistic``,
    ``p_value``, ``flags``. The p-values are not corrected. None where the effects are known
    without error, because a claim about these units needs no test.

    Notes
    -----
    Between units Welch and James's F, which takes no two arms for equally variable (Johansen 1980);
    with covariates or blocks Wald's F with the covariance of the means that the single effects
    have, and n - p degrees of freedom (``car::Anova(type = 3, white.adjust = "hc2")``); with
    clusters the Hotelling-approximated F (``clubSandwich::Wald_test(test = "HTZ")``); within units
    Hotelling's T-squared.
    """
    del effects
    if trial.analysis.factorial == "none" or is_known(trial):
        return pd.DataFrame()
    values = unit_values(trial, observations)
    rows = [row for outcome in trial.outcomes for row in _of_outcome(trial, values, outcome)]
    return pd.DataFrame(rows)


def _of_outcome(
    trial: Trial, values: pd.DataFrame, outcome: Outcome
) -> Iterator[dict[str, object]]:
    arms = several_arms(trial, values, outcome, tuple(cells(trial)))
    fitted = fit_means(trial, arms)
    for term, weights in terms(trial, arms).items():
        found, flags = UNTESTED, fitted if isinstance(fitted, tuple) else fitted.flags
        if isinstance(fitted, ArmMeans):
            found = fitted.wald(weights)
            flags = (*flags, "no_joint_test") if np.isnan(found.p_value) else flags
            flags = (*flags, *(_unequal(arms) if found.test.startswith("Wald") else ()))
        yield {
            "outcome": outcome.name,
            "role": outcome.role,
            "term": term,
            **asdict(found),
            "flags": codes.join((*arms.notes, *flags)),
        }


def _unequal(arms: Arms) -> tuple[str, ...]:
    """A warning that Wald's F trusts the variances of small cells with unequal spreads."""
    if arms.counts.min() >= ENOUGH:
        return ()
    ratio = spread_ratio([arms.sample.outcome[arms.arm == a] for a in range(len(arms.names))])
    return () if ratio is None else (f"unequal_cells:{ratio:.1f}",)


def terms(trial: Trial, arms: Arms) -> dict[str, Matrix]:
    """The terms that are tested, each with its effects' weights [effects, arms].

    Parameters
    ----------
    trial:
        Declares the factors and up to which order effects are of interest.
    arms:
        The cells.
    """
    found: dict[str, list[np.ndarray]] = {}
    for effect in factorial_effects(trial, ORDERS[trial.analysis.factorial]):
        term = TIMES.join(effect.factors)
        found.setdefault(term, []).append(weights_of(arms, effect.weights))
    interactions = [term for term in found if TIMES in term]
    if len(interactions) > 1:
        found[ALL] = [row for term in interactions for row in found[term]]
    return {term: np.vstack(rows) for term, rows in found.items()}
