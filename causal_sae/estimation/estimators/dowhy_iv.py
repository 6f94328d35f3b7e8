"""DoWhy's instrumental variable estimator: the estimate of ``wald`` by another road.

DoWhy identifies the effect from a graph in which something unseen may move both the treatment taken
and the outcome, and the assigned arm moves the treatment alone. It offers an interval by bootstrap
only, which takes seconds and moves with its seed; standard error, test and interval are those of
``wald``.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from causal_sae.estimation import instruments
from causal_sae.estimation.estimators.base import Estimator
from causal_sae.estimation.inference import Estimate, student
from causal_sae.estimation.instruments import Arms
from causal_sae.estimation.sample import Sample

GRAPH = (("assigned", "taken"), ("taken", "outcome"), ("unseen", "taken"), ("unseen", "outcome"))
"""From cause to effect; what is unseen is not in the data."""


def fit(sample: Sample, alpha: float) -> Estimate:
    """The effect that DoWhy identifies by the assigned arm."""
    both = instruments.usable(sample)
    if isinstance(both, Estimate):
        return both
    analytic = instruments.wald(both, alpha)
    return student(identified(both), analytic.std_error, analytic.df, alpha, analytic.flags)


def identified(both: Arms) -> float:
    """DoWhy's estimate of the effect of the treatment taken, in the outcome's units.

    Parameters
    ----------
    both:
        Outcomes and treatment taken; numbers without gaps, as DoWhy needs them.
    """
    import networkx as nx  # noqa: PLC0415 - takes half a second
    from dowhy import CausalModel  # noqa: PLC0415 - four seconds

    from causal_sae.estimation.causal_model import quiet  # noqa: PLC0415

    data = pd.DataFrame(
        {
            "assigned": np.repeat([1.0, 0.0], [len(arm) for arm in both.outcome]),
            "taken": np.concatenate(both.taken),
            "outcome": np.concatenate(both.outcome),
        }
    )
    with quiet(), warnings.catch_warnings():
        # That something in the graph is not in the data is what an instrument is for.
        warnings.filterwarnings("ignore", "1 variables are assumed unobserved", UserWarning)
        model = CausalModel(data, "taken", "outcome", graph=nx.DiGraph(GRAPH))
        estimand = model.identify_effect(proceed_when_unidentifiable=True)
        estimate = model.estimate_effect(
            estimand,
            method_name="iv.instrumental_variable",
            method_params={"iv_instrument_name": "assigned"},
        )
    return float(estimate.value)


ESTIMATOR = Estimator(fit, frozenset({"plain"}), covariates="none", instrument=True, students=False)
