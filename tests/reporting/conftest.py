from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from causal_sae.reporting import TrialRecord
from causal_sae.reporting.figures import draw

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
def figures(record: TrialRecord) -> dict[str, Figure]:
    return draw(record)


@pytest.fixture(scope="session")
def ladder_figures(crossover: TrialRecord) -> dict[str, Figure]:
    return draw(crossover)


@pytest.fixture(scope="session")
def make() -> Callable[..., TrialRecord]:
    return make_record
