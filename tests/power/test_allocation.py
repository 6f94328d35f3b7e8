"""Neyman's shares: those of the formula where the pilot is large, cautious where it is small."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causal_sae.errors import DataError, SpecError
from causal_sae.power.allocation import allocation, floored
from causal_sae.spec import Trial
from causal_sae.spec.loading import load_trial

ARMS = ("control", "ablate", "clamp")


def declare(arms: int = 2, **changes: object) -> Trial:
    whole = {
        "schema": 1,
        "name": "shares",
        "question": "How many units?",
        "arms": [{"name": n, "intervention": {"kind": "none"}} for n in ARMS[:arms]],
        "outcomes": [{"name": "gap", "role": "primary", "metric": "entropy"}],
    }
    return Trial.model_validate(whole | changes)


def pilot(sds: tuple[float, ...], n: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    parts = []
    for arm, sd in zip(ARMS, sds, strict=False):
        y = rng.normal(size=n)
        units = [f"{arm}{i}" for i in range(n)]
        parts.append(
            pd.DataFrame({"unit_id": units, "arm": arm, "outcome": "gap", "value": sd * y})
        )
    return pd.concat(parts, ignore_index=True)


def test_a_large_pilot_gives_neymans_shares():
    found = allocation(declare(), pilot((1.0, 3.0), 20_000))
    assert found.shares[1] / found.shares[0] == pytest.approx(3, rel=0.03)
    # Variances: (1 + 3)^2 against 2 (1 + 9).
    assert found.gain == pytest.approx(16 / 20, abs=0.01)


def test_a_shared_reference_gets_the_root_of_its_contrasts():
    found = allocation(declare(3), pilot((1.0, 1.0, 1.0), 20_000))
    assert found.shares[0] / found.shares[1] == pytest.approx(np.sqrt(2), rel=0.03)


def test_a_small_pilot_is_not_followed_blindly():
    small = [allocation(declare(), pilot((1.0, 1.0), 12, seed)).used for seed in range(40)]
    raw = [allocation(declare(), pilot((1.0, 1.0), 12, seed)).sd for seed in range(40)]
    spread = np.mean([abs(np.log(u[1] / u[0])) for u in small])
    assert spread < 0.5 * np.mean([abs(np.log(s[1] / s[0])) for s in raw])


@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=6), st.sampled_from([0.2, 0.5, 0.9, 1.0])
)
def test_no_share_is_below_the_floor_and_their_mean_is_one(weights, floor):
    shares = floored(np.array(weights), floor)
    assert shares.mean() == pytest.approx(1)
    assert shares.min() >= floor - 1e-9
    order = np.argsort(weights)
    assert (np.diff(shares[order]) >= -1e-9).all()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"assignment": {"method": "crossover"}}, "every arm gets every unit"),
        ({"assignment": {"method": "complete", "rerandomize": {"on": ["x"]}}}, "equal shares"),
        ({"outcomes": [{"name": "gap", "metric": "entropy"}]}, "there is none"),
    ],
)
def test_designs_without_shares_to_choose_are_refused(changes, expected):
    with pytest.raises(SpecError, match=expected):
        allocation(declare(**changes), pilot((1.0, 1.0), 20))


def test_pilots_that_say_nothing_are_refused():
    with pytest.raises(DataError, match="at least 10 units"):
        allocation(declare(), pilot((1.0, 1.0), 9))
    with pytest.raises(DataError, match="does not vary"):
        allocation(declare(), pilot((1.0, 0.0), 20))
    with pytest.raises(DataError, match="above 0 and at most 1"):
        allocation(declare(), pilot((1.0, 1.0), 20), floor=0)


def test_the_command_writes_a_trial_with_plain_numbers(tmp_path):
    from typer.testing import CliRunner

    from causal_sae.cli import app

    text = """\
schema: 1
name: shares      # a comment that stays
question: How many units?
arms:
  - {name: control, intervention: {kind: none}}
  - {name: ablate, intervention: {kind: ablate, features: [1]}}
outcomes:
  - {name: gap, role: primary, metric: entropy}
"""
    (tmp_path / "trial.yaml").write_text(text)
    pilot((1.0, 3.0), 400).to_csv(tmp_path / "pilot.csv", index=False)
    names = [str(tmp_path / name) for name in ("trial.yaml", "pilot.csv", "new.yaml")]
    call = ["allocate", names[0], "--pilot", names[1], "--out", names[2]]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    written = (tmp_path / "new.yaml").read_text()
    assert "# a comment that stays" in written
    shares = [arm.share for arm in load_trial(names[2]).arms]
    assert sum(shares) == pytest.approx(2, abs=0.02)
    assert 2.3 < shares[1] / shares[0] < 3.5
    assert CliRunner().invoke(app, call).exit_code == 2  # never written over
