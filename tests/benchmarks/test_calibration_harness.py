"""The harness that measures calibration sees what it should see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibration import figure, page
from benchmarks.calibration.cells import QUANTITIES, WORLDS, Cell, cells, fallback, fits
from benchmarks.calibration.families import FamilyCell, measure_family
from benchmarks.calibration.margins import MarginCell, measure_margin
from benchmarks.calibration.measure import measure
from benchmarks.calibration.product import compare
from benchmarks.calibration.results import append, fingerprint, load, rewrite
from benchmarks.calibration.sizes import SizeCell, measure_size
from benchmarks.calibration.verdicts import tolerance, verdict
from causal_sae.estimation.estimators import ESTIMATORS, welch
from causal_sae.estimation.inference import Estimate, student
from causal_sae.estimation.sample import Sample
from causal_sae.randomness import generator

BY_KEY = {world.key: world for world in WORLDS}
NORMAL = BY_KEY["plain: normal, 50 per arm"]


def cell(name: str, world: str, **changes: object) -> Cell:
    return Cell(name, BY_KEY[world], replace(ESTIMATORS[name], **changes), "mean")


def bolder(sample: Sample, alpha: float) -> Estimate:
    """Welch's test with half its standard error."""
    found = welch.fit(sample, alpha)
    return student(found.estimate, found.std_error / 2, found.df, alpha)


def shyer(sample: Sample, alpha: float) -> Estimate:
    found = welch.fit(sample, alpha)
    return student(found.estimate, found.std_error * 2, found.df, alpha)


def biased(sample: Sample, alpha: float) -> Estimate:
    found = welch.fit(sample, alpha)
    return student(found.estimate + 0.5, found.std_error, found.df, alpha)


def test_the_band_is_that_of_the_binomial_distribution():
    assert tolerance(0.05, 2000) == pytest.approx(0.01603, abs=1e-5)
    assert verdict(0.066, 0.05, 2000) == "holds"
    assert verdict(0.067, 0.05, 2000) == "does not hold"
    assert verdict(0.033, 0.05, 2000) == "conservative"
    assert verdict(0.2, 0.05, 0) == ""
    assert verdict(np.nan, 0.05, 2000) == ""


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        (welch.fit, "holds"),
        (bolder, "does not hold"),
        (shyer, "conservative"),
        (biased, "does not hold"),
    ],
)
def test_a_wrong_estimator_is_caught(fit, expected, monkeypatch):
    wrong = cell("welch", NORMAL.key, fit=fit)
    monkeypatch.setitem(ESTIMATORS, "welch", wrong.estimator)
    row = measure(wrong, 400)
    assert row.type_1_verdict == expected
    assert row.non_coverage_verdict == expected
    assert not row.default
    assert row.product_error < 1e-12


def test_a_fast_path_that_differs_from_the_product_is_seen():
    assert compare(cell("welch", NORMAL.key), 0.05, 2).error < 1e-12
    assert compare(cell("welch", NORMAL.key, fit=bolder), 0.05, 2).error > 0.1


def test_what_was_not_inferred_counts_in_no_rate():
    def silent(sample: Sample, alpha: float) -> Estimate:
        found = welch.fit(sample, alpha)
        if found.estimate > 0:
            return found
        return Estimate(found.estimate, np.nan)

    row = measure(
        replace(cell("welch", NORMAL.key), estimator=replace(ESTIMATORS["welch"], fit=silent)), 100
    )
    assert 0.1 < row.no_inference < 0.4
    assert row.non_coverage < 0.15


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.key)
def test_the_truth_of_a_world_is_its_truth(world):
    """The default estimator is right on average, at the null and with an effect."""
    name = next(iter(sorted(world.of))) if world.of else fallback(world)
    if name in {"placebo_draws", "randomization"}:
        name = fallback(world)
    rng = generator(1, world.key)
    made = Cell(name, world, ESTIMATORS[name], "mean")
    for effect in (False, True):
        errors = []
        for _ in range(60):
            sample, truth = made.draw(rng, effect)
            wanted = truth.get("mean", truth.get("beyond placebos"))
            errors.append(made.fit(sample, 0.05).estimate - wanted)
            assert effect or wanted == pytest.approx(0, abs=1e-12)
        assert abs(np.mean(errors)) < 4.5 * np.std(errors) / np.sqrt(len(errors))


def test_samples_are_as_estimators_expect_them():
    for world in WORLDS:
        sample, _ = world.make(generator(2, world.key), True)
        assert np.array_equal(sample.unit, np.sort(sample.unit))
        assert (world.structure in {"blocked", "blocked and clustered"}) == (
            sample.block is not None
        )
        if "clustered" in world.structure:
            assert sample.cluster is not None
            arms = pd.DataFrame({"c": sample.cluster, "z": sample.treated}).groupby("c")["z"]
            assert (arms.nunique() == 1).all()
        assert world.covariates == bool(sample.covariate_names)


def test_worlds_have_names_of_their_own():
    assert len(BY_KEY) == len(WORLDS)


def test_a_new_estimator_joins_by_itself():
    new = {"fresh": ESTIMATORS["welch"]}
    found = cells(new)
    assert {each.name for each in found} == {"fresh"}
    assert {each.world.key for each in found} == {
        world.key for world in WORLDS if fits(world, "fresh", new["fresh"])
    }


def test_quantities_are_of_estimators_that_exist():
    assert set(QUANTITIES) <= set(ESTIMATORS)


def test_no_correction_at_all_is_caught_and_hochberg_is_not():
    null = (0.0,) * 5
    assert measure_family(FamilyCell("none", "5 tests", null), 300).type_1_verdict == (
        "does not hold"
    )
    row = measure_family(FamilyCell("hochberg", "5 tests", null), 300)
    assert row.type_1_verdict in {"holds", "conservative"}
    assert row.quantity == "FWER"


def test_a_wrong_margin_test_is_caught():
    right = MarginCell(cell("welch", NORMAL.key), "increase")
    wrong = MarginCell(cell("welch", NORMAL.key, fit=bolder), "decrease")
    assert measure_margin(right, 200).type_1_verdict == "holds"
    assert measure_margin(wrong, 200).type_1_verdict == "does not hold"


def test_an_effect_size_in_another_unit_is_caught(monkeypatch):
    from benchmarks.calibration import sizes

    size = SizeCell("hedges_g", NORMAL)
    assert measure_size(size, 60).non_coverage_verdict in {"holds", "conservative"}
    monkeypatch.setitem(sizes.TRUTHS, "hedges_g", {NORMAL.key: 1.4})
    assert measure_size(size, 60).non_coverage_verdict == "does not hold"


def test_results_are_kept_and_the_newest_counts(tmp_path):
    path = tmp_path / "results.csv"
    made = cell("welch", NORMAL.key)
    row = replace(measure(made, 4), code=fingerprint(made))
    append(made.key, replace(row, repetitions=2), path)
    append(made.key, row, path)
    append("gone", row, path)
    table = rewrite(load(path), {made.key: made}, path)
    assert table["key"].tolist() == [made.key]
    again = load(path)
    assert again.loc[0, "repetitions"] == 4
    assert again.loc[0, "code"] == fingerprint(made)
    assert fingerprint(made) != fingerprint(cell("ancova", "plain: covariate, normal, 40 per arm"))


def test_the_page_names_failing_defaults_without_a_warning(tmp_path):
    row = measure(cell("welch", NORMAL.key), 4).as_dict()
    bad = {"type_1": 0.2, "type_1_verdict": "does not hold", "default": True}
    table = pd.DataFrame(
        [
            {**row, **bad, "flags": "few_active 0.90"},
            {**row, **bad, "flags": "few_active 0.10; exposed_stratum 1.00"},
            {**row, "type_1": 0.05, "type_1_verdict": "holds", "non_coverage_verdict": "holds"},
        ]
    )
    assert page.unwarned(table).index.tolist() == [1]
    page.write(table, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    failing = text.split("## What does not hold")[1].split("## Worlds")[0]
    assert failing.count("**20.0%**") == 2
    assert "| `few_active` |" in failing
    assert "| none |" in failing
    figure.draw(table, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
