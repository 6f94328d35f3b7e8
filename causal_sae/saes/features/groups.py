"""Features that fire more, or less, in one group of documents than in the others.

The unit is the document: tokens of one document are alike, and counted as if they were not they
would make anything significant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, stats

from causal_sae.saes.features.auroc import auroc
from causal_sae.saes.features.parts import Parts

Floats = NDArray[np.float64]
CELLS = 1 << 22
"""Documents times features that are ranked at once."""
FEWEST = 5
"""Groups of fewer documents, or with fewer outside, are left out."""


def document_groups(parts: Parts) -> tuple[NDArray[np.int64], list[str | None]]:
    """The documents' numbers, and the group of each."""
    found: dict[int, str | None] = {}
    for part in parts:
        found |= {number: source.group for number, source in part.sources.items()}
    numbers = sorted(found)
    return np.array(numbers, np.int64), [found[number] for number in numbers]


def document_means(parts: Parts, documents: NDArray[np.int64], features: range) -> Floats:
    """``[documents, features]``: each feature's mean activation over a document's positions."""
    total = np.zeros((len(documents), len(features)))
    size = np.zeros(len(documents))
    for part in parts:
        token = np.searchsorted(documents, part.document[part.sequence])
        size += np.bincount(token[part.counted], minlength=len(documents))
        begin, end = part.indptr[features.start], part.indptr[features.stop]
        column = part.features[begin:end] - features.start
        place = (token[part.row[begin:end]], column)
        value = part.value[begin:end].astype(np.float64)
        total += sparse.csr_matrix((value, place), total.shape).toarray()
    means: Floats = total / np.maximum(size, 1)[:, None]
    return means


def by_group(
    parts: Parts, d_sae: int, alpha: float, advance: Callable[[int], None]
) -> pd.DataFrame:
    """Every feature's AUROC for every group: the chance that a document of it fires more.

    Returns
    -------
    DataFrame
        :data:`causal_sae.tables.GROUPS`, one row for each feature that fired and group;
        ``p_adjusted`` is Benjamini and Hochberg's over all of them. Empty where there are no two
        groups of five documents.
    """
    documents, groups = document_groups(parts)
    names = _large(groups)
    if not names:
        return pd.DataFrame()
    label = np.array([group or "" for group in groups])
    size = max(1, min(d_sae, CELLS // len(documents)))
    tables = []
    for start in range(0, d_sae, size):
        features = range(start, min(start + size, d_sae))
        means = document_means(parts, documents, features)
        for name in names:
            tables.append(_one(name, means, label == name, features, alpha))
        advance(len(features))
    table = pd.concat(tables, ignore_index=True)
    table["p_adjusted"] = stats.false_discovery_control(table["p_value"]) if len(table) else []
    return table.sort_values(["feature", "group"], ignore_index=True)


def _large(groups: Sequence[str | None]) -> list[str]:
    count = pd.Series([group for group in groups if group is not None]).value_counts()
    return sorted(str(g) for g, n in count.items() if n >= FEWEST and len(groups) - n >= FEWEST)


def _one(
    name: str, means: Floats, inside: NDArray[np.bool_], features: range, alpha: float
) -> pd.DataFrame:
    found = auroc(means, inside, alpha)
    table = pd.DataFrame(
        {
            "feature": np.arange(features.start, features.stop),
            "group": name,
            "documents": int(inside.sum()),
            "others": int((~inside).sum()),
            "mean_inside": means[inside].mean(axis=0),
            "mean_outside": means[~inside].mean(axis=0),
            "auroc": found.value,
            "auroc_low": found.low,
            "auroc_high": found.high,
            "p_value": found.p_value,
        }
    )
    return table.loc[np.flatnonzero((means > 0).any(axis=0))]
