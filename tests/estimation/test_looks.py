"""Tables with looks: what each look decides, and what the table of effects says after it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.estimation import companions, estimate, stops
from causal_sae.spec import Trial

QUARTERS = {"at": [0.25, 0.5, 0.75, 1]}


def declare(looks: dict, **changes: object) -> Trial:
    whole = {
        "schema": 1,
        "name": "looks",
        "question": "Does it stop?",
        "arms": [
            {"name": "control", "intervention": {"kind": "none"}},
            {"name": "ablate", "intervention": {"kind": "ablate", "features": [1]}},
        ],
        "outcomes": [
            {"name": "gap", "role": "primary", "metric": "entropy"},
            {"name": "other", "metric": "kl"},
        ],
        "analysis": {"looks": looks},
    }
    return Trial.model_validate(whole | changes)


def observed(effect: float, per_look: int = 20, looks: int = 4, seed: int = 1) -> pd.DataFrame:
    """Independent normal outcomes, in each arm as many at each look."""
    rng = np.random.default_rng(seed)
    rows = []
    for look in range(1, looks + 1):
        for i in range(per_look):
            for arm, mean in (("control", 0.0), ("ablate", effect)):
                unit = f"{arm} {look} {i}"
                for outcome in ("gap", "other"):
                    rows.append((unit, arm, outcome, rng.normal(mean), look))
    return pd.DataFrame(rows, columns=["unit_id", "arm", "outcome", "value", "look"])


def looks_of(trial: Trial, table: pd.DataFrame) -> pd.DataFrame:
    return companions(trial, table, estimate(trial, table))["looks"]


def test_the_effect_is_that_of_the_look_that_decided():
    trial, table = declare(QUARTERS), observed(0.6)
    looks = looks_of(trial, table)
    stop = int(looks.loc[looks["decision"] == "reject", "look"].iloc[0])
    assert 1 < stop < 4
    upto = estimate(trial, table[table["look"] <= stop]).iloc[0]
    whole = estimate(trial, table).iloc[0]
    columns = ["estimate", "p_value", "conf_low", "conf_high", "n_treatment"]
    assert whole[columns].tolist() == upto[columns].tolist()
    assert "units_after_stop" in whole["flags"]
    assert "units_after_stop" not in upto["flags"]
    assert whole["n_treatment"] == 20 * stop
    naive = looks.loc[looks["look"] == stop, "estimate"].iloc[0]
    assert 0 < whole["estimate"] < naive
    # The standardised effect goes with the estimate.
    assert whole["effect_size_low"] < whole["effect_size"] < whole["effect_size_high"]
    plain = estimate(declare(QUARTERS, analysis={}), table[table["look"] <= stop]).iloc[0]
    assert whole["effect_size"] / plain["effect_size"] == pytest.approx(
        whole["estimate"] / plain["estimate"]
    )


def test_the_rows_order_does_not_matter_and_stops_agrees_with_the_table():
    trial, table = declare(QUARTERS), observed(0.6)
    shuffled = table.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(estimate(trial, table), estimate(trial, shuffled))
    decided = looks_of(trial, table)["decision"].tolist().index("reject") + 1
    for look in range(1, decided + 1):
        assert stops(trial, table[table["look"] <= look]) == (look == decided)


def test_a_table_that_ends_before_a_rule_stopped_it_is_refused():
    table = observed(0.0)
    with pytest.raises(DataError, match="end at look 2 of 4, where no rule stops gap"):
        estimate(declare(QUARTERS), table[table["look"] <= 2])


def test_a_table_without_looks_is_refused_but_for_a_confidence_sequence():
    table = observed(0.3).drop(columns="look")
    with pytest.raises(DataError, match="must say in the column 'look'"):
        estimate(declare(QUARTERS), table)
    row = estimate(declare({"spending": "always_valid", "every": 40}), table).iloc[0]
    assert "confidence_sequence" in row["flags"]
    assert row["estimator"] == "hall"  # Student's statistic would be out of its reach when skewed
    plain = estimate(declare({}, analysis={}), table).iloc[0]
    assert row["conf_high"] - row["conf_low"] > plain["conf_high"] - plain["conf_low"]
    assert row["p_value"] > plain["p_value"]


@pytest.mark.parametrize("wrong", [0, 5, 1.5])
def test_a_wrong_look_is_told_with_its_unit(wrong):
    table = observed(0.3)
    table["look"] = table["look"].astype(float)
    table.loc[table["unit_id"] == "ablate 1 0", "look"] = wrong
    with pytest.raises(DataError, match="'look' must be a whole number from 1 up to 4"):
        estimate(declare(QUARTERS), table)


def test_a_unit_of_two_looks_is_refused():
    table = observed(0.3)
    table.loc[table.index[0], "look"] = 2
    with pytest.raises(DataError, match="has several"):
        estimate(declare(QUARTERS), table)


def test_a_look_that_was_skipped_spends_nothing():
    trial = declare({"at": [0.25, 0.5, 0.75, 1], "spending": "pocock"})
    table = observed(0.1)
    merged = table.assign(look=table["look"].replace({2: 3}))
    found = looks_of(trial, merged).set_index("look")
    assert found.index.tolist() == [1, 3, 4]
    all_made = looks_of(trial, table).set_index("look")
    # What look 2 would have spent is there for look 3, and all of alpha at the end.
    assert found.loc[3, "upper"] < all_made.loc[3, "upper"]
    assert found["alpha_spent"].iloc[-1] == pytest.approx(0.05)


def test_missing_outcomes_slow_the_clock():
    trial, table = declare({"at": [0.5, 1]}), observed(0.1, looks=2)
    lost = table["unit_id"].str.contains("1 [0-9]$") & table["outcome"].eq("gap")
    table.loc[lost, "value"] = np.nan
    found = looks_of(trial, table)
    assert found["information"].tolist() == pytest.approx([0.25, 0.75])
    assert found["alpha_spent"].iloc[-1] == pytest.approx(0.05)


def test_two_primary_tests_go_on_until_both_are_decided():
    trial = declare(
        QUARTERS | {"spending": "pocock"},
        outcomes=[
            {"name": "gap", "role": "primary", "metric": "entropy"},
            {"name": "other", "role": "primary", "metric": "kl"},
        ],
        analysis={
            "looks": QUARTERS | {"spending": "pocock"},
            "multiplicity": {"method": "bonferroni"},
        },
    )
    table = observed(0.0)
    strong = table["outcome"].eq("gap") & table["arm"].eq("ablate")
    table.loc[strong, "value"] += 2
    assert not stops(trial, table[table["look"] <= 1])
    gap, other = (row for _, row in estimate(trial, table).iterrows())
    assert (gap["n_treatment"], other["n_treatment"]) == (20, 80)
    assert bool(gap["reject"])
    assert not bool(other["reject"])
    assert gap["p_adjusted"] == pytest.approx(2 * gap["p_value"])


def test_identical_arms_never_stop_and_are_exactly_zero():
    trial, table = declare(QUARTERS), observed(0.0)
    table["value"] = 1.0
    row = estimate(trial, table).iloc[0]
    assert (row["estimate"], row["p_value"]) == (0.0, 1.0)
    assert looks_of(trial, table)["decision"].tolist() == ["continue"] * 3 + ["not rejected"]


def test_a_trial_of_pairs_is_looked_at_in_pairs():
    trial = declare(QUARTERS, assignment={"method": "crossover"})
    table = observed(0.8)
    table["unit_id"] = table["unit_id"].str.replace("control ", "").str.replace("ablate ", "")
    row = estimate(trial, table).iloc[0]
    assert row["estimator"] == "paired"
    assert "stage_wise" in row["flags"]
