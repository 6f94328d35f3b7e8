"""Rules of the analysis: what is compared, by which estimator, adjusted for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from causal_sae.errors import did_you_mean
from causal_sae.spec.analysis import hypotheses
from causal_sae.spec.design import WITHIN_UNIT
from causal_sae.spec.interventions import RandomDirection
from causal_sae.spec.rules.instruments import INSTRUMENTS
from causal_sae.spec.rules.repeats import repeats
from causal_sae.spec.rules.within_units import PAIRS
from causal_sae.spec.trial import Trial
from causal_sae.spec.yaml_tree import FieldPath, Problem
from causal_sae.tables import ASSIGNMENT, OBSERVATIONS

ROUNDING = 1e-9
"""Shares such as three times 0.333333333333 may exceed their sum by this."""
CLEAN_OUTCOME = "clean_outcome"
"""The covariate that is measured on the untouched model, not a column of the prompts."""

INDEPENDENT = frozenset(
    {
        "welch",
        "difference_in_means",
        "ancova",
        "lin",
        "block",
        "fixed_effects",
        "cluster",
        "logistic",
        "poisson",
        "mann_whitney",
        "dowhy",
    }
)
"""The estimators that take each row for a unit of its own."""
WITHIN_ESTIMATORS = (
    *("auto", "hall", "paired", "crossover", "mixed", "wilcoxon", "mcnemar", "placebo_draws"),
    "randomization",
)
CLUSTERED = frozenset({"cluster", "block_cluster"})
CLUSTER_ESTIMATORS = ("auto", "cluster", "mixed", "randomization")
BY_EXPOSURE = frozenset({"cace", "enriched"})
"""The estimators that analyse exposed units as the design asks, whatever it is."""
ADJUSTED = frozenset({"ancova", "lin"})
ROBUST = frozenset({"difference_in_means", "ancova", "lin", "block", "fixed_effects", "crossover"})
"""The estimators whose standard error is heteroskedasticity-robust least squares."""
UNADJUSTED = frozenset({"welch", "difference_in_means", "mann_whitney"})


def known_arms(trial: Trial) -> Iterator[Problem]:
    """What the analysis and ``norm_of`` call arms are arms."""
    names = [arm.name for arm in trial.arms]
    called: list[tuple[FieldPath, str]] = []
    if trial.analysis.reference is not None:
        called.append((("analysis", "reference"), trial.analysis.reference))
    for i, pair in enumerate(trial.analysis.contrasts or ()):
        called += [(("analysis", "contrasts", i, j), name) for j, name in enumerate(pair)]
    for i, arm in enumerate(trial.arms):
        if isinstance(arm.intervention, RandomDirection):
            called.append((("arms", i, "intervention", "norm_of"), arm.intervention.norm_of))
    for path, name in called:
        if name not in names:
            yield Problem(path, f"there is no arm {name!r}: {did_you_mean(name, names)}")


def contrasts_differ(trial: Trial) -> Iterator[Problem]:
    """Each comparison is between two arms, and is made once."""
    contrasts = trial.analysis.contrasts
    if contrasts is None:
        return
    if not contrasts:
        yield Problem(
            ("analysis", "contrasts"),
            "there must be at least one contrast; leave `contrasts` out to compare every arm "
            "with the reference.",
        )
    for i, (treatment, reference) in enumerate(contrasts):
        if treatment == reference:
            yield Problem(
                ("analysis", "contrasts", i),
                f"a contrast must be between two arms; {treatment!r} is compared with itself.",
            )
    for i, first in repeats(frozenset(pair) for pair in contrasts):
        yield Problem(
            ("analysis", "contrasts", i),
            f"each contrast must be made once; contrasts[{first}] compares the same arms: "
            "remove one.",
        )


def estimator_fits_assignment(trial: Trial) -> Iterator[Problem]:
    """The analysis follows from how arms were dealt."""
    message = _misfit(trial)
    if message is not None:
        yield Problem(("analysis", "estimator"), message)


def _misfit(trial: Trial) -> str | None:
    estimator, method = trial.analysis.estimator, trial.assignment.method
    if estimator in INSTRUMENTS:
        return None  # they have a rule of their own
    if method in WITHIN_UNIT and estimator in INDEPENDENT:
        return (
            f"{estimator!r} takes every row for a unit of its own, but in a {method} each unit is "
            f"in every arm; use one of {', '.join(WITHIN_ESTIMATORS)}."
        )
    if method in CLUSTERED and estimator not in {*PAIRS, *CLUSTER_ESTIMATORS, *BY_EXPOSURE}:
        return (
            f"{estimator!r} takes units as independent, but {method} assigns whole clusters; use "
            f"one of {', '.join(CLUSTER_ESTIMATORS)}."
        )
    return _lacking(trial)


def _lacking(trial: Trial) -> str | None:
    estimator = trial.analysis.estimator
    blocks = getattr(trial.assignment, "block_by", None)
    if estimator in {"block", "fixed_effects"} and not blocks:
        return (
            f"{estimator!r} needs blocks, which {trial.assignment.method} assignment does not "
            "have; use "
            "`method: block` with `block_by`, or `estimator: auto`."
        )
    if estimator == "cluster" and trial.assignment.cluster_by is None:
        return "'cluster' needs clusters; add `cluster_by` to the assignment, or use `auto`."
    if estimator == "mixed" and not _repeated(trial):
        return (
            "'mixed' needs several rows of one unit or cluster; add `cluster_by`, use "
            "`method: crossover`, or `estimator: auto`."
        )
    if estimator in ADJUSTED and not trial.analysis.covariates:
        return f"{estimator!r} adjusts for covariates; name some, such as [{CLEAN_OUTCOME}]."
    if estimator in UNADJUSTED and trial.analysis.covariates:
        return (
            f"{estimator!r} uses no covariates, but some are named; use `lin` or `ancova`, or "
            "remove them."
        )
    return None


def robust_errors_are_used(trial: Trial) -> Iterator[Problem]:
    """A choice of standard error that no estimator of the trial reads would be ignored."""
    names = {trial.analysis.estimator, *trial.analysis.supplementary}
    if trial.analysis.se_type != "HC2" and not names & ROBUST:
        yield Problem(
            ("analysis", "se_type"),
            f"{trial.analysis.se_type} is read by {', '.join(sorted(ROBUST))} only, but the "
            f"estimator is {trial.analysis.estimator!r}; name one of these, or leave `se_type` "
            "out.",
        )


def _repeated(trial: Trial) -> bool:
    # Samples of one prompt are averaged before anything is tested, so they are one row.
    return trial.within_unit or trial.assignment.cluster_by is not None


def one_reference_for_dunnett(trial: Trial) -> Iterator[Problem]:
    """Dunnett's distribution is that of several arms against one."""
    references = sorted({reference for _, reference in trial.contrasts})
    if trial.analysis.multiplicity.method == "dunnett" and len(references) > 1:
        yield Problem(
            ("analysis", "multiplicity", "method"),
            f"'dunnett' needs one reference for all contrasts, not {', '.join(references)}; use "
            "holm.",
        )


def graph_of_tests(trial: Trial) -> Iterator[Problem]:
    """The weights and transitions of a graph are of tests that exist, and divide no more than 1."""
    declared = trial.analysis.multiplicity
    place: FieldPath = ("analysis", "multiplicity")
    if declared.method != "graphical":
        for name in ("weights", "transitions"):
            if getattr(declared, name) is not None:
                yield Problem(
                    (*place, name),
                    f"`{name}` belong to `method: graphical`; declare that, or remove them.",
                )
        return
    if declared.transitions is not None and declared.weights is None:
        yield Problem(
            (*place, "transitions"),
            "transitions pass on shares of alpha that `weights` give out; add `weights`.",
        )
    if declared.weights is not None:
        yield from _divided(trial, (*place, "weights"), declared.weights)
    for source, targets in (declared.transitions or {}).items():
        yield from _divided(trial, (*place, "transitions"), {source: 0.0})
        yield from _divided(trial, (*place, "transitions", source), targets, source)


def _divided(
    trial: Trial, place: FieldPath, shares: Mapping[str, float], source: str | None = None
) -> Iterator[Problem]:
    """Shares of tests that exist, each named once, in sum at most 1."""
    names = [(outcome.name, *pair) for outcome in trial.outcomes for pair in trial.contrasts]
    known = hypotheses(names, trial.contrasts)
    for key in shares:
        if key not in known:
            yield Problem((*place, key), f"there is no test {key!r}: {did_you_mean(key, known)}")
        elif source is not None and known[key] == known.get(source):
            yield Problem((*place, key), "a test cannot pass its share on to itself; remove it.")
    tests = [known[key] for key in shares if key in known]
    if len(set(tests)) < len(tests):
        yield Problem(place, "a test is named twice, in full and by its outcome; remove one.")
    if sum(shares.values()) > 1 + ROUNDING:
        yield Problem(place, f"must not exceed 1 in sum, got {sum(shares.values()):g}; lower some.")


def covariates_are_pre_treatment(trial: Trial) -> Iterator[Problem]:
    """Adjusting for what the treatment may have changed biases the effect."""
    outcomes = {outcome.name for outcome in trial.outcomes}
    recorded = {*ASSIGNMENT.columns, *OBSERVATIONS.columns, "norm_ratio", "reencoded"}
    covariates = trial.analysis.covariates
    for i, name in enumerate(covariates):
        if name in outcomes or name in recorded:
            what = "an outcome" if name in outcomes else "recorded by the run"
            yield Problem(
                ("analysis", "covariates", i),
                f"a covariate must be known before treatment; {name!r} is {what}: use a column of "
                f"the prompts, or {CLEAN_OUTCOME}.",
            )
        if name == CLEAN_OUTCOME:
            yield from _useless_clean_outcome(trial, i)
    for i, _ in repeats(covariates):
        yield Problem(
            ("analysis", "covariates", i), f"{covariates[i]!r} is listed twice; remove one."
        )


def _useless_clean_outcome(trial: Trial, i: int) -> Iterator[Problem]:
    for outcome in trial.outcomes:
        if outcome.role == "primary" and outcome.metric == "kl":
            yield Problem(
                ("analysis", "covariates", i),
                f"{CLEAN_OUTCOME} is 0 for every unit where the primary outcome is kl (here "
                f"{outcome.name!r}), the divergence from the untouched model; remove it.",
            )


def power_is_planned(trial: Trial) -> Iterator[Problem]:
    """A plan has an effect to find and the spread that it is measured by."""
    power = trial.power
    if power is None:
        return
    if power.effect == 0:
        yield Problem(("power", "effect"), "must not be 0: no trial can find an effect of nothing.")
    known = [outcome.name for outcome in trial.outcomes]
    for name in power.sd if isinstance(power.sd, dict) else ():
        if name not in known:
            yield Problem(
                ("power", "sd", name),
                f"must name an outcome, got {name!r}; {did_you_mean(name, known)}",
                on_key=True,
            )
    undeclared = power.sd is None and power.baseline is None and power.pilot is None
    if power.unit == "outcome" and undeclared:
        yield Problem(
            ("power", "sd"),
            "an effect in the outcome's units needs its standard deviation; add `sd:`, or "
            "`pilot:` with a run folder.",
        )
