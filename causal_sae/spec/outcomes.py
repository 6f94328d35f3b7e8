"""What is measured: one class for each metric."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from causal_sae.spec.base import Column, Name, Spec
from causal_sae.spec.interventions import Index
from causal_sae.spec.sources import SAESpec

Role = Literal["primary", "secondary", "guardrail", "exploratory"]


def _text_kind(value: Any) -> str:
    return "column" if isinstance(value, dict | Column) else "literal"


Text = Annotated[
    Annotated[str, Tag("literal")] | Annotated[Column, Tag("column")], Discriminator(_text_kind)
]
"""The same string for every unit, or ``{column: ...}``."""


class Generate(Spec):
    """How text is generated before it is scored."""

    max_new_tokens: int = Field(default=32, ge=1)
    """How many tokens are generated."""
    temperature: float = Field(default=0.0, ge=0)
    """0 is greedy decoding."""
    samples: int = Field(default=1, ge=1)
    """How many continuations of each prompt; they are nested in the prompt."""


class _Outcome(Spec):
    name: Name
    """How tables call this outcome."""
    role: Role = "secondary"
    """``primary`` answers the question; a ``guardrail`` must be shown not to suffer."""
    margin: float | None = Field(default=None, gt=0)
    """The largest harm (or change) that would be tolerated, in the outcome's units."""
    harm: Literal["increase", "decrease", "either"] = "increase"
    """For a guardrail: the direction that does harm. `either` is for any role: the claim is then
    that nothing changes by as much as the margin (equivalence)."""
    expect: Literal["increase", "decrease"] | None = None
    """The way in which the claim says that treatments move the outcome. Tests stay two-sided; an
    effect shown to go the other way refutes the claim. Default: any difference is the claim."""
    bounds: tuple[float, float] | None = None
    """The lowest and the highest value that the outcome can take, where the metric does not say;
    they bound the effect of missing outcomes."""


class TokenLogprob(_Outcome):
    """The log-probability of a token after the prompt."""

    metric: Literal["token_logprob"] = "token_logprob"
    target: Text
    """One token as written, leading space included."""
    sequence: bool = False
    """Allow several tokens: the sum of their log-probabilities."""


class LogitDiff(_Outcome):
    """The log-odds of a target token against a foil."""

    metric: Literal["logit_diff"] = "logit_diff"
    target: Text
    """One token as written, leading space included."""
    foil: Text
    """The token it is compared with."""


class TokenSetProb(_Outcome):
    """The probability that the next token is one of a set."""

    metric: Literal["token_set_prob"] = "token_set_prob"
    tokens: tuple[str, ...] = Field(min_length=1)
    """The tokens as written, leading spaces included."""


class Entropy(_Outcome):
    """The entropy of the next-token distribution, in nats."""

    metric: Literal["entropy"] = "entropy"


class KL(_Outcome):
    """The divergence of the next-token distribution from the untouched model's, in nats."""

    metric: Literal["kl"] = "kl"


class NLL(_Outcome):
    """The mean negative log-likelihood of a continuation, in nats a token."""

    metric: Literal["nll"] = "nll"
    continuation: Text
    """The text that follows the prompt."""


class Rank(_Outcome):
    """The rank of a token after the prompt, 1 for the likeliest."""

    metric: Literal["rank"] = "rank"
    target: Text
    """One token as written, leading space included."""


class FeatureActivation(_Outcome):
    """The activation of a feature under the intervention."""

    metric: Literal["feature_activation"] = "feature_activation"
    feature: Index
    """The feature that is read."""
    at: Literal["last", "mean", "max"] = "last"
    """At the last token, or the mean or maximum over the prompt."""
    sae: SAESpec | None = None
    """A later SAE; default: the trial's own."""


class _TextOutcome(_Outcome):
    generate: Generate
    """How the text is generated."""


class KeywordRate(_TextOutcome):
    """The share of generated texts that hold one of the keywords."""

    metric: Literal["keyword_rate"] = "keyword_rate"
    keywords: tuple[str, ...] = Field(min_length=1)
    """Whole words, upper and lower case alike."""


class Regex(_TextOutcome):
    """The share of generated texts that match a pattern."""

    metric: Literal["regex"] = "regex"
    pattern: str
    """A Python regular expression, searched anywhere in the text."""


class DistinctN(_TextOutcome):
    """Distinct n-grams over all n-grams of the text."""

    metric: Literal["distinct_n"] = "distinct_n"
    n: int = Field(default=2, ge=1)
    """The length of the n-grams, in tokens."""


class Repetition(_TextOutcome):
    """The share of tokens that repeat an earlier n-gram."""

    metric: Literal["repetition"] = "repetition"
    n: int = Field(default=3, ge=1)
    """The length of the n-grams, in tokens."""


class Perplexity(_TextOutcome):
    """The perplexity of the generated text under the untouched model."""

    metric: Literal["perplexity"] = "perplexity"


class Sentiment(_TextOutcome):
    """The compound sentiment score of the generated text."""

    metric: Literal["sentiment"] = "sentiment"


class Similarity(_TextOutcome):
    """The similarity of the generated text to a reference text."""

    metric: Literal["similarity"] = "similarity"
    reference: Text
    """What the text is compared with."""


class Custom(_Outcome):
    """A user's own function, found by its entry point in the group ``causal_sae.metrics``."""

    metric: Literal["custom"] = "custom"
    function: str
    """The entry point's name."""
    generate: Generate | None = None
    """Given for a function of generated text; left out for one of next-token log-probabilities."""


Outcome = Annotated[
    TokenLogprob
    | LogitDiff
    | TokenSetProb
    | Entropy
    | KL
    | NLL
    | Rank
    | FeatureActivation
    | KeywordRate
    | Regex
    | DistinctN
    | Repetition
    | Perplexity
    | Sentiment
    | Similarity
    | Custom,
    Field(discriminator="metric"),
]
