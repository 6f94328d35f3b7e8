"""The designs: each is valid, finds what it says it finds, and holds its error rates."""

from __future__ import annotations

import re
import shutil
import textwrap
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import causal_sae as cs
from causal_sae.diagnosis import diagnose
from causal_sae.errors import InputError
from causal_sae.power.cost import passes_of_unit
from causal_sae.power.exposed import exposed_power
from causal_sae.screening.rules import require_screen
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import load_trial, load_trial_file
from causal_sae.templates import example, find_template, new_trial, templates

DESIGNS = Path(__file__).parents[1] / "designs"
OURS = (
    *("blocked", "cluster", "crossover", "dose-response", "enriched", "factorial"),
    *("latin-square", "model-comparison", "non-inferiority", "sham-and-placebo"),
    *("rerandomized", "screen-then-confirm", "two-arm"),
)
APART = frozenset({"enriched", "screen-then-confirm"})
"""Their power is not that of contrasts among all units: each has a test of its own."""
SIZE = re.compile(r"# Power: (\d+) units find .* below with (0\.\d\d) or more")
BY_SIMULATION = frozenset({"latin-square"})
"""To look for their size takes a minute; what they find is simulated in the other test."""


def test_there_are_at_least_ten():
    assert set(OURS) <= {path.stem for path in DESIGNS.glob("*.yaml")}
    assert len(OURS) >= 10


@pytest.fixture(scope="module", params=[name for name in OURS if name not in APART])
def design(request):
    return load_trial_file(DESIGNS / f"{request.param}.yaml")


def told(declared) -> tuple[int, float]:
    """The units and the power of the file's own comment."""
    found = SIZE.search(declared.text)
    assert found is not None
    return int(found.group(1)), float(found.group(2))


def test_a_design_finds_what_its_comment_says(design):
    units, power = told(design)
    passes = re.search(r"# ([\d,]+) forward passes\.", design.text)
    assert passes is not None
    assert round(units * passes_of_unit(design.trial)) == int(passes.group(1).replace(",", ""))
    if design.trial.name in BY_SIMULATION:
        return
    forecast = cs.plan_power(design, repetitions=0)
    assert forecast.units == units
    least = forecast.table.query("reference != ''")["power"].min()
    assert least == pytest.approx(power, abs=0.005)


def test_a_design_holds_what_it_promises_when_it_is_repeated(design):
    units, power = told(design)
    table = diagnose(design, n=units, repetitions=60).table
    single = table[table["reference"] != ""]
    # Four Monte-Carlo errors of sixty trials; corrections may find more than the least.
    assert (single["power"].dropna() > power - 4 * 0.052).all()
    assert (single["coverage"] > 0.95 - 4 * 0.028 - 0.02).all()
    assert (single["fwer"].dropna() < 0.05 + 4 * 0.028).all()
    assert (single["bias"].abs() <= 4.5 * single["bias_mcse"] + 1e-12).all()
    assert (single["type_s"].dropna() == 0).all()


def test_the_page_of_designs_says_what_they_say(design):
    page = (DESIGNS.parent / "docs" / "how-to" / "choose-a-design.md").read_text(encoding="utf-8")
    (row,) = [x for x in page.splitlines() if x.startswith(f"| {design.trial.name} |")]
    units, power = told(design)
    passes = re.search(r"# ([\d,]+) forward passes\.", design.text)
    assert passes is not None
    assert [cell.strip() for cell in row.split("|")][4:7] == [
        *(str(units), passes.group(1), f"{power:.2f}")
    ]


def test_the_enriched_design_is_worth_its_exposed_prompts():
    trial = load_trial(DESIGNS / "enriched.yaml")
    plain = trial.model_dump(mode="json", by_alias=True, exclude_none=True)
    drawn = plain["population"].pop("enrich")
    plain["analysis"].pop("supplementary")
    plain["power"] = {"effect": 0.09, "rho": 0.9}
    planned = diagnose(load_trial_file(DESIGNS / "enriched.yaml"), repetitions=60).table.iloc[0]
    assert planned["units"] == drawn["exposed"] + drawn["unexposed"]
    assert abs(planned["power"] - 0.80) < 4 * planned["power_mcse"] + 0.02
    assert abs(planned["bias"]) < 4.5 * planned["bias_mcse"]
    exposed = cs.Trial.model_validate(plain)
    power = cs.plan_power(exposed, n=drawn["exposed"], repetitions=0).table["power"].iloc[0]
    assert power == pytest.approx(0.80, abs=0.02)
    found = diagnose(exposed, n=drawn["exposed"], repetitions=60).table.iloc[0]
    assert abs(found["power"] - power) < 4 * found["power_mcse"] + 0.02


def test_a_screen_finds_one_feature_among_all_as_its_comment_says():
    declared = load_trial_file(DESIGNS / "screen-then-confirm.yaml", screen=True)
    require_screen(declared.trial)
    told = re.findall(r"(0\.\d\d) (?:if|at)", declared.text.replace("with\n# ", "with "))
    n, level = 50, 0.05 / 2600
    found = exposed_power(np.array([0.9, 0.8]), np.full(2, n**-0.5), np.full(2, float(n)), level)
    assert [f"{power:.2f}" for power in found] == told == ["0.89", "0.74"]
    with pytest.raises(InputError, match="screen"):
        cs.plan_power(declared.trial)
    # What one feature's ablation is tested by, at the level that it has among all of them.
    alone = declared.trial.model_dump(mode="json", by_alias=True, exclude_none=True)
    alone["arms"][1]["intervention"]["features"] = [1234]
    alone["analysis"] |= {"alpha": level, "multiplicity": {"method": "none"}}
    alone["power"] = {"effect": 0.9, "rho": 0.5}  # the differences have an SD of 1
    row = diagnose(cs.Trial.model_validate(alone), n=n, repetitions=100).table.iloc[0]
    assert abs(row["power"] - found[0]) < 4 * row["power_mcse"] + 0.02
    assert abs(row["bias"]) < 4 * row["bias_mcse"]


def test_drawing_again_adds_to_the_power_of_the_same_trial():
    design = load_trial_file(DESIGNS / "rerandomized.yaml")
    forecast = cs.plan_power(design, repetitions=0)
    plain = cs.plan_power(load_trial_file(DESIGNS / "two-arm.yaml"), repetitions=0)
    assert forecast.table["power"].to_list() == plain.table["power"].to_list()
    assert "without `rerandomize`" in forecast.notes[0]


@pytest.mark.parametrize("name", [name for name in OURS if name != "model-comparison"])
def test_a_new_trial_is_valid_as_soon_as_it_has_prompts(name, tmp_path):
    template = find_template(name)
    new_trial(tmp_path / "trials" / "mine", template)
    screens = name == "screen-then-confirm"
    trial = load_trial_file(tmp_path / "trials" / "mine", screen=screens).trial
    assert trial.name == "mine"
    assert trial.population is not None
    rows = pd.read_csv(tmp_path / "trials" / "mine" / "prompts.example.csv")
    many = pd.concat([rows] * 200, ignore_index=True)
    many["id"] = [f"p{i}" for i in range(len(many))]
    if "template" in many:
        many["template"] = [f"t{i % 40}" for i in range(len(many))]
    many.to_csv(tmp_path / "trials" / "mine" / trial.population.prompts, index=False)
    summary = check_files(load_trial_file(tmp_path / "trials" / "mine", screen=screens))
    assert summary is not None
    assert summary.units == 400


def test_a_template_names_the_columns_that_its_trial_reads():
    for name in OURS:
        template, trial = (
            find_template(name),
            load_trial(DESIGNS / f"{name}.yaml", screen=name == "screen-then-confirm"),
        )
        if trial.population is None:
            assert template.columns == []
            continue
        plain = str(trial.model_dump(mode="json", exclude_none=True))
        for column in re.findall(r"'column': '(\w+)'", plain):
            assert column in template.columns
        for column in (
            *(getattr(trial.assignment, "block_by", None) or ()),
            trial.assignment.cluster_by,
        ):
            assert column is None or column in template.columns


def test_examples_keep_the_leading_space():
    text = example(["id", "target", "continuation"])
    assert '"' in text
    assert pd.read_csv(StringIO(text))["target"].tolist() == [" Paris", " Rome"]


def test_templates_are_the_designs_of_the_checkout():
    assert set(templates()) == {path.stem for path in DESIGNS.glob("*.yaml")}
    assert all(one.summary.endswith((".", "?")) for one in templates().values())


def test_the_wheel_ships_the_designs():
    import tomllib

    project = tomllib.loads((DESIGNS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"designs": "causal_sae/design_files"}


@pytest.fixture
def two_models(trial_folder, tmp_path, no_page):
    """Runs of one crossover on a small model and on another that differs from it."""
    from safetensors.torch import load_file, save_file

    crossed = {
        "assignment": {"method": "crossover"},
        "arms": [
            {"name": "control", "intervention": {"kind": "none"}},
            {"name": "ablate", "intervention": {"kind": "ablate", "features": [3]}},
        ],
        "analysis": {},
    }
    base = trial_folder(**crossed)
    cs.run_trial(base, out=tmp_path / "runs" / "base")
    tuned = shutil.copytree((base.parent / "model").resolve(), tmp_path / "tuned-model")
    (weights,) = tuned.glob("*.safetensors")
    tensors = load_file(weights)
    changed = {name: 1.1 * tensor for name, tensor in tensors.items()}
    weights.unlink()
    save_file(changed, weights, metadata={"format": "pt"})
    other = trial_folder(**crossed, model={"source": {"path": str(tuned)}, "device": "cpu"})
    cs.run_trial(other, out=tmp_path / "runs" / "tuned")


def test_two_models_are_compared_by_the_comments_of_their_design(two_models, tmp_path, monkeypatch):
    """The snippet of the design is run as it stands; the estimate is the mean of differences."""
    monkeypatch.chdir(tmp_path)
    text = (DESIGNS / "model-comparison.yaml").read_text(encoding="utf-8")
    block = text.split("in Python:\n")[1].split("# 3.")[0]
    exec(textwrap.dedent(block.replace("#   ", "")), {})
    effects = pd.read_csv("effects.csv")
    assert set(effects["arm"]) == {"base", "tuned"}
    run = cs.estimate_observations(
        DESIGNS / "model-comparison.yaml", effects, out=tmp_path / "runs" / "comparison"
    )
    row = run.effects.iloc[0]
    wide = effects.pivot(index="unit_id", columns="arm", values="value")
    assert row["n_treatment"] == len(wide) == 60
    assert row["estimate"] == pytest.approx((wide["tuned"] - wide["base"]).mean(), abs=1e-12)
    assert row["std_error"] > 0


def test_a_comparison_of_models_cannot_be_run_on_one():
    from causal_sae.errors import InputError

    with pytest.raises(InputError, match="model"):
        cs.run_trial(DESIGNS / "model-comparison.yaml")
