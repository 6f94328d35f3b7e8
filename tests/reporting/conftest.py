from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from causal_sae.reporting import TrialRecord

# pytest's importlib mode does not put a test's folder on the path; the made-up trials are in it.
sys.path.insert(0, str(Path(__file__).parent))

from made_up_trials import LADDER_SHIFTS, crossover_spec, make_record


@pytest.fixture(scope="session")
def record() -> TrialRecord:
    return make_record()


@pytest.fixture(scope="session")
def crossover() -> TrialRecord:
    return make_record(crossover_spec(), LADDER_SHIFTS)


@pytest.fixture(scope="session")
def make() -> Callable[..., TrialRecord]:
    return make_record
