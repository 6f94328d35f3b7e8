"""The plan of a trial with looks: boundaries, power, and how many units it will take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.choice import automatic
from causal_sae.estimation.sequential.characteristics import Characteristics, Rule, characteristics
from causal_sae.estimation.sequential.walk import Walk
from causal_sae.power.forecast import plan_power
from causal_sae.power.setup import PilotSource, placed
from causal_sae.spec.declared import trial_file
from causal_sae.spec.loading import TrialFile
from causal_sae.spec.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

FURTHEST = 30.0
"""No drift is larger: the power of one is 1 in double precision."""


@dataclass(frozen=True)
class LooksPlan:
    """The looks at one primary contrast as planned."""

    outcome: str
    treatment: str
    reference: str
    rule: Rule
    units: int
    """Of the whole trial."""
    fixed_power: float
    """Without looks, at the planned effect."""
    without: Characteristics
    """Without an effect."""
    planned: Characteristics
    """With the planned effect."""

    def table(self) -> pd.DataFrame:
        """One row for each look: :data:`causal_sae.plan_tables.LOOKS_PLAN`."""
        from causal_sae.plan_tables import LOOKS_PLAN  # noqa: PLC0415 - brings pandas

        return LOOKS_PLAN.conform(_frame(self))

    def expected_units(self, found: Characteristics) -> float:
        """The mean number of units that the trial takes."""
        return found.expected(self.rule.times) * self.units


def plan_looks(
    trial: Trial | TrialFile | str | Path,
    *,
    n: int | None = None,
    pilot: PilotSource = None,
) -> list[LooksPlan]:
    """What the looks of a trial do: one plan for each primary contrast with an effect to find.

    Parameters
    ----------
    trial:
        The trial, or its file; it declares ``analysis.looks`` and ``power``.
    n, pilot:
        As for :func:`causal_sae.power.plan_power`.

    Notes
    -----
    The statistics are taken as normal. The drift is the one whose test without looks has the power
    that the trial's own formula gives; everything else follows by integration.

    Raises
    ------
    InputError
        When the trial declares no looks, or not enough to plan with.
    """
    declared = trial_file(trial)
    with placed(declared):
        return _plans(declared, n, pilot)


def _plans(declared: TrialFile, n: int | None, pilot: PilotSource) -> list[LooksPlan]:
    looks = declared.trial.analysis.looks
    if looks is None:
        raise SpecError(
            "the trial has one analysis, at its end; add `looks: {at: [0.5, 1]}`, or use "
            "`causal-sae power`.",
            Place(field="analysis.looks"),
        )
    # Looks are taken at the design's own statistic, whatever `auto` takes elsewhere.
    named = declared.trial.analysis.estimator
    own = automatic(declared.trial) if named == "auto" else named
    analysis = declared.trial.analysis.model_copy(update={"looks": None, "estimator": own})
    plain = replace(declared, trial=declared.trial.model_copy(update={"analysis": analysis}))
    forecast = plan_power(plain, pilot=pilot, n=n, repetitions=0)
    rows = forecast.table[forecast.table["method"] == "closed_form"]
    rows = rows[rows["power"].notna() & rows["outcome"].isin(_primary(declared.trial))]
    rows = rows[rows["reference"].notna() & rows["n_treatment"].notna()]
    if rows.empty:
        raise SpecError(
            "no primary contrast has an effect to find and a formula for its power; plan looks "
            "with another estimator, or another `power.effect`.",
            Place(field="power"),
        )
    times = looks.at or _every(looks.every or forecast.units, forecast.units)
    plans = []
    for _, row in rows.iterrows():
        rule = Rule(looks, float(row["alpha_adjusted"]), times)
        drift = drift_of(float(row["power"]), rule.alpha)
        plans.append(
            LooksPlan(
                str(row["outcome"]),
                str(row["treatment"]),
                str(row["reference"]),
                rule,
                forecast.units,
                float(row["power"]),
                characteristics(rule, 0.0),
                characteristics(rule, drift),
            )
        )
    return plans


def _primary(trial: Trial) -> set[str]:
    return {outcome.name for outcome in trial.outcomes if outcome.role == "primary"}


def _every(every: int, units: int) -> tuple[float, ...]:
    return (*(n / units for n in range(every, units, every)), 1.0)


def drift_of(power: float, alpha: float) -> float:
    """The mean of a normal statistic whose two-sided test has a power.

    Parameters
    ----------
    power, alpha:
        Of the test without looks.
    """
    end = float(special.ndtri(1 - alpha / 2))

    def excess(drift: float) -> float:
        return float(special.ndtr(drift - end) + special.ndtr(-drift - end)) - power

    if excess(FURTHEST) <= 0:
        return FURTHEST
    return float(optimize.brentq(excess, 0.0, FURTHEST)) if excess(0.0) < 0 else 0.0


def _frame(plan: LooksPlan) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    null, rows = Walk(0.0), []
    for i, time in enumerate(plan.rule.times):
        regions = plan.rule.regions(i, null)
        middle = (np.nan, np.nan) if regions.middle is None else regions.middle
        low = regions.lower if regions.middle is None else middle[1]
        null = null.kept(time, low, regions.upper)
        stops = [c.rejects[i] + c.futile[i] for c in (plan.without, plan.planned)]
        rows.append(
            {
                "outcome": plan.outcome,
                "treatment": plan.treatment,
                "reference": plan.reference,
                "look": i + 1,
                "information": time,
                "units": round(time * plan.units),
                "boundary": regions.upper if np.isfinite(regions.upper) else np.nan,
                "nominal_p": 2 * float(special.ndtr(-regions.upper)),
                "futile_below": middle[1] if regions.middle else np.nan,
                "rejects_without_effect": plan.without.rejects[i],
                "rejects_planned_effect": plan.planned.rejects[i],
                "stops_without_effect": stops[0],
                "stops_planned_effect": stops[1],
            }
        )
    return pd.DataFrame(rows)
