"""The prompts table: how it is read, and what is said of one that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from causal_sae.errors import DataError, SpecError
from causal_sae.spec import Trial
from causal_sae.spec.files import check_files
from causal_sae.spec.loading import parse_trial
from causal_sae.spec.prompt_checks import block_label, cell_label
from causal_sae.spec.prompts import check_prompts_file, read_prompts

GOOD = """\
id,text,topic,template,target,length
007,"one, two",a,1, x,3
008,"two
lines",a,1,NA,4
009,three,b,2, 7,5
010,four,b,3,null,6
"""


def trial_of(
    prompts: str = "p.csv", method: str = "block_cluster", population: str = "", **changes: object
) -> Trial:
    design = {
        "complete": "{method: complete}",
        "block": "{method: block, block_by: [topic]}",
        "block_cluster": "{method: block_cluster, block_by: [topic], cluster_by: template}",
    }[method]
    text = f"""\
schema: 1
name: reading
question: Can it be read?
population: {{prompts: {prompts}, unit: id{population}}}
assignment: {design}
arms:
  - {{name: a, intervention: {{kind: none}}}}
  - {{name: b, intervention: {{kind: splice}}}}
outcomes: [{{name: y, metric: token_logprob, target: {{column: target}}}}]
analysis: {{covariates: [length]}}
"""
    for old, new in changes.items():
        text = text.replace(old, str(new))
    return parse_trial(text, Path("t.yaml")).trial


def refused(folder: Path, table: str, trial: Trial | None = None) -> list[str]:
    (folder / "p.csv").write_text(table, encoding="utf-8")
    trial = trial or trial_of()
    with pytest.raises(DataError) as caught:
        read_prompts(trial, folder)
    with pytest.raises(DataError) as light:
        check_prompts_file(trial, folder)
    assert str(light.value) == str(caught.value)
    return str(caught.value).replace(str(folder / "p.csv"), "p.csv").splitlines()


def test_text_stays_as_written_and_other_columns_become_numbers(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GOOD, encoding="utf-8")
    frame = read_prompts(trial_of(), tmp_path)
    assert list(frame) == ["unit_id", "id", "text", "topic", "template", "target", "length"]
    assert list(frame["unit_id"]) == ["007", "008", "009", "010"]
    assert list(frame["text"]) == ["one, two", "two\nlines", "three", "four"]
    assert list(frame["target"]) == [" x", "NA", " 7", "null"]
    assert list(frame["template"]) == ["1", "1", "2", "3"]
    assert frame["length"].dtype == "int64"


def test_the_light_check_counts(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GOOD, encoding="utf-8")
    summary = check_prompts_file(trial_of(), tmp_path)
    assert (summary.units, summary.blocks, summary.clusters) == (4, 2, 3)
    assert check_prompts_file(trial_of(method="complete"), tmp_path).blocks is None


def test_jsonl_and_parquet_are_read_like_csv(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GOOD, encoding="utf-8")
    frame = read_prompts(trial_of(), tmp_path)
    plain = frame.drop(columns="unit_id")
    plain.to_json(tmp_path / "p.jsonl", orient="records", lines=True)
    plain.to_parquet(tmp_path / "p.parquet")
    for name in ("p.jsonl", "p.parquet"):
        pd.testing.assert_frame_equal(read_prompts(trial_of(name), tmp_path), frame)


def test_without_a_unit_column_rows_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GOOD, encoding="utf-8")
    frame = read_prompts(trial_of(**{", unit: id": ""}), tmp_path)
    assert list(frame["unit_id"]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "text,topic",
            "txt,topic",
            "p.csv:1: population.text: the table must have the column 'text'; did you mean 'txt'? "
            "It has: id, txt, topic, template, target, length.",
        ),
        (
            "topic,template",
            "topics,template",
            "p.csv:1: assignment.block_by[0]: the table must have the column 'topic'; did you mean",
        ),
        (
            "template,target",
            "temp,target",
            "p.csv:1: assignment.cluster_by: the table must have the column 'template'",
        ),
        (
            "target,length",
            "taget,length",
            "p.csv:1: outcomes[0].target.column: the table must have the column 'target'; did you",
        ),
        (
            "target,length",
            "target,len",
            "p.csv:1: analysis.covariates[0]: the table must have the column 'length'",
        ),
        (
            "target,length",
            "target,clean_outcome",
            "p.csv:1: no column may be called 'clean_outcome'",
        ),
        (
            "id,text",
            "unit_id,text",
            "the column 'unit_id' must be the one that names the units; remove the column",
        ),
        (
            "three",
            " ",
            "p.csv:5: population.text: every prompt must have text; the cell in column 'text' is "
            "empty: fill it or remove the row.",
        ),
        (
            "009",
            "007",
            "p.csv:5: population.unit: each unit must stand once, but '007' in column 'id' stands "
            "also in line 2; give each its own name.",
        ),
        (
            "three,b",
            "three,",
            "p.csv:5: assignment.block_by[0]: column 'topic' must have a value in every row; this "
            "cell is empty",
        ),
        (
            "b,2,",
            "b,,",
            "p.csv:5: assignment.cluster_by: column 'template' must have a value in every row",
        ),
        (
            ",null",
            ",",
            "p.csv:6: outcomes[0].target.column: column 'target' must have a value in every row",
        ),
        (
            "null,6",
            "null,",
            "p.csv:6: analysis.covariates[0]: column 'length' must have a value in every row",
        ),
        (
            "b,3,",
            "a,2,",
            "p.csv:6: assignment.cluster_by: every cluster must lie in one block, but '2' is in "
            "'b' and here in 'a'; split the cluster or merge the blocks.",
        ),
        (
            "three,b",
            "three,and more,b",
            "p.csv:5: every row must have 6 cells, as the header has; this has 7: put text that "
            "holds commas in quotes.",
        ),
        ("three,b", "b", "p.csv:5: every row must have 6 cells, as the header has; this has 5"),
        ('"one, two"', '"one, two', "p.csv:2: this row must be csv, but"),
        ("id,text", "id,id", "p.csv:1: column names must differ; 'id' stands twice."),
        ("id,text", ",text", "p.csv:1: every column must have a name; number 1 has none."),
    ],
)
def test_a_bad_table_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    found = refused(tmp_path, GOOD.replace(old, new, 1))
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", "p.csv: the table must begin with a line of column names; it is empty."),
        ("id;text\n1;x\n", "p.csv:1: columns must be separated by commas, not by semicolons"),
        ("id\ttext\n1\tx\n", "p.csv:1: columns must be separated by commas, not by tabs"),
        (
            "id,text,topic,template,target,length\n",
            "p.csv: arms: there must be at least 2 clusters for 2 arms, not 0; add prompts or drop",
        ),
        ("\n".join(GOOD.splitlines()[:4]) + "\n", "there must be at least 2 clusters for 2 arms"),
    ],
)
def test_a_table_that_is_too_little_is_refused(tmp_path: Path, table: str, expected: str) -> None:
    assert expected in refused(tmp_path, table)[0]


def test_too_few_units_are_refused(tmp_path: Path) -> None:
    table = "\n".join(GOOD.splitlines()[:2]) + "\n"
    found = refused(tmp_path, table, trial_of(method="complete"))
    assert "there must be at least 2 units for 2 arms, not 1" in found[0]


def test_many_problems_are_told_up_to_a_limit(tmp_path: Path) -> None:
    rows = "".join(f"{i},,a,1,x,3\n" for i in range(50))
    found = refused(tmp_path, GOOD.splitlines()[0] + "\n" + rows)
    assert len(found) == 21
    assert found[-1] == "and 30 more problems of this kind."


def test_bytes_that_are_not_utf8_are_told_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(GOOD.encode().replace(b"three", b"caf\xe9"))
    with pytest.raises(DataError, match=r"p.csv:5:8: the table must be UTF-8; byte 0xe9"):
        read_prompts(trial_of(), tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"id": 1}\n{"id": 2,}\n', r"p.jsonl:2:\d+: every line must be one JSON object, but"),
        ("[1]\n", "p.jsonl:1: every line must be one JSON object such as .* this one is a list"),
        ("\n", "p.jsonl: the table must have at least one line; it is empty"),
        (
            '{"id": 1, "text": 5, "topic": "a", "template": 1, "target": "x", "length": 1}\n',
            "p.jsonl:1: population.text: column 'text' must hold text, not 5",
        ),
        (
            '{"id": 1, "text": "x", "topic": ["a"], "template": 1, "target": 3, "length": null}\n',
            r"(?s)topic' must hold one value in a cell, not a list.*'target' must hold text, not 3"
            r".*'length' must have a value",
        ),
    ],
)
def test_bad_jsonl_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "p.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=expected):
        read_prompts(trial_of("p.jsonl"), tmp_path)


def test_bad_parquet_and_other_endings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="the table must be parquet, but"):
        read_prompts(trial_of("p.parquet"), tmp_path)
    (tmp_path / "p.xlsx").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"one of the kinds \.csv, \.jsonl, \.parquet, not '\.xlsx'"
    ):
        read_prompts(trial_of("p.xlsx"), tmp_path)


def test_parquet_rows_are_numbered(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1, 2], "text": ["a", None], "topic": "a", "template": [1, 2]})
    frame.assign(target="x", length=1).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="row 2: every prompt must have text"):
        read_prompts(trial_of("p.parquet"), tmp_path)


def test_missing_files_are_told_at_the_trial_s_line(tmp_path: Path) -> None:
    (tmp_path / "promts.csv").write_text(GOOD, encoding="utf-8")
    text = """\
schema: 1
name: files
question: Are they there?
model: {source: {path: nowhere.gguf}}
sae: {source: {path: pack}}
population: {prompts: prompts.csv, enrich: {feature: 1, exposed: 2, of: pool.csv, unexposed: 1}}
arms: [{name: a, intervention: {kind: none}}, {name: b, intervention: {kind: splice}}]
outcomes: [{name: y, metric: entropy}]
power: {effect: 1, pilot: runs/1}
"""
    declared = parse_trial(text, tmp_path / "trial.yaml")
    with pytest.raises(SpecError) as caught:
        check_files(declared)
    found = str(caught.value).replace(str(tmp_path / "trial.yaml"), "trial.yaml").splitlines()
    assert [line.split(": ")[:2] for line in found] == [
        ["trial.yaml:4:24", "model.source.path"],
        ["trial.yaml:5:22", "sae.source.path"],
        ["trial.yaml:9:27", "power.pilot"],
        ["trial.yaml:6:73", "population.enrich.of"],
    ]
    assert "The folder has: promts.csv." in found[3]  # with a pool, the prompts are not read
    with pytest.raises(DataError, match="there must be a table"):
        read_prompts(declared.trial, tmp_path)


def test_labels_of_blocks() -> None:
    assert cell_label(3.0) == cell_label(3) == cell_label("3") == "3"
    assert block_label(["a", 1]) == "a|1"
    assert block_label(["x|y", "z"]) != block_label(["x", "y|z"])


def test_the_light_check_loads_neither_pandas_nor_torch(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(GOOD, encoding="utf-8")
    script = (
        "import sys; from pathlib import Path\n"
        "from causal_sae.spec.loading import parse_trial\n"
        "from causal_sae.spec.files import check_files\n"
        "text = Path(sys.argv[1]).read_text()\n"
        "check_files(parse_trial(text, Path(sys.argv[1])))\n"
        "print(sorted({'pandas', 'torch', 'pyarrow', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    trial = tmp_path / "trial.yaml"
    trial.write_text(
        "schema: 1\nname: light\nquestion: Is it?\npopulation: {prompts: p.csv}\n"
        "arms: [{name: a, intervention: {kind: none}}, {name: b, intervention: {kind: splice}}]\n"
        "outcomes: [{name: y, metric: entropy}]\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(trial)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
