"""Westfall and Young's step-down max-T: the family's largest statistic under redrawn assignments.

Every contrast is dealt anew between its own two arms, as the trial dealt it (units within blocks,
whole clusters, the arms within a unit), and all outcomes keep their rows together, so that the
dependence between outcomes is the data's own. What other arms do cannot touch a contrast's draws,
and within a contrast the test is exact where the treatment changes no unit: subset pivotality holds
by construction. Contrasts are dealt independently of each other: by the Gaussian correlation
inequality (Royen 2014) a maximum over independent blocks is the larger one, so in large samples the
correlation through a shared reference can make the error rate smaller only. Within units the arms
of a unit change places in all contrasts at once, which keeps their correlation too.

Dealing all arms at once, raw or centred within arms, was tried and is not used: see
``docs/explanation/multiplicity.md`` for the error rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from causal_sae import flags
from causal_sae.errors import Place, SpecError
from causal_sae.estimation.multiplicity.deals import (
    Draws,
    affordable,
    dealt,
    every_deal,
    every_swap,
    swapped,
)
from causal_sae.estimation.multiplicity.family import (
    SAMPLE,
    Adjusted,
    Correction,
    Family,
    Labels,
)
from causal_sae.estimation.multiplicity.p_values import holm
from causal_sae.estimation.multiplicity.studentised import Dealt, Statistic, statistic
from causal_sae.estimation.redraws import CHUNK, TIES
from causal_sae.estimation.sample import Codes, Mask, Matrix, Sample, Vector, differences
from causal_sae.randomness import generator

if TYPE_CHECKING:
    from causal_sae.spec import Trial

ESTIMATORS = ("welch", "difference_in_means", "block", "fixed_effects", "cluster", "paired")
WHOLE = frozenset({"cluster", "block_cluster"})
"""The methods that assign whole clusters."""
AGREES = 1e-6
"""The statistic of the assignment made is the row's own to this relative accuracy."""


def check(trial: Trial, estimator: str) -> None:
    """Refuse what cannot be dealt anew with this estimator's statistic.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    reason = _unfit(trial, estimator)
    if reason is not None:
        raise SpecError(
            f"the correction 'maxt' {reason}; use holm, which controls the same error rate under "
            "any dependence.",
            Place(field="analysis.multiplicity.method"),
        )


def _unfit(trial: Trial, estimator: str) -> str | None:
    method, clustered = trial.assignment.method, trial.assignment.cluster_by is not None
    if estimator not in ESTIMATORS:
        return f"recomputes the statistics of {', '.join(ESTIMATORS)}, not those of {estimator!r}"
    if trial.analysis.covariates and estimator != "paired":
        return "deals outcomes that are not adjusted, but covariates are declared"
    if clustered and not trial.within_unit and method not in WHOLE:
        return f"deals whole clusters, but {method} assignment deals units within them"
    return None


def adjust(family: Family) -> Adjusted:
    """Step-down adjusted p-values of one family.

    Families with a test against a margin, or with a row of another estimator, are Holm's. The
    p-value is at least ``1 / (1 + draws)``; where one contrast's assignments can be listed, it is
    the exact share of them. It rests on redrawn assignments and not on Student's t, so it may be
    smaller than the row's ``p_value``.
    """
    std_error = family.rows["std_error"].to_numpy(np.float64)
    moving = family.present & (std_error > 0)
    drawn = None if family.against_margins or not moving.any() else _drawn(family, moving)
    if drawn is None:
        return Adjusted(holm(family.p_values), correction="holm")
    statistics, listed = drawn
    p_values = family.p_values
    observed = np.abs(family.rows["estimate"].to_numpy(np.float64)[moving]) / std_error[moving]
    p_values[moving] = step_down(observed, statistics, listed)
    return Adjusted(p_values)


CORRECTION = Correction(adjust, check, needs_units=True)


def step_down(observed: Vector, drawn: Matrix, listed: bool) -> Vector:
    """[tests] Westfall and Young's (1993) step-down adjusted p-values.

    Parameters
    ----------
    observed:
        [tests] the statistics of the assignment made, the larger the more extreme.
    drawn:
        [draws, tests] those of other assignments.
    listed:
        Whether the draws are all assignments, the one made among them.

    Notes
    -----
    ``multtest::mt.maxT``.
    """
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(drawn[:, order][:, ::-1], axis=1)[:, ::-1]
    reached = np.sum(largest >= observed[order] * (1 - TIES), axis=0)
    p_values = reached / len(drawn) if listed else (1 + reached) / (1 + len(drawn))
    result = np.empty(len(observed))
    result[order] = np.maximum.accumulate(p_values)
    return result


def _drawn(family: Family, moving: Mask) -> tuple[Matrix, bool] | None:
    """[draws, tests] the statistics of the tests that vary; whether the draws are all there are."""
    table = family.rows[moving]
    found = [
        statistic(str(name), frozenset(map(flags.name, flags.split(cell))))
        for name, cell in zip(table["estimator"], table["flags"], strict=True)
    ]
    samples = [cell for cell in table[SAMPLE] if isinstance(cell, Sample)]
    statistics = [one for one in found if one is not None]
    if family.trial is None or len(statistics) < len(table) or len(samples) < len(table):
        return None
    rows = list(zip(samples, statistics, strict=True))
    drawn = _within(family, rows) if family.trial.within_unit else _between(family, table, rows)
    if drawn is None:
        return None
    made, others, listed = drawn
    t = (table["estimate"] / table["std_error"]).abs().to_numpy(np.float64)
    return (others, listed) if np.allclose(made, t, rtol=AGREES, atol=0) else None


Rows = list[tuple[Sample, Statistic]]
Drawn = tuple[Vector, Matrix, bool]
"""The statistics of the assignment made, those of others, and whether these are all."""


def _within(family: Family, rows: Rows) -> Drawn | None:
    """Units (or clusters of them) whose two arms swap, the same in all contrasts."""
    seed = rows[0][0].seed
    items = np.unique(np.concatenate([_labels(family, s)[s.treated] for s, _ in rows]))
    parts = []
    for sample, _ in rows:
        at = np.searchsorted(items, _labels(family, sample)[sample.treated])
        parts.append(_summed(differences(sample), at, len(items)))
    total, size, square = (np.column_stack(p) for p in zip(*parts, strict=True))
    data = Dealt(total, size, square, np.zeros(len(items), np.int64))
    every = every_swap(len(items))
    rng = generator(seed, "maxt")
    draws = swapped(len(items), rng, affordable(len(items))) if every is None else every
    made = np.ones((1, len(items)), dtype=np.int8)
    statistics = [one for _, one in rows]
    return _passed(data, statistics, made)[0], _passed(data, statistics, draws), every is not None


def _between(family: Family, table: pd.DataFrame, rows: Rows) -> Drawn | None:
    """Units (or whole clusters) dealt anew between the two arms of each contrast."""
    pairs = list(zip(table["treatment"], table["reference"], strict=True))
    contrasts = list(dict.fromkeys(pairs))
    columns = [[i for i, pair in enumerate(pairs) if pair == one] for one in contrasts]
    found = [_contrast(family, [rows[i][0] for i in at]) for at in columns]
    dealings = [one for one in found if one is not None]
    if len(dealings) < len(contrasts):
        return None
    count = affordable(sum(len(treated) for _, treated in dealings))
    every = every_deal(dealings[0][1], dealings[0][0].stratum) if len(contrasts) == 1 else None
    made, others = (
        np.empty(len(rows)),
        np.empty((count if every is None else len(every), len(rows))),
    )
    for pair, at, (data, treated) in zip(contrasts, columns, dealings, strict=True):
        rng = generator(rows[at[0]][0].seed, "maxt", *map(str, pair))
        draws = dealt(treated, data.stratum, rng, count) if every is None else every
        statistics = [rows[i][1] for i in at]
        made[at] = _passed(data, statistics, treated[None, :].astype(np.int8))[0]
        others[:, at] = _passed(data, statistics, draws)
    return made, others, every is not None


def _contrast(family: Family, samples: list[Sample]) -> tuple[Dealt, Mask] | None:
    """What is dealt in one contrast, and what was treated; None if a cluster is in both arms."""
    labels = [_labels(family, sample) for sample in samples]
    items, first = np.unique(np.concatenate(labels), return_index=True)
    treated = np.concatenate([sample.treated for sample in samples])
    places = [np.searchsorted(items, label) for label in labels]
    if np.any(treated != treated[first][np.concatenate(places)]):
        return None
    # Centred, so that sums of squares lose no digits.
    centred = [sample.outcome - sample.outcome.mean() for sample in samples]
    parts = [_summed(y, at, len(items)) for y, at in zip(centred, places, strict=True)]
    blocks = [family.labels(sample, "block") for sample in samples]
    named = [
        np.zeros(len(s), "<U1") if b is None else b for s, b in zip(samples, blocks, strict=True)
    ]
    stratum = np.unique(np.concatenate(named)[first], return_inverse=True)[1]
    total, size, square = (np.column_stack(p) for p in zip(*parts, strict=True))
    return Dealt(total, size, square, stratum, samples[0].se_type), treated[first]


def _summed(values: Vector, at: Codes, items: int) -> tuple[Vector, Vector, Vector]:
    """[items] each: the sum of the values, their number, and the sum of their squares."""
    weights = (values, np.ones(len(at)), values**2)
    total, size, square = (
        np.bincount(at, weights=w, minlength=items).astype(np.float64) for w in weights
    )
    return total, size, square


def _labels(family: Family, sample: Sample) -> Labels:
    """[n] what each row was dealt with: its cluster, or the unit."""
    clusters = family.labels(sample, "cluster")
    return sample.unit if clusters is None else clusters


def _passed(data: Dealt, statistics: list[Statistic], draws: Draws) -> Matrix:
    """[draws, outcomes] the statistics, in chunks that fit into memory."""
    result = np.empty((len(draws), len(statistics)))
    size = max(1, CHUNK // draws.shape[1])
    for start in range(0, len(draws), size):
        chunk = draws[start : start + size].astype(np.float64)
        for outcome, one in enumerate(statistics):
            result[start : start + size, outcome] = one(data, outcome, chunk)
    return result
