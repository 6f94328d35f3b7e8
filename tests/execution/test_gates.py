"""Gates must fail on what is broken, and say so; residue of a failure must not stay."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from causal_sae.errors import GateError, ModelError
from causal_sae.execution.batches import Job
from causal_sae.execution.bench import Delivery
from causal_sae.execution.execute import check
from causal_sae.execution.forward import run_batch
from causal_sae.execution.gates import check_batches, check_dose, choose_route
from causal_sae.execution.host import Finish, Host
from causal_sae.execution.plan import plan
from causal_sae.execution.treatments import Treatment, treatments

TEXTS = ["whale sea ship boat captain", "old man said to the king", "storm night day the sea of"]
IDS = torch.tensor([[0, 43, 44, 45, 46], [0, 50, 51, 52, 53]])


def planned(lab, texts=TEXTS):
    """A crossover of the laboratory's arms over these prompts."""
    table = pd.DataFrame({"unit_id": [f"u{i}" for i in range(len(texts))], "text": texts})
    table["target"], table["foil"], table["tail"] = " whale", " sea", " the king"
    prompts = lab.tokenizer.prompts(table)
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    dealt = {(p.unit_id, arm): made[arm][0] for p in prompts for arm in made}
    units = {p.unit_id: {} for p in prompts}
    return plan(lab, prompts, lab.metrics(table), dealt, (3,), units)


class LeakyHost(Host):
    """A host whose null edit is not null."""

    def resume(self, at, activation, keep, watch=(), tokens=None):
        return Finish(super().resume(at, activation, keep, watch, tokens).logits + 1e-6)


def test_an_edit_that_is_not_null_is_refused(laboratory, monkeypatch):
    lab = laboratory()
    monkeypatch.setattr("causal_sae.execution.gates.Host", LeakyHost)
    with pytest.raises(GateError, match=r"a null edit at model\.layers\.1 moves .*check sae\.hook"):
        choose_route(lab.host, IDS, 1)


@pytest.mark.parametrize("when", ["null", "edited", "raises"])
def test_a_model_without_the_short_cut_falls_back_and_says_so(laboratory, monkeypatch, when):
    class OddHost(Host):
        def resume(self, at, activation, keep, watch=(), tokens=None):
            done = super().resume(at, activation, keep, watch, tokens)
            edited = not torch.equal(activation, at.activation)
            if self.route == "suffix" and when == "raises":
                raise RuntimeError("layers below were not run")
            if self.route == "suffix" and (when == "null" or (when == "edited" and edited)):
                return Finish(done.logits + 1e-5)
            return done

    lab = laboratory()
    monkeypatch.setattr("causal_sae.execution.gates.Host", OddHost)
    host, gate = choose_route(lab.host, IDS, 1)
    assert host.route == "full"
    assert gate.status == "warn"
    assert "does not allow the short cut" in gate.sentence


def test_a_sound_model_takes_the_short_cut(laboratory):
    host, gate = choose_route(laboratory().host, IDS, 1)
    assert (host.route, gate.status) == ("suffix", "pass")


def test_every_gate_passes_with_next_token_outcomes_and_continuations(laboratory):
    lab = laboratory()
    gates = check(planned(lab), lab.limit)
    assert {g.check for g in gates} == {
        "batch invariance",
        *(f"manipulation: {a}" for a in ("ablate", "halve", "clamp", "steer")),
    }
    assert all(gate.status == "pass" for gate in gates)


def test_results_that_depend_on_the_batch_are_refused(laboratory, monkeypatch):
    lab = laboratory()
    run = planned(lab)
    jobs = [job for shard in run.shards for batch in shard for job in batch]
    resume = Host.resume

    def by_company(self, at, activation, keep, watch=(), tokens=None):
        done = resume(self, at, activation, keep, watch, tokens)
        drift = torch.linspace(0, 0.01, done.logits.shape[-1])
        return Finish(done.logits + len(activation) * drift, done.watched)

    monkeypatch.setattr(Host, "resume", by_company)
    with pytest.raises(GateError, match=r"outcomes depend on the batch: they move by 0\.\d+"):
        check_batches(run.bench, jobs, run.metrics)


def test_an_outcome_that_mixes_rows_is_refused(laboratory):
    lab = laboratory()
    run = planned(lab)
    jobs = [job for shard in run.shards for batch in shard for job in batch]
    metric = run.metrics["gap"]
    mixed = SimpleNamespace(
        smooth=True,
        continuation=metric.continuation,
        measure=lambda reading: metric.measure(reading).flip(0),
    )
    with pytest.raises(GateError, match="depend on the batch"):
        check_batches(run.bench, jobs, {**run.metrics, "gap": mixed})


def delivered(arm, dose, found):
    """A pass of one row with this dose asked and found."""
    zero = torch.zeros(1)
    one = Delivery(zero, zero, torch.tensor([dose]), zero, zero, zero, zero, torch.tensor([found]))
    return SimpleNamespace(treatments=(Treatment(arm, features=(3,)),), delivery=one)


@pytest.mark.parametrize(
    ("dose", "found", "status"), [(2.0, 1.9, "pass"), (2.0, 1.3, "warn"), (2.0, 3.0, "warn")]
)
def test_the_dose_found_is_judged_by_the_dose_asked(dose, found, status):
    (gate,) = check_dose([delivered("clamp", dose, found)])
    assert gate.status == status
    assert gate.value == pytest.approx(found / dose)


@pytest.mark.parametrize("found", [0.4, -2.0, 5.0])
def test_a_dose_that_does_not_arrive_is_refused(found):
    with pytest.raises(GateError, match=r"arm 'clamp': the SAE finds .* of the change asked for"):
        check_dose([delivered("clamp", 2.0, found)])


def test_an_arm_that_asks_for_nothing_is_named_and_not_passed():
    (gate,) = check_dose([delivered("ablate", 0.0, 0.0)])
    assert gate.status == "warn"
    assert gate.check == "manipulation: ablate"
    assert "not exercised" in gate.sentence


def test_rises_and_falls_do_not_cancel(laboratory):
    """Resampling leaves the mean where it was; the change found is still the change asked for."""
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "mix", "intervention": {"kind": "clamp", "features": [5, 9], "dose": 1.0}},
    ]
    lab = laboratory(arms=arms)
    run = planned(lab)
    job = run.shards[0][0][0]
    pool = {j: torch.linspace(0.1, 4, 50).numpy() for j in (5, 9)}
    mixed = Treatment("mix", None, (5, 9), (0.0, 0.0), (0.0, 0.0), resample=pool)
    done = run_batch(run.bench, (Job(job.sequence, (mixed,)),))
    change = (done.delivery.asked - done.delivery.before)[1] * 2
    assert abs(float(change)) < float(done.delivery.dose[1]) - 0.05  # some rose and some fell
    (gate,) = check_dose([done])
    assert gate.value == pytest.approx(1.0, abs=0.2)


def test_the_gates_look_at_units_where_the_feature_fires(laboratory):
    """One prompt in forty fires: the sample must hold it."""
    arms = [
        {"name": "control", "intervention": {"kind": "none"}},
        {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
    ]
    lab = laboratory(arms=arms, positions="last")
    words = ["whale", "sea", "ship", "king", "queen", "road", "tree", "stone", "bird", "song"]
    texts = [f"{a} {b} {c}" for a in words for b in words for c in words[:3]]
    run = planned(lab, texts)
    every = replace(run.bench, sparse=False)
    active = {}
    for batch in (batch for shard in run.shards for batch in shard):
        done = run_batch(every, batch)
        for row, treatment in enumerate(done.treatments):
            if treatment is not None:
                active[done.jobs[row].sequence.unit_id] = bool(done.delivery.dose[row] > 0)
    firing = [unit for unit, fires in active.items() if fires]
    quiet = [unit for unit, fires in active.items() if not fires]
    assert firing
    assert quiet
    rare = planned(lab, [texts[int(u[1:])] for u in (*quiet[:70], firing[0])])
    gate = next(g for g in check(rare, lab.limit) if g.check == "manipulation: ablate")
    assert gate.value == pytest.approx(1, abs=0.5)
    never = planned(lab, [texts[int(u[1:])] for u in quiet[:10]])
    gate = next(g for g in check(never, lab.limit) if g.check == "manipulation: ablate")
    assert gate.status == "warn"
    assert "not exercised" in gate.sentence


def test_logits_that_are_not_finite_name_the_unit_and_the_arm(laboratory, monkeypatch):
    lab = laboratory()
    run = planned(lab)
    batch = run.shards[0][0]
    resume = Host.resume

    def broken(row):
        def wrong(self, at, activation, keep, watch=(), tokens=None):
            done = resume(self, at, activation, keep, watch, tokens)
            logits = done.logits.clone()
            logits[row, 0, 5] = torch.nan
            return Finish(logits, done.watched)

        return wrong

    unit = batch[0].sequence.unit_id
    names = [None, *(t.arm for t in batch[0].treatments if not t.changes_nothing)]
    monkeypatch.setattr(Host, "resume", broken(2))
    with pytest.raises(
        ModelError, match=f"arm '{names[2]}' makes .* not finite on unit '{unit}'"
    ) as e:
        run_batch(run.bench, batch)
    arms = [arm.name for arm in lab.trial.arms]
    assert e.value.place.field == f"arms[{arms.index(names[2])}].intervention"
    monkeypatch.setattr(Host, "resume", broken(0))
    with pytest.raises(ModelError, match=f"untouched model gives logits .* on unit '{unit}'"):
        run_batch(run.bench, batch)


def test_hosts_leave_nothing_behind_on_the_model(laboratory):
    """Several hosts, and one that failed in the middle of a trace: the bare model is as before."""
    lab = laboratory()
    network = lab.model.network
    with torch.no_grad():
        before = network(input_ids=IDS).logits
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())
    for route in ("suffix", "full", "suffix"):
        host = Host(lab.model, lab.hook, route)
        at = host.read(IDS)
        host.resume(at, at.activation * 2, 1)
        with pytest.raises(RuntimeError):
            host.resume(at, torch.zeros(2, 5, 7), 1)  # too narrow: fails inside the trace
        with pytest.raises((IndexError, RuntimeError)):
            host.read(IDS + 10_000)
        at = host.read(IDS)
        assert torch.equal(host.resume(at, at.activation, 1).logits, host.plain(IDS, 1))
    with torch.no_grad():
        assert torch.equal(network(input_ids=IDS).logits, before)
    after = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())
    assert after <= hooks + len(list(network.modules()))
