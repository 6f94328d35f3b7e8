"""Dose-response: a linear trend, a test of any steady trend, and an Emax curve with its ED50."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from causal_sae import flags as codes
from causal_sae.estimation.arm_means import ArmMeans
from causal_sae.estimation.arm_models import Fitted, fit_means
from causal_sae.estimation.contrasts import unit_values
from causal_sae.estimation.emax import Emax, ed50_interval, fit_emax
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.linear_contrasts import combined, weights_of
from causal_sae.estimation.monotone import Trend, jonckheere, page
from causal_sae.estimation.several_arms import Arms, several_arms
from causal_sae.spec.combinations import trend
from causal_sae.spec.doses import ladder

if TYPE_CHECKING:
    from causal_sae.estimation.sample import Vector
    from causal_sae.spec import Outcome, Trial
    from causal_sae.spec.analysis import DoseResponse

LINEAR, PAGE, JONCKHEERE, EMAX = "linear trend", "Page", "Jonckheere-Terpstra", "Emax curve"


@dataclass(frozen=True)
class Rungs:
    """The arms of one dose-response analysis on one outcome."""

    arms: Arms
    """The units, arms in the order of their doses."""
    fitted: Fitted
    """The model of the arms' means, or the flags that say why there is none."""
    doses: Vector
    """[k] in rising order."""
    alpha: float
    """Intervals have level ``1 - alpha``."""

    @property
    def counts(self) -> Vector:
        """[k] how many units each arm has."""
        return self.arms.counts.astype(np.float64)


def dose_response(trial: Trial, observations: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Five rows per outcome and analysis: the slope, the trend test, and the curve's parameters.

    Parameters
    ----------
    trial:
        Declares ``analysis.dose_response``; without it there are no rows.
    observations:
        As for :func:`causal_sae.estimation.estimate`.
    effects:
        The main estimates; not used.

    Returns
    -------
    Columns ``outcome``, ``role``, ``arms`` and ``doses`` (from the lowest dose to the highest),
    ``analysis``, ``quantity``, the estimate with its inference, ``conf_level`` and ``flags``. The
    p-values are not corrected.
    """
    del effects
    if not trial.analysis.dose_response:
        return pd.DataFrame()
    values = unit_values(trial, observations)
    rows = [
        {**_head(trial, outcome, entry), **row}
        for entry in trial.analysis.dose_response
        for outcome in trial.outcomes
        for row in _of_outcome(trial, values, outcome, entry)
    ]
    return pd.DataFrame(rows)


def _head(trial: Trial, outcome: Outcome, entry: DoseResponse) -> dict[str, object]:
    rungs = ladder(trial, entry)
    return {
        "outcome": outcome.name,
        "role": outcome.role,
        "arms": ", ".join(rungs),
        "doses": ", ".join(f"{dose:g}" for dose in rungs.values()),
    }


def _of_outcome(
    trial: Trial, values: pd.DataFrame, outcome: Outcome, entry: DoseResponse
) -> Iterator[dict[str, object]]:
    found = ladder(trial, entry)
    arms = several_arms(trial, values, outcome, tuple(found))
    model = fit_means(trial, arms)
    rungs = Rungs(arms, model, np.array(list(found.values())), trial.analysis.alpha)
    weights = weights_of(arms, trend(trial, entry).weights)
    slope = combined(trial, outcome, (arms, model), weights, rungs.alpha, arms.notes)[1]
    yield _line(rungs, LINEAR, "slope per unit of dose", slope)
    known = "finite_population_exact" in slope.flags
    if not known:
        yield _line(rungs, PAGE if trial.within_unit else JONCKHEERE, "z", ordered(rungs, trial))
    yield from _curve(rungs, known)


def _line(rungs: Rungs, analysis: str, quantity: str, found: Estimate) -> dict[str, object]:
    return {
        "analysis": analysis,
        "quantity": quantity,
        **asdict(found),
        "conf_level": 1 - rungs.alpha,
        "flags": codes.join((*rungs.arms.notes, *found.flags)),
    }


def ordered(rungs: Rungs, trial: Trial) -> Estimate:
    """The trend test that suits the design; none where units come in clusters.

    Parameters
    ----------
    rungs:
        The arms in the order of their doses.
    trial:
        Says whether every unit is in every arm.
    """
    sample = rungs.arms.sample
    if sample.cluster is not None:
        return Estimate(np.nan, np.nan, flags=("no_rank_test",))
    if not isinstance(rungs.fitted, ArmMeans):
        return Estimate(np.nan, np.nan, flags=rungs.fitted)
    found: Trend
    if trial.within_unit:
        found = page(rungs.arms.wide)
    else:
        found = jonckheere(sample.outcome, rungs.arms.arm, sample.block)
    flags = ("constant_outcome",) if np.isnan(found.p_value) else ()
    return Estimate(np.nan, np.nan, found.statistic, p_value=found.p_value, flags=flags)


def _curve(rungs: Rungs, known: bool) -> Iterator[dict[str, object]]:
    """The parameters; ED50 with its interval, unless the means are known without error."""
    fitted, interval = fitted_curve(rungs, known)
    parameters = (("E0", fitted.e0), ("Emax", fitted.emax))
    for name, value in parameters:
        yield _line(rungs, EMAX, name, Estimate(value, np.nan, flags=fitted.flags))
    low, high = interval
    ed50 = Estimate(fitted.ed50, np.nan, conf_low=low, conf_high=high, flags=fitted.flags)
    yield _line(rungs, EMAX, "ED50", ed50)


def fitted_curve(rungs: Rungs, known: bool = False) -> tuple[Emax, tuple[float, float]]:
    """The Emax curve, flagged where the data do not support it, and the interval of ED50.

    Parameters
    ----------
    rungs:
        The arms in the order of their doses.
    known:
        Whether the means are without error, so that there is nothing to test.
    """
    none = Emax(np.nan, np.nan, np.nan), (np.nan, np.nan)
    if not isinstance(rungs.fitted, ArmMeans):
        return Emax(np.nan, np.nan, np.nan, rungs.fitted), none[1]
    model = rungs.fitted
    fitted = fit_emax(rungs.doses, model.means, rungs.counts)
    flags = () if known else shape_flags(rungs, model, fitted)
    fitted = Emax(fitted.e0, fitted.emax, fitted.ed50, (*model.flags, *fitted.flags, *flags))
    if known or np.isnan(fitted.ed50):
        return fitted, none[1]
    interval = ed50_interval(rungs.doses, rungs.counts, fitted, model.combine, rungs.alpha)
    open_ended = ("ed50_unbounded",) if interval[0] == 0 or interval[1] == np.inf else ()
    return Emax(fitted.e0, fitted.emax, fitted.ed50, (*fitted.flags, *open_ended)), interval


def shape_flags(rungs: Rungs, model: ArmMeans, fitted: Emax) -> tuple[str, ...]:
    """Whether the means differ at all, and whether one step goes significantly the other way.

    Parameters
    ----------
    rungs, model, fitted:
        The arms, their means and the curve through them.
    """
    steps = np.eye(len(rungs.doses))[1:] - np.eye(len(rungs.doses))[:-1]
    flat = model.wald(steps).p_value > rungs.alpha
    if np.isnan(fitted.emax):
        return ("flat_dose_response",) if flat else ()
    found = [model.combine(step) for step in steps]
    back = any(
        step.std_error > 0
        and -np.sign(fitted.emax) * step.estimate / step.std_error > _critical(step.df, rungs.alpha)
        for step in found
    )
    flags = ("flat_dose_response",) if flat else ()
    return (*flags, "not_monotone") if back else flags


def _critical(df: float, alpha: float) -> float:
    return float(stats.t.ppf(1 - alpha / 2, df))
