"""Features for a concept: by its words, by texts with and without it, by a prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from causal_sae.errors import DataError, Place
from causal_sae.execution.batches import Job, batches
from causal_sae.execution.harvest import Cutter, encode
from causal_sae.execution.sequences import Prompt, TokenSequence
from causal_sae.feature_tables import FeatureStore
from causal_sae.features.desk import LIMIT, Desk
from causal_sae.saes.features.quality.concept import concept_scores
from causal_sae.spec.corpus import Corpus

FEWEST = 5
"""Texts of each kind that a contrast needs."""


def by_words(store: FeatureStore, query: str) -> pd.DataFrame:
    """Features whose active words, contexts or raised tokens hold one of the query's words.

    Parameters
    ----------
    store:
        The store.
    query:
        Words, alternatives separated by commas; case does not matter.

    Returns
    -------
    DataFrame
        feature, on_word (the share of its examples whose active word holds the query), in_context
        (whose text does), raises (how many of the tokens that it raises do), best first; those
        with none of them are left out.

    Raises
    ------
    DataError
        The store has no examples, or the query no word.
    """
    words = [word.strip().lower() for word in query.split(",") if word.strip()]
    if not words:
        raise DataError("must hold a word", Place(field="QUERY"))
    examples = store.companion("examples")
    if examples.empty:
        raise DataError(
            "the store holds no examples to search; make one with `causal-sae features extract`.",
            Place(store.path),
        )
    active = examples["text"].map(active_word)
    found = pd.DataFrame(
        {
            "feature": examples["feature"].astype(int),
            "on_word": _holds(active, words),
            "in_context": _holds(examples["text"].str.replace("[«»]", "", regex=True), words),
        }
    )
    table = found.groupby("feature").mean()
    raised = (
        store.features.set_index("feature")["top_tokens"].fillna("").str.split(" | ", regex=False)
    )
    table["raises"] = [
        sum(any(word in token.lower() for word in words) for token in raised.get(feature, []))
        for feature in table.index
    ]
    table = table[(table > 0).any(axis=1)]
    order = ["on_word", "raises", "in_context"]
    return table.sort_values(order, ascending=False, kind="stable").reset_index()


def _holds(texts: pd.Series[str], words: Sequence[str]) -> pd.Series[bool]:
    return texts.str.contains("|".join(map(re.escape, words)), case=False, regex=True)


def active_word(text: str) -> str:
    """The word that the marked token is part of."""
    before, _, rest = text.partition("«")
    token, _, after = rest.partition("»")
    left = re.search(r"\w*$", before) if not token[:1].isspace() else None
    right = re.match(r"\w*", after)
    return (left[0] if left else "") + token + (right[0] if right else "")


def by_contrast(desk: Desk, positive: Path, negative: Path, alpha: float) -> pd.DataFrame:
    """Features that tell texts of a concept from other texts.

    Parameters
    ----------
    desk:
        The model and the SAE.
    positive, negative:
        Files of texts: txt (one a line), csv, jsonl or parquet (a column ``text``).
    alpha:
        Intervals have level ``1 - alpha``.

    Returns
    -------
    DataFrame
        One row for each feature that fired: feature, auroc with its interval, p_value, p_adjusted
        (Benjamini and Hochberg's over these features), sensitivity and specificity with theirs;
        by the lower limit of the AUROC, largest first.

    Raises
    ------
    DataError
        There are fewer than five texts of a kind.
    """
    kinds = [texts_of(file) for file in (positive, negative)]
    for texts, field in zip(kinds, ("--positive", "--negative"), strict=True):
        if len(texts) < FEWEST:
            raise DataError(
                f"must hold {FEWEST} texts or more, for an interval; it has {len(texts)}",
                Place(field=field),
            )
    peaks = activations(desk, [*kinds[0], *kinds[1]], lambda f: f.max(axis=0))
    has_it = np.arange(len(peaks)) < len(kinds[0])
    fired = peaks.any(axis=0)
    scores = concept_scores(peaks[:, fired], has_it, alpha)
    ranking = scores.ranking
    table = pd.DataFrame(
        {
            "feature": np.flatnonzero(fired),
            "auroc": ranking.value,
            "auroc_low": ranking.low,
            "auroc_high": ranking.high,
            "p_value": ranking.p_value,
            "p_adjusted": stats.false_discovery_control(ranking.p_value),
            "sensitivity": scores.sensitivity,
            "sensitivity_low": scores.sensitivity_low,
            "sensitivity_high": scores.sensitivity_high,
            "specificity": scores.specificity,
            "specificity_low": scores.specificity_low,
            "specificity_high": scores.specificity_high,
        }
    )
    return table.sort_values("auroc_low", ascending=False, ignore_index=True)


def by_prompt(desk: Desk, prompt: str, density: pd.Series[float] | None) -> pd.DataFrame:
    """Features that fire on a prompt.

    Parameters
    ----------
    desk:
        The model and the SAE.
    prompt:
        The text.
    density:
        How often each feature fires elsewhere, by feature; the rare ones then come first.

    Returns
    -------
    DataFrame
        feature, activation (its largest), token (where), surprise: the activation times minus the
        logarithm of the density, so that a feature that fires anyway says little.
    """
    ids, values = _encoded(desk, [prompt])[0]
    place = values.argmax(axis=0)
    fired = np.flatnonzero(values.any(axis=0))
    table = pd.DataFrame(
        {
            "feature": fired,
            "activation": values.max(axis=0)[fired],
            "token": [desk.model.tokenizer.decode([ids[place[j]]]) for j in fired],
        }
    )
    known = 0.5 if density is None else table["feature"].map(density).fillna(0.5).clip(1e-7, 1.0)
    table["surprise"] = table["activation"] * -np.log(known)
    return table.sort_values("surprise", ascending=False, ignore_index=True)


def texts_of(file: Path) -> list[str]:
    """The texts of a file: the lines of a txt, the rows of a table's column ``text``."""
    found = [document.text for document in Corpus(file).documents()]
    if file.suffix.lower() == ".txt":
        return [line.strip() for text in found for line in text.splitlines() if line.strip()]
    return found


def activations(
    desk: Desk, texts: Sequence[str], summary: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """``[texts, F]``: a summary over positions of each feature's activations in each text."""
    return np.stack([summary(values) for _, values in _encoded(desk, texts)])


def _encoded(desk: Desk, texts: Sequence[str]) -> list[tuple[tuple[int, ...], NDArray[np.float64]]]:
    """For each text its tokens, and its activations ``[S, F]``; zero where nothing counts."""
    cutter = Cutter.of(desk.model, desk.sae, min(desk.model.context, 1024))
    front = () if cutter.first is None else (cutter.first,)
    prompts = []
    for number, text in enumerate(texts):
        ids = desk.model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        tokens = (*front, *ids)[: cutter.context]
        if len(tokens) < 2:
            raise DataError(f"text {number + 1} must have two tokens or more, got {text!r}")
        prompts.append(Prompt(f"{number:06d}", tokens, np.ones(1, np.bool_)))
    found: dict[int, tuple[tuple[int, ...], NDArray[np.float64]]] = {}
    for batch in batches([Job(TokenSequence(prompt), ()) for prompt in prompts], LIMIT):
        ids = torch.tensor([job.sequence.tokens for job in batch], device=desk.model.device)
        names = [f"text {int(job.sequence.unit_id) + 1}" for job in batch]
        _, features = encode(desk.host, desk.sae, ids, names)
        for job, values in zip(batch, features.double().cpu().numpy(), strict=True):
            found[int(job.sequence.unit_id)] = (job.sequence.tokens, values)
    return [found[number] for number in range(len(texts))]
