"""The words of a concept: declared, or learned from the texts on which nothing is tested."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place
from causal_sae.execution.sequences import Tokenizer
from causal_sae.screening.concepts.texts import Pool
from causal_sae.spec.concepts import Concept

MOST = 20
"""Words that are learned."""
FEWEST_TIMES = 3
"""A token that stands in fewer positive texts marks nothing."""
SURE = 1.96
PRIOR = 0.1
"""Pseudo-counts of each token, in proportion to how often it stands in all texts."""

Ids = NDArray[np.int64]


def words_of(concept: Concept, number: int, pool: Pool, tokenizer: Tokenizer) -> Ids:
    """The tokens whose probability is a concept's outcome, each once.

    Raises
    ------
    DataError
        A word is several tokens, or no token marks the concept's texts.
    """
    if concept.words is not None:
        places = [Place(field=f"concepts[{number}].words[{i}]") for i in range(len(concept.words))]
        found = [tokenizer.token(w, p) for w, p in zip(concept.words, places, strict=True)]
        return np.array(list(dict.fromkeys(found)), dtype=np.int64)
    learning = ~pool.testing
    learned = marking(
        pool.ids[pool.positive[concept.name] & learning],
        pool.ids[pool.negative[concept.name] & learning],
    )
    if not len(learned):
        raise DataError(
            "no token stands clearly more often in its positive texts than in its negative ones; "
            "give `words`",
            Place(field=f"concepts[{number}]"),
        )
    return learned


def marking(positive: Ids, negative: Ids) -> Ids:
    """Tokens that mark texts, the surest first: log-odds with an informative Dirichlet prior.

    The z of Monroe, Colaresi and Quinn (2008, equations 15 to 22), over the number of texts that
    hold a token, so that one text that repeats a word counts once.

    Parameters
    ----------
    positive, negative:
        ``[texts, S]`` token ids.
    """
    size = int(max(positive.max(), negative.max())) + 1
    have, lack = (_texts_with(ids, size) for ids in (positive, negative))
    prior = PRIOR * (have + lack) + 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = [
            np.log(count + prior) - np.log(count.sum() + prior.sum() - count - prior)
            for count in (have, lack)
        ]
        z = (odds[0] - odds[1]) / np.sqrt(1 / (have + prior) + 1 / (lack + prior))
    z[have < FEWEST_TIMES] = -np.inf
    order = np.argsort(-z, kind="stable")[:MOST]
    found: Ids = order[z[order] > SURE].astype(np.int64)
    return found


def _texts_with(ids: Ids, size: int) -> NDArray[np.float64]:
    count = np.zeros(size)
    for row in ids:
        count[np.unique(row)] += 1
    return count
