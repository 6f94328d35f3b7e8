"""The benchmark of predicted power, on made-up outcomes of every unit in every arm."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.predicted_power import CASES, RESULT, keep, observed, study


def everything() -> pd.DataFrame:
    """Eighty units whose outcome the edit moves by half a standard deviation of the differences."""
    rng = np.random.default_rng(3)
    clean = rng.normal(size=80)
    rows = {"control": clean, "ablate": clean + 0.05 + 0.1 * rng.normal(size=80)}
    tables = [
        pd.DataFrame(
            {
                "unit_id": [f"u{i}" for i in range(80)],
                "arm": arm,
                "outcome": "surprise",
                "value": values,
                "clean_outcome": clean,
                "exposed": True,
                "received": arm != "control",
                "status": "ok",
            }
        )
        for arm, values in rows.items()
    ]
    return pd.concat(tables, ignore_index=True)


def test_a_trial_is_the_units_own_outcomes_in_the_arms_dealt():
    parallel = next(case for case in CASES if case.design["method"] == "complete")
    trial = parallel.trial(0.05, 1)
    seen = observed(trial, everything(), np.array([f"u{i % 80}" for i in range(90)]))
    assert len(seen) == 90
    assert seen["arm"].value_counts().tolist() == [45, 45]
    plain = seen[seen["arm"] == "control"]
    assert np.array_equal(plain["value"], plain["clean_outcome"])


def test_a_case_has_its_row_and_keeps_it(tmp_path):
    row = study(CASES[0], everything(), trials=20, pilots=2)
    assert 0.3 < row["predicted"] < 1
    assert abs(row["predicted"] - row["achieved"]) < 0.5
    for _ in range(2):
        keep(row, tmp_path / "rows.csv")
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 1


def test_the_page_tells_what_was_measured():
    folder = RESULT.parent
    page = (folder / "power.md").read_text(encoding="utf-8")
    for row in pd.read_csv(folder / RESULT.name).itertuples():
        assert row.trials >= 100
        cells = f"| {row.design} | {row.units} | {row.predicted:.2f} ("
        assert cells in page
        assert f"| {row.achieved:.2f} (" in page
