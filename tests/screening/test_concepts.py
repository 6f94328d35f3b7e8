"""A feature that causes a concept is upheld, one that only fires on it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from causal_sae.cli import app
from causal_sae.errors import DataError, SpecError
from causal_sae.estimation.concepts import Limits, effects, verdicts
from causal_sae.features.desk import desk_of
from causal_sae.saes.config import SAEConfig
from causal_sae.saes.sae import build
from causal_sae.saes.weights import Weights
from causal_sae.screening.concepts.run import register_concepts, run_concepts
from causal_sae.screening.concepts.words import marking
from causal_sae.spec.concepts import load_concepts

HOOK = "blocks.3.hook_resid_post"
SEA = ["whale", "sea", "ship", "boat", "captain", "harpoon", "water", "storm"]
LAND = ["king", "queen", "city", "road", "house", "tree", "stone", "bird"]
PLAIN = ["the", "a", "old", "man", "said", "went", "saw", "was", "is", "with"]
QUOTED = ", ".join(f'" {word}"' for word in SEA)
CAUSES, CORRELATES, HARMS = 0, 1, 2
WIDTH, DECOYS = 32, 21


def texts(words, seed, count=120):
    draw = np.random.default_rng(seed)
    return [
        " ".join([*draw.choice(PLAIN, 2), *draw.choice(words, 2), *draw.choice(PLAIN, 5)])
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def desk(tiny_model):
    """Features that read one direction which the embedding of the sea's words is moved along."""
    from copy import deepcopy

    model = tiny_model("llama")
    network = deepcopy(model.network)
    head = network.lm_head.weight.detach()
    tokens = [model.tokenizer(" " + w, add_special_tokens=False)["input_ids"][0] for w in SEA]
    draw = torch.Generator().manual_seed(4)
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=draw))[0].T
    mark, writes, silent = basis[0], basis[1], basis[2]
    with torch.no_grad():
        # The words are marked in the embedding, and raised by what is written along ``writes``;
        # nothing is read from the mark, nor along ``silent``.
        network.model.embed_tokens.weight[tokens] += 3 * mark
        fixed = head - head @ torch.stack([mark, silent, writes]).T @ torch.stack(
            [mark, silent, writes]
        )
        fixed[tokens] += 2.0 * writes
        network.lm_head.weight.copy_(fixed)
    rows = torch.nn.functional.normalize(
        basis[3:].T @ torch.randn(WIDTH - 3, DECOYS, generator=draw), dim=0
    ).T
    readers = torch.stack([mark, mark, mark])
    noise = 0.02 * torch.randn(3, WIDTH, generator=draw)
    chaos = torch.nn.functional.normalize(
        basis[3:].T @ torch.randn(WIDTH - 3, generator=draw), dim=0
    )
    weights = Weights(
        w_enc=torch.cat([readers + noise, rows]).T.contiguous(),
        w_dec=torch.cat([torch.stack([writes, silent, 25 * chaos + 2 * writes]), rows]),
        b_dec=torch.zeros(WIDTH),
        b_enc=torch.cat([torch.full((3,), -1.0), torch.full((DECOYS,), 0.5)]),
        threshold=torch.full((3 + DECOYS,), 0.05),
    )
    config = SAEConfig("jumprelu", WIDTH, 3 + DECOYS, WIDTH, hook=HOOK, prepend_bos=True)
    return desk_of(replace(model, network=network), build(config, weights))


YAML = """schema: 1
name: sea
seed: 3
model: {{source: {{path: .}}}}
sae: {{source: {{path: .}}}}
concepts:
  - {{name: sea, positive: sea.txt, negative: land.txt, words: [{words}], features: [0, 1, 2]}}
claims: {{most: 0}}
texts: 24
tokens: 8
read: 4
placebos: 2
{more}
"""


@pytest.fixture
def concepts(tmp_path):
    def make(more="", words=QUOTED):
        (tmp_path / "sea.txt").write_text("\n".join(texts(SEA, 1)))
        (tmp_path / "land.txt").write_text("\n".join(texts(LAND, 2)))
        file = tmp_path / "concepts.yaml"
        file.write_text(YAML.format(words=words, more=more))
        return load_concepts(file)

    return make


@pytest.fixture
def quiet():
    import io

    return Console(file=io.StringIO(), width=100)


LIMITS = "guardrails: {kl: 0.8, nll: 2.0}"


@pytest.fixture(scope="module")
def done(desk, tmp_path_factory):
    """A finished run: do not change it."""
    import io

    folder = tmp_path_factory.mktemp("concepts")
    (folder / "sea.txt").write_text("\n".join(texts(SEA, 1)))
    (folder / "land.txt").write_text("\n".join(texts(LAND, 2)))
    (folder / "concepts.yaml").write_text(YAML.format(words=QUOTED, more=LIMITS))
    console = Console(file=io.StringIO(), width=100)
    declared = load_concepts(folder)
    return declared, run_concepts(declared, folder / "out", console, desk=desk)


def test_planted_features_get_the_verdicts_that_they_deserve(done):
    table = done[1].verdicts.set_index("feature")
    assert table.loc[CAUSES, "verdict"] == "upheld"
    assert table.loc[CORRELATES, "verdict"] == "not upheld"
    assert table.loc[HARMS, "verdict"] == "harmful"
    # All three tell the texts apart alike: firing decides nothing.
    assert (table["auroc"] > 0.95).all()
    assert (table["auroc_fresh"] > 0.95).all()


def test_every_row_is_what_the_plain_model_does(done, desk):
    """One row of each arm, by a hook on the bare network."""
    _, run = done
    rows = pd.read_parquet(run.folder.path / "observations.parquet")
    plan = rows[rows["run"]].groupby(["feature", "arm"]).first().reset_index()
    network, sae, tokenizer = desk.model.network, desk.sae, desk.model.tokenizer
    pool = sorted({*texts(SEA, 1)}, key=texts(SEA, 1).index) + sorted(
        {*texts(LAND, 2)}, key=texts(LAND, 2).index
    )
    words = torch.tensor(
        [tokenizer(" " + w, add_special_tokens=False)["input_ids"][0] for w in SEA]
    )
    decoder = sae.direction(range(3 + DECOYS))
    dose = run.verdicts.set_index("feature")["dose"]
    for row in plan.to_dict("records"):
        if row["arm"].endswith("random"):
            continue
        ids = tokenizer(pool[row["text"]], add_special_tokens=False)["input_ids"][:8]
        fed, following = torch.tensor([[0, *ids[:-1]]]), torch.tensor(ids[-4:])
        target = row["placebo"] if row["arm"].endswith("placebo") else row["feature"]
        along = decoder[target]
        size = decoder[row["feature"]].norm() / along.norm()

        length = float(dose[row["feature"]] * size)
        length = length if row["arm"].startswith("amplify") else None

        def edit(_module, _given, output, target=target, along=along, length=length):
            change = sae.encode(output)[..., target] * -1
            if length is not None:
                change = torch.full_like(change, length)
            change[:, 0] = 0
            return output + change[..., None] * along

        def read(hook, fed=fed):
            handle = network.model.layers[3].register_forward_hook(hook) if hook else None
            with torch.no_grad():
                logits = network(fed).logits[0, -4:].double().log_softmax(-1)
            if handle:
                handle.remove()
            return logits

        clean, treated = read(None), read(edit)
        mass = (treated[:, words].logsumexp(1) - clean[:, words].logsumexp(1)).mean()
        kl = (clean.exp() * (clean - treated)).sum(1).mean()
        picked = torch.arange(4), following
        nll = (clean[picked] - treated[picked]).mean()
        assert row["words"] == pytest.approx(float(mass), abs=1e-5)
        assert row["kl"] == pytest.approx(float(kl), abs=1e-5)
        assert row["nll"] == pytest.approx(float(nll), abs=1e-5)


def test_texts_that_found_a_claim_never_try_it_and_arms_share_texts(done):
    _, run = done
    rows = pd.read_parquet(run.folder.path / "observations.parquet")
    for _, own in rows.groupby(["feature", rows["arm"].str.split("_").str[0]]):
        sets = own.groupby("arm")["text"].apply(frozenset)
        assert sets.nunique() == 1
    dealt = rows[rows["arm"] == "amplify_placebo"].groupby(["feature", "placebo"]).size()
    assert dealt.groupby("feature").agg(lambda n: n.max() - n.min()).max() <= 1
    # Placebos fire in these texts and are none of the features that claim the concept.
    assert not set(rows.loc[rows["placebo"] >= 0, "placebo"]) & {CAUSES, CORRELATES, HARMS}


def test_a_run_goes_on_with_the_same_numbers(done, desk, tmp_path, quiet, monkeypatch):
    from causal_sae.screening.concepts import run as module

    declared, whole = done
    real, stopped = module.measure, {}

    def stop(stage, rows, limit, folder, advance):
        parts = iter(range(2))

        def count(n):
            if next(parts, None) is None:
                raise KeyboardInterrupt
            advance(n)

        return real(stage, rows, limit, folder, count)

    monkeypatch.setattr(module, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        run_concepts(declared, tmp_path / "out", quiet, desk=desk)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "parts").glob("part-*")}
    assert kept
    monkeypatch.setattr(module, "measure", real)
    again = run_concepts(declared, tmp_path / "out", quiet, resume=True, desk=desk)
    assert all(p.stat().st_mtime_ns == when for p, when in kept.items())
    pd.testing.assert_frame_equal(again.verdicts, whole.verdicts)
    assert not stopped


def test_a_registration_is_held_against_the_run_and_sealed(concepts, desk, quiet, tmp_path):
    path = register_concepts(concepts(LIMITS), quiet, desk)
    with pytest.raises(DataError, match="is registered already"):
        register_concepts(concepts(LIMITS), quiet, desk)
    same = run_concepts(concepts(LIMITS), tmp_path / "same", quiet, desk=desk).manifest
    assert same["registration"]["registered"]
    assert same["deviations"] == []
    (tmp_path / "sea.txt").write_text("\n".join(texts(SEA, 5)))
    changed = load_concepts(tmp_path)
    other = run_concepts(changed, tmp_path / "other", quiet, desk=desk).manifest
    assert other["deviations"] == ["the texts changed"]
    path.write_text(path.read_text().replace('"read": 4', '"read": 5'))
    with pytest.raises(SpecError, match="does not match its seal"):
        run_concepts(changed, tmp_path / "edited", quiet, desk=desk)
    assert not (tmp_path / "edited").exists()


def test_the_page_tells_the_evidence_and_escapes(done, tmp_path):
    from causal_sae.reporting.concepts import verdicts_table, write_concept_report
    from causal_sae.reporting.figures.concepts import claims_figure

    declared, run = done
    drawn = {"claims": claims_figure(run.verdicts, 0.02)}
    nasty = dict(run.manifest, words={"sea": ["<script>"]})
    page = write_concept_report(
        declared.trial, run.verdicts, run.tests, nasty, drawn, tmp_path / "r.html"
    ).read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<details") == 3
    assert "intersection-union" in page
    assert verdicts_table(run.verdicts, 5, 120).row_count == 3


def test_words_that_mark_texts_are_learned():
    positive = np.array([[1, 5, 9], [1, 5, 8], [2, 5, 9], [1, 5, 7]] * 5)
    negative = np.array([[1, 6, 9], [1, 6, 8], [2, 6, 9], [1, 6, 7]] * 5)
    assert marking(positive, negative).tolist() == [5]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("nothing: 1", "nothing"),
        ("outcome: sentiment", "outcome"),
        ("least: -1", "least"),
    ],
)
def test_a_wrong_declaration_names_its_field(concepts, more, says):
    with pytest.raises(SpecError, match=says) as error:
        concepts(more)
    assert error.value.place.line


def test_too_few_texts_and_wrong_words_are_refused(concepts, desk, quiet, tmp_path):
    declared = concepts(words='" nosuchword"')
    with pytest.raises(DataError, match="one token"):
        run_concepts(declared, tmp_path / "out", quiet, desk=desk)
    declared = concepts()
    (tmp_path / "land.txt").write_text("\n".join(texts(LAND, 2, 12)))
    with pytest.raises(DataError, match="negative texts"):
        run_concepts(declared, tmp_path / "out", quiet, desk=desk)
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_is_wrong(tmp_path):
    said = CliRunner().invoke(app, ["concepts", str(tmp_path / "none.yaml")])
    assert said.exit_code == 2


def study(draw, claims, n, broken):
    """A made-up study: each claim fails exactly one requirement, ``broken``, or none (-1)."""
    arms = ["ablate", "ablate_placebo", "ablate_random"]
    arms += [a.replace("ablate", "amplify") for a in arms]
    good = {"ablate": -2.0, "amplify": 2.0}
    parts = []
    for claim in range(claims):
        noise = draw.exponential(size=(n, 6)) - 1 + draw.standard_normal((n, 1))
        values = noise + [good.get(arm, 0.0) for arm in arms]
        if broken % 3 == 0 and broken >= 0:
            values[:, broken] = noise[:, broken]
        elif broken >= 0:
            values[:, broken] += good[arms[broken - broken % 3]]
        for i, arm in enumerate(arms):
            parts.append(
                pd.DataFrame(
                    {
                        "claim": claim,
                        "text": np.arange(n),
                        "arm": arm,
                        "concept": values[:, i],
                        "kl": 0.01,
                        "nll": 0.01,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def judged(table, claims, method="bh"):
    limits = Limits(0.05, method, 0.5, {"kl": 0.2, "nll": 0.2})
    return verdicts(effects(table, claims, limits), limits)


def test_features_that_meet_all_but_one_requirement_are_rarely_upheld():
    draw = np.random.default_rng(8)
    wrong = [
        (judged(study(draw, 12, 24, broken), 12)["verdict"] == "upheld").any()
        for broken in range(6)
        for _ in range(2)
    ]
    # At most 5% of such studies uphold any; 12 of them give 3 or more with a chance of 2%.
    assert sum(wrong) <= 2
    assert (judged(study(draw, 12, 24, -1), 12)["verdict"] == "upheld").mean() > 0.6


def test_a_test_that_could_not_be_made_upholds_nothing():
    table = study(np.random.default_rng(1), 3, 24, -1)
    few = table[(table["claim"] > 0) | (table["arm"] != "ablate_placebo")]
    found = judged(few, 3).set_index("claim")
    assert found.loc[0, "verdict"] == "cannot tell"
    assert "ablate_placebo" in found.loc[0, "because"]
    assert (found.loc[[1, 2], "verdict"] == "upheld").all()
