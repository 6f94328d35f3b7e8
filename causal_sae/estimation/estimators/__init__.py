"""The estimators: one file each, a sample in, an estimate out; this dict is the list of them."""

from __future__ import annotations

from causal_sae.estimation.estimators import (
    ancova,
    anderson_rubin,
    block,
    cace,
    cluster,
    crossover,
    difference_in_means,
    dowhy,
    dowhy_iv,
    enriched,
    fixed_effects,
    hall,
    lin,
    logistic,
    mann_whitney,
    mcnemar,
    mixed,
    paired,
    placebo_draws,
    poisson,
    randomization,
    sparse,
    wald,
    welch,
    wilcoxon,
)
from causal_sae.estimation.estimators.base import Estimator

ESTIMATORS: dict[str, Estimator] = {
    "hall": hall.ESTIMATOR,
    "welch": welch.ESTIMATOR,
    "difference_in_means": difference_in_means.ESTIMATOR,
    "ancova": ancova.ESTIMATOR,
    "lin": lin.ESTIMATOR,
    "block": block.ESTIMATOR,
    "fixed_effects": fixed_effects.ESTIMATOR,
    "cluster": cluster.ESTIMATOR,
    "paired": paired.ESTIMATOR,
    "crossover": crossover.ESTIMATOR,
    "mixed": mixed.ESTIMATOR,
    "wilcoxon": wilcoxon.ESTIMATOR,
    "mcnemar": mcnemar.ESTIMATOR,
    "placebo_draws": placebo_draws.ESTIMATOR,
    "sparse": sparse.ESTIMATOR,
    "cace": cace.ESTIMATOR,
    "wald": wald.ESTIMATOR,
    "anderson_rubin": anderson_rubin.ESTIMATOR,
    "enriched": enriched.ESTIMATOR,
    "logistic": logistic.ESTIMATOR,
    "poisson": poisson.ESTIMATOR,
    "mann_whitney": mann_whitney.ESTIMATOR,
    "randomization": randomization.ESTIMATOR,
    "dowhy": dowhy.ESTIMATOR,
    "dowhy_iv": dowhy_iv.ESTIMATOR,
}

__all__ = ["ESTIMATORS", "Estimator"]
