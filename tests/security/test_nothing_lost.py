"""What was paid for is not lost: a full disk, a name too long, a name in another encoding."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmreason.agent.batch import ResultsFile
from mmreason.cli import main
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.types import Answer, StopReason
from mmreason.video.world import generate

QUESTION = "How many objects are there?"
posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return generate.world(1, duration_s=12, scene_s=4).save(tmp_path / "worlds" / "w.json")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """`ask` with a model that answers at once, and a store of its own."""
    clip = ClipRecipe(frames=4, size_px=(32, 18), leaf_s=4.0)
    scripted = ScriptedModel(lambda *_: "2", clip=clip)
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: scripted)
    return ["ask", "--store", str(tmp_path / "store" / "s.sqlite3")]


def _with_small_files(write: Callable[..., Any], most_bytes: int) -> Callable[..., Any]:
    """`write` on a disk that is full: no file can grow beyond so many bytes meanwhile."""

    def write_on_full_disk(*values: Any) -> Any:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
        try:
            return write(*values)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    return write_on_full_disk


@posix
@pytest.mark.parametrize("flags", [["--short"], ["--json"], []])
def test_a_full_disk_leaves_the_answer_on_the_terminal(
    flags: list[str],
    world: Path,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Answer, "save_html", _with_small_files(Answer.save_html, 3_000))
    page = tmp_path / "pages" / "a.html"
    assert main([*command, str(world), QUESTION, "--html", str(page), *flags]) == 1
    out, err = capsys.readouterr()
    assert "2" in out and "report:" not in out
    assert err.count("\n") == 1 and err.startswith("error: ") and str(page) in err
    assert not list(page.parent.iterdir()), "no half page, no temporary file"


@posix
def test_a_row_that_finds_no_room_is_printed_and_no_half_of_it_stays(
    world: Path,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    questions, answers = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    questions.write_text(json.dumps({"video": str(world), "question": QUESTION}) + "\nnothing\n")
    words = [*command, "--questions", str(questions), "--out", str(answers)]
    with monkeypatch.context() as full:
        full.setattr(ResultsFile, "add", _with_small_files(ResultsFile.add, 1_000))
        assert main(words) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["question"] == QUESTION
    assert err.count("\n") == 1 and str(answers) in err
    (kept,) = (json.loads(line) for line in answers.read_text().splitlines())
    assert kept["id"] == "line 2"
    assert main(words) == 1, "with room again only the row that is no question is left"
    assert [json.loads(line)["id"] for line in answers.read_text().splitlines()] == ["1", "line 2"]


@posix
def test_rows_that_cannot_be_put_in_order_stay_as_they_are(
    world: Path,
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    questions, answers = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    rows = [
        {"video": str(world), "question": QUESTION, "id": "a"},
        {"video": str(world), "question": "Is there a star?", "id": "b"},
    ]
    words = [*command, "--questions", str(questions), "--out", str(answers)]
    questions.write_text(json.dumps(rows[1]))
    assert main(words) == 0
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(ResultsFile, "sort", _with_small_files(ResultsFile.sort, 1_000))
    capsys.readouterr()
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "2 questions done" in out and "order in which they were answered" in err
    assert [json.loads(line)["id"] for line in answers.read_text().splitlines()] == ["b", "a"]


@pytest.mark.parametrize("option", ["--html", "--out"])
def test_a_name_too_long_is_refused_before_anything_is_asked(
    option: str,
    world: Path,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"video": str(world), "question": QUESTION}))
    words = [str(world), QUESTION] if option == "--html" else ["--questions", str(questions)]
    assert main([*command, *words, option, str(tmp_path / ("a" * 300))]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and "File name too long" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their file names are Unicode")
def test_a_video_and_a_report_may_have_names_in_another_encoding(
    world: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = world.rename(world.with_name(os.fsdecode(b"caf\xe9.json")))
    page = tmp_path / os.fsdecode(b"r\xe9port" + b"t" * 230 + b".html")
    assert main([*command, str(video), QUESTION, "--html", str(page)]) == 0
    assert "2" in capsys.readouterr().out
    assert "caf" in page.read_text(encoding="utf-8")


def test_a_page_says_what_utf_8_cannot_hold_with_a_question_mark(tmp_path: Path) -> None:
    name = "caf\udce9.mp4"
    answer = Answer(
        question=name, text=name, options=(name,), stop_reason=StopReason.ANSWERED, video=name
    )
    page = answer.save_html(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "caf?.mp4" in page or "caf\N{REPLACEMENT CHARACTER}.mp4" in page


@pytest.mark.parametrize(
    "words",
    [
        ["data", "convert", "{problems}", "--to", "trl", "--out", "{target}"],
        ["data", "navigation", "--worlds", "1000000", "--out", "{target}"],
    ],
)
def test_data_are_not_made_for_a_target_that_cannot_be_written(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = tmp_path / "p.jsonl"
    problems.write_text('{"id": "1", "question": "?"}\n')
    for target in (tmp_path, tmp_path / "p.jsonl" / "o.jsonl", tmp_path / ("a" * 300)):
        values = {"problems": str(problems), "target": str(target)}
        assert main([word.format(**values) for word in words]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1 and "cannot be written" in err
