"""DoWhy's causal model of one contrast. Importing this module costs four seconds: import it late.

Three of DoWhy's habits are worked around here. A covariate that only points at the outcome would
become an effect modifier and lose its main effect, so adjustment covariates are declared common
causes and effect modifiers are an empty list. Its regression has a classical covariance, so a
subclass fits HC2 with t. And its subset refuter, given a number as its seed, draws the same subset
every time, so every refuter is handed a generator.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import statsmodels.api as sm
from dowhy import CausalModel
from dowhy.causal_estimators.linear_regression_estimator import LinearRegressionEstimator
from dowhy.causal_refuters import (
    refute_data_subset,
    refute_placebo_treatment,
    refute_random_common_cause,
)
from dowhy.causal_refuters.placebo_treatment_refuter import PlaceboType

from causal_sae.estimation.sample import Matrix, Vector

TREATMENT, OUTCOME = "treatment", "outcome"
SIMULATIONS = 100
"""How often a refuter re-estimates."""


class RobustRegression(LinearRegressionEstimator):  # type: ignore[misc]
    """DoWhy's linear regression with an HC2 covariance and Student's t."""

    def _build_model(self, data: pd.DataFrame) -> tuple[Any, Any]:
        features = self._build_features(data)
        outcome = data[self._target_estimand.outcome_variable[0]]
        model = sm.OLS(outcome, features).fit(cov_type="HC2", use_t=True)
        # DoWhy formats the summary for a debug message at every fit: most of a refuter's time.
        model.summary = str
        return features, model


@dataclass(frozen=True)
class Fitted:
    """An identified and estimated effect, ready to be refuted."""

    data: pd.DataFrame
    estimand: Any
    estimate: Any

    @property
    def value(self) -> float:
        """The effect of the treatment."""
        return float(self.estimate.value)

    @property
    def regression(self) -> Any:
        """The statsmodels result behind it; the treatment is its second coefficient."""
        return self.estimate.estimator.model


@contextmanager
def quiet() -> Iterator[None]:
    """Silence DoWhy's logging, and the one deprecation warning that each of its fits emits."""
    logger = logging.getLogger("dowhy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    deprecated = getattr(pd.errors, "Pandas4Warning", None)
    try:
        with warnings.catch_warnings():
            if deprecated is not None:
                warnings.simplefilter("ignore", category=deprecated)
            yield
    finally:
        logger.setLevel(level)


def fit(outcome: Vector, treatment: Vector, covariates: Matrix) -> Fitted:
    """Identify and estimate the effect of a treatment by the backdoor criterion.

    Parameters
    ----------
    outcome, treatment:
        [n] the outcome, and 0 for the reference and 1 for the treatment.
    covariates:
        [n, k] what the regression adjusts for; k may be 0.
    """
    names = [f"x{i}" for i in range(covariates.shape[1])]
    data = pd.DataFrame({TREATMENT: treatment, OUTCOME: outcome})
    data[names] = covariates
    edges = [(TREATMENT, OUTCOME), *((x, node) for x in names for node in (TREATMENT, OUTCOME))]
    with quiet():
        model = CausalModel(data, TREATMENT, OUTCOME, graph=nx.DiGraph(edges))
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        estimand.set_identifier_method("backdoor")
        estimator = RobustRegression(estimand)
        estimator.fit(data, effect_modifier_names=[])
        estimate = estimator.estimate_effect(
            data, treatment_value=1, control_value=0, target_units="ate"
        )
    return Fitted(data, estimand, estimate)


def identified(edges: Sequence[tuple[str, str]], treatment: str, outcome: str) -> str:
    """DoWhy's expression for the effect in a graph, by the backdoor criterion.

    Parameters
    ----------
    edges:
        From cause to effect.
    treatment, outcome:
        Two of the graph's nodes.
    """
    graph = nx.DiGraph(list(edges))
    data = pd.DataFrame(np.zeros((2, len(graph))), columns=list(graph))
    with quiet():
        model = CausalModel(data, treatment, outcome, graph=graph)
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        estimand.set_identifier_method("backdoor")
        return str(estimand.__str__(only_target_estimand=True)).strip()


def refute(fitted: Fitted, refuter: str, seed: int) -> tuple[float, float]:
    """Re-estimate under one of DoWhy's refuters.

    Parameters
    ----------
    fitted:
        What :func:`fit` returned.
    refuter:
        ``placebo_treatment``, ``random_common_cause`` or ``data_subset``.
    seed:
        Makes the simulations reproducible.

    Returns
    -------
    The mean of the re-estimates, and DoWhy's p-value: of zero among the placebo effects, or of
    the estimate among the other refuters' re-estimates.
    """
    common: dict[str, Any] = {
        "data": fitted.data,
        "target_estimand": fitted.estimand,
        "estimate": fitted.estimate,
        "num_simulations": SIMULATIONS,
        "random_state": np.random.RandomState(seed),
    }
    with quiet():
        if refuter == "placebo_treatment":
            result = refute_placebo_treatment(
                **common, treatment_names=[TREATMENT], placebo_type=PlaceboType.PERMUTE
            )
        elif refuter == "random_common_cause":
            result = refute_random_common_cause(**common)
        else:
            result = refute_data_subset(**common)
    p_value = float(np.ravel(result.refutation_result["p_value"])[0])
    return float(result.new_effect), p_value
