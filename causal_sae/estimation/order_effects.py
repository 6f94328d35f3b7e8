"""Did it matter at which place an arm was run? Period effects, their joint test, and carry-over.

The model is that of the estimator ``crossover``: a unit's difference is the treatment's effect plus
the difference of two periods' effects, which sum to zero. Each period is tested by t (HC2, or CR2
with clusters of units), all of them together by the F that approximates Hotelling's statistic
(Pustejovsky and Tipton 2018; ``clubSandwich::Wald_test(test = "HTZ")``): with four periods and 30
units Wald's own F rejects 7.8% of true null hypotheses at 5%, and this one 4.2%. From 1,000 units
on the two are the same for all purposes, and Wald's is taken.

In trials of two arms the unit's sums tell whether the treatment lingers: they differ between the
two sequences when what the first arm leaves behind differs between the arms (Grizzle 1965; Welch's
t-test here). The test has little power, and must not decide which analysis is made (Freeman 1989).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae.estimation.arm_means import ArmMeans, clustered, with_covariance
from causal_sae.estimation.contrasts import Contrast, analysed, unit_values
from causal_sae.estimation.estimators import welch
from causal_sae.estimation.estimators.crossover import period_columns, separable
from causal_sae.estimation.inference import (
    NOISE_OF_LEVEL,
    NOISE_OF_RANGE,
    Estimate,
    settle,
    student,
)
from causal_sae.estimation.linear_models import Coefficient, cr2, robust_fit
from causal_sae.estimation.sample import Codes, Matrix, Sample, Vector, differences

if TYPE_CHECKING:
    from causal_sae.spec import Trial

JOINT, CARRY_OVER = "no period effects", "carry-over"
MANY = 1000
"""From this many units on the joint test is Wald's: Hotelling's needs a square matrix of them."""


def order_effects(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """One row for each outcome, contrast and period, and one for each joint test and carry-over.

    Parameters
    ----------
    trial:
        In which every unit is in every arm.
    observations:
        As for :func:`causal_sae.estimation.estimate`, with ``run_order``.
    effects:
        Not used.

    Returns
    -------
    Columns ``outcome``, ``treatment``, ``reference``, ``term`` (``period 2``, ``no period
    effects``, ``carry-over``), ``estimate``, ``std_error``, ``statistic`` (t, or F of the joint
    test), ``df_numerator`` (of F), ``df``, ``p_value``, ``conf_low``, ``conf_high``. Empty where
    the order was not recorded, did not vary, or nothing changed in any unit.
    """
    del effects
    if not trial.within_unit or "run_order" not in observations:
        return pd.DataFrame()
    values = unit_values(trial, observations)
    rows: list[dict[str, object]] = []
    for outcome in trial.outcomes:
        for treatment, reference in trial.contrasts:
            named = {"outcome": outcome.name, "treatment": treatment, "reference": reference}
            sample, _ = analysed(trial, values, Contrast(outcome, treatment, reference))
            found = order_terms(sample, trial.analysis.alpha, len(trial.arms) == 2)
            rows += [{**named, **term} for term in found]
    return pd.DataFrame(rows)


def order_terms(sample: Sample, alpha: float, two_arms: bool) -> list[dict[str, object]]:
    """The rows of one contrast.

    Parameters
    ----------
    sample:
        Units with both arms.
    alpha:
        Intervals have level ``1 - alpha``.
    two_arms:
        Whether the trial has no other arms, so that what came before a unit's second arm is its
        first.
    """
    difference = differences(sample)
    if not _testable(sample, difference):
        return []
    columns = period_columns(sample)
    cluster = None if sample.cluster is None else sample.cluster[sample.treated]
    periods = np.unique(np.asarray(sample.order))
    model = _model(difference, columns, cluster)
    to_zero = _summing_to_zero(len(periods))
    rows = [
        _row(f"period {period}", _settled(model.combine(weights), sample, alpha))
        for period, weights in zip(periods, to_zero, strict=True)
    ]
    if len(periods) == 2:  # the second is minus the first, and the joint test the same again
        rows = rows[1:]
    else:
        rows.append(_joint(difference, columns, cluster))
    if two_arms and len(periods) == 2:
        rows.append(_row(CARRY_OVER, carry_over(sample, cluster, alpha)))
    return rows


def _testable(sample: Sample, difference: Vector) -> bool:
    """Whether the order is known and tells periods apart, and the differences vary."""
    if sample.order is None or len(difference) < 2:
        return False
    size = float(np.abs(sample.outcome).max())
    noise = NOISE_OF_RANGE * float(np.ptp(sample.outcome)) + NOISE_OF_LEVEL * size
    if float(np.ptp(difference)) <= noise:
        return False
    columns = period_columns(sample)
    rank = int(np.linalg.matrix_rank(columns))
    # With fewer, some periods are never compared: their effects do not sum to zero with the rest.
    whole = rank == columns.shape[1] - 1 > 0 and separable(columns)
    rows = len(difference) if sample.cluster is None else len(set(sample.cluster.tolist()))
    return bool(whole and rows > rank + 1)


def _settled(found: Coefficient, sample: Sample, alpha: float) -> Estimate:
    return settle(student(found.estimate, found.std_error, found.df, alpha), sample.outcome)


def _summing_to_zero(periods: int) -> Matrix:
    """[periods, periods] every period's effect from the coefficients of :func:`_design`."""
    free = np.vstack([np.eye(periods - 1), -np.ones(periods - 1)])
    return np.column_stack([free, np.zeros(periods)])


def _design(columns: Matrix) -> Matrix:
    """[pairs, periods] the columns of effects that sum to zero, and the treatment's own."""
    periods = columns.shape[1]
    return np.column_stack([columns @ _summing_to_zero(periods)[:, :-1], np.ones(len(columns))])


def _model(difference: Vector, columns: Matrix, cluster: Codes | None) -> ArmMeans:
    x = _design(columns)
    if cluster is not None:
        return clustered(difference, x, cluster, x.shape[1])
    fitted = robust_fit(difference, x)
    if fitted is None:  # some unit alone decides a period
        unknown = np.full(x.shape[1], np.nan)
        return with_covariance(unknown, np.diag(unknown), np.nan, "crossover")
    return with_covariance(*fitted, float(len(x) - x.shape[1]), "crossover")


def _joint(difference: Vector, columns: Matrix, cluster: Codes | None) -> dict[str, object]:
    """The test that all periods are alike."""
    if cluster is None and len(difference) < MANY:
        cluster = np.arange(len(difference))  # CR2 of single units is HC2
    all_but_last = np.eye(columns.shape[1])[:-1]
    test = _model(difference, columns, cluster).wald(all_but_last)
    found = Estimate(np.nan, np.nan, test.statistic, test.df_den, test.p_value)
    return {**_row(JOINT, found), "df_numerator": test.df_num}


def carry_over(sample: Sample, cluster: Codes | None, alpha: float) -> Estimate:
    """Units' sums where the treatment came first, minus those where it came second.

    Parameters
    ----------
    sample:
        Units with both arms, of a trial of two.
    cluster:
        [pairs] the units' clusters, if any: CR2 then takes Welch's place.
    alpha:
        The interval has level ``1 - alpha``.
    """
    order = np.asarray(sample.order)
    total = sample.outcome[sample.treated] + sample.outcome[~sample.treated]
    first = order[sample.treated] < order[~sample.treated]
    if cluster is not None:
        found = cr2(total, np.column_stack([np.ones(len(total)), first]), cluster)
        return student(found.estimate, found.std_error, found.df, alpha)
    units = np.unique(sample.unit)
    sums = Sample(units, total, first, np.empty((len(total), 0)))
    return welch.fit(sums, alpha)


def _row(term: str, found: Estimate) -> dict[str, object]:
    return {
        "term": term,
        "estimate": found.estimate,
        "std_error": found.std_error,
        "statistic": found.statistic,
        "df_numerator": np.nan,
        "df": found.df,
        "p_value": found.p_value,
        "conf_low": found.conf_low,
        "conf_high": found.conf_high,
    }
