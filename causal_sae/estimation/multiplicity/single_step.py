"""All of a family's effects at once: single-step p-values and simultaneous intervals.

``multcomp::glht(..., vcov = vcovHC(type = "HC2"))`` with its single-step test, over contrasts and
outcomes together: the correlations between the estimates are those of their robust (HC2, Neyman's
or CR2) covariance, and each row's statistic and interval are held against the maximum of all with
the row's own degrees of freedom (Hasler and Hothorn 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causal_sae.errors import Place, SpecError
from causal_sae.estimation.multiplicity.family import Adjusted, Correction, Family
from causal_sae.estimation.multiplicity.influence import CONTRIBUTIONS, correlation
from causal_sae.estimation.multiplicity.joint_t import JointT, joint_t
from causal_sae.estimation.multiplicity.p_values import holm
from causal_sae.estimation.sample import Mask

if TYPE_CHECKING:
    from causal_sae.spec import Trial


def check(trial: Trial, estimator: str) -> None:
    """Refuse estimators whose joint distribution is not known here.

    Raises
    ------
    SpecError
        Says what to use instead.
    """
    del trial
    if estimator not in CONTRIBUTIONS:
        raise SpecError(
            "the correction 'single_step' knows how the estimates of "
            f"{', '.join(CONTRIBUTIONS)} move together, but not those of {estimator!r}; use holm, "
            "which controls the same error rate under any dependence.",
            Place(field="analysis.multiplicity.method"),
        )


def adjust(family: Family) -> Adjusted:
    """Adjusted p-values and simultaneous intervals of one family.

    Families with a test against a margin, or with a row of another estimator (as ``sparse``, that
    ``auto`` takes where it sees untouched units), are Holm's, and keep their intervals.
    """
    present = family.present
    moving = present & (family.rows["std_error"].to_numpy(np.float64) > 0)
    found = None if family.against_margins or not moving.any() else correlation(family, moving)
    if found is None:
        return Adjusted(holm(family.p_values), correction="holm")
    return _filled(family, moving, joint_t(found))


def _filled(family: Family, moving: Mask, joint: JointT) -> Adjusted:
    """The family's p-values and limits; a row without variation has p = 1 and keeps [0, 0]."""
    rows = family.rows
    estimate, std_error, df = (
        rows[column].to_numpy(np.float64) for column in ("estimate", "std_error", "df")
    )
    p_values = family.p_values
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    tests = int(moving.sum())
    for i in np.flatnonzero(moving):
        statistic = abs(estimate[i]) / std_error[i]
        p_values[i] = np.clip(joint.tail(statistic, df[i]), p_values[i], 1.0)
        reach = joint.critical(family.alpha, df[i], tests) * std_error[i]
        low[i], high[i] = estimate[i] - reach, estimate[i] + reach
    return Adjusted(p_values, (low, high))


CORRECTION = Correction(adjust, check, needs_units=True)
