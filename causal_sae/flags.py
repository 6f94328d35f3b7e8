"""The short codes of the effects table's ``flags`` column, and what each of them tells a reader."""

from __future__ import annotations

from collections.abc import Iterable

FLAGS: dict[str, str] = {
    "missing_treatment": "This many units of the treatment arm have no usable outcome; the "
    "analysis is of complete cases.",
    "missing_reference": "This many units of the reference arm have no usable outcome; the "
    "analysis is of complete cases.",
    "differential_missing": "Outcomes are missing more often in one arm than in the other "
    "(Fisher's exact test, p < 0.05), so complete cases may no longer be comparable.",
    "partial_samples": "For this many units some draws or samples failed; their mean is over the "
    "ones that did not.",
    "incomplete_pairs": "This many units lack an outcome in one of the two arms and leave the "
    "within-unit comparison.",
    "incomplete_units": "This many units lack an outcome in one of the arms that are combined, and "
    "leave the comparison within units.",
    "blocks_dropped": "This many blocks hold units of one arm only and say nothing about the "
    "difference; the estimate is of the other blocks.",
    "too_few_units": "There are too few units for a standard error: no inference is made.",
    "too_few_clusters": "An arm has fewer than two clusters, so the treatment cannot be told from "
    "the cluster: no inference is made.",
    "few_clusters": "There are only this many clusters; below 30 even CR2 intervals lean on their "
    "degrees of freedom, and can cover a little less than they say; `estimator: auto` takes CR3.",
    "cr3": "Clusters are few, so the standard error is CR3's (the jackknife of clusters), which "
    "errs on the side of width; `estimator: cluster` or `paired` has CR2's.",
    "few_blocks": "There are only this many blocks, some with one unit of an arm: where the arms "
    "differ in their spread the interval covers less than it says; `se_type: HC3` is wider.",
    "skewed": "The estimate has this standardised skewness: the outcome has a long tail that the "
    "arms do not share evenly, and Student's interval covers less than it says (a 95% interval of "
    "lognormal differences covered 84% with 10 units, 91% with 50, 93% with 200).",
    "few_differences": "There are only this many differences within units or pairs, too few to "
    "show whether they are skewed. Where they are, Student's interval covers less than it says "
    "(`estimator: auto` allows for that), and `effect_size: auto` gives d_z without an interval.",
    "skewness_corrected": "The estimate has this standardised skewness, which Student's t knows "
    "nothing of: the limits are further out on the side of the long tail (Hall 1992). Where an arm "
    "has fewer than about 20 such units even they can leave out 6% to 8%, not 5%.",
    "hc3": "Blocks with one unit of an arm are few, so the standard error is HC3's, not HC2's.",
    "unequal_spread": "One arm's standard deviation is this many times the other's, and what pools "
    "them can be wrong more often than it says: the intervals of `hedges_g` and `cohen_d`, and the "
    "rank-sum test of `mann_whitney` and its interval. `welch`, `hall`, `effect_size: hedges_g_av` "
    "and `glass_delta` do not pool.",
    "unequal_cells": "One cell's standard deviation is this many times another's and some cells "
    "have fewer than 30 units: Wald's joint F can reject too often (8% at nominal 5%). The single "
    "effects' tests hold, and so does the joint test without covariates and blocks.",
    "skewed_values": "The values that the effect size is standardised by have this skewness. No "
    "interval that takes skewed values for normal holds (that of d_z left out 14% of 50 lognormal "
    "differences), so `effect_size: auto` gives none from a skewness of 0.8 on. State a "
    "standard deviation, `effect_size: {sd: ...}`, or use `cles`.",
    "covariate_means": "The covariates' means add this share to the variance where the claim is "
    "about other prompts too, because effects vary with the covariates; Lin's interval leaves it "
    "out.",
    "low_df": "The degrees of freedom are this low (below 4), where Satterthwaite's approximation "
    "is known to be poor.",
    "few_active": "The ablated feature fires on only this many of the treated units; below 30 a "
    "nominal 95% interval covers noticeably less than 95%.",
    "exposed_stratum": "The edit does nothing where the feature is silent: the interval combines "
    "the share of exposed units with the effect among this many of them.",
    "pool_shares_known": "The claim is about the pool that prompts were drawn from: its share of "
    "exposed prompts is known, and the interval speaks of the drawing alone.",
    "unweighted_sample": "Units were drawn from a pool with unequal probabilities, which this "
    "estimator takes no account of: it speaks of the units drawn, not of the pool.",
    "not_measured": "The feature was not ablated: its estimate is the attribution, to first order, "
    "and has no interval and no test. It counts in the family where it could have been tested.",
    "sampled_exposed": "The feature fires on this many units and was ablated on some of them, "
    "drawn at random; their mean stands for all.",
    "too_few_exposed": "Fewer than two units are exposed: their effect has no interval and no "
    "test.",
    "zero_inflated": "On this share of the units the outcome did not change at all; t-based "
    "intervals cover less than they say when few units carry the effect.",
    "constant_outcome": "The outcome has the same value on every unit of both arms.",
    "exact_zero": "The difference is exactly zero, without any variation: p is set to 1 and the "
    "interval to [0, 0].",
    "no_variance": "The arms differ but the outcome does not vary within them, so no standard "
    "error, p-value or interval can be formed.",
    "finite_population_exact": "Every unit went through both arms and the claim is about these "
    "units: the effect is known, and has no interval and no test.",
    "finite_population_unavailable": "The claim is about these units, but some randomness or "
    "missing outcomes remain; the interval is the one for a superpopulation and is conservative.",
    "assignments_listed": "The p-value counts all of this many assignments that could have been "
    "made.",
    "assignments_drawn": "The p-value counts this many assignments drawn anew from the trial's "
    "seed, and the one that was made.",
    "no_interval": "There are so few possible assignments, units or draws that no effect can be "
    "rejected at this level: there is no interval.",
    "covariate_dropped": "This covariate is constant, or a combination of others, among the units "
    "of the contrast and was left out.",
    "covariates_absorbed": "Every unit is its own control, so covariates that are constant within "
    "a unit change nothing.",
    "separation": "A combination of the covariates tells the outcomes 0 and 1 apart without error, "
    "so a logistic model has no finite coefficients: the unadjusted risk difference stands in.",
    "order_fixed": "The arms were not run in orders that would tell period effects from the "
    "treatment's: no period is adjusted for, and an effect of the order would be in the estimate.",
    "variance_at_zero": "The mixed model finds that rows of one unit (or cluster) share nothing (a "
    "variance of 0), so the interval is that of independent rows: too narrow if they are alike "
    "after all, or contrary to each other. The estimators 'paired' and 'cluster' do not lean on "
    "this.",
    "hodges_lehmann": "The estimate is Hodges and Lehmann's (within units the pseudo-median of the "
    "differences, between units the median of the differences of all pairs), not a difference in "
    "means: the two agree where distributions are symmetric, or one is the other shifted.",
    "zeros_dropped": "On this many units nothing changed; they are left out, as Wilcoxon's test "
    "does, and test, estimate and interval speak of the units that changed.",
    "placebo_draws": "The p-value is the rank of the feature among this many placebos and itself; "
    "it cannot be below one over their number.",
    "zero_counts": "An arm, or a group that covariates tell apart, has counts of zero only, so a "
    "Poisson model has no finite coefficients: the unadjusted difference in means stands in.",
    "weak_instrument": "The arm moves too few units to take the treatment (this first-stage F, "
    "below 10): Wald's interval is then unreliable; Anderson and Rubin's holds.",
    "no_first_stage": "The edit reached no unit of the treatment arm, so its effect on units that "
    "it reaches cannot be estimated.",
    "unbounded_interval": "Anderson and Rubin's test keeps effects of any size (all numbers, or "
    "all outside a range), because too few units take the treatment: there are no limits to give.",
    "rerandomized": "Assignments were drawn again until the arms were alike on covariates that "
    "this estimator does not adjust for: its interval is wider, and its p-value larger, than need "
    "be. Name these covariates, or use `randomization`.",
    "stage_wise": "The trial was looked at before its end: estimate (median-unbiased), p-value and "
    "interval are those of the stage-wise ordering, and take account of the looks.",
    "confidence_sequence": "The interval belongs to a confidence sequence, which holds at all "
    "looks at once, and the p-value is the smallest of its looks; the estimate is as it stood, and "
    "after an early stop too large on average.",
    "stopped_early": "The contrast was decided at this look, before all units were in; means and "
    "numbers are of the units until then.",
    "stopped_for_futility": "The contrast was given up because it was unlikely to be significant "
    "at the end.",
    "units_after_stop": "Units came in after the look that decided; they are in the table of "
    "looks, and not in this row.",
    "repeated_interval": "The trial could stop at any look because of its primary outcomes; this "
    "outcome's interval and p-value hold at all looks at once (a repeated confidence interval), so "
    "whatever stopped it. They are of this look; the estimate is as it stood, and after an early "
    "stop off on average where it goes with a primary outcome.",
    "naive_after_looks": "The trial could stop early because of its primary outcomes, which this "
    "analysis takes no account of: where it did, an outcome that goes with them is estimated as "
    "too far from zero, and its p-value is too small.",
    "effect_size_naive": "The effect size takes no account of the looks.",
    "singular": "The model cannot be fitted: there are too few units for its parameters, or one "
    "unit alone decides a parameter.",
    "matched_pairs": "Every block is one unit of each arm; the analysis is of within-pair "
    "differences.",
    "block_regression": "Blocks are too small for a variance of their own, or covariates are "
    "adjusted for: block fixed effects and an HC2 covariance.",
    "probability_weighted": "The arms' shares differ between blocks: units count by the inverse of "
    "their arm's share, so that blocks count by their size.",
    "block_interactions": "The arms' shares differ between blocks: the treatment is interacted "
    "with the blocks, so that blocks count by their size.",
    "precision_weighted": "The arms' shares differ between blocks that are too small to be "
    "analysed one by one: blocks count by their precision rather than by their size.",
    "fixed_draws": "An arm averages over this many random or placebo draws; the interval speaks "
    "of these draws, not of others that could have been made.",
    "no_rank_test": "There is no test of a steady trend: it takes units as independent, but they "
    "come in clusters; the linear trend respects them.",
    "flat_dose_response": "The arms' means do not differ significantly, so the curve's parameters "
    "are fitted to noise.",
    "not_monotone": "From one dose to the next the mean goes significantly against the curve's "
    "direction: an Emax curve does not describe it.",
    "emax_not_estimable": "No Emax curve fits better than a straight line or a step, or doses are "
    "below zero: it has no parameters.",
    "ed50_beyond_doses": "The dose of half the effect lies outside the doses that were given: it "
    "is extrapolated.",
    "ed50_unbounded": "No dose on one side is excluded: the doses do not tell how low or how high "
    "the dose of half the effect may be.",
    "no_joint_test": "There is no joint test: the effects have no covariance that could be "
    "inverted, or too few units; or units come in clusters and each is in every arm.",
    "margin_test": "The p-value and the statistic are those of the test against the margin; where "
    "either direction harms, of the one of the two one-sided tests that rejects less. The interval "
    "has level 1 - 2 alpha: before any correction, the margin is excluded exactly when the "
    "interval stops short of it.",
    "no_margin": "The guardrail has no margin, so non-inferiority cannot be shown.",
    "non_inferior": "Harm as large as the margin is excluded.",
    "equivalent": "A change as large as the margin is excluded in both directions.",
    "equivalence_not_shown": "A change as large as the margin is not excluded; that is not "
    "evidence of a change.",
    "harm_not_excluded": "Harm as large as the margin is not excluded; that is not evidence of "
    "harm, and never evidence of safety.",
    "simultaneous_interval": "The interval belongs to a set that holds all effects of its family "
    "at once with the level stated.",
    "p_missing": "There is no p-value; the family counts only the tests that exist.",
    "post_hoc": "This comparison, or this way of making it, was not in the registered trial.",
}
"""Code -> the sentence that explains it. A code may carry a number: ``few_clusters:6``."""


def join(codes: Iterable[str]) -> str:
    """The codes as one table cell, each of them once and in the order of :data:`FLAGS`."""
    order = list(FLAGS)
    return ";".join(sorted(set(codes), key=lambda code: (order.index(name(code)), code)))


def split(cell: object) -> tuple[str, ...]:
    """The codes of one cell of the ``flags`` column; none when the cell is empty."""
    return tuple(code for code in cell.split(";") if code) if isinstance(cell, str) else ()


def name(code: str) -> str:
    """The code without its number: ``few_clusters`` of ``few_clusters:6``."""
    return code.partition(":")[0]


def explain(code: str) -> str:
    """The sentence behind a code, with the number that the code carries in front.

    Raises
    ------
    KeyError
        When no such code exists.
    """
    _, _, number = code.partition(":")
    sentence = FLAGS[name(code)]
    return f"({number}) {sentence}" if number else sentence
