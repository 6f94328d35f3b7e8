"""Every edit against plain PyTorch hooks, on every kind of block and every hook point."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.errors import SAEError
from causal_sae.execution.batches import Job
from causal_sae.execution.edits import FeatureEdit, attention_sinks, feature_change
from causal_sae.execution.forward import run_batch
from causal_sae.execution.gates import choose_route
from causal_sae.execution.hook_points import resolve
from causal_sae.execution.host import Host, site_of
from causal_sae.execution.laboratory import assemble
from causal_sae.execution.sequences import TokenSequence
from causal_sae.execution.treatments import treatments

FAMILIES = ["gpt2", "llama", "gemma2", "gpt_neox", "qwen2"]
OTHERS = ["phi", "phi3", "olmo2", "mixtral", "cohere", "gptj", "gpt_neo", "opt", "opt_post_norm"]
OTHERS += ["bloom", "falcon", "falcon_sequential", "gpt_neox_sequential"]
SITES = ["hook_resid_pre", "hook_resid_mid", "hook_mlp_out", "hook_attn_out", "attn.hook_z"]
TUPLES = ["bloom", "falcon_sequential", "gpt_neo", "opt"]
SIDE_BY_SIDE = ["falcon", "gptj", "phi"]
TEXTS = ["whale sea ship boat captain", "old man said to the king", "storm night day the sea of"]


def jobs_of(lab, texts=TEXTS):
    table = pd.DataFrame({"unit_id": [f"u{i}" for i in range(len(texts))], "text": texts})
    prompts = lab.tokenizer.prompts(table)
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    chosen = tuple(t for choices in made.values() for t in choices)
    return [Job(TokenSequence(p), chosen) for p in prompts]


def one_length(jobs):
    length = len(jobs[0].sequence.tokens)
    return tuple(j for j in jobs if len(j.sequence.tokens) == length)


def joined(out, change, hook):
    """The block's output with the change of the residual stream added."""
    if hook.block_index is None:
        return out + change
    return tuple(o + change if i == hook.block_index else o for i, o in enumerate(out))


def raw_logits(lab, tokens, treatment, editable):  # noqa: C901 - every kind of edit, spelt out
    """The same intervention written as a user would: one prompt, one arm, one PyTorch hook."""
    sae, hook = lab.sae, lab.hook
    norm = sae.weights.w_dec  # [d_sae, d]

    def edited(x):
        f = sae.encode(x)
        features, gain, bias = treatment.features, treatment.gain, treatment.bias
        if treatment.push_like is not None:
            like = treatment.push_like
            features, gain, bias = like.features, like.gain, like.bias
        out = x.clone()
        for s in range(x.shape[1]):
            if not editable[s]:
                continue
            if treatment.splice:
                out[0, s] = sae.reconstruct(x)[0, s]
                continue
            change = torch.zeros_like(x[0, s])
            for j, g, b in zip(features, gain, bias, strict=True):
                change += (g * f[0, s, j] + b - f[0, s, j]) * norm[j]
            if treatment.push_like is not None:
                direction = treatment.direction / treatment.direction.norm()
                change = change.norm() * direction
            out[0, s] = x[0, s] + change
        return out

    module = lab.model.network.get_submodule(hook.module)
    moved = []

    def on_output(_module, _args, output):
        if hook.flat:
            return edited(output[None])[0]
        if hook.index is None:
            return edited(output)
        return (*output[: hook.index], edited(output[hook.index]), *output[hook.index + 1 :])

    def on_input(_module, args, kwargs):
        x = args[0] if args else kwargs["hidden_states"]
        new = edited(x[None])[0] if hook.flat else edited(x)
        moved.append(new - x)
        if args:
            return (new, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": new}

    handles = []
    if hook.side == "output":
        handles.append(module.register_forward_hook(on_output))
    else:
        handles.append(module.register_forward_pre_hook(on_input, with_kwargs=True))
    if hook.bypass:
        block = lab.model.network.get_submodule(hook.bypass)
        handles.append(block.register_forward_hook(lambda _m, _a, out: joined(out, moved[0], hook)))
    try:
        with torch.no_grad():
            ids = torch.tensor([tokens])
            return lab.model.network(input_ids=ids, use_cache=False).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_every_edit_equals_a_plain_hook(laboratory, family):
    lab = laboratory(family)
    host, gate = choose_route(lab.host, torch.tensor([[0, 43, 44, 45], [0, 50, 51, 52]]), 1)
    assert (host.route, gate.status) == ("suffix", "pass")
    check_against_hooks(lab)


@pytest.mark.parametrize("hook", SITES)
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "olmo2", *TUPLES])
def test_every_hook_point_equals_a_plain_hook(laboratory, family, hook):
    check_against_hooks(laboratory(family, f"blocks.2.{hook}"))


@pytest.mark.parametrize("hook", [hook for hook in SITES if hook != "hook_resid_mid"])
@pytest.mark.parametrize("family", SIDE_BY_SIDE)
def test_every_hook_point_of_parallel_blocks_equals_a_plain_hook(laboratory, family, hook):
    check_against_hooks(laboratory(family, f"blocks.2.{hook}"))


def centred_laboratory(tiny_model, tiny_sae, declare, folder, family, **sae):
    read = tiny_sae("blocks.1.hook_resid_post")
    read = replace(read, config=replace(read.config, centre_activations=True))
    trial = declare(sae={"source": {"path": "sae"}} | sae)
    return assemble(trial, folder, tiny_model(family), read)


def test_an_sae_of_centred_activations_ignores_their_mean(tiny_model, tiny_sae, declare, tmp_path):
    lab = centred_laboratory(tiny_model, tiny_sae, declare, tmp_path, "gpt2")
    assert lab.sae.config.centre_activations
    check_against_hooks(lab)
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(lab.sae.encode(x + 3), lab.sae.encode(x), atol=1e-5, rtol=1e-5)


def test_a_model_that_keeps_the_mean_has_no_centred_sae(tiny_model, tiny_sae, declare, tmp_path):
    made = (tiny_model, tiny_sae, declare, tmp_path, "llama")
    assert not centred_laboratory(*made).sae.config.centre_activations
    with pytest.raises(SAEError, match="must be false for tiny-llama") as caught:
        centred_laboratory(*made, centre_activations=True)
    assert caught.value.place.field == "sae.centre_activations"


def test_blocks_that_write_into_what_they_are_given_leave_the_edit_alone(laboratory):
    lab = laboratory("falcon", "blocks.1.hook_mlp_out")
    ids = torch.tensor([[0, 43, 44, 45, 46]])
    at = lab.host.read(ids)
    edited = at.activation * 2
    kept = edited.clone()
    later = resolve("blocks.2.hook_mlp_out", "falcon")
    seen = lab.host.resume(at, edited, 1, (later,)).watched[site_of(later)]
    assert torch.equal(edited, kept)
    caught = []
    module = lab.model.network.get_submodule(later.module)
    handle = module.register_forward_hook(lambda _m, _a, out: caught.append(out.clone()))
    lab.host.resume(at, edited, 1)
    handle.remove()
    assert torch.equal(seen, caught[0])


def test_the_first_layer_has_nothing_to_skip(laboratory):
    check_against_hooks(laboratory("llama", "blocks.0.hook_resid_pre"))


def test_topk_edits_one_feature_and_leaves_the_others(laboratory):
    check_against_hooks(laboratory("llama", architecture="topk"))


def check_against_hooks(lab):
    batch = one_length(jobs_of(lab))
    done = run_batch(lab.bench({}), batch)
    with torch.no_grad():
        clean = {
            j.sequence.unit_id: Host(lab.model, lab.hook).read(torch.tensor([j.sequence.tokens]))
            for j in batch
        }
    moved = 0.0
    for row, (job, treatment) in enumerate(zip(done.jobs, done.treatments, strict=True)):
        unit, tokens = job.sequence.unit_id, job.sequence.tokens
        if treatment is None:
            continue
        sinks = attention_sinks(clean[unit].activation)[0]
        editable = torch.from_numpy(job.sequence.editable) & ~sinks
        expected = raw_logits(lab, tokens, treatment, editable).log_softmax(-1)
        got = done.reading.logprobs[row, 0]
        torch.testing.assert_close(got.float(), expected, atol=2e-5, rtol=1e-4)
        plain = done.reading.untouched_last[row].float()
        moved = max(moved, float((expected - plain).abs().max()))
    assert moved > 0.01  # the comparison would mean nothing if no edit did anything


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("route", ["suffix", "full"])
def test_a_null_edit_is_bit_identical(laboratory, family, route):
    lab = laboratory(family)
    host = Host(lab.model, lab.hook, route)
    ids = torch.tensor([j.sequence.tokens for j in one_length(jobs_of(lab))])
    at = host.read(ids)
    assert torch.equal(host.resume(at, at.activation, 2).logits, host.plain(ids, 2))


def test_control_rows_are_the_plain_model_whatever_the_others_do(laboratory):
    lab = laboratory("llama")
    batch = one_length(jobs_of(lab))
    done = run_batch(lab.bench({}), batch)
    rows = [r for r, t in enumerate(done.treatments) if t is None]
    ids = torch.tensor([batch[i].sequence.tokens for i in range(len(batch))])
    plain = lab.host.plain(ids, 1).double().log_softmax(-1)
    torch.testing.assert_close(done.reading.logprobs[rows], plain, atol=1e-6, rtol=1e-6)


def test_rows_do_not_change_when_other_rows_arms_change(laboratory):
    lab = laboratory("llama")
    first, *others = one_length(jobs_of(lab))
    whole = run_batch(lab.bench({}), (first, *others))
    alone = run_batch(lab.bench({}), (first,))
    for row in range(first.rows):
        torch.testing.assert_close(
            whole.reading.logprobs[row], alone.reading.logprobs[row], atol=1e-6, rtol=1e-6
        )


def test_the_edited_stream_is_where_it_should_be_and_nowhere_else(laboratory):
    lab = laboratory("llama", positions="last")
    batch = one_length(jobs_of(lab))[:1]
    done = run_batch(lab.bench({}), batch)
    stream = done.reading.activations[site_of(lab.hook)]
    clean = stream[0]
    for row, treatment in enumerate(done.treatments):
        assert torch.equal(stream[row, :-1], clean[:-1])
        if treatment is not None and treatment.arm == "clamp":
            feature = lab.sae.encode(clean[-1])[5]
            expected = clean[-1] + (4.0 - feature) * lab.sae.weights.w_dec[5]
            torch.testing.assert_close(stream[row, -1], expected)


def test_delivery_says_what_was_done(laboratory):
    lab = laboratory("llama")
    done = run_batch(lab.bench({}), one_length(jobs_of(lab)))
    d = done.delivery
    for row, treatment in enumerate(done.treatments):
        if treatment is None:
            assert d.dose[row] == d.norm_ratio[row] == d.received[row] == 0
        elif treatment.arm == "clamp":
            assert d.asked[row] == pytest.approx(4.0)
            assert d.dose[row] == pytest.approx(float(4.0 - d.before[row]), rel=1e-5)
            assert d.found[row] == pytest.approx(4.0, rel=0.2)
        elif treatment.arm == "random":
            clamp = next(
                r
                for r, t in enumerate(done.treatments)
                if t and t.arm == "clamp" and done.jobs[r] is done.jobs[row]
            )
            assert d.norm_ratio[row] == pytest.approx(float(d.norm_ratio[clamp]), rel=1e-4)


def test_features_beyond_a_rows_own_are_left_alone():
    f = torch.rand(1, 3, 6)
    edits = [
        None,
        FeatureEdit((2,), torch.tensor([0.0]), torch.tensor([9.0])),
        FeatureEdit((4, 1), torch.tensor([1.0, 0.5]), torch.tensor([2.0, 0.0])),
    ]
    change = feature_change(
        f, torch.zeros(3, dtype=torch.long), torch.eye(6), edits, torch.ones(3, 3, dtype=torch.bool)
    )
    assert torch.equal(change.residual[0], torch.zeros(3, 6))
    expected = torch.zeros(3, 6)
    expected[:, 2] = 9 - f[0, :, 2]
    torch.testing.assert_close(change.residual[1], expected)
    expected = torch.zeros(3, 6)
    expected[:, 4], expected[:, 1] = 2.0, -0.5 * f[0, :, 1]
    torch.testing.assert_close(change.residual[2], expected)


def test_sinks_are_told_by_their_own_row():
    x = torch.ones(2, 5, 4)
    x[0, 2] *= 4.5
    x[1] *= 100
    expected = torch.zeros(2, 5, dtype=torch.bool)
    expected[0, 2] = True
    assert torch.equal(attention_sinks(x), expected)
