"""Samples nested in units: variances equal to lme4's, and what more samples gain comes true."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from causal_sae.estimation import companions, estimate
from causal_sae.estimation.writing_noise import nested, writing_noise

CROSSOVER = {"assignment": {"method": "crossover"}}


def test_variances_are_those_of_a_random_intercept(golden):
    found, expected = nested(golden("data_dyestuff")), golden("writing_noise").iloc[0]
    assert found.units == 6
    assert found.samples == 5
    # lme4 stops its search within 1e-6 of the optimum; moments are its closed form here.
    assert found.prompts == pytest.approx(expected["prompts"], rel=1e-5)
    assert found.writing == pytest.approx(expected["writing"], rel=1e-5)
    assert np.sqrt(found.total / 6) == pytest.approx(expected["std_error"], rel=1e-6)


def written(units, samples, seed=3, between=1.0, within=2.0, shared=0.0):
    """Both arms of each unit; ``shared`` is noise of a sample that the arms have in common."""
    draw = np.random.default_rng(seed)
    effect = draw.normal(0.5, between, units)[:, None]
    common = draw.normal(0, 1, (units, 1)) + draw.normal(0, shared, (units, samples))
    values = {
        "control": common + draw.normal(0, within / np.sqrt(2), (units, samples)),
        "treated": common + effect + draw.normal(0, within / np.sqrt(2), (units, samples)),
    }
    place = pd.MultiIndex.from_product([range(units), range(samples)], names=["unit", "sample"])
    tables = [
        pd.DataFrame({"arm": arm, "value": array.ravel()}, index=place).reset_index()
        for arm, array in values.items()
    ]
    table = pd.concat(tables, ignore_index=True).assign(outcome="gap")
    return table.assign(unit_id=table["unit"].map("u{:04d}".format)).drop(columns="unit")


def test_variances_of_a_crossover_are_those_of_differences(make_trial):
    """Noise that the arms share drops out; the standard error is the analysis' own."""
    trial, table = make_trial(**CROSSOVER), written(4000, 3, shared=5.0)
    row = companions(trial, table, estimate(trial, table))["writing_noise"].iloc[0]
    assert (row["units"], row["samples"]) == (4000, pytest.approx(3))
    # Within about four standard errors of variances from 4,000 units.
    assert row["variance_prompts"] == pytest.approx(1.0, abs=0.25)
    assert row["variance_writing"] == pytest.approx(4.0, abs=0.25)
    own = estimate(trial, table).iloc[0]["std_error"]
    both = row["variance_prompts"] + row["variance_writing"] / 3
    assert own == pytest.approx(np.sqrt(both / 4000), rel=1e-6)


def test_what_more_samples_gain_comes_true(make_trial):
    trial = make_trial(**CROSSOVER)
    few, many = (written(4000, samples, seed=9) for samples in (2, 4))
    row = writing_noise(trial, few, pd.DataFrame()).iloc[0]
    assert row["share_writing"] == pytest.approx(2 / 3, abs=0.05)
    errors = [estimate(trial, table).iloc[0]["std_error"] for table in (few, many)]
    assert errors[1] / errors[0] == pytest.approx(row["se_double"], abs=0.03)
    assert row["se_endless"] == pytest.approx(np.sqrt(1 / 3), abs=0.05)


def test_parallel_arms_have_two_layouts(make_trial):
    table = written(3000, 2)
    table = table[(table["unit_id"].str[-1].astype(int) < 5) == (table["arm"] == "treated")]
    row = writing_noise(make_trial(), table, pd.DataFrame()).iloc[0]
    assert row["units"] == 3000
    # Control units vary by 1, treated ones by 1 + 1; samples by 2 in each arm.
    assert row["variance_prompts"] == pytest.approx(1.5, abs=0.2)
    assert row["variance_writing"] == pytest.approx(2.0, abs=0.15)
    assert row["share_writing"] == pytest.approx(1 / 2.5, abs=0.05)


def test_units_that_lost_samples_keep_the_rest(make_trial):
    trial, table = make_trial(**CROSSOVER), written(2000, 3)
    lost = table["sample"].eq(2) & (table["unit_id"].str[-1].astype(int) < 3)
    table.loc[lost, "value"] = np.nan
    row = writing_noise(trial, table, pd.DataFrame()).iloc[0]
    assert 2 < row["samples"] < 3
    assert row["variance_writing"] == pytest.approx(4.0, abs=0.3)
    assert row["variance_prompts"] == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("units", [1, 40])
def test_nothing_is_said_of_single_samples(make_trial, units):
    table = written(units, 1)
    assert writing_noise(make_trial(**CROSSOVER), table, pd.DataFrame()).empty
    bare = table.drop(columns="sample")
    assert writing_noise(make_trial(**CROSSOVER), bare, pd.DataFrame()).empty


def test_texts_that_never_vary_have_no_noise(make_trial):
    table = written(20, 3, within=0.0)
    row = writing_noise(make_trial(**CROSSOVER), table, pd.DataFrame()).iloc[0]
    assert (row["variance_writing"], row["share_writing"], row["se_endless"]) == (0.0, 0.0, 1.0)
