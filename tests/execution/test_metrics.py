"""Every metric against arithmetic written here, on the bare model's own logits."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from causal_sae.errors import DataError, SAEError
from causal_sae.execution.batches import Job
from causal_sae.execution.forward import run_batch
from causal_sae.execution.treatments import treatments

TEXTS = {"a": "whale sea ship boat", "b": "old man said to"}
TARGETS = {"a": " king", "b": " sea"}
FOILS = {"a": " city", "b": " road"}
TAILS = {"a": " the king", "b": " a river"}
TABLE = pd.DataFrame(
    {
        "unit_id": list(TEXTS),
        "text": list(TEXTS.values()),
        "target": list(TARGETS.values()),
        "foil": list(FOILS.values()),
        "tail": list(TAILS.values()),
    }
)
ARMS = [
    {"name": "control", "intervention": {"kind": "none"}},
    {"name": "clamp", "intervention": {"kind": "clamp", "features": [5], "dose": 4.0}},
]


def column(name):
    return {"column": name}


@pytest.fixture
def measured(laboratory):
    """``measured({"metric": ...})`` -> ``{(unit, arm): value}`` and the same rows' raw logits."""

    def measure(outcome, **changes):
        lab = laboratory("llama", arms=ARMS, outcomes=[{"name": "y", **outcome}], **changes)
        metrics = lab.metrics(TABLE)
        chosen = tuple(
            t for each in treatments(lab.trial, lab.sae, pd.DataFrame()).values() for t in each
        )
        sequences = lab.sequences(lab.tokenizer.prompts(TABLE), metrics)
        jobs = tuple(Job(s, chosen) for s in sequences.values())
        done = run_batch(lab.bench(metrics), jobs)
        values = metrics["y"].measure(done.reading).tolist()
        found, logits = {}, {}
        for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True)):
            key = (job.sequence.unit_id, treatment.arm if treatment else "control")
            found[key] = values[row]
            logits[key] = by_hand(lab, job.sequence.tokens, treatment)
        return found, logits, lab

    return measure


def by_hand(lab, tokens, treatment):
    """Float64 logits ``[S, V]`` of one sequence, with the clamp as a plain hook."""

    def hook(_module, _args, out):
        x = out.clone()
        for s in range(1, x.shape[1]):
            f = lab.sae.encode(out[0, s])[5]
            x[0, s] += (4.0 - f) * lab.sae.weights.w_dec[5]
        return x

    module = lab.model.network.model.layers[1]
    handle = module.register_forward_hook(hook) if treatment else None
    with torch.no_grad():
        logits = lab.model.network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    if handle:
        handle.remove()
    return logits.double()


def probabilities(logits):
    e = (logits - logits.max()).exp()
    return e / e.sum()


def token(lab, word):
    return lab.model.tokenizer.convert_tokens_to_ids(word.replace(" ", "\u0120"))


def test_the_arms_differ_so_that_the_comparisons_mean_something(measured):
    found, _, _ = measured({"metric": "entropy"})
    assert abs(found["a", "clamp"] - found["a", "control"]) > 1e-3


def test_token_logprob(measured):
    found, logits, lab = measured({"metric": "token_logprob", "target": column("target")})
    for (unit, arm), value in found.items():
        p = probabilities(logits[unit, arm][-1])
        assert value == pytest.approx(math.log(p[token(lab, TARGETS[unit])]), abs=1e-5)


def test_logit_diff(measured):
    found, logits, lab = measured(
        {"metric": "logit_diff", "target": column("target"), "foil": column("foil")}
    )
    for (unit, arm), value in found.items():
        last = logits[unit, arm][-1]
        expected = last[token(lab, TARGETS[unit])] - last[token(lab, FOILS[unit])]
        assert value == pytest.approx(float(expected), abs=1e-5)


def test_token_set_prob(measured):
    found, logits, lab = measured({"metric": "token_set_prob", "tokens": [" king", " sea"]})
    for key, value in found.items():
        p = probabilities(logits[key][-1])
        expected = p[token(lab, " king")] + p[token(lab, " sea")]
        assert value == pytest.approx(float(expected), abs=1e-6)


def test_entropy(measured):
    found, logits, _ = measured({"metric": "entropy"})
    for key, value in found.items():
        p = probabilities(logits[key][-1])
        assert value == pytest.approx(-sum(float(q) * math.log(q) for q in p), abs=1e-5)


def test_kl_is_of_the_untouched_model_to_the_treated(measured):
    found, logits, _ = measured({"metric": "kl"})
    for (unit, arm), value in found.items():
        p, q = (probabilities(logits[unit, a][-1]) for a in ("control", arm))
        expected = sum(float(x) * math.log(x / y) for x, y in zip(p, q, strict=True))
        backwards = sum(float(y) * math.log(y / x) for x, y in zip(p, q, strict=True))
        assert value == pytest.approx(expected, abs=1e-6)
        if arm == "clamp":
            assert abs(expected - backwards) > 1e-4
            assert value > 0.001
        else:
            assert value == 0.0


def test_nll_and_the_logprob_of_a_sequence(measured):
    found, logits, lab = measured({"metric": "nll", "continuation": column("tail")})
    for (unit, arm), value in found.items():
        words = TAILS[unit].replace(" ", " \u0120").split()
        ids = [lab.model.tokenizer.convert_tokens_to_ids(w) for w in words]
        each = logits[unit, arm]
        start = len(each) - len(ids) - 1
        terms = [-math.log(probabilities(each[start + i])[t]) for i, t in enumerate(ids)]
        assert value == pytest.approx(sum(terms) / len(terms), abs=1e-5)
    summed, _, _ = measured({"metric": "token_logprob", "target": column("tail"), "sequence": True})
    for key, value in summed.items():
        assert value == pytest.approx(-2 * found[key], abs=1e-5)


def test_rank(measured):
    found, logits, lab = measured({"metric": "rank", "target": column("target")})
    for (unit, arm), value in found.items():
        ordered = logits[unit, arm][-1].argsort(descending=True).tolist()
        assert value == 1 + ordered.index(token(lab, TARGETS[unit]))


@pytest.mark.parametrize("at", ["last", "mean", "max"])
def test_feature_activation_is_what_the_sae_reads_after_the_edit(measured, at):
    found, _, lab = measured({"metric": "feature_activation", "feature": 5, "at": at})
    prompts = {p.unit_id: p.tokens for p in lab.tokenizer.prompts(TABLE)}
    for (unit, arm), value in found.items():
        with torch.no_grad():
            out = lab.model.network(
                input_ids=torch.tensor([prompts[unit]]), output_hidden_states=True
            )
        x = out.hidden_states[2][0, 1:]
        if arm == "clamp":
            f = lab.sae.encode(x)[:, 5]
            x = x + (4.0 - f)[:, None] * lab.sae.weights.w_dec[5]
        f = lab.sae.encode(x)[:, 5]
        expected = {"last": f[-1], "mean": f.mean(), "max": f.max()}[at]
        assert value == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_a_feature_that_the_sae_does_not_have_is_refused(measured):
    with pytest.raises(SAEError, match=r"between 0 and 23.*got 24") as caught:
        measured({"metric": "feature_activation", "feature": 24})
    assert caught.value.place.field == "outcomes[0].feature"


def test_a_target_of_several_tokens_is_refused_with_its_pieces(measured):
    with pytest.raises(DataError, match=r"which is 3: \['whale', ' the', ' sea'\]") as caught:
        measured({"metric": "token_logprob", "target": "whale the sea"})
    assert caught.value.place.field == "outcomes[0].target"


def test_later_saes_at_both_sides_of_one_block_are_told_apart(laboratory, tiny_sae, monkeypatch):
    """A block's input and output have one module; they are read in the order of the forward."""
    from causal_sae.execution.metrics import feature_activation

    monkeypatch.setattr(feature_activation, "open_sae", lambda spec, base: tiny_sae(spec.hook))
    hooks = ["blocks.2.hook_resid_post", "blocks.2.hook_resid_mid", "blocks.2.hook_resid_pre"]
    outcomes = [
        {
            "name": hook.rpartition("_")[2],
            "metric": "feature_activation",
            "feature": 5,
            "sae": {"source": {"path": "later"}, "hook": hook},
        }
        for hook in hooks
    ]
    lab = laboratory("llama", arms=ARMS, outcomes=outcomes)
    metrics = lab.metrics(TABLE)
    sequences = lab.sequences(lab.tokenizer.prompts(TABLE), metrics)
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    chosen = tuple(t for each in made.values() for t in each)
    done = run_batch(lab.bench(metrics), tuple(Job(s, chosen) for s in sequences.values()))
    with torch.no_grad():
        ids = torch.tensor([done.jobs[0].sequence.tokens])
        states = lab.model.network(input_ids=ids, output_hidden_states=True).hidden_states
    for name, layer in (("pre", 2), ("post", 3)):
        expected = tiny_sae("x").encode(states[layer][0, -1])[5]
        got = metrics[name].measure(done.reading)[0]
        assert float(got) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)
    values = [metrics[o["name"]].measure(done.reading) for o in outcomes]
    assert len({tuple(v.tolist()) for v in values}) == 3


def test_an_sae_before_the_intervention_cannot_respond_to_it(laboratory, tiny_sae, monkeypatch):
    from causal_sae.execution.metrics import feature_activation

    monkeypatch.setattr(feature_activation, "open_sae", lambda spec, base: tiny_sae(spec.hook))
    sae = {"source": {"path": "x"}, "hook": "blocks.1.hook_resid_pre"}
    outcome = {"name": "y", "metric": "feature_activation", "feature": 5, "sae": sae}
    lab = laboratory("llama", arms=ARMS, outcomes=[outcome])
    with pytest.raises(SAEError, match="must read in a later layer"):
        lab.metrics(TABLE)
