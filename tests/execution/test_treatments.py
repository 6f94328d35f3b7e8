"""Doses, placebos, directions and resampled values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from causal_sae.errors import DataError, SAEError
from causal_sae.execution.treatments import Treatment, deal_draws, focal_features, treatments
from causal_sae.tables import FEATURES

WIDTH, D_SAE = 32, 24


@pytest.fixture
def sae(tiny_sae):
    return tiny_sae("blocks.1.hook_resid_post")


@pytest.fixture
def statistics(sae):
    j = np.arange(D_SAE)
    return FEATURES.conform(
        pd.DataFrame(
            {
                "feature": j,
                "density": 0.01 + 0.002 * j,
                "mean_activation": 1.0 + 0.1 * j,
                "max_activation": 4.0 + j,
                "q50": 0.9 + 0.1 * j,
                "q90": 2.0 + 0.1 * j,
                "q99": 3.0 + 0.1 * j,
                "decoder_norm": sae.decoder_norm.numpy(),
                "dead": j == 20,
                "dense": False,
            }
        )
    )


def arm(kind, features=(3,), name="treated", **more):
    chosen = {} if kind == "random_direction" else {"features": features}
    return {"name": name, "intervention": {"kind": kind, **chosen, **more}}


@pytest.fixture
def made(declare):
    def make(sae, statistics, *arms, pool=None):
        control = {"name": "control", "intervention": {"kind": "none"}}
        return treatments(declare(arms=[control, *arms]), sae, statistics, pool)

    return make


@pytest.mark.parametrize(
    ("dose", "expected"),
    [
        (2.5, 2.5),
        ({"multiple": 2, "of": "mean"}, 2.6),
        ({"multiple": 2, "of": "q50"}, 2.4),
        ({"multiple": 2, "of": "q90"}, 4.6),
        ({"multiple": 2, "of": "q99"}, 6.6),
        ({"multiple": -0.5, "of": "max"}, -3.5),
    ],
)
def test_a_dose_is_in_the_features_own_units(made, sae, statistics, dose, expected):
    (clamp,) = made(sae, statistics, arm("clamp", dose=dose))["treated"]
    assert (clamp.gain, clamp.bias) == ((0.0,), (pytest.approx(expected),))
    (add,) = made(sae, statistics, arm("add", dose=dose))["treated"]
    assert (add.gain, add.bias) == ((1.0,), (pytest.approx(expected),))


def test_each_of_several_features_has_its_own_dose(made, sae, statistics):
    dose = {"multiple": 1, "of": "max"}
    (clamp,) = made(sae, statistics, arm("clamp", (2, 9), dose=dose))["treated"]
    assert clamp.bias == (6.0, 13.0)


def test_ablation_to_zero_and_to_the_mean_over_text(made, sae, statistics):
    (zero,) = made(sae, statistics, arm("ablate"))["treated"]
    (mean,) = made(sae, statistics, arm("ablate", to="mean"))["treated"]
    assert (zero.gain, zero.bias) == ((0.0,), (0.0,))
    assert mean.bias == (pytest.approx(0.016 * 1.3),)


def test_a_dose_of_a_feature_that_never_fires_is_refused_at_its_line(made, sae, statistics):
    statistics.loc[3, "q99"] = np.nan
    with pytest.raises(DataError, match=r"multiple of the q99 of feature 3.*never fires") as caught:
        made(sae, statistics, arm("clamp", dose={"multiple": 1, "of": "q99"}))
    assert caught.value.place.field == "arms[1].intervention.dose"


def test_a_feature_out_of_range_is_refused_at_its_arm(made, sae, statistics):
    with pytest.raises(SAEError, match=r"between 0 and 23.*got 24") as caught:
        made(sae, statistics, arm("ablate", (24,)))
    assert caught.value.place.field == "arms[1].intervention.features"


def test_placebos_are_sets_of_other_living_features(made, sae, statistics):
    wanted = {"placebo_for": [3, 7], "draws": 4}
    placebo = arm("ablate", wanted, "placebo")
    sets = made(sae, statistics, arm("ablate", (3, 7)), arm("ablate", (11,), "third"), placebo)
    drawn = [t.features for t in sets["placebo"]]
    assert [t.draw for t in sets["placebo"]] == [0, 1, 2, 3]
    flat = [f for features in drawn for f in features]
    assert all(len(features) == 2 for features in drawn)
    assert len(set(flat)) == 8
    assert not {3, 7, 11, 20} & set(flat)  # treated, treated elsewhere, dead


def test_too_few_placebos_are_refused_at_their_arm(made, sae, statistics):
    placebo = arm("ablate", {"placebo_for": [3], "draws": 99}, "placebo")
    with pytest.raises(DataError, match="ask for fewer draws") as caught:
        made(sae, statistics, arm("ablate"), placebo)
    assert caught.value.place.field == "arms[2].intervention.features"


def test_random_directions_differ_and_are_the_seeds(made, sae, statistics):
    arms = arm("ablate"), arm("random_direction", name="r", norm_of="treated", draws=3)
    one, two = (made(sae, statistics, *arms)["r"] for _ in range(2))
    assert all(torch.equal(a.direction, b.direction) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0].direction, one[1].direction)
    assert one[0].direction.shape == (WIDTH,)
    assert one[0].push_like.arm == "treated"


POOL = {j: np.random.default_rng(j).exponential(size=500).astype(np.float32) for j in (3, 7)}


def test_resampled_values_follow_from_seed_arm_and_unit_alone(made, sae, statistics):
    (treatment,) = made(sae, statistics, arm("ablate", (3, 7), to="resample"), pool=POOL)["treated"]
    first = treatment.edit(5, "u1", 6).bias
    assert torch.equal(first, treatment.edit(5, "u1", 6).bias)
    assert not torch.equal(first, treatment.edit(5, "u2", 6).bias)
    assert not torch.equal(first, treatment.edit(6, "u1", 6).bias)
    longer = treatment.edit(5, "u1", 9).bias
    assert torch.equal(longer[:6], first)  # a continuation does not change what its prompt gets
    for place, feature in enumerate((3, 7)):
        assert set(first[:, place].tolist()) <= set(POOL[feature].tolist())


def test_draws_are_dealt_evenly_and_by_unit(declare):
    choices = {"p": [Treatment("p", n, features=(n,)) for n in range(4)]}
    units = pd.DataFrame({"unit_id": [f"u{n}" for n in range(42)], "arm": "p"})
    trial = declare()
    dealt = deal_draws(trial, units, choices)
    shuffled = deal_draws(trial, units.sample(frac=1, random_state=1), choices)
    assert dealt == shuffled
    counts = pd.Series([t.draw for t in dealt.values()]).value_counts()
    assert counts.max() - counts.min() <= 1
    assert [dealt[f"u{n}", "p"].draw for n in range(8)] != [n % 4 for n in range(8)]


def test_focal_features_are_those_listed_by_number(declare):
    assert focal_features(declare()) == (3, 5, 7, 9)


def test_what_changes_nothing_and_what_moves_inactive_features():
    assert Treatment("control").changes_nothing
    ablate = Treatment("a", features=(1,), gain=(0.0,), bias=(0.0,))
    assert not ablate.moves_inactive
    assert Treatment("c", features=(1,), gain=(0.0,), bias=(2.0,)).moves_inactive
    assert not Treatment("r", push_like=ablate).moves_inactive
    assert Treatment("s", splice=True).moves_inactive
