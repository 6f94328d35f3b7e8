"""Several arms against one reference: Dunnett's adjustment without equal variances.

All contrasts share the reference's mean, so their t statistics are correlated through it alone:
``corr(i, j) = a_i a_j`` with ``a_i`` the reference's share of contrast i's standard error. The
distribution of their maximum is then a two-dimensional integral, which is evaluated by the
trapezoidal rule and not by simulation: the same numbers on every run. With each contrast's own
variances and degrees of freedom this is Hasler and Hothorn's (2008) procedure; with a pooled
variance it is ``multcomp::glht(mcp("Dunnett"))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special, stats

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.multiplicity.family import SAMPLE, Adjusted, Correction, Family
from causal_sae.estimation.multiplicity.p_values import holm
from causal_sae.estimation.sample import Sample, Vector

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.spec import Trial

ESTIMATORS = frozenset({"welch", "difference_in_means"})
"""Their standard errors are those of two independent means."""
NODES = 301
REACH = 9.0
"""The reference's mean is integrated over this many standard errors to each side."""
TAIL = 1e-15
"""The part of the variance's distribution that is left out at each end."""


def check(trial: Trial, estimator: str) -> None:
    """Refuse designs in which arms are correlated by more than their reference.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    del trial
    if estimator not in ESTIMATORS:
        raise SpecError(
            "the correction 'dunnett' fits independent arms compared by "
            f"{' or '.join(sorted(ESTIMATORS))}, but the estimator here is {estimator!r}; use "
            "holm, which controls the same error rate under any dependence.",
            Place(field="analysis.multiplicity.method"),
        )


def adjust(family: Family) -> Adjusted:
    """Adjusted p-values and simultaneous intervals of one family.

    One-sided tests have another distribution, and combinations of several arms other correlations,
    so a family with some is Holm's.
    """
    present = family.present
    two_arms = all(isinstance(cell, Sample) for cell in family.rows[SAMPLE])
    if family.against_margins or not two_arms or not present.any():
        return Adjusted(holm(family.p_values), correction="holm")
    p_values, low, high = (np.full(len(present), np.nan) for _ in range(3))
    rows = family.rows[present]
    p_values[present] = adjusted(rows)
    low[present], high[present] = intervals(rows, family.alpha)
    return Adjusted(p_values, (low, high))


CORRECTION = Correction(adjust, check, needs_units=True)


def loading(sample: Sample, estimator: str) -> float:
    """The standard error of the reference's mean over that of the difference."""
    # HC3 divides the squared residuals by n - 1 where HC2 (and Welch) divide by n.
    lost = int(sample.se_type == "HC3" and estimator == "difference_in_means")
    shares = [
        float(arm.var(ddof=1)) / (len(arm) - lost) if len(arm) > 1 else np.nan
        for arm in sample.arms
    ]
    total = shares[0] + shares[1]
    return float(np.sqrt(shares[1] / total)) if total > 0 else np.nan


def probability(limit: float, loadings: Vector, df: float) -> float:
    """That no one of several correlated t statistics exceeds a limit in size.

    Parameters
    ----------
    limit:
        Above zero.
    loadings:
        [k] a_i, in [0, 1): the statistics' correlations are a_i a_j.
    df:
        Their common degrees of freedom.
    """
    ends = 0.5 * np.log(stats.chi2.ppf([TAIL, 0.5], df) / df)
    ends[1] = 0.5 * np.log(stats.chi2.isf(TAIL, df) / df)
    log_scale = np.linspace(ends[0], ends[1], NODES)
    mean = np.linspace(-REACH, REACH, NODES)
    scale = np.exp(log_scale)
    density = stats.chi2.pdf(df * scale**2, df) * 2 * df * scale**2 * np.gradient(log_scale)
    inside = np.ones((NODES, NODES))
    for a in loadings:
        rest = np.sqrt(1 - a**2)
        shift, reach = a * mean[:, None], limit * scale
        inside *= special.ndtr((reach - shift) / rest) - special.ndtr((-reach - shift) / rest)
    by_scale = stats.norm.pdf(mean) @ inside * (mean[1] - mean[0])
    return float(by_scale @ density / density.sum())


def critical(alpha: float, loadings: Vector, df: float) -> float:
    """The limit that all statistics stay within with probability ``1 - alpha``."""
    low = float(stats.t.isf(alpha / 2, df))
    high = float(stats.t.isf(alpha / (2 * len(loadings)), df)) + 1e-9

    def excess(limit: float) -> float:
        return probability(limit, loadings, df) - (1 - alpha)

    if excess(low) >= 0:
        return low
    return float(optimize.brentq(excess, low, high, xtol=1e-10))


def adjusted(rows: pd.DataFrame) -> Vector:
    """[tests] adjusted p-values of one family; outcomes are held together by Bonferroni.

    Parameters
    ----------
    rows:
        The family's rows of the table of effects that have a p-value, with the units.
    """
    result = np.full(len(rows), np.nan)
    outcomes = rows["outcome"].to_numpy(str)
    for outcome in np.unique(outcomes):
        at = np.flatnonzero(outcomes == outcome)
        loadings = _loadings(rows.iloc[at])
        for i in at:
            row = rows.iloc[i]
            limit, df = abs(float(row["statistic"])), float(row["df"])
            one = 1 - probability(limit, loadings, df) if np.isfinite(limit) else 1.0
            result[i] = min(1.0, max(one, float(row["p_value"])) * len(np.unique(outcomes)))
    return result


def intervals(rows: pd.DataFrame, alpha: float) -> tuple[Vector, Vector]:
    """[tests] limits that hold for all of the family's effects at once.

    Parameters
    ----------
    rows:
        As for :func:`adjusted`.
    alpha:
        The family's error rate.
    """
    outcomes = rows["outcome"].to_numpy(str)
    share = alpha / len(np.unique(outcomes))
    reach = np.zeros(len(rows))
    for i in range(len(rows)):
        row = rows.iloc[i]
        if float(row["std_error"]) > 0:
            loadings = _loadings(rows.iloc[np.flatnonzero(outcomes == outcomes[i])])
            reach[i] = critical(share, loadings, float(row["df"])) * float(row["std_error"])
    centre = rows["estimate"].to_numpy(np.float64)
    return centre - reach, centre + reach


def _loadings(rows: pd.DataFrame) -> Vector:
    """Those of the rows that vary; a row without variation has no part in the maximum."""
    pairs = zip(rows[SAMPLE], rows["estimator"], strict=True)
    found = np.array([loading(sample, str(name)) for sample, name in pairs])
    kept: Vector = np.minimum(found[np.isfinite(found)], 1 - 1e-6)
    return kept
