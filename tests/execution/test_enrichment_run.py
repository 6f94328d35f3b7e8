"""An enriched trial from its pool to its report, on a small model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import causal_sae as cs
from causal_sae.errors import DataError, SpecError
from causal_sae.execution.backends.local import LocalBackend
from causal_sae.execution.batches import Limit
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.scan import exposure
from causal_sae.flags import split
from causal_sae.pipeline import assign_trial

FEATURE = 23
EXPOSED = 26
"""Of the 60 prompts, where the feature fires."""
ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": [FEATURE]}},
]


def declared(**enrich):
    """A crossover on prompts drawn from all 60."""
    rule = {"feature": FEATURE, "exposed": 12, "unexposed": 6, **enrich}
    return {
        "population": {"prompts": "prompts.csv", "unit": "id", "enrich": rule},
        "assignment": {"method": "crossover"},
        "arms": ARMS,
        "outcomes": [
            {"name": "surprise", "role": "primary", "metric": "entropy"},
        ],
        "analysis": {"supplementary": ["cace"]},
    }


def test_exposure_counts_the_edited_positions_at_which_the_feature_fires(laboratory, prompts_file):
    table = pd.read_csv(prompts_file).rename(columns={"id": "unit_id"})
    for positions in ("all", "last"):
        lab = laboratory(positions=positions)
        prompts = lab.tokenizer.prompts(table)
        found = exposure(lab.host, lab.sae, prompts, FEATURE, Limit(50))
        for prompt in prompts:
            ids = torch.tensor([prompt.tokens])
            with torch.no_grad():
                x = lab.model.network(input_ids=ids, output_hidden_states=True).hidden_states[2]
            keep = torch.from_numpy(prompt.editable) & ~attention_sinks(x)[0]
            fires = lab.sae.encode(x[0])[:, FEATURE] > 0
            assert found[prompt.unit_id] == int((fires & keep).sum())
        if positions == "all":
            assert (found > 0).sum() == EXPOSED


def test_the_run_draws_records_and_reports(trial_folder, tmp_path):
    run = cs.run_trial(trial_folder(**declared()), out=tmp_path / "out")
    pool = run.folder.manifest["pool"]
    assert pool == {"eligible": 60, "exposed": EXPOSED, "drawn_exposed": 12, "drawn_unexposed": 6}
    drawn = run.assignment.drop_duplicates("unit_id").set_index("unit_id")
    assert drawn["exposed"].value_counts().to_dict() == {True: 12, False: 6}
    table = run.observations
    exposed = table[table["exposed"].astype(bool)]
    np.testing.assert_allclose(exposed["sampling_probability"].astype(float), 12 / EXPOSED)
    np.testing.assert_allclose(exposed["stratum_share"].astype(float), EXPOSED / 60)
    # What was scanned is what was delivered.
    assert (exposed["active_positions"] > 0).all()
    assert (table.loc[~table["exposed"].astype(bool), "active_positions"] == 0).all()
    wide = table.pivot(index="unit_id", columns="arm", values="value")
    moved = (wide["ablate"] - wide["control"]).astype(float)
    fires = drawn["exposed"].astype(bool)
    assert (moved[~fires] == 0).all()
    row = run.effects.iloc[0]
    assert row["estimator"] == "enriched"
    assert row["estimate"] == pytest.approx(EXPOSED / 60 * moved[fires].mean())
    beside = run.tables["supplementary"].iloc[0]
    assert (beside["estimator"], beside["n_treatment"]) == ("cace", 12)
    assert beside["estimate"] == pytest.approx(moved[fires].mean())
    page = run.report.read_text()
    assert "Drawn from the pool" in page
    assert f"exposed: 12 of {EXPOSED}" in page
    flow = run.record().flow
    assert (flow.assessed, flow.eligible, flow.randomised) == (60, 60, 18)


@pytest.mark.usefixtures("no_page")
def test_drawing_every_exposed_prompt_gives_the_effect_of_running_all(trial_folder, tmp_path):
    some = cs.run_trial(
        trial_folder(**declared(exposed=EXPOSED, unexposed=0)), out=tmp_path / "some"
    )
    population = {"prompts": "prompts.csv", "unit": "id"}
    whole = declared() | {"population": population, "analysis": {}}
    every = cs.run_trial(trial_folder(**whole), out=tmp_path / "all")
    assert some.effects["estimate"][0] == pytest.approx(every.effects["estimate"][0], rel=1e-4)
    assert every.effects["estimator"][0] == "sparse"
    for side in ("conf_low", "conf_high"):
        assert some.effects[side][0] == pytest.approx(every.effects[side][0], rel=1e-3)


@pytest.mark.usefixtures("no_page")
def test_the_order_of_the_pool_does_not_matter(trial_folder, tmp_path, prompts_file):
    first = cs.run_trial(trial_folder(**declared()), out=tmp_path / "one")
    header, *rows = prompts_file.read_text().splitlines()
    prompts_file.rename(tmp_path / "gone.csv")
    (tmp_path / "pool.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    # With `of` the prompts file is not even read.
    second = cs.run_trial(trial_folder(**declared(of="pool.csv")), out=tmp_path / "two")
    pd.testing.assert_frame_equal(first.assignment, second.assignment)


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"exposed": 27}, r"27 prompts on which feature 23 fires, but 26 of its 60"),
        ({"unexposed": 35}, r"35 prompts on which feature 23 is silent, but 34 of its 60"),
    ],
)
def test_a_pool_that_is_too_small_is_refused_and_nothing_written(ask, says, trial_folder, tmp_path):
    with pytest.raises(DataError, match=says) as caught:
        cs.run_trial(trial_folder(**declared(**ask)), out=tmp_path / "out")
    assert caught.value.place.line is not None
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_page")
def test_a_run_that_goes_on_does_not_scan_again(trial_folder, tmp_path, monkeypatch):
    path = trial_folder(**declared())
    first = cs.run_trial(path, out=tmp_path / "out")
    for part in first.folder.observations.glob("*.parquet"):
        part.unlink()
    monkeypatch.setattr(LocalBackend, "exposure", lambda *_: pytest.fail("the pool was read"))
    again = cs.run_trial(path, out=tmp_path / "out", resume=True)
    pd.testing.assert_frame_equal(first.effects, again.effects)


@pytest.mark.usefixtures("no_page")
def test_a_table_of_an_enriched_run_is_estimated_alike(trial_folder, tmp_path):
    path = trial_folder(**declared())
    run = cs.run_trial(path, out=tmp_path / "out")
    needed = ["unit_id", "arm", "outcome", "value"]
    table = run.observations[
        [*needed, "exposed", "sampling_probability", "stratum_share", "clean_outcome"]
    ]
    again = cs.estimate_observations(path, table, tmp_path / "again")
    pd.testing.assert_frame_equal(run.effects, again.effects)
    assert "unweighted_sample" not in split(again.effects["flags"][0])


def test_assigning_alone_is_refused(trial_folder):
    with pytest.raises(SpecError, match="draws them from the pool"):
        assign_trial(trial_folder(**declared()))
