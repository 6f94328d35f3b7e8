from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation.sample import Sample
from causal_sae.spec import Trial

GOLDENS = Path(__file__).parents[1] / "goldens" / "estimation"


def _trial(**changes: Any) -> Trial:
    """Two arms, one outcome; the sections given replace the ones here."""
    declared: dict[str, Any] = {
        "schema": 1,
        "name": "test",
        "question": "Does it?",
        "arms": [
            {"name": "control", "intervention": {"kind": "none"}},
            {"name": "treated", "intervention": {"kind": "ablate", "features": [3]}},
        ],
        "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
    }
    return Trial.model_validate({**declared, **changes})


def _sample(frame: pd.DataFrame, covariates: tuple[str, ...] = ()) -> Sample:
    """A sample of a frame with columns y, z and maybe unit, block, cluster and covariates."""

    def codes(name: str) -> Any:
        return np.unique(frame[name], return_inverse=True)[1] if name in frame else None

    unit = frame["unit"] if "unit" in frame else frame.index.to_series()
    return Sample(
        unit=unit.to_numpy().astype(str),
        outcome=frame["y"].to_numpy(np.float64),
        treated=frame["z"].to_numpy() == 1,
        covariates=frame[list(covariates)].to_numpy(np.float64),
        covariate_names=covariates,
        block=codes("block"),
        cluster=codes("cluster"),
    )


def _observations(y: Any, arm: Any, **columns: Any) -> pd.DataFrame:
    """A foreign table of one outcome, a unit per row unless told otherwise."""
    units = columns.pop("unit_id", [f"u{i:05d}" for i in range(len(y))])
    table = {"unit_id": units, "arm": arm, "outcome": "gap", "value": y}
    return pd.DataFrame({**table, **columns})


@pytest.fixture(scope="session")
def make_trial() -> Callable[..., Trial]:
    return _trial


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    return _sample


@pytest.fixture(scope="session")
def make_observations() -> Callable[..., pd.DataFrame]:
    return _observations


@pytest.fixture(scope="session")
def golden() -> Callable[[str], pd.DataFrame]:
    return lambda name: pd.read_csv(GOLDENS / f"{name}.csv", keep_default_na=False)
