"""The table of power and the curve over sizes, from a plan and what was simulated of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.plan_tables import POWER, POWER_CURVE
from causal_sae.power.cost import passes_of_unit, units_in_all
from causal_sae.power.leeway import Leeway, around
from causal_sae.power.plan import Plan, tests_margin

if TYPE_CHECKING:
    import pandas as pd

    from causal_sae.power.repetitions import Repetitions
    from causal_sae.simulation import Roster

ANY, ALL = "any", "all"
POINTS = 25
SEARCH = 200
"""Repetitions of each step of a search by simulation."""
SURE, CLOSE = 3.29, 0.01
"""A simulated power off its formula by so many standard errors, and this much more, is told."""
FACTORS = (0.4, 0.7, 1.0, 1.4, 2.0)
"""Multiples of the planned size at which a curve without a formula is simulated."""
STEPS = 6
"""Halvings of a search by simulation."""


@dataclass(frozen=True)
class Simulated:
    """What was simulated at the planned size, and the means to simulate more."""

    done: Repetitions
    run: Callable[..., Repetitions]
    """Of a roster, a number of repetitions, and a factor of the effect."""
    roster: Roster


def power_table(plan: Plan, simulated: Simulated | None, leeways: Sequence[Leeway]) -> pd.DataFrame:
    """One row for each test and method, and one for any and all of several.

    Parameters
    ----------
    plan:
        The tests.
    simulated:
        The simulated trials; None where there are none.
    leeways:
        How far off the noise of each test may be; empty without a pilot.
    """
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    rows: list[dict[str, object]] = []
    for at in range(len(plan.questions)):
        if plan.has_closed_form:
            rows.append(_closed(plan, at, leeways))
        if simulated is not None:
            rows.append(_simulated(plan, at, simulated, leeways))
    rows += _together(plan, simulated, leeways)
    return POWER.conform(pd.DataFrame(rows, columns=list(POWER.columns)))


def _about(plan: Plan, at: int) -> dict[str, object]:
    question = plan.questions[at]
    margin = tests_margin(question.outcome)
    return {
        "outcome": question.outcome.name,
        "treatment": question.treatment,
        "reference": question.reference,
        "n_treatment": question.layout.n_treatment,
        "n_reference": question.layout.n_reference,
        "effect": question.outcome.margin if margin else question.estimand,
        "sd": question.assumed.sd,
        "alpha": question.trial.analysis.alpha,
        "alpha_adjusted": plan.levels[at],
    }


def _closed(plan: Plan, at: int, leeways: Sequence[Leeway]) -> dict[str, object]:
    power = plan.power(at)
    high, low = (one.power(at) for one in at_limits(plan, leeways))
    return _about(plan, at) | {
        "method": "closed_form",
        "power": power,
        "power_low": low,
        "power_high": high,
        "n_required": _whole(plan.n_required(at)),
        "mde": plan.mde(at),
    }


def _whole(n: float) -> int | None:
    # What is a whole number but for rounding is not raised to the next.
    return None if np.isnan(n) else ceil(n - 1e-9)


def _simulated(
    plan: Plan, at: int, simulated: Simulated, leeways: Sequence[Leeway]
) -> dict[str, object]:
    question = plan.questions[at]
    sought = tests_margin(question.outcome) or question.difference != 0
    found = simulated.done.rate([at]) if sought else (np.nan, np.nan, np.nan)
    row = _about(plan, at) | {
        "method": "simulation",
        "power": found[0],
        "power_low": found[1],
        "power_high": found[2],
        "repetitions": len(simulated.done),
    }
    if leeways and sought:
        tails = 2 if tests_margin(question.outcome) else 1
        limits = around(found[0], tails * plan.levels[at], leeways[at])
        row["power_low"], row["power_high"] = widened(found, limits)
    if not plan.has_closed_form and sought:
        row["n_required"] = _whole(_searched_size(plan, at, simulated))
        row["mde"] = _searched_effect(plan, at, simulated)
    return row


def at_limits(plan: Plan, leeways: Sequence[Leeway]) -> tuple[Plan, Plan]:
    """The plan with as little and with as much noise as a pilot leaves possible."""
    if not leeways:
        return plan, plan
    least, most = zip(*leeways, strict=True)
    return plan.with_noise(least), plan.with_noise(most)


def widened(found: tuple[float, float, float], limits: tuple[float, float]) -> tuple[float, float]:
    """A simulated power's interval with a pilot's uncertainty in it.

    Both are distances from the power on the scale of the normal quantile, and add like standard
    errors: the Monte-Carlo one as Wilson's interval has it, and the pilot's.

    Parameters
    ----------
    found:
        The simulated power and Wilson's limits.
    limits:
        The powers that the pilot leaves possible.
    """
    z = stats.norm.ppf(np.clip([*found, *limits], 1e-9, 1 - 1e-9))
    low = z[0] - np.hypot(z[0] - z[1], min(0.0, z[3] - z[0]))
    high = z[0] + np.hypot(z[2] - z[0], max(0.0, z[4] - z[0]))
    return float(stats.norm.cdf(low)), float(stats.norm.cdf(high))


def disagreements(plan: Plan, simulated: Simulated) -> list[str]:
    """A sentence for each test whose simulation its formula does not explain.

    The simulation counts at the formula's own level, so that what a stepwise correction adds is no
    difference.
    """
    found = []
    for at, question in enumerate(plan.questions):
        formula = plan.power(at)
        if np.isnan(formula):
            continue
        rate = float(np.mean(simulated.done.p_values[:, at] <= plan.levels[at]))
        error = np.sqrt(formula * (1 - formula) / len(simulated.done))
        if abs(rate - formula) > SURE * error + CLOSE:
            found.append(
                f"{question.outcome.name}, {question.treatment} \N{MINUS SIGN} "
                f"{question.reference}: the simulation ({rate:.2f} before what the correction "
                f"adds) and the formula ({formula:.2f}) differ by more than chance. The formula "
                "takes values as normal, and arms as the seed deals them; go by the simulation."
            )
    return found


def _together(
    plan: Plan, simulated: Simulated | None, leeways: Sequence[Leeway]
) -> list[dict[str, object]]:
    """The rows of any and all, where several effects are sought."""
    sought = [
        i for i, q in enumerate(plan.questions) if q.difference != 0 and not tests_margin(q.outcome)
    ]
    if len(sought) < 2:
        return []
    names = list(dict.fromkeys(plan.questions[i].outcome.name for i in sought))
    rows: list[dict[str, object]] = []
    # All contrasts are at their limits at once: they are known from the same units.
    high, low = (one.joint() for one in at_limits(plan, leeways))
    for i, combine in enumerate((ANY, ALL)):
        about = {
            "outcome": names[0] if len(names) == 1 else "primary",
            "treatment": combine,
            "reference": "",
            "alpha": plan.trial.analysis.alpha,
            "alpha_adjusted": plan.trial.analysis.alpha,
        }
        exact = plan.joint()[i]
        if not np.isnan(exact):
            whole = {"method": "closed_form", "power": exact}
            rows.append(about | whole | {"power_low": low[i], "power_high": high[i]})
        if simulated is not None:
            found = simulated.done.rate(sought, combine)
            limits = found[1:]
            if leeways:
                least, most = zip(*(leeways[one] for one in sought), strict=True)
                leeway = min(least), max(most)
                limits = widened(found, around(found[0], plan.trial.analysis.alpha, leeway))
            rows.append(
                about
                | {"method": "simulation", "power": found[0]}
                | {"power_low": limits[0], "power_high": limits[1]}
                | {"repetitions": len(simulated.done)}
            )
    return rows


def _searched_size(plan: Plan, at: int, simulated: Simulated) -> float:
    """Units in each arm for the target, by halving, with the same random numbers at every size."""
    trial = plan.trial

    def reaches(total: int) -> bool:
        roster = simulated.roster.resized(total)
        return simulated.run(roster, SEARCH).rate([at])[0] >= plan.target

    low, high = 2 * len(trial.arms), len(simulated.roster)
    while not reaches(high):
        low, high = high, 2 * high
        if high > 16 * len(simulated.roster):
            return np.nan
    for _ in range(STEPS):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high / (1 if trial.within_unit else len(trial.arms))


def _searched_effect(plan: Plan, at: int, simulated: Simulated) -> float:
    """The smallest effect that is found, by halving a factor of the assumed one."""

    def reaches(factor: float) -> bool:
        return simulated.run(simulated.roster, SEARCH, factor).rate([at])[0] >= plan.target

    low, high = 0.0, 1.0
    while not reaches(high):
        low, high = high, 2 * high
        if high > 64:
            return np.nan
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high * abs(plan.questions[at].estimand)


def curve_table(
    plan: Plan, units: int, seconds: float, simulated: Simulated | None = None
) -> pd.DataFrame:
    """Power and cost over sizes from a few units to beyond what is planned and required.

    Parameters
    ----------
    plan:
        The tests.
    units:
        The planned size, which is one of the points.
    seconds:
        Of a forward pass; NaN where that is not known.
    simulated:
        Where there is no formula: the means to simulate other sizes.
    """
    import pandas as pd  # noqa: PLC0415 - pandas loads with the first table

    rows: list[dict[str, object]] = []
    if plan.has_closed_form:
        for total in _sizes(plan, units):
            rows += _points(plan, total, units, seconds)
    elif simulated is not None:
        for factor in FACTORS:
            rows += _simulated_points(plan, simulated, factor, seconds)
    return POWER_CURVE.conform(pd.DataFrame(rows, columns=list(POWER_CURVE.columns)))


def _sizes(plan: Plan, units: int) -> list[int]:
    required = [plan.n_required(i) for i in range(len(plan.questions))]
    known = [units_in_all(plan.trial, r) for r in required if not np.isnan(r)]
    most = 1.3 * max([units, *(r for r in known if r < 20 * units)])
    least = max(4.0, min([units, *known]) / 8)
    grid = {round(x) for x in np.geomspace(least, most, POINTS)}
    return sorted(grid | {units})


def _points(plan: Plan, total: int, units: int, seconds: float) -> list[dict[str, object]]:
    powers = []
    for at, question in enumerate(plan.questions):
        layout = question.layout
        n, m = (k * total / units for k in (layout.n_treatment, layout.n_reference))
        powers.append(plan.power(at, n, m))
    return _rows_of_curve(plan, total, powers, seconds)


def _simulated_points(
    plan: Plan, simulated: Simulated, factor: float, seconds: float
) -> list[dict[str, object]]:
    """The powers at a multiple of the planned size, as simulated there."""
    total = round(factor * len(simulated.roster))
    if total < 2 * len(plan.trial.arms):
        return []
    roster = simulated.roster.resized(total)
    done = simulated.done if factor == 1 else simulated.run(roster, SEARCH)
    powers = [
        done.rate([at])[0] if tests_margin(q.outcome) or q.difference != 0 else np.nan
        for at, q in enumerate(plan.questions)
    ]
    return _rows_of_curve(plan, len(roster), powers, seconds)


def _rows_of_curve(
    plan: Plan, total: int, powers: Sequence[float], seconds: float
) -> list[dict[str, object]]:
    """What one size is worth and costs, for each contrast with a power."""
    passes = total * passes_of_unit(plan.trial)
    return [
        {
            "outcome": question.outcome.name,
            "treatment": question.treatment,
            "reference": question.reference,
            "units": total,
            "power": power,
            "forward_passes": round(passes),
            "minutes": passes * seconds / 60,
        }
        for question, power in zip(plan.questions, powers, strict=True)
        if not np.isnan(power)
    ]
