"""What pushes along feature directions change: rows of many features share the batches.

Every arm of a concept trial moves the activation along one direction. An ablation moves it back by
what the feature wrote; a placebo's ablation by what the placebo wrote; a random direction by as
much as the feature did. Amplification moves every position by one length, along the feature, its
placebo or a random direction. So a row is a direction and a length at each position, and rows of
all features and arms share one batch above the hook.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from causal_sae.errors import ModelError, Place
from causal_sae.execution.batches import Limit
from causal_sae.execution.bench import wide
from causal_sae.execution.concepts.activity import editable, edited
from causal_sae.execution.concepts.outcomes import divergence, loss, word_mass
from causal_sae.execution.host import Host
from causal_sae.randomness import generator
from causal_sae.saes.sae import SAE

TOGETHER = 8
"""Texts that are read together, and written to one part."""


@dataclass(frozen=True)
class Push:
    """One row: a text, and along what its activation is moved how far."""

    text: int
    claim: int
    arm: str
    shape: int | None
    """The feature whose clean activation is the length at each position; None: one everywhere."""
    factor: float
    """What the length is multiplied by."""
    along: int | None
    """The feature along whose decoder row it goes; None: a random unit vector of this row's own."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What pushes run on."""

    host: Host
    sae: SAE
    directions: Tensor
    """``[F, d]``: what one unit of each feature adds to the activation."""
    texts: NDArray[np.int64]
    """``[T, S + 1]``: what the model reads, and the token that is only scored."""
    read: int
    """At how many of the last positions outcomes are read."""
    words: Sequence[NDArray[np.int64]]
    """For each claim the tokens of its concept."""
    seed: int


COLUMNS = ("text", "claim", "arm", "words", "kl", "nll")


def measure(
    stage: Stage,
    pushes: Sequence[Push],
    limit: Limit,
    folder: Path,
    advance: Callable[[int], None] = lambda _tokens: None,
) -> pd.DataFrame:
    """What every push changes.

    Parameters
    ----------
    stage:
        What they run on.
    pushes:
        The rows.
    limit:
        What one batch may hold.
    folder:
        Where parts are written, each whole or not at all; those that are there are not run again.
    advance:
        Called with the number of rows done.

    Returns
    -------
    DataFrame
        text, claim, arm, words and nll (treated minus untouched), kl (from the untouched).

    Raises
    ------
    ModelError
        A push makes the model give no numbers: names the feature.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_text: dict[int, list[Push]] = {}
    for push in pushes:
        by_text.setdefault(push.text, []).append(push)
    order, parts = sorted(by_text), []
    for start in range(0, len(order), TOGETHER):
        own = {text: by_text[text] for text in order[start : start + TOGETHER]}
        path = folder / f"part-{_digest(stage, own)}.parquet"
        if not path.exists():
            table = _group(stage, own, limit)
            partial = path.with_suffix(".partial")
            table.to_parquet(partial, index=False)
            partial.replace(path)
        parts.append(path)
        advance(sum(map(len, own.values())))
    for stale in {*folder.glob("part-*"), *folder.glob("*.partial")} - set(parts):
        stale.unlink()
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    whole = pd.concat([pd.read_parquet(path) for path in parts], ignore_index=True)
    return whole.sort_values(["claim", "arm", "text"], ignore_index=True)


def _digest(stage: Stage, own: dict[int, list[Push]]) -> str:
    words = {push.claim: stage.words[push.claim].tolist() for rows in own.values() for push in rows}
    texts = [stage.texts[text].tolist() for text in own]
    said = (own, texts, words, stage.read, stage.seed, stage.host.model.fingerprint)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@torch.no_grad()
def _group(stage: Stage, own: dict[int, list[Push]], limit: Limit) -> pd.DataFrame:
    """All rows of a few texts."""
    device = stage.host.model.device
    whole = torch.from_numpy(stage.texts[list(own)]).to(device)
    halfway = stage.host.read(whole[:, :-1])
    clean = halfway.activation
    # What one unit of a feature, or of length, is at each position; nothing where none is edited.
    unit = torch.where(editable(clean)[..., None], stage.sae.token_scale(clean), 0.0)
    lengths = edited(stage.sae, clean) * unit
    tables = []
    for rows in _batches(own, clean.shape[1], stage.read, limit):
        place = torch.tensor([number for number, _ in rows], device=device)
        change = torch.stack([_change(stage, lengths[n], unit[n], push) for n, push in rows])
        moved = clean[place] + change.to(clean.dtype)
        logits = stage.host.resume(halfway.rows(place), moved, stage.read).logits
        tables.append(_read(stage, logits, whole[place, -stage.read :], rows))
    return pd.concat(tables, ignore_index=True)


def _change(stage: Stage, lengths: Tensor, unit: Tensor, push: Push | None) -> Tensor:
    """``[S, d]``: what is added to the activation."""
    if push is None:
        return torch.zeros(len(unit), stage.directions.shape[1], device=unit.device)
    length = unit[:, 0] if push.shape is None else lengths[:, push.shape]
    return push.factor * length[:, None] * _direction(stage, push)


def _direction(stage: Stage, push: Push) -> Tensor:
    if push.along is not None:
        return stage.directions[push.along]
    label = (str(push.claim), push.arm, str(push.text))
    drawn = generator(stage.seed, "concepts", "direction", *label).standard_normal(
        stage.directions.shape[1]
    )
    return torch.from_numpy(drawn / np.linalg.norm(drawn)).to(stage.directions)


Rows = list[tuple[int, Push | None]]


def _batches(own: dict[int, list[Push]], length: int, read: int, limit: Limit) -> Iterator[Rows]:
    """Rows in batches, the untouched row of every text in each batch that has rows of it."""
    most = max(2, limit.tokens // length)
    if limit.scores is not None:
        most = max(2, min(most, limit.scores // read))
    rows: Rows = []
    for number, pushes in enumerate(own.values()):
        for push in pushes:
            new = not rows or rows[-1][0] != number
            if rows and len(rows) + 1 + new > most:
                yield rows
                rows, new = [], True
            rows += [(number, None)] if new else []
            rows.append((number, push))
    if rows:
        yield rows


def _read(stage: Stage, logits: Tensor, following: Tensor, rows: Rows) -> pd.DataFrame:
    """What a batch's rows changed."""
    finite = torch.isfinite(logits).flatten(1).all(dim=1).tolist()
    if not all(finite):
        push = rows[finite.index(False)][1]
        what = "the untouched model" if push is None else f"feature {push.along or push.shape}"
        raise ModelError(
            f"{what} ({'-' if push is None else push.arm}) gives logits that are not finite; "
            "lower `amplify`, or write `dtype: float32`",
            Place(field="model"),
        )
    logprobs = logits.to(wide(logits)).log_softmax(dim=-1)
    first = {number: i for i, (number, push) in enumerate(rows) if push is None}
    done = [i for i, (_, push) in enumerate(rows) if push is not None]
    before = torch.tensor([first[rows[i][0]] for i in done], device=logits.device)
    after = torch.tensor(done, device=logits.device)
    losses = loss(logprobs, following)
    pushes = [push for _, push in rows if push is not None]
    mass = torch.zeros(len(pushes), dtype=logprobs.dtype, device=logits.device)
    for words in {tuple(stage.words[push.claim].tolist()) for push in pushes}:
        same = [i for i, p in enumerate(pushes) if tuple(stage.words[p.claim].tolist()) == words]
        index = torch.tensor(words, device=logits.device)
        values = word_mass(logprobs, index)
        mass[same] = values[after[same]] - values[before[same]]
    far = torch.zeros_like(mass)
    for start in first.values():
        same = (before == start).nonzero()[:, 0].tolist()
        far[same] = divergence(logprobs[start][None], logprobs[after[same]])
    return pd.DataFrame(
        {
            "text": [push.text for push in pushes],
            "claim": [push.claim for push in pushes],
            "arm": [push.arm for push in pushes],
            "words": mass.cpu().double().numpy(),
            "kl": far.cpu().double().numpy(),
            "nll": (losses[after] - losses[before]).cpu().double().numpy(),
        }
    )
