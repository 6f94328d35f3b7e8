"""Which kinds of effect size a trial may ask for, and what it is told otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from causal_sae import load_trial
from causal_sae.errors import SpecError
from causal_sae.spec import Trial

TRIAL = """\
schema: 1
name: test
question: Does it?
assignment: {assignment}
arms:
  - {{name: control, intervention: {{kind: none}}}}
  - {{name: treated, intervention: {{kind: ablate, features: [3]}}}}
outcomes:
  - {{name: gap, role: primary, metric: entropy}}
analysis: {{effect_size: {size}, estimator: {estimator}}}
"""
CROSSOVER = "{method: crossover}"
BLOCK = "{method: block, block_by: [topic]}"
CLUSTER = "{method: cluster, cluster_by: template}"


def _load(
    folder: Path, size: str, assignment: str = "{method: complete}", estimator: str = "auto"
) -> Trial:
    file = folder / "trial.yaml"
    file.write_text(TRIAL.format(size=size, assignment=assignment, estimator=estimator))
    return load_trial(file)


@pytest.mark.parametrize(
    ("size", "assignment", "instead"),
    [
        ("hedges_g", CROSSOVER, "cohen_dz"),
        ("glass_delta", CROSSOVER, "cohen_dz"),
        ("cohen_dz", "{method: complete}", "hedges_g"),
        ("cliff_delta", CLUSTER, "auto"),
        ("cles", "{method: crossover, cluster_by: template}", "auto"),
        ("risk_ratio", BLOCK, "auto"),
        ("cliff_delta", BLOCK, "auto"),
    ],
)
def test_a_kind_that_the_design_lacks_is_refused(
    size: str, assignment: str, instead: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=instead) as refused:
        _load(tmp_path, size, assignment)
    assert refused.value.place.field == "analysis.effect_size"
    assert refused.value.place.line is not None


def test_drawn_prompts_are_weighted_back_or_over_a_stated_sd(tmp_path: Path) -> None:
    drawn = TRIAL + "population: {{prompts: p.csv, enrich: {{feature: 3, exposed: 40}}}}\n"
    file = tmp_path / "trial.yaml"
    given = {"assignment": "{method: complete}", "estimator": "auto"}
    file.write_text(drawn.format(size="cohen_d", **given))
    with pytest.raises(SpecError, match="weights them back") as refused:
        load_trial(file)
    assert "effect_size" in str(refused.value)
    file.write_text(drawn.format(size="{sd: 2}", **given))
    assert load_trial(file).analysis.effect_size != "auto"


@pytest.mark.parametrize(
    ("size", "assignment"),
    [
        ("hedges_g", CLUSTER),
        ("glass_delta", BLOCK),
        ("cohen_dz", CROSSOVER),
        ("cliff_delta", CROSSOVER),
        ("risk_ratio", "{method: crossover, cluster_by: template}"),
        ("rate_ratio", CLUSTER),
        ("risk_difference", BLOCK),
        ("{sd: 2}", CROSSOVER),
        ("{sd: {gap: 0.5}}", BLOCK),
    ],
)
def test_a_kind_that_fits_is_taken(size: str, assignment: str, tmp_path: Path) -> None:
    assert _load(tmp_path, size, assignment).analysis.effect_size


@pytest.mark.parametrize("estimator", ["wald", "anderson_rubin", "dowhy_iv"])
def test_instruments_have_no_ratio_of_the_arms(estimator: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cace"):
        _load(tmp_path, "cliff_delta", estimator=estimator)


@pytest.mark.parametrize(
    ("size", "field", "said"),
    [
        ("hedge_g", "analysis.effect_size", "did you mean 'hedges_g'"),
        ("3", "analysis.effect_size", "must be a mapping"),
        ("{sd: 0}", "analysis.effect_size.sd", "greater than 0"),
        ("{sd: {gap: -1}}", "analysis.effect_size.sd.gap", "greater than 0"),
        ("{sd: {gup: 1}}", "analysis.effect_size.sd.gup", "did you mean 'gap'"),
        ("{sd: {}}", "analysis.effect_size.sd", "at least 1 item"),
        ("{sd: wide}", "analysis.effect_size.sd", "must be a number"),
        ("{scale: 1}", "analysis.effect_size", "sd"),
    ],
)
def test_what_cannot_be_an_effect_size_is_said_at_its_field(
    size: str, field: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=said) as refused:
        _load(tmp_path, size)
    assert refused.value.place.field == field or str(refused.value.place.field).startswith(field)
