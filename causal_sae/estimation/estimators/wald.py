"""The effect among units that the edit reaches: the arm as instrument, two-stage least squares.

The difference between the arms' outcomes over the share of the treatment arm that the edit reached
(``received``; for ablations ``exposed`` serves as well). The interval is the delta method's:
``estimatr::iv_robust(y ~ d | z, se_type = "HC2")``, Student's t with n - 2 degrees of freedom. It
is unreliable where the instrument is weak (first-stage F below 10, flag ``weak_instrument``);
``anderson_rubin`` is not. Where exposure is recorded ``cace`` is far more precise, because it
leaves out the units that cannot respond.
"""

from __future__ import annotations

from causal_sae.estimation import instruments
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate
from causal_sae.estimation.sample import Sample


def fit(sample: Sample, alpha: float) -> Estimate:
    """The ratio of the effects of assignment on outcome and on treatment taken."""
    both = instruments.usable(sample)
    return both if isinstance(both, Estimate) else instruments.wald(both, alpha)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="none", instrument=True, students=False)
