"""Generated text against plain PyTorch: hooks on the network, the whole sequence run every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from causal_sae.execution.batches import Limit
from causal_sae.execution.bench import Bench
from causal_sae.execution.generation import Writing, _uniform, write, writing_batches
from causal_sae.execution.hook_points import resolve
from causal_sae.execution.host import Host
from causal_sae.execution.sequences import Prompt
from causal_sae.execution.treatments import Treatment
from causal_sae.spec.outcomes import Generate

FAMILIES = ("llama", "gpt2", "gemma2", "gpt_neox", "qwen2", "falcon", "bloom", "opt", "mixtral")
CLAMP = Treatment("clamp", None, (3,), (0.0,), (6.0,))
ABLATE = Treatment("ablate", None, (5, 2), (0.0, 0.0), (0.0, 0.0))
CONTROL = Treatment("control")
GREEDY = Generate(max_new_tokens=7)
SAMPLED = Generate(max_new_tokens=7, temperature=1.3, samples=3)


def _bench(tiny_model, tiny_sae, family="llama", site="resid_post", route="suffix"):
    hook = f"blocks.1.hook_{site}"
    model = tiny_model(family)
    sae = tiny_sae(hook)
    host = Host(model, resolve(hook, family), route)
    return Bench(host, sae, sae.direction(range(sae.config.d_sae)), seed=3, skip_sinks=False)


def _prompt(unit="u", tokens=(0, 9, 41, 17, 30, 8), editable=None):
    mask = np.array([False] + [True] * (len(tokens) - 1)) if editable is None else editable
    return Prompt(unit, tokens, mask)


def _network(model):
    return model.network


def _plainly(bench, prompt, treatment, settings, edit_generated, sample=0):
    """Greedy or sampled text by running everything anew for each token, with a PyTorch hook."""
    network = _network(bench.host.model)
    module = network.get_submodule(bench.host.hook.module)
    tokens = list(prompt.tokens)
    length = len(tokens)
    noise = _uniform(bench.seed, prompt.unit_id, sample, settings.max_new_tokens)

    def hook(module, inputs, output):
        whole = output[0] if isinstance(output, tuple) else output
        x = whole[0]
        f = bench.sae.encode(x)
        new = f.clone()
        for j, gain, bias in zip(treatment.features, treatment.gain, treatment.bias, strict=True):
            new[:, j] = gain * f[:, j] + bias
        mask = torch.from_numpy(prompt.editable)
        mask = torch.cat([mask, torch.full((len(x) - length,), edit_generated)])
        x = x + torch.where(mask[:, None], (new - f) @ bench.directions, 0.0)
        return (x[None], *output[1:]) if isinstance(output, tuple) else x[None]

    handle = module.register_forward_hook(hook) if treatment else None
    try:
        for step in range(settings.max_new_tokens):
            with torch.no_grad():
                logits = network(torch.tensor([tokens])).logits[0, -1]
            if settings.temperature == 0:
                tokens.append(int(logits.argmax()))
            else:
                share = (logits.double() / settings.temperature).softmax(0).cumsum(0)
                tokens.append(int(torch.searchsorted(share, noise[step] * share[-1], right=True)))
    finally:
        if handle:
            handle.remove()
    return tuple(tokens[length:])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("edit_generated", [True, False])
@pytest.mark.parametrize("settings", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_texts_are_those_of_plain_pytorch(tiny_model, tiny_sae, family, edit_generated, settings):
    bench = _bench(tiny_model, tiny_sae, family)
    prompts = [_prompt("u"), _prompt("v", (0, 12, 33, 50, 7, 22))]
    jobs = [Writing(p, (CLAMP, ABLATE), settings, edit_generated) for p in prompts]
    texts = write(bench, jobs, frozenset())
    assert len(texts) == 2 * 3 * settings.samples
    by_unit = {p.unit_id: p for p in prompts}
    for text in texts:
        prompt = by_unit[text.unit_id]
        wanted = _plainly(bench, prompt, text.treatment, settings, edit_generated, text.sample)
        assert text.tokens == wanted


@pytest.mark.parametrize("site", ["resid_pre", "resid_mid", "mlp_out", "attn_out"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_both_routes_write_the_same_at_every_site(tiny_model, tiny_sae, family, site):
    jobs = [Writing(_prompt(), (CLAMP, ABLATE), SAMPLED, True)]
    short, whole = (
        write(_bench(tiny_model, tiny_sae, family, site, route), jobs, frozenset())
        for route in ("suffix", "full")
    )
    assert [t.tokens for t in short] == [t.tokens for t in whole]


def test_identical_arms_write_identical_texts(tiny_model, tiny_sae):
    null = Treatment("null", None, (3,), (1.0,), (0.0,))
    bench = _bench(tiny_model, tiny_sae)
    texts = write(bench, [Writing(_prompt(), (CONTROL, null), SAMPLED, True)], frozenset())
    plain = [t.tokens for t in texts if t.treatment is None]
    edited = [t.tokens for t in texts if t.treatment is not None]
    assert plain == edited
    assert len(set(plain)) > 1  # the samples differ


def test_a_text_does_not_depend_on_its_company(tiny_model, tiny_sae):
    bench = _bench(tiny_model, tiny_sae)
    jobs = [
        Writing(_prompt(unit, (0, 9, 41, first, 30)), (CLAMP,), SAMPLED, True)
        for unit, first in (("a", 17), ("b", 23), ("c", 44))
    ]
    together = {
        (t.unit_id, str(t.treatment), t.sample): t.tokens for t in write(bench, jobs, frozenset())
    }
    for job in jobs:
        for text in write(bench, [job], frozenset()):
            assert text.tokens == together[text.unit_id, str(text.treatment), text.sample]


def test_a_text_ends_before_its_end_token(tiny_model, tiny_sae):
    bench = _bench(tiny_model, tiny_sae)
    job = Writing(_prompt(), (CLAMP,), GREEDY, True)
    free = write(bench, [job], frozenset())
    stop = free[0].tokens[3]
    for before, text in zip(free, write(bench, [job], frozenset({stop})), strict=True):
        end = before.tokens.index(stop) if stop in before.tokens else len(before.tokens)
        assert text.tokens == before.tokens[:end]


def test_what_was_delivered_counts_prompt_and_new_tokens(tiny_model, tiny_sae):
    bench = _bench(tiny_model, tiny_sae)
    at_all = write(bench, [Writing(_prompt(), (CLAMP,), GREEDY, True, False)], frozenset())[0]
    only = np.zeros(6, dtype=bool)
    at_new = Writing(_prompt(editable=only), (CLAMP,), GREEDY, True, False)
    generated = write(bench, [at_new], frozenset())[0]
    # The last token is chosen, and never read by the model.
    assert at_all.delivery["positions"] == 5 + 6
    assert generated.delivery["positions"] == 6
    assert generated.delivery["asked"] == pytest.approx(6.0)
    assert generated.delivery["received"] == 1.0
    never = replace(at_new, edit_generated=False)
    assert write(bench, [never], frozenset())[0].delivery["received"] == 0.0


def test_every_job_is_written_once_with_its_like():
    jobs = [
        Writing(_prompt(f"u{i}", tuple(range(2 + i % 3))), (CLAMP,), settings, True)
        for i, settings in enumerate([GREEDY, SAMPLED] * 6)
    ]
    made = list(writing_batches(jobs, Limit(200)))
    assert sorted(j.prompt.unit_id for b in made for j in b) == sorted(
        j.prompt.unit_id for j in jobs
    )
    for batch in made:
        assert len({(len(j.prompt.tokens), j.settings) for j in batch}) == 1
        assert len(batch) == 1 or sum(j.tokens for j in batch) <= 200
