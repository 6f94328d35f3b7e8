"""The declaration in plain words: what each arm does, what each outcome measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from causal_sae.reporting.numbers import number
from causal_sae.spec import Arm, Intervention, Outcome, Trial
from causal_sae.spec import outcomes as metrics
from causal_sae.spec.analysis import Looks
from causal_sae.spec.base import Column
from causal_sae.spec.interventions import (
    Ablate,
    Add,
    Clamp,
    Dose,
    FeatureSelection,
    Placebo,
    QuantileDose,
    RandomDirection,
    Scale,
    Splice,
)
from causal_sae.spec.sources import HubSource, PackageSource, PathSource

Part = Literal["control", "placebo", "active"]

PARTS: dict[Part, str] = {
    "control": "Control",
    "placebo": "Placebo",
    "active": "Treatment",
}
QUANTILES = {
    "mean": "the mean of its active values",
    "q50": "the median of its active values",
    "q90": "the 90th percentile of its active values",
    "q99": "the 99th percentile of its active values",
    "max": "its largest activation",
}
MATCHES = {
    "density": "how often they fire",
    "mean_activation": "how strongly",
    "decoder_norm": "the norm of their decoder row",
}
ABLATE_TO = {
    "zero": "set to zero",
    "mean": "set to its mean over text",
    "resample": "set to its value at a random position of another prompt",
}
METHODS = {
    "simple": "Each prompt drew its arm on its own",
    "complete": "Prompts were dealt to arms of fixed size",
    "block": "Prompts were dealt to arms of fixed size within every block",
    "cluster": "Whole clusters of prompts were dealt to arms",
    "block_cluster": "Whole clusters of prompts were dealt to arms within every block",
    "crossover": "Every prompt went through every arm, in a random order of its own",
    "latin_square": "Every prompt went through every arm, each arm equally often at each place",
    "factorial": "Prompts were dealt evenly to the cells of crossed factors",
}
ESTIMATORS = {
    "hall": "the design's own estimate, with an interval that allows for skewed outcomes",
    "welch": "difference in means with Welch's interval",
    "difference_in_means": "difference in means with HC2 standard errors",
    "ancova": "covariate-adjusted difference with HC2 standard errors",
    "lin": "Lin's fully interacted regression with HC2 standard errors",
    "block": "block-weighted difference in means",
    "fixed_effects": "least squares with block fixed effects",
    "cluster": "difference in means with cluster-robust standard errors",
    "paired": "mean within-prompt difference, paired t",
    "sparse": "share of prompts with the feature active times the mean effect among them",
    "enriched": "effect in the whole pool, strata weighted by their share of it",
    "crossover": "mean within-prompt difference adjusted for period effects",
    "mixed": "linear mixed model with Satterthwaite's degrees of freedom",
    "wilcoxon": "pseudo-median of within-prompt differences, Wilcoxon's signed-rank test",
    "mcnemar": "paired risk difference with Newcombe's interval, McNemar's exact test",
    "placebo_draws": "effect beyond the placebos', ranked among their draws",
    "cace": "effect among prompts on which the feature was active",
    "wald": "effect among prompts that the edit reached, with the arm as instrument",
    "anderson_rubin": "effect among prompts that the edit reached, with Anderson and Rubin's "
    "interval",
    "dowhy_iv": "DoWhy's instrumental variable estimate",
    "logistic": "risk difference by g-computation after logistic regression",
    "poisson": "difference of mean counts by g-computation after Poisson regression",
    "mann_whitney": "Hodges-Lehmann shift with the rank-sum test",
    "randomization": "randomisation inference",
    "dowhy": "DoWhy's linear regression",
}


SPENDING = {
    "obrien_fleming": "alpha spent by Lan and DeMets's function of O'Brien and Fleming's type",
    "pocock": "alpha spent by Lan and DeMets's function of Pocock's type",
    "classical_obrien_fleming": "O'Brien and Fleming's boundaries",
    "classical_pocock": "Pocock's boundaries",
    "always_valid": "a confidence sequence (Robbins' normal mixture)",
}


def looks(declared: Looks) -> str:
    """When a trial is looked at before its end, and by what rule it stops."""
    when = f"after every {declared.every} prompts"
    if declared.at is not None:
        when = f"at {listed([f'{share:.0%}' for share in declared.at])} of the prompts"
    futile = ""
    if declared.futility is not None:
        futile = (
            f"; also given up where the conditional power under the trend is below "
            f"{declared.futility:g} (binding)"
        )
    return (
        f"looks at the primary contrasts {when}, {SPENDING[declared.spending]}{futile}; the trial "
        "stops when all of them are decided"
    )


def listed(parts: list[str] | tuple[str, ...], joint: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = parts
    return f"{', '.join(head)} {joint} {last}" if head else last


def part(arm: Arm) -> Part:
    """Whether an arm is a control, a placebo, or a treatment."""
    intervention = arm.intervention
    if intervention.kind in {"none", "splice"}:
        return "control"
    if isinstance(intervention, RandomDirection):
        return "placebo"
    is_placebo = isinstance(getattr(intervention, "features", None), Placebo)
    return "placebo" if is_placebo else "active"


def placebo_noun(arm: Arm) -> str:
    """What a placebo arm is made of."""
    if isinstance(arm.intervention, RandomDirection):
        return "random directions of the same length"
    return "the placebo features"


def features(selection: FeatureSelection) -> str:
    """``feature 12``, ``features 12 and 40``, or how placebos were found."""
    if selection == "all":
        return "each feature of the SAE in turn"
    if isinstance(selection, Placebo):
        target = features(selection.placebo_for)
        shared = listed([MATCHES[match] for match in selection.match])
        return f"{selection.draws} placebo features for {target}, matched on {shared}"
    noun = "feature" if len(selection) == 1 else "features"
    return f"{noun} {listed([str(index) for index in selection])}"


def dose(value: Dose) -> str:
    """``12.5``, or ``5 times the 99th percentile of its active values``."""
    if isinstance(value, QuantileDose):
        return f"{value.multiple:g} times {QUANTILES[value.of]}"
    return f"{value:g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentence(text: object) -> str:
    """A capital in front and a full stop behind; nothing of nothing."""
    words = str(text).strip() if text is not None and text == text else ""
    return f"{_capital(words)}{'' if words.endswith(('.', '!', '?')) else '.'}" if words else ""


def _quoted(text: str) -> str:
    """In curly quotes, a leading space kept: it is part of the token."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK}"


def intervention(declared: Intervention) -> str:
    """One sentence that says what an arm does to the model."""
    if isinstance(declared, Ablate):
        return _capital(f"{features(declared.features)}: activation {ABLATE_TO[declared.to]}.")
    if isinstance(declared, Scale):
        return _capital(
            f"{features(declared.features)}: activation multiplied by {declared.factor:g}."
        )
    if isinstance(declared, Clamp):
        return _capital(f"{features(declared.features)}: activation held at {dose(declared.dose)}.")
    if isinstance(declared, Add):
        return _capital(
            f"{features(declared.features)}: activation raised by {dose(declared.dose)}."
        )
    if isinstance(declared, RandomDirection):
        return (
            f"A push as long as that of {declared.norm_of}, "
            f"in one of {declared.draws} random directions."
        )
    if isinstance(declared, Splice):
        return "The activation replaced by the SAE's reconstruction; no feature edited."
    return "The model as it is."


def _text(value: str | Column) -> str:
    return f"the column {_quoted(value.column)}" if isinstance(value, Column) else _quoted(value)


def _token_logprob(o: metrics.TokenLogprob) -> str:
    return f"log-probability of {_text(o.target)} after the prompt, in nats"


def _logit_diff(o: metrics.LogitDiff) -> str:
    return f"log-odds of {_text(o.target)} against {_text(o.foil)} after the prompt, in nats"


def _feature_activation(o: metrics.FeatureActivation) -> str:
    at = {"last": "at the last token", "mean": "on average", "max": "at its highest"}[o.at]
    return f"activation of feature {o.feature}, {at}"


_METRICS: dict[type, Callable[..., str]] = {
    metrics.TokenLogprob: _token_logprob,
    metrics.LogitDiff: _logit_diff,
    metrics.TokenSetProb: lambda o: (
        f"probability that the next token is {listed([_quoted(t) for t in o.tokens], 'or')}"
    ),
    metrics.Entropy: lambda _: "entropy of the next token's distribution, in nats",
    metrics.KL: lambda _: (
        "divergence of the next token's distribution from the untouched model's, "
        "KL(untouched || treated), in nats"
    ),
    metrics.NLL: lambda o: (
        f"mean negative log-likelihood of {_text(o.continuation)}, in nats a token"
    ),
    metrics.Rank: lambda o: f"rank of {_text(o.target)} after the prompt, 1 for the likeliest",
    metrics.FeatureActivation: _feature_activation,
    metrics.KeywordRate: lambda o: (
        f"share of generated texts that hold {listed([_quoted(k) for k in o.keywords], 'or')}"
    ),
    metrics.Regex: lambda o: f"share of generated texts that match {_quoted(o.pattern)}",
    metrics.DistinctN: lambda o: f"distinct {o.n}-grams over all {o.n}-grams of the generated text",
    metrics.Repetition: lambda o: f"share of generated tokens that repeat an earlier {o.n}-gram",
    metrics.Perplexity: lambda _: "perplexity of the generated text under the untouched model",
    metrics.Sentiment: lambda _: "compound sentiment score of the generated text",
    metrics.Similarity: lambda o: f"similarity of the generated text to {_text(o.reference)}",
    metrics.Custom: lambda o: f"the user's function {_quoted(o.function)}",
}


def outcome(declared: Outcome) -> str:
    """What an outcome measures, in a phrase."""
    return _METRICS[type(declared)](declared)


def source(declared: object) -> str:
    """Where a model or an SAE came from."""
    if isinstance(declared, PackageSource):
        return f"{declared.file} of the package {declared.package}"
    if isinstance(declared, HubSource):
        parts = [declared.hub, declared.file, declared.revision]
        return " / ".join(part for part in parts if part)
    if isinstance(declared, PathSource):
        return str(declared.path)
    saelens = getattr(declared, "saelens", None)
    return f"{saelens.release} / {saelens.id}" if saelens is not None else str(declared)


def positions(trial: Trial) -> str:
    """Which tokens were edited."""
    named = {
        "all": "every token",
        "last": "the last token of the prompt",
        "prompt": "every token of the prompt",
        "generated": "every generated token",
    }
    declared = trial.positions
    where = (
        named[declared]
        if isinstance(declared, str)
        else f"tokens that overlap a match of {_quoted(declared.regex)}"
    )
    sinks = ", attention sinks included" if trial.attention_sinks == "edit" else ""
    return f"{where}{sinks}"


def design(trial: Trial) -> str:
    """How arms were dealt out, in a sentence."""
    assignment = trial.assignment
    blocks = getattr(assignment, "block_by", None)
    extra = []
    if blocks:
        extra.append(f"blocks: {listed(list(blocks))}")
    if assignment.cluster_by:
        extra.append(f"clusters: {assignment.cluster_by}")
    rule = trial.rerandomize
    if rule is not None:
        close = (
            f"Mahalanobis distance at most {rule.until.distance:g}"
            if rule.until.distance is not None
            else f"the closest {rule.until.probability:.1%} by Mahalanobis distance"
        )
        extra.append(f"drawn again until alike on {listed(list(rule.on))}: {close}")
    shares = {arm.share for arm in trial.arms}
    if len(shares) > 1:
        ratio = ":".join(number(arm.share) for arm in trial.arms)
        extra.append(f"shares {ratio}")
    return METHODS[assignment.method] + (f" ({'; '.join(extra)})" if extra else "")
