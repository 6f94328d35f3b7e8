"""Placebo features: like the treated ones in how they fire, unlike them in what they write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from causal_sae.errors import DataError, Place
from causal_sae.spec.interventions import Match
from causal_sae.tables import FEATURES

FIELD = Place(field="arms.intervention.features.placebo_for")


def match_placebos(
    features: pd.DataFrame,
    treated: Sequence[int],
    on: Sequence[Match],
    draws: int,
    rng: np.random.Generator,
    decoder: NDArray[np.floating] | None = None,
    max_cosine: float = 0.3,
    caliper: float | None = None,
) -> list[list[int]]:
    """Draw placebo features, each resembling the treated feature that it stands in for.

    Distances are Euclidean between the logarithms of what is matched on, each divided by its
    standard deviation over the living features. The treated features take turns in choosing their
    nearest feature not yet taken, until each has ``draws`` of them; then ``rng`` deals each one's
    placebos out to the draws, so that no draw has the nearest of all.

    Parameters
    ----------
    features:
        The features table (``tables.FEATURES``).
    treated:
        The features that the placebos stand in for.
    on:
        The columns that must be alike.
    draws:
        How many placebos each treated feature gets.
    rng:
        Deals the placebos out; the same generator state gives the same draws.
    decoder:
        The decoder's rows ``[d_sae, d_in]``. Features that write in nearly the direction of a
        treated one (or its opposite) would share its effect, and are left out.
    max_cosine:
        The largest absolute cosine with any treated feature's decoder row that a placebo may have.
    caliper:
        The largest difference that a placebo may have in each property, in standard deviations of
        its logarithm over the living features (Austin 2011 recommends 0.2); None: any.

    Returns
    -------
    list of list of int
        ``draws`` lists; the i-th member of each stands in for ``treated[i]``. No feature is used
        twice.

    Raises
    ------
    DataError
        When a treated feature is not in the table or never fires, or there are too few candidates.
    """
    space = _log_space(FEATURES.check(features), on)
    _check_treated(space, treated)
    allowed = _candidates(features, space, treated, decoder, max_cosine)
    needed = draws * len(treated)
    if len(allowed) < needed:
        raise DataError(
            f"{draws} placebo draws for {len(treated)} treated feature(s) need {needed} features "
            f"that fire and have a decoder cosine of at most {max_cosine} with the treated; there "
            f"are {len(allowed)}: ask for fewer draws.",
            FIELD,
        )
    apart = np.stack([(space.loc[allowed] - space.loc[f]).to_numpy() for f in treated])
    distance = (apart**2).sum(axis=2)
    if caliper is not None:
        distance[(np.abs(apart) > caliper).any(axis=2)] = np.inf
    chosen = _take_turns(distance, draws)
    for feature, row, places in zip(treated, distance, chosen, strict=True):
        _check_caliper(feature, row, places, caliper)
    dealt = [[allowed[i] for i in rng.permutation(row)] for row in chosen]
    return [list(draw) for draw in zip(*dealt, strict=True)]


def balance(
    features: pd.DataFrame, treated: Sequence[int], placebos: Sequence[Sequence[int]]
) -> pd.DataFrame:
    """How alike the placebos are: one row per treated feature and one per placebo.

    Columns: stands_for (the treated feature), role (``treated`` or ``placebo``), draw (missing for
    the treated), feature, density, mean_activation, max_activation, decoder_norm, and for each of
    density, mean_activation and decoder_norm its ratio to the treated feature's (``<name>_ratio``).
    """
    pairs: list[tuple[int, str, int | None, int]] = [(f, "treated", None, f) for f in treated]
    for draw, stand_ins in enumerate(placebos):
        pairs += [(f, "placebo", draw, p) for f, p in zip(treated, stand_ins, strict=True)]
    rows = pd.DataFrame(pairs, columns=["stands_for", "role", "draw", "feature"])
    rows["draw"] = rows["draw"].astype("Int64")
    columns = ["density", "mean_activation", "max_activation", "decoder_norm"]
    values = features.set_index("feature").reindex(columns=columns).astype("float64")
    table = rows.join(values, on="feature")
    for name in ("density", "mean_activation", "decoder_norm"):
        table[f"{name}_ratio"] = table[name] / values[name].reindex(table["stands_for"]).to_numpy()
    place = table["stands_for"].map({feature: i for i, feature in enumerate(treated)})
    return table.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


def _log_space(features: pd.DataFrame, on: Sequence[Match]) -> pd.DataFrame:
    """Living features by what is matched on: logarithms in units of their standard deviation."""
    ordered = features.sort_values("feature").set_index("feature")
    density = ordered["density"].to_numpy(dtype="float64", na_value=np.nan)
    values = ordered[list(on)].to_numpy(dtype="float64", na_value=np.nan)
    usable = (np.isfinite(values) & (values > 0)).all(axis=1) & (density > 0)
    logs = np.log(values[usable])
    spread = logs.std(axis=0) if len(logs) else np.ones(len(on))
    scaled = logs / np.where(spread > 0, spread, 1.0)
    return pd.DataFrame(scaled, index=ordered.index[usable], columns=list(on))


def _check_treated(space: pd.DataFrame, treated: Sequence[int]) -> None:
    for feature in treated:
        if feature not in space.index:
            raise DataError(
                f"a placebo for feature {feature} cannot be matched: the features table does not "
                "have it, or it never fired on the text that the table was made from.",
                FIELD,
            )


def _candidates(
    features: pd.DataFrame,
    space: pd.DataFrame,
    treated: Sequence[int],
    decoder: NDArray[np.floating] | None,
    max_cosine: float,
) -> list[int]:
    """Living features that are not treated and do not write in a treated one's direction."""
    left_out = set(treated)
    if "dead" in features:
        left_out |= set(features.loc[features["dead"].fillna(False).astype(bool), "feature"])
    if decoder is not None:
        rows = decoder.astype("float64")
        norms = np.linalg.norm(rows, axis=1)
        unit = rows / np.where(norms > 0, norms, 1.0)[:, None]
        close = np.abs(unit @ unit[list(treated)].T).max(axis=1) > max_cosine
        left_out |= set(np.flatnonzero(close).tolist())
    return sorted(int(f) for f in space.index if f not in left_out)


def _check_caliper(
    feature: int, distance: NDArray[np.float64], chosen: Sequence[int], caliper: float | None
) -> None:
    """Pass when every placebo of a feature is within the caliper."""
    if not np.isinf(distance[list(chosen)]).any():
        return
    raise DataError(
        f"feature {feature} must have {len(chosen)} placebos within a caliper of {caliper}; there "
        f"are {int(np.isfinite(distance).sum())}, treated features sharing them: widen it, or ask "
        "for fewer draws.",
        FIELD,
    )


def _take_turns(distance: NDArray[np.float64], draws: int) -> list[list[int]]:
    """Columns of ``distance`` ``[n_treated, n_candidates]``, ``draws`` for each row, none twice."""
    order = np.argsort(distance, axis=1, kind="stable")
    taken: set[int] = set()
    chosen: list[list[int]] = [[] for _ in order]
    queues = [iter(row.tolist()) for row in order]
    for _ in range(draws):
        for mine, queue in zip(chosen, queues, strict=True):
            nearest = next(i for i in queue if i not in taken)
            taken.add(nearest)
            mine.append(nearest)
    return chosen
