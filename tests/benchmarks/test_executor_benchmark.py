"""The benchmarks of the executor compare like with like, and count what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.executor import figure, page
from benchmarks.executor.case import Case
from benchmarks.executor.floor import bare_flops, floor_flops
from benchmarks.executor.measure import measured, speedup, summary
from benchmarks.executor.ways import WAYS
from benchmarks.growth.measure import exponent
from benchmarks.growth.screen import Plan, ways


@pytest.fixture
def case(tiny_model):
    return Case(tiny_model("llama"), layer=1, arms=3, prompts=2, tokens=6)


@pytest.mark.parametrize("last", [False, True])
def test_every_way_gives_the_same_rows_in_the_same_order(case, last):
    one = case.lasting() if last else case
    logits = {name: way.run(one).double() for name, way in WAYS.items()}
    pair = logits.pop("causal-sae, two logits").diff(dim=-1)
    found = {name: values.log_softmax(-1) for name, values in logits.items()}
    bare = found.pop("bare forward")
    torch.testing.assert_close(found.pop("bare forward, one head"), bare, atol=1e-5, rtol=1e-5)
    first = found["PyTorch hook, arm by arm"]
    assert first.shape == (one.rows, bare.shape[1])
    compared = first[:, list(one.pair)].diff(dim=-1)
    torch.testing.assert_close(pair, compared, atol=1e-4, rtol=1e-4)
    for logprobs in found.values():
        torch.testing.assert_close(logprobs, first, atol=1e-4, rtol=1e-4)
    untouched = torch.arange(0, one.rows, 1 + one.arms)
    torch.testing.assert_close(first[untouched], bare[untouched], atol=1e-5, rtol=1e-5)
    assert float((first - bare).abs().max()) > 0.05


def test_the_floor_counts_prefixes_once_and_rows_above(case):
    layers, whole = 4, case.rows * case.tokens
    linear = sum(
        p.numel()
        for name, p in case.model.network.model.layers[0].named_parameters()
        if "norm" not in name
    )
    token = 2 * linear + 2 * 32 * case.tokens
    head = 2 * 32 * case.model.network.config.vocab_size * case.rows
    assert bare_flops(case) == layers * whole * token + head
    below = case.prompts * case.tokens
    assert floor_flops(case) == 2 * below * token + 2 * whole * token + head
    late = floor_flops(case.lasting())
    assert late == 4 * below * token + 2 * case.rows * (2 * linear + 2 * 32) + head


def test_the_table_the_figure_and_the_page(case, tmp_path):
    draw, parts = np.random.default_rng(1), []
    for place in ("early", "middle", "late"):
        for arms in (2, 8):
            one = Case(case.model, 1, arms, 1, 5)
            for each in (one, one.lasting()) if place == "middle" else (one,):
                found = measured(each, WAYS, 1, draw)
                parts.append(found.assign(place=place, threads=1))
    table = pd.concat(parts, ignore_index=True)
    medians = summary(table)
    bare = medians[medians["way"] == "bare forward"]
    assert (bare["of_bare"] == 1).all()
    fast = medians[medians["way"] == "bare forward, one head"]
    assert (fast["of_floor"] > 1).all()  # the floor is below the bare forward
    whole = {"place": "middle", "arms": 8, "last": False}
    chosen = table.query("place == 'middle' and arms == 8 and not last").set_index("way")["seconds"]
    ratio = chosen["nnsight"] / chosen["causal-sae"]
    assert speedup(table, "nnsight", **whole) == pytest.approx(ratio)
    text = page.text(table)
    assert all(name in text for name in WAYS)
    assert f"{ratio:.1f} times faster than nnsight with all arms" in text
    figure.draw(table, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 10_000


def test_the_power_of_growth():
    units = np.array([100, 200, 400, 800])
    table = pd.DataFrame({"units": units, "a": 5.0 * units, "b": units**2.0 + 9})
    assert exponent(table, "a") == pytest.approx(1)
    assert exponent(table, "b") == pytest.approx(2, abs=0.01)


def test_the_plan_of_a_large_screen_adds_up():
    plan = Plan()
    everything, active, gradient, staged = ways(plan)
    assert everything.passes / active.passes == pytest.approx(plan.features / plan.firing)
    prefix = plan.read * plan.prompts
    assert gradient.operations == 3 * prefix
    chosen = plan.hits * plan.sample
    assert staged.operations == pytest.approx(3 * prefix + chosen * plan.read)
    assert active.operations == pytest.approx(prefix * (1 + plan.firing * plan.above))
