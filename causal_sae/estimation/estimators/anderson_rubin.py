"""The effect among units that the edit reaches, by a test that weak instruments do not spoil.

Anderson and Rubin (1949): an effect is kept when outcomes freed of it do not differ between the
arms (HC2, Student's t with n - 2 degrees of freedom). The estimate is that of ``wald``; the test of
no effect is that of the difference in means. The effects that are kept need not form an interval:
where the first stage is not significant itself they are all numbers, or all outside a range. There
are then no limits, and the flag ``unbounded_interval`` says so.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from causal_sae.estimation import instruments
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample


def fit(sample: Sample, alpha: float) -> Estimate:
    """The ratio, with test and interval by Anderson and Rubin."""
    both = instruments.usable(sample)
    return both if isinstance(both, Estimate) else instruments.anderson_rubin(both, alpha)


def beyond(sample: Sample, effect: float, side: int) -> float:
    """The one-sided p-value of the hypothesis that the effect is this large or further out.

    Parameters
    ----------
    sample:
        The units analysed.
    effect:
        The hypothesis' effect.
    side:
        -1 when small estimates speak against the hypothesis, +1 when large ones do.
    """
    both = instruments.usable(sample)
    if isinstance(both, Estimate):
        return np.nan
    return float(stats.t.sf(side * both.statistic(effect), both.df))


ESTIMATOR = Estimator(
    fit, frozenset({"plain"}), covariates="none", beyond=beyond, instrument=True, students=False
)
