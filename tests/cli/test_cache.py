"""`mmreason cache` shows what is kept and forgets it."""

import json
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.memory.store import Store
from mmreason.models.scripted import ScriptedModel


def test_what_a_question_left_behind_is_shown_and_cleared(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.sqlite3"
    assert main(["ask", str(clip), "What colour?", "--store", str(path)]) == 0
    capsys.readouterr()
    assert main(["cache", "--store", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"file:    {path}" in out
    assert "by model:" in out and "  scripted\n" in out
    assert "by video:" in out and "  two colours.mp4 [" in out
    assert main(["cache", "--store", str(path), "--json"]) == 0
    usage = json.loads(capsys.readouterr().out)
    assert usage["entries"] == model.calls > 0
    assert [share["entries"] for share in usage["by_video"]] == [usage["entries"]]
    assert main(["cache", "--store", str(path), "--clear"]) == 0
    assert capsys.readouterr().out.startswith(f"cleared: {usage['entries']} replies\n")
    assert main(["cache", "--store", str(path), "--clear", "--json"]) == 0
    cleared = json.loads(capsys.readouterr().out)
    assert (cleared["entries"], cleared["cleared"]) == (0, 0)


def test_no_file_is_made_by_looking(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache"]) == 0
    assert "nothing is kept yet" in capsys.readouterr().out
    assert main(["cache", "--json", "--clear"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 0
    assert not (tmp_path / "home").exists()


def test_many_videos_are_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        for i in range(25):
            store.put(str(i), {"text": "x" * 2000}, video=f"clip {i}\x1b.mp4", model="nano")
    assert main(["cache", "--store", str(path)]) == 0
    out = capsys.readouterr().out
    assert "replies: 25, 49.2 KiB of 512.0 MiB" in out
    assert "  and 5 more\n" in out and "\x1b" not in out


def test_a_file_that_is_no_store_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"this is a text and no store at all" * 50)
    assert main(["cache", "--store", str(path)]) == 2
    assert "cannot be used" in capsys.readouterr().err
