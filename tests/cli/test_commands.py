"""Every command: what it prints, what it writes, its exit code."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pandas as pd
import pytest

from causal_sae.cli import app
from causal_sae.execution import model_source
from causal_sae.run_folder import RunFolder, RunStopped

COMMANDS = [command.name for command in app.registered_commands]


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished.folder.path, tmp_path / "copy")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(call, command):
    said = call(command, "--help")
    assert said.code == 0
    assert f"Example: causal-sae {command}" in " ".join(said.out.split())


def test_help_lists_every_command_and_an_example(call):
    said = call("--help")
    assert said.code == 0
    assert all(command in said.out for command in COMMANDS)
    assert "Example: causal-sae run" in said.out


def test_a_word_that_is_no_command_is_wrong_input(call):
    said = call("rnu", "x")
    assert said.code == 2
    assert "rnu" in said.err


def test_validate_says_what_will_be_compared(call, trial_folder):
    said = call("validate", trial_folder())
    assert said.code == 0
    for part in ("valid", "60", "clamp - control", "primary: 2, guardrail: 2", "complete"):
        assert part in said.out


def test_run_shows_checks_effects_verdict_and_the_page(call, trial_folder, tmp_path, monkeypatch):
    said = call("run", trial_folder(analysis={"refuters": []}))
    assert said.code == 0
    folders = list((tmp_path / "here" / "runs" / "tiny").iterdir())
    assert len(folders) == 1
    order = ["null edit", "batch invariance", "manipulation: clamp", "Outcome, contrast"]
    places = [said.out.index(part) for part in [*order, "Report:", str(folders[0].name)]]
    assert places == sorted(places)
    assert (folders[0] / "report.html").exists()


def test_estimate_of_a_run_folder(call, copy):
    (copy / "effects.csv").unlink()
    said = call("estimate", copy)
    assert said.code == 0
    assert (copy / "effects.csv").exists()
    assert "clamp \u2212 control" in said.out


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_estimate_of_a_foreign_table(call, finished, tmp_path, ending):
    columns = ["unit_id", "arm", "outcome", "value"]
    table, file = finished.observations[columns], tmp_path / f"table.{ending}"
    table.to_csv(file, index=False) if ending == "csv" else table.to_parquet(file)
    trial = finished.folder.trial_file
    said = call("estimate", "--trial", trial, "--observations", file, "--out", tmp_path / "made")
    assert said.code == 0, said.err
    made = pd.read_csv(tmp_path / "made" / "effects.csv")
    assert made["estimate"].to_numpy() == pytest.approx(finished.effects["estimate"].to_numpy())


@pytest.mark.usefixtures("no_page")
def test_a_finite_claim_is_told_as_known(call, tmp_path):
    """Every unit in every arm, and the claim is about these units: no interval, no test."""
    trial, table = tmp_path / "trial.yaml", tmp_path / "table.csv"
    trial.write_text(
        "schema: 1\nname: known\nquestion: Does it?\n"
        "population: {prompts: prompts.csv, claim: finite}\n"
        "assignment: {method: crossover}\n"
        "arms:\n"
        "  - {name: control, intervention: {kind: none}}\n"
        "  - {name: ablate, intervention: {kind: ablate, features: [3]}}\n"
        "outcomes: [{name: gap, role: primary, metric: entropy}]\n",
        encoding="utf-8",
    )
    units = [f"u{i}" for i in range(12)]
    rows = [
        (u, arm, "gap", i + (arm == "ablate") * i)
        for i, u in enumerate(units)
        for arm in ("control", "ablate")
    ]
    columns = ["unit_id", "arm", "outcome", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(table, index=False)
    said = call("estimate", "--trial", trial, "--observations", table, "--out", tmp_path / "made")
    assert said.code == 0, said.err
    row = pd.read_csv(tmp_path / "made" / "effects.csv").iloc[0]
    assert row["estimate"] == pytest.approx(5.5)
    assert row[["p_value", "conf_low", "conf_high"]].isna().all()
    assert row["std_error"] == 0
    assert "finite population" in row["estimand"]
    assert "finite_population_exact" in row["flags"]


@pytest.mark.usefixtures("no_page")
def test_units_named_by_digits_keep_their_names(call, finished, tmp_path):
    columns = ["unit_id", "arm", "outcome", "value"]
    table, file = finished.observations[columns].copy(), tmp_path / "table.csv"
    table["unit_id"] = table["unit_id"].str.replace("u", "00")
    table.to_csv(file, index=False)
    trial = finished.folder.trial_file
    said = call("estimate", "--trial", trial, "--observations", file, "--out", tmp_path / "made")
    assert said.code == 0, said.err
    parts = list((tmp_path / "made" / "observations").glob("*.parquet"))
    assert pd.read_parquet(parts[0])["unit_id"].iloc[0].startswith("00")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "give a run folder, or all three of --trial, --observations and --out"),
        (["{run}", "--out", "x"], "give a run folder, or all three"),
        (["nowhere"], "must be a run folder"),
        (["--trial", "{trial}", "--observations", "no.csv", "--out", "x"], "no such file"),
        (["--trial", "{trial}", "--observations", "{trial}", "--out", "x"], "must end in .csv"),
    ],
)
def test_estimate_refuses_what_it_cannot_use(call, finished, tmp_path, words, sentence):
    known = {"run": finished.folder.path, "trial": finished.folder.trial_file}
    said = call("estimate", *(word.format(**known) for word in words))
    assert said.code == 2
    assert sentence in said.err
    assert not (tmp_path / "here" / "x").exists()


def test_estimate_refuses_a_run_that_was_stopped_halfway(call, copy):
    folder = RunFolder(copy)
    folder.write_manifest({**folder.manifest, "status": "running"})
    said = call("estimate", copy)
    assert said.code == 2
    assert f"--out {copy} --resume" in said.err


def test_report_draws_the_page_again(call, copy):
    (copy / "report.html").unlink()
    assert call("report", copy).code == 0
    assert (copy / "report.html").exists()


@pytest.mark.parametrize("form", ["csv", "parquet", "md", "latex", "html", "xlsx"])
def test_export_in_every_format(call, finished, tmp_path, form):
    if form == "xlsx":
        pytest.importorskip("openpyxl")
    target = tmp_path / f"table.{form}"
    said = call("export", finished.folder.path, "--format", form, "--out", target)
    assert said.code == 0, said.err
    assert target.stat().st_size > 100
    assert str(target) in said.out.replace("\n", "")


def test_export_in_an_unknown_format_is_refused(call, finished, tmp_path):
    said = call("export", finished.folder.path, "--format", "docx", "--out", tmp_path / "t.docx")
    assert said.code == 2
    assert "docx" in said.err
    assert not (tmp_path / "t.docx").exists()


def test_schema_to_the_screen_and_to_a_file(call, tmp_path):
    printed = call("schema")
    assert call("schema", "--out", tmp_path / "s.json").code == 0
    assert json.loads(printed.out) == json.loads((tmp_path / "s.json").read_text())


def test_assign_deals_as_the_run_does(call, finished, trial_folder, tmp_path):
    said = call("assign", trial_folder(), "--out", tmp_path / "a.csv")
    assert said.code == 0
    assert "20" in said.out
    dealt = pd.read_csv(tmp_path / "a.csv").set_index("unit_id")["arm"]
    assert dealt.to_dict() == finished.assignment.set_index("unit_id")["arm"].to_dict()


def test_assign_refuses_an_unknown_ending(call, trial_folder):
    said = call("assign", trial_folder(), "--out", "a.txt")
    assert said.code == 2
    assert "must end in .parquet or .csv" in said.err


def test_doctor_says_what_is_here_and_what_is_not(call, monkeypatch, tmp_path):
    monkeypatch.setenv("CAUSAL_SAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "models" / "whale-1234").mkdir(parents=True)
    said = call("doctor")
    assert said.code == 0
    for part in ("torch", "nnsight", "cpu", "whale-1234"):
        assert part in said.out
    monkeypatch.setattr(model_source, "hub_cache", lambda: ["google/gemma-2-2b"])
    assert "google/gemma-2-2b" in call("doctor").out
    installed = importlib.util.find_spec("sae_lens") is not None
    assert installed or "causal-sae[saelens]" in said.out


def test_fetch_says_where_the_model_is(call, trial_folder):
    path = trial_folder()
    said = call("fetch", path)
    assert said.code == 0
    assert str((path.parent / "model").resolve()) in said.out.replace("\n", "")


def test_fetch_of_a_trial_without_a_model_is_refused(call, trial_folder):
    said = call("fetch", trial_folder(model=None))
    assert said.code == 2
    assert "declares no model" in said.err


def test_stopping_names_the_folder_that_goes_on(call, trial_folder, monkeypatch, tmp_path):
    import causal_sae.execution.shards as shards

    def stop(bench, batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "_rows", stop)
    path = trial_folder()
    said = call("run", path, "--out", tmp_path / "out")
    assert said.code == 130
    assert f"causal-sae run {path} --out {tmp_path / 'out'} --resume" in said.err
    assert RunFolder(tmp_path / "out").manifest["status"] == "running"


def test_stopping_before_anything_is_written_says_so(call, trial_folder, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("causal_sae.pipeline.run_trial", stop)
    said = call("run", trial_folder())
    assert (said.code, "nothing was written" in said.err) == (130, True)
    assert issubclass(RunStopped, KeyboardInterrupt)


def test_what_nobody_foresaw_is_a_sentence_and_exit_code_1(call, trial_folder, monkeypatch):
    def burst(*_args, **_more):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("causal_sae.pipeline.run_trial", burst)
    said = call("run", trial_folder())
    assert said.code == 1
    assert "ZeroDivisionError: division by zero" in said.err
    assert "CAUSAL_SAE_DEBUG=1" in said.err
