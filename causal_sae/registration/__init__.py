"""A trial's plan, frozen before it runs, and what a run changed of it."""

from causal_sae.registration.deviations import deviations
from causal_sae.registration.lock import Amendment, Lock, lock_path, plan_of, read_lock, write_lock

__all__ = [
    "Amendment",
    "Lock",
    "deviations",
    "lock_path",
    "plan_of",
    "read_lock",
    "write_lock",
]
