"""A screen gives what ablations one by one give, and a trial on prompts that it never saw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from causal_sae.errors import DataError, SpecError
from causal_sae.execution.batches import Job, Limit
from causal_sae.execution.forward import run_batch
from causal_sae.execution.laboratory import assemble
from causal_sae.execution.screens import exact
from causal_sae.execution.screens.attribution import attribute
from causal_sae.execution.screens.exact import measure
from causal_sae.execution.treatments import Treatment
from causal_sae.screening.confirm import hits, write_confirmation
from causal_sae.screening.plan import lay_out
from causal_sae.screening.run import Options, run_screen
from causal_sae.screening.split import held_out, require_unseen
from causal_sae.spec import Trial
from causal_sae.spec.loading import load_trial_file

ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "ablate", "intervention": {"kind": "ablate", "features": "all"}},
]
GAP = {
    "name": "gap",
    "role": "primary",
    "metric": "logit_diff",
    "target": {"column": "target"},
    "foil": {"column": "foil"},
}
SCREEN = {
    "assignment": {"method": "crossover"},
    "arms": ARMS,
    "outcomes": [GAP, {"name": "tail", "metric": "nll", "continuation": {"column": "tail"}}],
    "analysis": {"multiplicity": {"method": "bh"}},
}


@pytest.fixture
def quiet():
    import io

    return Console(file=io.StringIO(), width=100)


@pytest.fixture
def screen_file(trial_folder):
    def make(**changes):
        return load_trial_file(trial_folder(**(SCREEN | changes)), screen=True)

    return make


@pytest.fixture
def opened(tiny_model, tiny_sae, prompts_file, tmp_path):
    """``opened(hook, positions)`` -> bench, sequences, metrics of the first 12 prompts."""

    def make(hook="blocks.1.hook_resid_post", family="llama"):
        named = {"schema": 1, "name": "tiny-screen", "question": "What does?", "seed": 11}
        places = {"model": {"source": {"path": "model"}}, "sae": {"source": {"path": "sae"}}}
        whole = named | places | {"population": {"prompts": "prompts.csv", "unit": "id"}} | SCREEN
        trial = Trial.model_validate(whole)
        lab = assemble(trial, tmp_path, tiny_model(family), tiny_sae(hook))
        table = pd.read_csv(prompts_file, keep_default_na=False).rename(columns={"id": "unit_id"})
        table = table.head(12)
        metrics = lab.metrics(table)
        sequences = lab.sequences_apart(lab.tokenizer.prompts(table), metrics)
        return lab.bench(metrics), sequences, metrics, lab.limit

    return make


def brute_force(bench, sequences, metrics):
    """Every feature ablated on every prompt, by the executor that trials run on."""
    rows = []
    for (unit, _), sequence in sequences.items():
        arms = [Treatment(f"a{j}", features=(j,), gain=(0.0,), bias=(0.0,)) for j in range(24)]
        done = run_batch(bench, (Job(sequence, tuple(arms)),))
        for name, metric in metrics.items():
            if metric.continuation(unit) != sequence.continuation:
                continue
            values = metric.measure(done.reading).numpy()
            rows += [(unit, j, name, values[j + 1] - values[0]) for j in range(24)]
    return pd.DataFrame(rows, columns=["unit_id", "feature", "outcome", "difference"])


@pytest.mark.parametrize(
    ("hook", "family"),
    [
        ("blocks.1.hook_resid_post", "llama"),
        ("blocks.2.hook_resid_pre", "gpt2"),
        ("blocks.1.hook_resid_mid", "llama"),
        ("blocks.2.hook_mlp_out", "llama"),
        ("blocks.2.hook_attn_out", "gemma2"),
    ],
)
def test_the_exact_stage_is_brute_force(opened, tmp_path, hook, family):
    bench, sequences, metrics, limit = opened(hook, family)
    truth = brute_force(bench, sequences, metrics)
    found = attribute(bench, sequences, metrics, limit)
    fires = found.fires.toarray() > 0
    pairs = {u: np.flatnonzero(fires[i]).tolist() for i, u in enumerate(found.units)}
    got = measure(bench, sequences, metrics, pairs, limit, tmp_path / "pairs")
    keys = ["unit_id", "feature", "outcome"]
    joined = truth.merge(got, on=keys, how="left", suffixes=("", "_exact"))
    run = joined["difference_exact"].notna()
    np.testing.assert_allclose(
        joined.loc[run, "difference_exact"], joined.loc[run, "difference"], atol=1e-5
    )
    assert run.sum() == 2 * fires.sum()
    # What was not run is exactly nothing.
    assert (joined.loc[~run, "difference"] == 0).all()
    assert (joined.loc[run, "difference"].abs() > 1e-4).mean() > 0.5


@pytest.mark.parametrize(
    ("hook", "family"),
    [
        ("blocks.1.hook_resid_post", "llama"),
        ("blocks.2.hook_resid_pre", "gpt2"),
        ("blocks.1.hook_resid_mid", "llama"),
        ("blocks.2.hook_attn_out", "gemma2"),
    ],
)
def test_attribution_is_the_derivative_of_the_exact_effect(opened, hook, family, monkeypatch):
    """Features ablated by a small part: the exact change over that part, averaged over units."""
    bench, sequences, metrics, limit = opened(hook, family)
    found = attribute(bench, sequences, metrics, limit)
    step = 2e-2
    total = {name: np.zeros(24) for name in metrics}
    for (unit, _), sequence in sequences.items():
        arms = [
            Treatment(f"a{j}{s}", features=(j,), gain=(1 + s * step,), bias=(0.0,))
            for j in range(24)
            for s in (-1, 1)
        ]
        done = run_batch(bench, (Job(sequence, tuple(arms)),))
        for name, metric in metrics.items():
            if metric.continuation(unit) == sequence.continuation:
                values = metric.measure(done.reading).numpy()[1:].reshape(24, 2)
                total[name] += (values[:, 0] - values[:, 1]) / (2 * step)
    for name, values in total.items():
        truth = values / len(found.units)
        scale = np.abs(truth).max()
        np.testing.assert_allclose(found.outcomes[name], truth, atol=0.02 * scale)


def test_a_feature_fires_where_the_executor_says(opened):
    bench, sequences, metrics, limit = opened()
    found = attribute(bench, sequences, metrics, limit)
    active = {}
    for (unit, _), sequence in sequences.items():
        done = run_batch(bench, (Job(sequence, ()),))
        active[unit] = torch.maximum(done.active[0], active.get(unit, done.active[0]))
    wanted = np.stack([active[u].numpy() for u in found.units])
    np.testing.assert_array_equal(found.fires.toarray(), wanted)


def test_the_exact_stage_does_not_depend_on_batches_and_is_resumed(opened, tmp_path, monkeypatch):
    bench, sequences, metrics, limit = opened()
    found = attribute(bench, sequences, metrics, limit)
    fires = found.fires.toarray() > 0
    pairs = {u: np.flatnonzero(fires[i]).tolist() for i, u in enumerate(found.units)}
    whole = measure(bench, sequences, metrics, pairs, limit, tmp_path / "a")
    small = measure(bench, sequences, metrics, pairs, Limit(40), tmp_path / "b")
    pd.testing.assert_frame_equal(whole, small, atol=1e-5, rtol=1e-4)
    monkeypatch.setattr(exact, "_group", None)  # nothing may be run again
    again = measure(bench, sequences, metrics, pairs, limit, tmp_path / "a")
    pd.testing.assert_frame_equal(whole, again)


def test_a_budget_buys_the_random_subset_then_the_largest_attributions(opened, monkeypatch):
    from causal_sae.screening import plan

    monkeypatch.setattr(plan, "SUBSET", 3)
    monkeypatch.setattr(plan, "FEWEST", 4)
    bench, sequences, metrics, limit = opened()
    found = attribute(bench, sequences, metrics, limit)
    lengths = dict.fromkeys(found.units, 10)
    whole = lay_out(found, lengths, 6, None, 1)
    fires = found.fires.toarray() > 0
    assert set(whole.measured) == set(np.flatnonzero(fires.sum(axis=0) >= 4))
    for feature, own in whole.pairs.groupby("feature"):
        there = [u for i, u in enumerate(found.units) if fires[i, feature]]
        assert set(own["unit_id"]) <= set(there)
        assert len(own) == min(6, len(there))
    part = lay_out(found, lengths, 6, 400, 1)
    assert len(part.pairs) * 10 <= 400
    assert part.random == whole.random
    chosen = set(part.measured) - part.random
    size = np.max([np.abs(v) for v in found.outcomes.values()], axis=0)
    left = set(whole.measured) - chosen - part.random
    assert chosen
    assert left
    assert min(size[list(chosen)]) >= max(size[list(left)])
    assert part.unmeasured == len(left)
    # What is drawn for a feature does not depend on the budget.
    same = part.pairs.merge(whole.pairs)
    assert len(same) == len(part.pairs)


def test_equal_texts_are_held_out_together_and_about_as_many_as_asked():
    texts = [f"text number {i}" for i in range(4000)]
    kept = held_out(texts, 0.3, 5)
    assert kept.mean() == pytest.approx(0.3, abs=0.03)
    twin = held_out([f"  {t.upper()} " for t in texts], 0.3, 5)
    assert (kept == twin).all()
    assert (held_out(texts, 0.3, 6) != kept).any()
    with pytest.raises(DataError, match="screen again"):
        require_unseen(pd.Series(["a b"]), pd.Series(["A  b"]))


def test_a_screen_from_file_to_confirmatory_trial(screen_file, quiet, tmp_path):
    import causal_sae as cs

    declared = screen_file(analysis={"alpha": 0.3, "multiplicity": {"method": "none"}})
    done = run_screen(declared, tmp_path / "screen", Options(hold_out=0.3), quiet)
    table = done.table
    assert set(table["outcome"]) == {"gap", "tail"}
    exact_rows = table[table["stage"] == "exact"]
    tested = exact_rows["p_value"].notna()
    assert (exact_rows.loc[tested, "n_measured"] >= 10).all()
    inside = (exact_rows["conf_low"] > 0) | (exact_rows["conf_high"] < 0)
    assert (inside[tested] == (exact_rows["p_value"][tested] <= 0.3)).all()
    assert table["family_size"].nunique() <= 2
    assert (tmp_path / "screen" / "screen.parquet").exists()
    assert not set(done.kept["unit_id"]) & set(done.prompts["unit_id"])
    assert len(done.kept) >= 10
    assert exact_rows["reject"].fillna(False).any()
    with pytest.raises(DataError, match="no hit to confirm"):
        hits(replace(done, table=table.assign(reject=False)))
    path = tmp_path / "confirm.yaml"
    found = write_confirmation(done, declared, path)
    assert [one.feature for one in found] == hits(done)["feature"].tolist()
    assert all(abs(one.shrunken) <= abs(one.estimate) for one in found)
    fresh = pd.read_csv(tmp_path / "confirm-prompts.csv", dtype=str)
    assert set(fresh["unit_id"]) == set(done.kept["unit_id"])
    run = cs.run_trial(path, out=tmp_path / "confirmed")
    contrasts = {(f"ablate-{one.feature}", "control") for one in found}
    contrasts |= {(f"ablate-{one.feature}", f"placebo-{one.feature}") for one in found}
    assert set(zip(run.effects["treatment"], run.effects["reference"], strict=True)) == contrasts
    with pytest.raises(DataError, match="is there already"):
        write_confirmation(done, declared, path)


def test_a_screen_that_was_stopped_goes_on_with_its_own_plan(
    screen_file, quiet, tmp_path, monkeypatch
):
    declared = screen_file()
    out = tmp_path / "screen"
    whole = run_screen(declared, tmp_path / "whole", Options(), quiet)
    group, calls = exact._group, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return group(*arguments)

    monkeypatch.setattr(exact, "_group", dies)
    with pytest.raises(KeyboardInterrupt):
        run_screen(declared, out, Options(), quiet)
    with pytest.raises(DataError, match="--resume"):
        run_screen(declared, out, Options(), quiet)
    done = run_screen(declared, out, Options(resume=True), quiet)
    pd.testing.assert_frame_equal(done.table, whole.table)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"arms": [ARMS[0], ARMS[0] | {"name": "b"}]}, "arms", "one arm with `features: all`"),
        (
            {
                "arms": [
                    ARMS[0],
                    {"name": "x", "intervention": ARMS[1]["intervention"] | {"to": "mean"}},
                ]
            },
            "arms[1].intervention",
            "ablates to zero",
        ),
        (
            {"arms": [*ARMS, {"name": "sham", "intervention": {"kind": "splice"}}]},
            "arms[2].intervention",
            "remove the arm 'sham'",
        ),
        ({"status": "confirmatory"}, "status", "write `status: exploratory`"),
        ({"assignment": {"method": "complete"}}, "assignment.method", "write `method: crossover`"),
        (
            {"outcomes": [GAP, {"name": "drift", "metric": "kl"}]},
            "outcomes[1].metric",
            "not 'kl'",
        ),
        (
            {"population": {"prompts": "prompts.csv", "unit": "id", "claim": "finite"}},
            "population.claim",
            "write `superpopulation`",
        ),
        (
            {"assignment": {"method": "crossover", "cluster_by": "template"}},
            "assignment.cluster_by",
            "one prompt of each cluster",
        ),
        (
            {"analysis": {"multiplicity": {"method": "hommel"}}},
            "analysis.multiplicity.method",
            "write `bh`",
        ),
    ],
)
def test_what_is_no_screen_is_refused_at_its_line(
    screen_file, quiet, tmp_path, changes, field, said
):
    declared = screen_file(**changes)
    with pytest.raises(SpecError, match=r"trial\.yaml:") as caught:
        run_screen(declared, tmp_path / "out", Options(), quiet)
    assert field in str(caught.value)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_prompts_that_choose_test_nothing_and_what_they_leave_out_is_no_test(
    screen_file, quiet, tmp_path, monkeypatch
):
    from causal_sae.screening import plan

    monkeypatch.setattr(plan, "SUBSET", 3)
    declared = screen_file()
    options = Options(hold_out=0.2, choose=0.4, top=5)
    done = run_screen(declared, tmp_path / "screen", options, quiet)
    measured = done.table[done.table["stage"] == "exact"]
    assert 5 <= measured["feature"].nunique() <= 8
    tested = measured.groupby("outcome")["p_value"].count()
    # The two outcomes are families of one role each: primary and secondary.
    assert measured.groupby("outcome")["family_size"].max().tolist() == tested.tolist()
    pairs = pd.concat(pd.read_parquet(p) for p in (tmp_path / "screen" / "pairs").glob("*.parquet"))
    everything = run_screen(declared, tmp_path / "all", Options(hold_out=0.2), quiet)
    assert done.tested < everything.tested == len(everything.prompts) == len(done.prompts)
    assert pairs["unit_id"].nunique() <= done.tested
    # The estimates are over the prompts that test alone.
    row = measured.iloc[0]
    share = row["n_active"] / done.tested
    assert row["estimate"] == pytest.approx(share * row["effect_exposed"])


def test_a_number_of_features_needs_prompts_that_choose_them(screen_file, quiet, tmp_path):
    with pytest.raises(DataError, match="--choose"):
        run_screen(screen_file(), tmp_path / "out", Options(top=5), quiet)
    assert not (tmp_path / "out").exists()
