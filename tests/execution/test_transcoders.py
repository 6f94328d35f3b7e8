"""Transcoders read one place and write another: every edit against plain PyTorch hooks."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

from causal_sae.errors import SAEError
from causal_sae.execution.batches import Job
from causal_sae.execution.edits import attention_sinks
from causal_sae.execution.forward import run_batch
from causal_sae.execution.gates import check_dose
from causal_sae.execution.generation import Writing, write
from causal_sae.execution.laboratory import assemble
from causal_sae.execution.sequences import TokenSequence
from causal_sae.execution.treatments import Treatment, treatments
from causal_sae.saes.sae import build
from causal_sae.saes.weights import Weights
from causal_sae.spec.outcomes import Generate

READ, WRITTEN = "model.layers.1.mlp.input", "model.layers.1.mlp.output"
PLACES = {
    "llama": (READ, WRITTEN),
    "gpt2": ("transformer.h.1.ln_2.output", "blocks.1.hook_mlp_out"),
    "gemma2": (
        "model.layers.1.pre_feedforward_layernorm.output",
        "model.layers.1.post_feedforward_layernorm.output",
    ),
    "falcon": ("transformer.h.1.mlp.input", "blocks.1.hook_mlp_out"),
}
TEXTS = ["whale sea ship boat captain", "storm night day the sea of"]


@pytest.fixture
def transcoding(tiny_model, tiny_sae, declare, tmp_path):
    """``transcoding("llama", skip=True, **trial)``: a laboratory with a transcoder."""

    def make(family="llama", places=None, skip=False, **changes):
        read, written = places or PLACES[family]
        sae = tiny_sae(read)
        weights = sae.weights
        skipped = 0.1 * torch.eye(32) if skip else None
        other = Weights(
            w_enc=weights.w_enc,
            w_dec=weights.w_dec.flip(1),  # not what it reads: a mixed-up place would show
            b_dec=weights.b_dec,
            b_enc=weights.b_enc,
            threshold=weights.threshold,
            w_skip=skipped,
        )
        config = replace(sae.config, hook_out=written, transcoder=True, apply_b_dec_to_input=False)
        return assemble(declare(**changes), tmp_path, tiny_model(family), build(config, other))

    return make


def raw_logits(lab, tokens, treatment, editable):
    """One prompt, one arm, two PyTorch hooks: one to read, one to write."""
    host, sae, seen = lab.host, lab.sae, []
    like = treatment.push_like or treatment

    def watch(x):
        seen.append(x.clone())

    def change(y):
        f = sae.encode(seen[0])
        out = y.clone()
        for s in editable.nonzero()[:, 0].tolist():
            if treatment.splice:
                out[0, s] = sae.reconstruct(seen[0])[0, s]
                continue
            push = torch.zeros_like(y[0, s])
            for j, g, b in zip(like.features, like.gain, like.bias, strict=True):
                push += (g * f[0, s, j] + b - f[0, s, j]) * sae.weights.w_dec[j]
            if treatment.direction is not None:
                push = push.norm() * treatment.direction / treatment.direction.norm()
            out[0, s] += push
        return out

    network = lab.model.network
    reader = network.get_submodule(host.hook.module)
    if host.hook.side == "input":
        first = reader.register_forward_pre_hook(
            lambda _m, args, kwargs: watch(args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        )
    else:
        first = reader.register_forward_hook(lambda _m, _a, out: watch(out))
    writer = network.get_submodule(host.written.module)
    second = writer.register_forward_hook(lambda _m, _a, out: change(out))
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1]
    first.remove()
    second.remove()
    return logits


def jobs_of(lab):
    table = pd.DataFrame({"unit_id": ["a", "b"], "text": TEXTS})
    made = treatments(lab.trial, lab.sae, pd.DataFrame())
    chosen = tuple(t for choices in made.values() for t in choices)
    return [Job(TokenSequence(p), chosen) for p in lab.tokenizer.prompts(table)]


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("family", sorted(PLACES))
def test_every_edit_is_that_of_two_plain_hooks(transcoding, family, skip):
    lab = transcoding(family, skip=skip)
    prompts = [job.sequence.prompt for job in jobs_of(lab)]
    lab, gate = lab.choose_route(prompts)
    assert (lab.host.route, gate.status) == ("suffix", "pass")
    moved = 0.0
    for job in jobs_of(lab):
        done = run_batch(lab.bench({}), (job,))
        at = lab.host.read(torch.tensor([job.sequence.tokens]))
        editable = torch.from_numpy(job.sequence.editable) & ~attention_sinks(at.written)[0]
        for row, treatment in enumerate(done.treatments):
            if treatment is None:
                continue
            plain = raw_logits(lab, job.sequence.tokens, treatment, editable).log_softmax(-1)
            got = done.reading.logprobs[row, 0].float()
            torch.testing.assert_close(got, plain, atol=2e-5, rtol=1e-4)
            moved = max(moved, float((got - done.reading.untouched_last[row]).abs().max()))
    assert moved > 0.01


def test_texts_are_edited_where_the_transcoder_writes(transcoding):
    lab = transcoding()
    clamp = Treatment("clamp", None, (3,), (0.0,), (9.0,))
    prompt = jobs_of(lab)[0].sequence.prompt
    job = Writing(prompt, (clamp,), Generate(max_new_tokens=5), edit_generated=True)
    plain, steered = write(replace(lab.bench({}), skip_sinks=False), [job], frozenset())
    assert plain.tokens != steered.tokens
    tokens = list(prompt.tokens)
    for token in steered.tokens:
        editable = torch.ones(len(tokens), dtype=torch.bool)
        editable[0] = False
        assert int(raw_logits(lab, tokens, clamp, editable).argmax()) == token
        tokens.append(token)


def test_what_a_transcoder_was_asked_is_not_read_again(transcoding):
    lab = transcoding()
    done = run_batch(lab.bench({}), (jobs_of(lab)[0],))
    gates = check_dose([done])
    assert {gate.status for gate in gates} == {"warn"}
    assert all("cannot find the change" in gate.sentence for gate in gates)
    for row, treatment in enumerate(done.treatments):
        edits = treatment is not None and bool(treatment.features)
        assert bool(done.delivery.found[row].isnan()) is edits


def test_a_transcoder_across_blocks_or_of_another_width_is_refused(transcoding):
    with pytest.raises(SAEError, match="must be a place in the block that the transcoder reads"):
        transcoding(places=(READ, "model.layers.2.mlp"))
    lab = transcoding(places=(READ, "model.layers.1.mlp.up_proj"))
    with pytest.raises(SAEError, match=r"writes activations of width 32, and those of .* width 48"):
        lab.choose_route([job.sequence.prompt for job in jobs_of(lab)])


def test_its_features_are_no_outcome_of_its_own_edit(transcoding):
    outcome = {"name": "own", "metric": "feature_activation", "feature": 2}
    lab = transcoding(outcomes=[outcome])
    with pytest.raises(SAEError, match="cannot respond to the intervention"):
        lab.metrics(pd.DataFrame({"unit_id": ["a"], "text": TEXTS[:1]}))
