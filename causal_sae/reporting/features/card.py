"""Everything that a card tells of one feature, from the store's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from causal_sae.feature_tables import FeatureStore

BIN_NAMES = {
    "top": "Strongest",
    "q90-max": "Above its 90th percentile",
    "q50-q90": "Between its median and 90th percentile",
    "min-q50": "Below its median",
}
"""Bins of the examples, and what readers are told; in this order."""


@dataclass(frozen=True)
class Token:
    """One token of a context."""

    text: str
    activation: float
    middle: bool
    """Whether it is the one that the example is of."""


@dataclass(frozen=True)
class Example:
    """A context in which the feature fires."""

    tokens: tuple[Token, ...]
    activation: float
    document: str | None
    group: str | None


@dataclass(frozen=True)
class Card:
    """One feature."""

    feature: int
    row: dict[str, Any]
    """The feature's row of the features table."""
    examples: dict[str, tuple[Example, ...]]
    """By bin, in the order of :data:`BIN_NAMES`; bins without examples are left out."""
    bars: tuple[tuple[float, float, int], ...]
    """The histogram: from, to, positions."""
    logits: dict[str, tuple[tuple[str, float], ...]]
    """``boosted`` and ``suppressed``: tokens, and the change of their logits per unit."""
    neighbours: dict[str, tuple[tuple[int, float, str], ...]]
    """``coactivation`` and ``decoder``: features, how near, and what each fires on."""
    groups: tuple[dict[str, Any], ...]
    effects: tuple[dict[str, Any], ...]

    @property
    def scale(self) -> float:
        """The activation that is coloured most."""
        largest = self.row["max_activation"]
        return float(largest) if pd.notna(largest) and largest > 0 else 1.0

    def fact(self, name: str) -> float | None:
        """A number of the row; None where it is missing."""
        value = self.row.get(name)
        return None if value is None or pd.isna(value) else float(value)


def cards(store: FeatureStore, features: list[int], effects: pd.DataFrame) -> list[Card]:
    """The cards of some features.

    Parameters
    ----------
    store:
        The store.
    features:
        Which.
    effects:
        What trials found of them (:func:`causal_sae.features.effects.effects_of`); may be empty.
    """
    parts = {
        name: store.companion(name, features)
        for name in ("examples", "contexts", "logits", "histograms", "neighbours", "groups")
    }
    fires = store.features.set_index("feature")["fires_on"]
    return [_card(store, feature, parts, fires, effects) for feature in features]


def _card(
    store: FeatureStore,
    feature: int,
    parts: dict[str, pd.DataFrame],
    fires: pd.Series[Any],
    effects: pd.DataFrame,
) -> Card:
    own = {name: table[table["feature"] == feature] for name, table in parts.items()}
    near = own["neighbours"]
    return Card(
        feature=feature,
        row={str(k): v for k, v in store.row(feature).to_dict().items()},
        examples=_examples(own["examples"], own["contexts"]),
        bars=tuple(
            (float(bar["low"]), float(bar["high"]), int(bar["positions"]))
            for bar in _rows(own["histograms"])
        ),
        logits={
            str(kind): tuple((str(t["token"]), float(t["logit"])) for t in _rows(group))
            for kind, group in own["logits"].groupby("kind")
        },
        neighbours={
            str(kind): tuple(
                (int(n["neighbour"]), float(n["value"]), _said(fires.get(int(n["neighbour"]))))
                for n in _rows(group)
            )
            for kind, group in near.groupby("kind")
        },
        groups=tuple(_rows(own["groups"].sort_values("auroc", ascending=False))),
        effects=tuple(_rows(effects[effects["feature"] == feature])),
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _said(cell: object) -> str:
    return cell if isinstance(cell, str) else ""


def _examples(examples: pd.DataFrame, contexts: pd.DataFrame) -> dict[str, tuple[Example, ...]]:
    tokens = {key: group for key, group in contexts.groupby(["bin", "rank"])}
    found: dict[str, tuple[Example, ...]] = {}
    for name in BIN_NAMES:
        rows = examples[examples["bin"] == name].sort_values("rank")
        if not rows.empty:
            found[name] = tuple(
                Example(
                    _tokens(tokens.get((name, row["rank"])), str(row["text"])),
                    float(row["activation"]),
                    _text_or_none(row["document"]),
                    _text_or_none(row["group"]),
                )
                for row in rows.to_dict("records")
            )
    return found


def _tokens(found: pd.DataFrame | None, text: str) -> tuple[Token, ...]:
    """Token by token; where the store holds the marked text only, its three parts."""
    if found is not None:
        return tuple(
            Token(str(t["token"]), float(t["activation"]), int(t["offset"]) == 0)
            for t in _rows(found.sort_values("offset"))
        )
    before, _, rest = text.partition("«")
    middle, _, after = rest.partition("»")
    return (Token(before, 0.0, False), Token(middle, 0.0, True), Token(after, 0.0, False))


def _text_or_none(cell: object) -> str | None:
    return cell if isinstance(cell, str) else None
