"""Files are whole or absent; a run that was killed is found again, and no other."""

from __future__ import annotations

import pandas as pd
import pytest

from causal_sae.errors import DataError
from causal_sae.run_folder import RunFolder, choose_folder, new_folder, require_free

IDENTITY = {"trial": "a", "model": "b"}


def unfinished(path, **hashes):
    folder = RunFolder(path)
    folder.write_manifest({"status": "running", "hashes": IDENTITY | hashes})
    return folder


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, name):
    folder = RunFolder(tmp_path)
    folder.write_table(name, pd.DataFrame({"a": [1]}))
    before = (tmp_path / name).read_bytes()

    def half(self, path, **_options):
        path.write_text("hal")
        raise OSError("no space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    with pytest.raises(OSError, match="no space"):
        folder.write_table(name, pd.DataFrame({"a": [2]}))
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_a_killed_process_left_half_written_is_swept(tmp_path):
    folder = unfinished(tmp_path)
    (tmp_path / "figures").mkdir()
    left = [tmp_path / ".effects.csv.7.partial", tmp_path / "figures" / ".forest.png.7.partial"]
    for path in left:
        path.write_text("hal")
    folder.sweep()
    assert not any(path.exists() for path in left)
    assert folder.manifest["status"] == "running"


def test_new_folders_never_collide(tmp_path):
    first = new_folder(tmp_path, "t")
    first.write_text("x", "")
    assert new_folder(tmp_path, "t").path != first.path


def test_a_taken_folder_is_refused_and_an_empty_one_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    require_free(tmp_path / "empty", False)
    require_free(None, True)
    (tmp_path / "file").write_text("")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(DataError, match="is not empty; add --resume") as caught:
            require_free(taken, False)
        assert caught.value.place.field == "--out"


def test_the_newest_unfinished_run_of_these_inputs_goes_on(tmp_path):
    runs = tmp_path / "t"
    unfinished(runs / "1")
    wanted = unfinished(runs / "2")
    unfinished(runs / "3", trial="edited")
    RunFolder(runs / "4").write_manifest({"status": "done", "hashes": IDENTITY})
    assert choose_folder(tmp_path, "t", None, True, IDENTITY) == wanted


def test_when_only_other_runs_are_unfinished_it_says_what_differs(tmp_path):
    unfinished(tmp_path / "t" / "3", trial="edited", model="other")
    with pytest.raises(DataError, match=r"the newest differs in trial, model\).*without --resume"):
        choose_folder(tmp_path, "t", None, True, IDENTITY)
    with pytest.raises(DataError, match="there is no unfinished run under"):
        choose_folder(tmp_path, "u", None, True, IDENTITY)


def test_a_folder_of_another_run_is_not_resumed(tmp_path):
    unfinished(tmp_path / "x", model="other")
    with pytest.raises(DataError, match="run of something else: its model differs"):
        choose_folder(tmp_path, "t", tmp_path / "x", True, IDENTITY)
