"""A ladder of doses: how much of the concept, at what cost to fluency, and which dose to take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from causal_sae.execution.generation import Text, Writing, end_tokens, write, writing_batches
from causal_sae.execution.text_metrics.base import ngrams, whole_words
from causal_sae.spec.interventions import QuantileDose
from causal_sae.spec.outcomes import Generate
from causal_sae.steering.dose import Setting, dose_text
from causal_sae.steering.session import Session

LADDER = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Doses in multiples of the feature's 99th percentile; of the factor, where it is scaled."""
COST = 1.5
"""A dose may raise the mean negative log-likelihood of its texts by this much, in nats a token.
What a model samples is likelier to it than what people write, often by two nats: a text that left
its habits is not yet a broken one."""
LOOPING = 0.2
"""A dose may raise the share of repeated trigrams by this much."""


@dataclass(frozen=True)
class Sweep:
    """What a ladder of doses did."""

    setting: Setting
    table: pd.DataFrame
    """One row a dose, the untouched model first: dose, text (as written on the command line),
    concept (mean activation of the features along the text, read by the untouched model, over
    their 99th percentile), concept_se, keywords (share of texts that hold one), surprise (mean
    negative log-likelihood under the untouched model, nats a token), surprise_se, repetition
    (share of repeated trigrams), texts."""
    texts: pd.DataFrame
    """dose, prompt, text."""
    recommended: str | None
    """The dose with most of the concept among those that stay fluent; None: there is none."""

    @property
    def sentence(self) -> str:
        """What came of it."""
        limits = f"within {COST:g} nats a token of the untouched model's texts"
        if self.recommended is None:
            return f"No dose of the ladder raises the concept and stays {limits}."
        return f"{self.recommended} carries most of the concept among doses that stay {limits}."


def sweep(
    session: Session,
    setting: Setting,
    prompts: Sequence[str],
    generate: Generate,
    keywords: Sequence[str] = (),
    ladder: Sequence[float] = LADDER,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> Sweep:
    """Write every prompt at every dose, and score the texts.

    Parameters
    ----------
    session:
        The model and the SAE.
    setting:
        Which features, and whether they are clamped, raised or scaled; its dose is not used.
    prompts:
        What is continued.
    generate:
        How.
    keywords:
        Words that stand for the concept, if there are any.
    ladder:
        Multiples of the 99th percentile, or factors.
    advance:
        Called with the number of tokens done.
    """
    doses = {dose_text(s.dose): s for s in (_rung(setting, m) for m in ladder)}
    named = {f"dose-{i}": name for i, name in enumerate(doses)}
    arms = tuple(session.treatment(doses[name], arm) for arm, name in named.items())
    jobs = [Writing(p, arms, generate, edit_generated=True) for p in session.prompts(prompts)]
    model = session.laboratory.model
    stop = end_tokens(model.network.generation_config, model.tokenizer)
    written: list[Text] = []
    for batch in writing_batches(jobs, session.laboratory.limit):
        written += write(session.bench, batch, stop)
        advance(sum(job.tokens for job in batch))
    by_dose: dict[str, list[Text]] = {"untouched": [], **{name: [] for name in doses}}
    for text in written:
        by_dose[named[text.treatment.arm] if text.treatment else "untouched"].append(text)
    rows = [
        {"dose": 0.0 if name == "untouched" else _size(doses[name]), "text": name}
        | _scores(session, setting, texts, keywords)
        for name, texts in by_dose.items()
    ]
    table = pd.DataFrame(rows)
    wrote = pd.DataFrame(
        [
            (name, model.tokenizer.decode(t.prompt, skip_special_tokens=True), t.text)
            for name in by_dose
            for t in by_dose[name]
        ],
        columns=["dose", "prompt", "text"],
    )
    return Sweep(setting, table, wrote, recommended(table))


def recommended(table: pd.DataFrame) -> str | None:
    """The dose with most of the concept among those that stay fluent.

    Parameters
    ----------
    table:
        :attr:`Sweep.table`, the untouched model first.
    """
    base, rest = table.iloc[0], table.iloc[1:]
    fluent = (rest["surprise"] - base["surprise"] <= COST) & (
        rest["repetition"] - base["repetition"] <= LOOPING
    )
    fit = rest[fluent & (rest["concept"] > base["concept"])]
    return None if fit.empty else str(fit.loc[fit["concept"].idxmax(), "text"])


def _rung(setting: Setting, multiple: float) -> Setting:
    dose = multiple if setting.how == "scale" else QuantileDose(multiple=multiple, of="q99")
    return Setting(setting.features, dose, setting.how)


def _size(setting: Setting) -> float:
    dose = setting.dose
    return dose.multiple if isinstance(dose, QuantileDose) else dose


def _scores(
    session: Session, setting: Setting, texts: Sequence[Text], keywords: Sequence[str]
) -> dict[str, float]:
    """Means over texts, and their standard errors."""
    concept = np.array([_concept(session, setting, text) for text in texts])
    surprise = np.array(
        [float(session.surprise(t.prompt, t.tokens).mean()) if t.tokens else np.nan for t in texts]
    )
    pattern = whole_words(keywords) if keywords else None
    found = [float(pattern.search(text.text) is not None) for text in texts] if pattern else []
    return {
        "concept": float(np.nanmean(concept)),
        "concept_se": _standard_error(concept),
        "keywords": float(np.mean(found)) if found else math.nan,
        "surprise": float(np.nanmean(surprise)),
        "surprise_se": _standard_error(surprise),
        "repetition": float(np.mean([_repeated(text.tokens) for text in texts])),
        "texts": len(texts),
    }


def _standard_error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else math.nan


def _concept(session: Session, setting: Setting, text: Text) -> float:
    """How much of the features the untouched model reads in a text, over their 99th percentile."""
    if not text.tokens:
        return math.nan
    lab = session.laboratory
    ids = torch.tensor([text.prompt + text.tokens], device=lab.model.device)
    activation = lab.host.read(ids).activation[0, len(text.prompt) :]
    own = lab.sae.encode_features(activation, list(setting.features)).float().mean(dim=0).cpu()
    scale = session.statistics.set_index("feature")["q99"].loc[list(setting.features)]
    return float(np.mean(own.numpy() / scale.to_numpy(np.float64)))


def _repeated(tokens: Sequence[int]) -> float:
    grams = ngrams(tokens, 3)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
