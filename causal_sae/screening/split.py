"""Prompts that a screen never sees: kept for the trial of its hits, told by a hash of the text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place


def held_out(texts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which prompts are held out: by their text alone, so that equal texts stay together.

    Parameters
    ----------
    texts:
        The prompts. White space at the ends and case do not matter.
    share:
        The expected share that is held out.
    seed:
        The trial's.
    """
    return np.array([_draw(text, seed) < share for text in texts], dtype=np.bool_)


def text_hash(text: str) -> str:
    """What two prompts share when they are the same text."""
    return hashlib.sha256(" ".join(text.split()).casefold().encode()).hexdigest()


def choosing(texts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which of the prompts that are screened choose features and test none; as :func:`held_out`."""
    return np.array([_draw(text, seed, "choose") < share for text in texts], dtype=np.bool_)


def _draw(text: str, seed: int, use: str = "") -> float:
    digest = hashlib.sha256(f"{seed}{use}/{text_hash(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def require_unseen(seen: pd.Series[str], kept: pd.Series[str]) -> None:
    """Pass when no text is in both.

    Raises
    ------
    DataError
        The trial would be on prompts that the screen has seen.
    """
    common = set(map(text_hash, seen)) & set(map(text_hash, kept))
    if common:
        raise DataError(
            f"{len(common)} prompts are in the screen and held out as well: the prompts file has "
            "changed since the screen; screen again",
            Place(field="--confirm"),
        )
