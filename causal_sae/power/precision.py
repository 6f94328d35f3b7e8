"""How precisely a design estimates a contrast: the standard error and degrees of freedom ahead.

A unit's outcomes in two arms have the correlation ``rho``, two units of a cluster ``icc``. With
``sd`` and n and m units in the arms, the estimate of

- independent arms varies by ``sd^2 (1/n + 1/m)``;
- arms adjusted for the clean outcome by ``sd^2 (u/n + v/m)``, where u and v are what a common
  slope b leaves: ``1 - 2 b s + b^2`` with the arm's own slope s, which is ``rho`` after an edit
  and 1 without one, because at temperature 0 that outcome is the clean outcome (a pilot may show
  another variance than 1 for an arm, and another slope for each);
- the same units in both arms by ``2 sd^2 (1 - rho) / n``;
- whole clusters by ``1 + mates icc`` times that, ``mates`` the mean number of a unit's others
  (Eldridge, Ashby and Kerry 2006); units of clusters that lie in both arms by nearly ``1 - icc``;
- blocks by ``1 - icc`` times that.

Where the feature fires on the share ``active`` of units and the edit leaves the others as they
are, the mean effect is ``active`` times the effect, and varies by ``active (1 - active) effect^2``.
Where the reference has ``K`` placebo draws whose effects vary by ``v``, the estimate varies by
``v / K`` more, which no number of units makes smaller and which the test does not see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from causal_sae.estimation.choice import allows_jackknife, allows_skewness
from causal_sae.estimation.estimators import ESTIMATORS
from causal_sae.estimation.sparsity import edits_active_only
from causal_sae.power.closed_form import Vector, t_power, welch_df
from causal_sae.power.exposed import exposed_power, exposed_power_against
from causal_sae.power.skewed import Arms, skewed_power, skewed_power_against
from causal_sae.simulation import Shape, assumed_effects, draws_of, inert_when_silent, untouched
from causal_sae.simulation.population import groups_span_arms

if TYPE_CHECKING:
    from causal_sae.power.layout import Layout
    from causal_sae.simulation import Assumptions
    from causal_sae.spec import Outcome, Trial

CLEAN = "clean_outcome"
CLOSED = frozenset(
    {
        *("welch", "difference_in_means", "ancova", "lin", "dowhy", "block", "fixed_effects"),
        *("cluster", "paired", "sparse", "cace"),
    }
)
"""The estimators whose power has a closed form here; the others' is simulated."""
ADJUSTING = frozenset({"ancova", "lin", "dowhy", "block", "fixed_effects", "cluster", "cace"})
NODES = 41
"""Numbers of exposed units that stand for all; the others' probabilities go to the nearest."""


@dataclass(frozen=True)
class Question:
    """One contrast on one outcome, and all that its power depends on but the size."""

    trial: Trial
    outcome: Outcome
    treatment: str
    reference: str
    estimator: str
    layout: Layout
    assumed: Assumptions
    noise: float = 1.0
    """A factor of the standard error, for what a pilot leaves open."""

    @property
    def difference(self) -> float:
        """Treatment minus reference as assumed: 1 or -1 times the effect, or none."""
        effects = assumed_effects(self.trial)
        return effects[self.treatment] - effects[self.reference]

    @property
    def reached(self) -> float:
        """The share of units on which the edit does anything."""
        arms = (self.trial.arm(self.treatment), self.trial.arm(self.reference))
        return self.assumed.active if any(map(inert_when_silent, arms)) else 1.0

    @property
    def silent_pairs_equal(self) -> bool:
        """Whether both arms leave a unit as it is where the feature is silent."""
        arms = (self.trial.arm(self.treatment), self.trial.arm(self.reference))
        return all(
            untouched(self.trial, arm, self.outcome) or inert_when_silent(arm) for arm in arms
        )

    @property
    def estimand(self) -> float:
        """The effect as the trial will estimate it: over all units, or over exposed ones."""
        of_exposed = ESTIMATORS[self.estimator].speaks_of == "exposed"
        share = 1.0 if of_exposed else self.reached
        return share * self.difference * self.assumed.effect

    @property
    def name(self) -> str:
        """The estimator; within units `auto` sees which units are untouched."""
        auto = self.trial.analysis.estimator == "auto" and self.estimator == "paired"
        edits = [self.trial.arm(a).intervention for a in (self.treatment, self.reference)]
        inert = edits_active_only(edits[0]) and (
            edits[1].kind == "none" or edits_active_only(edits[1])
        )
        unclustered = self.layout.clusters == 0
        partly = self.reached < 1 and self.silent_pairs_equal
        return "sparse" if auto and inert and partly and unclustered else self.estimator

    def at_effect(self, effect: float) -> Question:
        """The same question of another effect."""
        return replace(self, assumed=replace(self.assumed, effect=effect))


@dataclass(frozen=True)
class Precision:
    """What the test has to work with; arrays [cases], one for each number of exposed units."""

    weight: Vector
    effect: Vector
    std_error: Vector
    reported: Vector
    df: Vector
    skewed: bool = False
    """Whether the test allows for the skewness of the exposed units, ``df + 1`` of them."""
    arms: Arms = ()
    """The arms of a test that allows for their skewness; empty where it does not."""
    dilution: Vector | float = 1.0
    """[cases] how many times smaller the effect on all units is than the one here."""

    def power(self, alpha: float) -> float:
        """Of the two-sided test against zero."""
        if self.skewed:
            exposed = np.nan_to_num(self.df) + 1
            return self._mean(exposed_power(self.effect, self.std_error, exposed, alpha))
        if self.arms:
            one = [float(x[0]) for x in (self.effect, self.std_error, self.reported, self.df)]
            return skewed_power(one[0], one[1], one[2], one[3], self.arms, alpha)
        found = t_power(self.effect, self.std_error, self.df, alpha, 2, self.reported)
        return self._mean(found)

    def power_against(self, margin: float, alpha: float, sides: int) -> float:
        """Of showing that an effect of zero is below the margin; 2 sides: within it."""
        one = self._one_sided(margin, alpha)
        return self._mean(np.maximum(0.0, 2 * one - 1) if sides == 2 else one)

    def _one_sided(self, margin: float, alpha: float) -> Vector:
        """[cases] the power of one side's test."""
        if self.skewed:
            exposed = np.nan_to_num(self.df) + 1
            among = margin * np.asarray(self.dilution)
            return exposed_power_against(among, self.std_error, exposed, alpha)
        if self.arms:
            error, seen, df = (float(x[0]) for x in (self.std_error, self.reported, self.df))
            return np.array([skewed_power_against(margin, error, seen, df, self.arms, alpha)])
        return t_power(margin, self.std_error, self.df, alpha, 1, self.reported)

    def _mean(self, found: Vector) -> float:
        if np.isnan(found).all():
            return np.nan
        return float(self.weight @ np.nan_to_num(found))


def precision(question: Question, n: float, m: float) -> Precision:
    """The precision with n units in the treatment arm and m in the reference arm.

    Parameters
    ----------
    question:
        The contrast.
    n, m:
        Need not be whole; within units both are the number of units.
    """
    found = _precision(question, n, m)
    factor = question.noise
    return replace(found, std_error=factor * found.std_error, reported=factor * found.reported)


def _precision(question: Question, n: float, m: float) -> Precision:
    if question.name == "sparse":
        return _sparse(question, n)
    if question.estimator == "cace" and question.reached < 1:
        return _stratum(question, n, m)
    found = _single(question.estimand, *_moments(question, n, m))
    automatic = question.trial.analysis.estimator == "auto"
    if automatic and allows_skewness(question.trial, question.estimator):
        return replace(found, arms=_arms(question, n, m))
    return found


def _arms(question: Question, n: float, m: float) -> Arms:
    """What each arm adds to the variance, for a test that allows for skewness."""
    layout = question.layout
    if layout.within:
        return ((n, 1.0),)
    paired = layout.blocks and layout.block_rule == "pairs"
    if paired and not question.trial.analysis.covariates:
        return (((n + m) / 2, 1.0),)
    of_arm, _ = _arm_variances(question, n, m)
    parts = of_arm[0] / n, of_arm[1] / m
    return ((n, parts[0] / sum(parts)), (m, parts[1] / sum(parts)))


def _single(effect: float, std_error: float, reported: float, df: float) -> Precision:
    one, mean, error, seen, freedom = (
        np.array([x]) for x in (1.0, effect, std_error, reported, df)
    )
    return Precision(one, mean, error, seen, freedom)


def _moments(question: Question, n: float, m: float) -> tuple[float, float, float]:
    """The estimate's standard error, the one that is reported, and the degrees of freedom."""
    a = question.assumed
    share = 1.0 if question.estimator == "cace" else question.reached
    mixing = share * (1 - share) * (question.difference * a.effect) ** 2
    among, between = draw_variances(question)
    if question.layout.within:
        unchanged = share if question.silent_pairs_equal else 1.0
        inflation = 1 + question.layout.mates * a.icc
        variance = _change(question) * unchanged * inflation + mixing + sum(among)
        seen_variance = variance / n * _jackknife(question, n)
        std_errors = float(np.sqrt(variance / n + between)), float(np.sqrt(seen_variance))
        return *std_errors, _df(question, n, m, (variance, variance))
    of_arm, beside = _arm_variances(question, n, m)
    seen = of_arm[0] + mixing + among[0], of_arm[1] + among[1]
    variance = seen[0] / n + seen[1] / m
    reported = variance * _jackknife(question, n + m)
    std_errors = float(np.sqrt(variance + beside + between)), float(np.sqrt(reported))
    return *std_errors, _df(question, n, m, seen)


def _jackknife(question: Question, units: float) -> float:
    """What the variance is reported larger by, where `auto` takes the jackknife of clusters."""
    automatic = question.trial.analysis.estimator == "auto" and allows_jackknife(question.trial)
    if not question.layout.clusters or not automatic:
        return 1.0
    return question.layout.jackknife_inflation(units)


def draw_variances(question: Question) -> tuple[tuple[float, float], float]:
    """What draws that differ add to a unit's variance in each arm, and to the estimate's.

    The latter no number of units makes smaller. With K draws of effects with variance v,
    ``v (K - 1) / K`` lies between the units of an arm, and ``v / K`` is the variance of their mean.
    """
    v = question.assumed.placebo_sd**2
    count = [draws_of(question.trial.arm(a)) for a in (question.treatment, question.reference)]
    among = [v * (k - 1) / k if k else 0.0 for k in count]
    return (among[0], among[1]), sum(v / k for k in count if k)


def _arm_variances(question: Question, n: float, m: float) -> tuple[tuple[float, float], float]:
    """What a unit adds to the variance in each arm, and what the test does not see besides."""
    layout, a = question.layout, question.assumed
    icc = a.icc if layout.clusters or layout.blocks else 0.0
    spans = groups_span_arms(question.trial)
    blocked = bool(layout.blocks) and not layout.clusters
    shapes, slopes, beside, learnt = [Shape(), Shape()], [0.0, 0.0], 0.0, 1.0
    if question.estimator in ADJUSTING and CLEAN in question.trial.analysis.covariates:
        shapes = [_shape(question, arm) for arm in (question.treatment, question.reference)]
        # Block indicators leave the slope within blocks.
        inside = icc if blocked else 0.0
        own = [(shape.covariance - inside) / (1 - inside) for shape in shapes]
        slopes = [(n * own[0] + m * own[1]) / (n + m)] * 2
        # Slopes are estimated: on average that adds this much (Cochran 1957).
        k, units = len(question.trial.analysis.covariates), n + m
        learnt = 1 + k / (units - k - 3) if units > k + 4 else np.nan
        if question.estimator == "lin":
            slopes, beside = own, a.sd**2 * (own[0] - own[1]) ** 2 / (n + m)
    factor = layout.block_factor if blocked else 1.0
    if layout.whole and layout.clusters:
        factor = 1 + layout.mates * a.icc
    # What groups share is the same in all arms: it cancels as far as these lie in one group.
    cancelled = icc * (1.0 if blocked else layout.kept) if spans else 0.0
    left = [
        shape.variance - 2 * b * shape.covariance + b**2 - cancelled * (1 - b) ** 2
        for b, shape in zip(slopes, shapes, strict=True)
    ]
    floor = 1e-12
    found = [a.sd**2 * factor * learnt * max(v, floor) for v in left]
    return (found[0], found[1]), beside


def variances_of_means(question: Question) -> tuple[float, float]:
    """What each arm adds to the variance of the estimate, at the planned size."""
    layout = question.layout
    n, m = max(layout.n_treatment, 1), max(layout.n_reference, 1)
    if layout.within:
        return _change(question) / 2 / n, _change(question) / 2 / n
    (of_treatment, of_reference), _ = _arm_variances(question, n, m)
    return of_treatment / n, of_reference / m


def _shape(question: Question, name: str) -> Shape:
    """How an arm's outcome lies about the clean outcome, over the variance of that."""
    a, arm = question.assumed, question.trial.arm(name)
    if name in a.measured:
        return a.measured[name]
    if untouched(question.trial, arm, question.outcome):
        return Shape()
    grouped = question.layout.clusters or question.layout.blocks
    rho = max(a.rho, a.icc) if grouped and groups_span_arms(question.trial) else a.rho
    if inert_when_silent(arm) and question.estimator != "cace":
        rho = a.active * rho + 1 - a.active
    return Shape(1.0, rho)


def _change(question: Question) -> float:
    """The variance of the difference within a unit that the contrast reaches."""
    a = question.assumed
    known = a.changes.get((question.treatment, question.reference))
    return a.sd**2 * (2 * (1 - a.rho) if known is None else known)


def _df(question: Question, n: float, m: float, variance: tuple[float, float]) -> float:
    layout, k = question.layout, len(question.trial.analysis.covariates)
    if layout.clusters:
        return layout.df_of_clusters(n if layout.within else n + m, 1 if layout.within else 2)
    if layout.within:
        return n - 1
    if layout.blocks and question.estimator != "fixed_effects":
        return layout.df_of_blocks(n + m, k)
    rest = {
        "welch": lambda: welch_df(variance, (n, m)),
        "cace": lambda: n + m - 2 - k if k else welch_df(variance, (n, m)),
        "lin": lambda: n + m - 2 - 2 * k,
        "fixed_effects": lambda: n + m - 1 - max(layout.blocks, 1) - k,
    }
    return float(rest.get(question.estimator, lambda: n + m - 2 - k)())


def _sparse(question: Question, n: float) -> Precision:
    """The t-test among exposed units, over the numbers of them that there may be."""
    a = question.assumed
    weight, exposed = exposed_counts(n, question.reached)
    std_error = np.sqrt(_change(question) / np.maximum(exposed, 1))
    effect = np.full(len(exposed), question.difference * a.effect)
    df = np.where(exposed >= 2, exposed - 1, np.nan)
    dilution = n / np.maximum(exposed, 1)
    return Precision(weight, effect, std_error, std_error, df, skewed=True, dilution=dilution)


def _stratum(question: Question, n: float, m: float) -> Precision:
    """The design's own analysis among exposed units only."""
    share = question.reached
    fewer = replace(question.layout, mates=question.layout.mates * share)
    inner = replace(question, layout=fewer, assumed=replace(question.assumed, active=1.0))
    units = n if question.layout.within else n + m
    weight, exposed = exposed_counts(units, share)
    cases = [_moments(inner, n * e / units, m * e / units) for e in np.maximum(exposed, 1)]
    std_error, reported, df = (np.array(x) for x in zip(*cases, strict=True))
    effect = np.full(len(exposed), question.difference * question.assumed.effect)
    return Precision(weight, effect, std_error, reported, df)


def exposed_counts(n: float, share: float) -> tuple[Vector, Vector]:
    """Probabilities and numbers of exposed units among n, a binomial number of them.

    Parameters
    ----------
    n:
        Units; where that is no whole number, the binomial is scaled to its mean.
    share:
        The probability of each.
    """
    whole = max(1, round(n))
    low, high = (float(stats.binom.ppf(q, whole, share)) for q in (1e-7, 1 - 1e-7))
    step = max(1, int(np.ceil((high - low) / NODES)))
    count = np.arange(low, high + step, step)
    edges = np.concatenate([[-1.0], count[:-1] + (step - 1) // 2, [float(whole)]])
    weight = np.diff(stats.binom.cdf(edges, whole, share))
    return weight, np.minimum(count, whole) * n / whole
