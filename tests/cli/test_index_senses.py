"""`mmreason index` with senses, and `mmreason cache` of one video."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.memory.store import Store
from mmreason.senses import SenseName, Senses
from tests.senses.scripted import ScriptedSense

MISSING: dict[SenseName, str] = {"screen": 'screens are not read: pip install ".[ocr]"'}


@pytest.fixture
def senses(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedSense]:
    """Shots and speech are there, screens are not, and no embedder is."""
    parts = [ScriptedSense("shots"), ScriptedSense("speech")]

    def load(names=None, **_) -> Senses:
        chosen = [p for p in parts if names is None or p.name in names]
        missing: dict[SenseName, str] = {
            n: why for n, why in MISSING.items() if names is None or n in names
        }
        return Senses(parts=tuple(chosen), missing=missing)

    monkeypatch.setattr("mmreason.senses.load_senses", load)
    monkeypatch.setattr("mmreason.cli.index_files.find_embedder", lambda name: None)
    return parts


@pytest.fixture
def folder(clip: Path, tmp_path: Path) -> Path:
    """Two videos and a file that is none."""
    folder = tmp_path / "films"
    folder.mkdir()
    shutil.copy(clip, folder / "a.mp4")
    (folder / "b.mp4").write_bytes((folder / "a.mp4").read_bytes() + b"\0" * 64)
    (folder / "broken.mp4").write_bytes(b"no video at all" * 100)
    return folder


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([*map(str, arguments), "--store", str(tmp_path / "s.sqlite3")])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_folder_is_gone_through_and_a_bad_file_does_not_stop_it(senses, folder, run) -> None:
    code, out, err = run("index", folder)
    assert code == 1 and "1 of 3 files failed" in err and "broken.mp4: " in err
    assert f"note: {MISSING['screen']}" in err
    lines = [line for line in out.splitlines() if not line.startswith("  ")]
    assert lines == [
        f"{folder / name}: shots 1 by scripted; speech 1 by scripted" for name in ("a.mp4", "b.mp4")
    ]
    assert [len(part.finds) for part in senses] == [2, 2]
    code, out, _ = run("index", folder, "--json")
    results = json.loads(out)["results"]
    assert [part["records"] for part in results[0]["senses"]["runs"]] == [1, 1]
    assert [len(part.finds) for part in senses] == [2, 2], "nothing is done twice"


def test_a_sense_that_is_named_and_missing_is_one_line_before_any_work(senses, folder, run) -> None:
    code, out, err = run("index", folder, "--with", "shots,screen")
    assert (code, out) == (2, "") and MISSING["screen"] in err and not senses[0].finds
    code, _, err = run("index", folder, "--with", "smell")
    assert code == 2 and "senses are shots, labels, speech, screen; got smell" in err
    code, _, err = run("index", folder, "--minutes", 0)
    assert code == 2 and "--minutes takes a number above 0" in err


def test_what_it_would_cost_is_told_and_nothing_is_done(senses, folder, run) -> None:
    (folder / "broken.mp4").unlink()
    code, out, _ = run("index", folder, "--dry-run")
    assert code == 0 and "2 videos" in out and "speech: 0.1 minutes of video are open" in out
    assert "usual rate" in out and not senses[0].finds
    run("index", folder, "--with", "speech")
    _, out, _ = run("index", folder, "--dry-run", "--json")
    open_s = [sense["open_s"] for sense in json.loads(out)["results"][0]["senses"]]
    assert open_s[0] == 4.0 and open_s[1] == 0.0, "shots are open, speech is done"


def test_with_little_time_the_cheapest_sense_of_all_files_comes_first(
    senses, folder, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.mp4").unlink()
    order: list[str] = []
    for part in senses:
        monkeypatch.setattr(part, "finds", _Log(order, part.name))
    code, out, _ = run("index", folder, "--minutes", 5)
    assert code == 0 and order == ["shots", "shots", "speech", "speech"]
    assert out.count("shots 1 by scripted; speech 1 by scripted") == 2
    code, _, err = run("index", folder, "--minutes", 1e-9, "--replace")
    assert code == 0 and "stopped after" in err and len(order) == 4


class _Log(list):
    def __init__(self, order: list[str], name: str):
        super().__init__()
        self._order, self._name = order, name

    def append(self, span: object) -> None:
        self._order.append(self._name)


def test_an_interruption_keeps_what_is_done(senses, folder, run) -> None:
    (folder / "broken.mp4").unlink()

    class Stopped(ScriptedSense):
        def find(self, video, plan, span):
            raise KeyboardInterrupt

    senses[1] = Stopped("speech")
    code, _, err = run("index", folder)
    assert code == 130 and "2 of 2 files were not reached" in err
    senses[1] = ScriptedSense("speech")
    assert run("index", folder)[0] == 0
    assert len(senses[0].finds) == 2, "the shots of the first were kept"


def test_what_is_kept_of_a_video_is_shown_corrected_and_forgotten(senses, folder, run) -> None:
    file = folder / "a.mp4"
    run("index", file)
    code, out, _ = run("cache", "show", file, "--records")
    assert code == 0 and "as it was last seen" in out and "records: 1 shot, 1 speech" in out
    assert "speech by scripted: done, 1 records" in out and f"seen at: {file}" in out
    (line,) = [line for line in out.splitlines() if line.endswith("speech from 0")]
    code, out, _ = run("cache", "correct", file, line.split()[0], "Dr. Schmidt speaks.")
    assert code == 0 and "is now sp-" in out
    run("index", file, "--with", "speech", "--replace")
    _, out, _ = run("cache", "show", file, "--records", "--json")
    shown = json.loads(out)
    assert shown["corrections"] == 1 and shown["size_bytes"] > 100
    assert {row["text"] for row in shown["rows"]} == {
        "shots from 0",
        "Dr. Schmidt speaks.",
    }
    code, out, _ = run("cache", "forget", file, "--sense", "shots")
    assert code == 0 and "1 of shots are forgotten" in out
    code, out, _ = run("cache", "forget", file)
    assert code == 0 and "1 records" in out
    _, out, _ = run("cache", "show", file)
    assert "records: none" in out and "not seen before" in out


def test_files_that_are_moved_replaced_or_gone_are_told(senses, folder, run) -> None:
    file = folder / "a.mp4"
    run("index", file)
    moved = file.rename(folder / "moved.mp4")
    assert "it was moved" in run("cache", "show", moved)[1]
    code, out, _ = run("cache", "show", file)
    assert code == 0 and "gone; this is what was last seen" in out and "1 speech" in out
    shutil.copy(folder / "b.mp4", file)
    code, out, _ = run("cache", "show", file)
    assert code == 0 and "another video lay here before" in out and "records: none" in out
    code, _, err = run("cache", "show", folder / "never.mp4")
    assert code == 2 and "none of this name was seen" in err


def test_a_full_disk_is_one_line_and_loses_nothing(
    senses, folder, run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("index", folder / "a.mp4", "--with", "shots")

    def fill_disk(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("mmreason.memory.store.insert_records", fill_disk)
    code, _, err = run("index", folder / "a.mp4")
    assert code == 1 and "make room and run it again" in err and "Traceback" not in err
    monkeypatch.undo()
    with Store.open(tmp_path / "s.sqlite3") as store:
        assert store.usage().records == 1
