"""Randomised controlled trials of what a sparse-autoencoder feature does to a language model.

>>> import causal_sae as cs
>>> trial = cs.load_trial("trials/scripture/trial.yaml")  # doctest: +SKIP
>>> run = cs.run_trial(trial)  # doctest: +SKIP
>>> run.effects  # doctest: +SKIP

Importing this package loads next to nothing: each name brings what it needs when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causal_sae.diagnosis.diagnose import diagnose
    from causal_sae.errors import CausalSAEError, GateError, InputError
    from causal_sae.feature_tables import open_store
    from causal_sae.pipeline import estimate_observations, run_trial
    from causal_sae.power.forecast import plan_power
    from causal_sae.run import Run, load_run
    from causal_sae.spec.loading import load_trial
    from causal_sae.spec.trial import Trial

_HOMES = {
    "CausalSAEError": "errors",
    "GateError": "errors",
    "InputError": "errors",
    "Run": "run",
    "Trial": "spec.trial",
    "diagnose": "diagnosis.diagnose",
    "estimate_observations": "pipeline",
    "load_run": "run",
    "load_trial": "spec.loading",
    "open_store": "feature_tables",
    "plan_power": "power.forecast",
    "run_trial": "pipeline",
}

__all__ = [
    "CausalSAEError",
    "GateError",
    "InputError",
    "Run",
    "Trial",
    "diagnose",
    "estimate_observations",
    "load_run",
    "load_trial",
    "open_store",
    "plan_power",
    "run_trial",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
