"""A corpus is read document by document, whatever its files."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.spec.corpus import Corpus

ROWS = [
    {"text": "one\ntwo", "kind": "a"},
    {"text": "  ", "kind": "b"},
    {"text": 'with "quotes", and comma', "kind": "b"},
]


def write(folder, kind):
    table = pd.DataFrame(ROWS)
    path = folder / f"corpus.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        path.write_text("\n\n".join(map(json.dumps, ROWS)))
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_tables_hold_a_document_a_row_and_empty_ones_are_left_out(tmp_path, kind):
    corpus = Corpus(write(tmp_path, kind), label="kind")
    found = list(corpus.documents())
    assert [d.text for d in found] == ["one\ntwo", 'with "quotes", and comma']
    assert [d.group for d in found] == ["a", "b"]
    assert 0 < found[0].read <= found[1].read <= corpus.size


def test_a_folder_is_read_in_the_order_of_names_and_labels_by_folder(tmp_path):
    for name in ("b/two.txt", "a/one.txt", "a/not_text.bin"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"text of {name}")
    found = list(Corpus(tmp_path, label="folder").documents())
    assert [(d.name, d.group) for d in found] == [("one.txt", "a"), ("two.txt", "b")]
    assert found[-1].read == Corpus(tmp_path).size


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"text": "a"}\n{"text": ', "2: each line must be a JSON object"),
        ("x.jsonl", b'{"text": "a"}\n[1]\n', "2: each line must be a JSON object"),
        ("x.jsonl", b'{"txt": "a"}\n', "--text: the corpus must have the column 'text'; did you"),
        ("x.txt", b"\xff\xfe", "must be UTF-8"),
        ("x.csv", b"text\n\xff\n", "must be UTF-8"),
        ("x.parquet", b"nonsense", "not readable as parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name) as caught:
        list(Corpus(tmp_path / name).documents())
    assert said in str(caught.value)


def test_a_place_without_text_is_refused(tmp_path):
    with pytest.raises(DataError, match="no file of the kinds"):
        Corpus(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        Corpus(tmp_path / "nowhere")
    (tmp_path / "x.pdf").write_text("a")
    with pytest.raises(DataError, match="one of the kinds"):
        Corpus(tmp_path / "x.pdf")


def test_a_label_that_is_no_column_is_refused(tmp_path):
    with pytest.raises(DataError, match="--label folder"):
        list(Corpus(write(tmp_path, "csv"), label="topic").documents())
