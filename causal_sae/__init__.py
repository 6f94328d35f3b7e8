"""Randomised controlled trials of what a sparse-autoencoder feature does to a language model.

>>> import causal_sae as cs
>>> trial = cs.load_trial("trials/whale/trial.yaml")  # doctest: +SKIP
>>> run = cs.run_trial(trial)  # doctest: +SKIP
>>> run.effects  # doctest: +SKIP

Importing this package loads neither torch nor pandas: each function brings what it needs.
"""

from causal_sae.errors import CausalSAEError, GateError, InputError
from causal_sae.pipeline import estimate_observations, run_trial
from causal_sae.run import Run, load_run
from causal_sae.spec.loading import load_trial
from causal_sae.spec.trial import Trial

__all__ = [
    "CausalSAEError",
    "GateError",
    "InputError",
    "Run",
    "Trial",
    "estimate_observations",
    "load_run",
    "load_trial",
    "run_trial",
]
