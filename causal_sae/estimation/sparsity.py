"""Warnings about effects that only few units can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.estimation.sample import Mask, Sample, differences

if TYPE_CHECKING:
    from causal_sae.spec.interventions import Intervention

MIN_ACTIVE = 30
"""Below this many active units a skewed effect's 95% interval covers less than about 90%."""
ZERO_INFLATED = 0.5
"""From this share of unchanged units on, the flag ``zero_inflated`` is raised."""


def sparsity_flags(edit: Intervention, sample: Sample, within_unit: bool) -> tuple[str, ...]:
    """Flags about few active units and many unchanged outcomes.

    Parameters
    ----------
    edit:
        The treatment arm's intervention.
    sample:
        The units analysed.
    within_unit:
        Whether every unit has a row in each arm.
    """
    found: list[str] = []
    if edits_active_only(edit) and sample.exposed is not None:
        active = int(sample.exposed[sample.treated].sum())
        found += [f"few_active:{active}"] if active < MIN_ACTIVE else []
    unchanged = _unchanged(sample, within_unit)
    share = float(unchanged.mean()) if len(unchanged) else 0.0
    if ZERO_INFLATED <= share < 1:
        found.append(f"zero_inflated:{share:.2f}")
    return tuple(found)


def edits_active_only(edit: Intervention) -> bool:
    """Whether the edit leaves a prompt untouched where the feature is silent."""
    return edit.kind == "scale" or (edit.kind == "ablate" and edit.to == "zero")


def _unchanged(sample: Sample, within_unit: bool) -> Mask:
    """Which units the treatment did not move at all; empty where that cannot be seen."""
    if within_unit:
        return np.equal(differences(sample), 0.0)
    if sample.clean is None:
        return np.empty(0, dtype=np.bool_)
    return np.equal(sample.outcome, sample.clean)[sample.treated]
