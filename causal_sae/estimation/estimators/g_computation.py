"""What logistic and Poisson regression share: a difference of means by g-computation."""

from __future__ import annotations

from collections.abc import Callable

from causal_sae.estimation.estimators import welch
from causal_sae.estimation.inference import Estimate, student, unknown
from causal_sae.estimation.sample import Matrix, Sample, Vector
from causal_sae.estimation.standardisation import Family, columns, standardised


def difference(
    sample: Sample,
    alpha: float,
    family: Family,
    infinite: Callable[[Vector, Matrix], bool],
    flag: str,
) -> Estimate:
    """The difference of the two means, or of the raw ones where the model has no finite fit.

    Parameters
    ----------
    sample:
        The units analysed.
    alpha:
        The interval has level ``1 - alpha``.
    family:
        The model.
    infinite:
        Whether outcome and columns leave the coefficients infinite.
    flag:
        What is then said.
    """
    if min(map(len, sample.arms)) < 2:
        return unknown("too_few_units")
    x, flags = columns(sample)
    if len(sample) <= x.shape[1]:
        return unknown("singular", *flags)
    if infinite(sample.outcome, x):
        return welch.fit(sample, alpha).flagged(*flags, flag)
    means = standardised(sample.outcome, x, family)
    estimate, std_error = means.treatment - means.reference, means.std_error((1.0, -1.0))
    return student(estimate, std_error, means.df, alpha, flags)
