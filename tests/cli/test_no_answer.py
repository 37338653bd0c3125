"""No answer ends with 3; and what was paid for is never lost to a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel

QUESTION = "What colour is the screen?"


@pytest.fixture
def declining(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedModel:
    """Knows nothing of this footage, like nano; loaded under every name."""
    clip = ClipRecipe(frames=4, size_px=(32, 24), leaf_s=1.0, reads_transcript=False)
    scripted = ScriptedModel(
        lambda text, frames: "this is outside my world.", clip=clip, name="nano", lineage="nano"
    )
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: scripted)
    monkeypatch.setattr(
        "mmreason.memory.store.default_path", lambda: tmp_path / "home" / "store.sqlite3"
    )
    return scripted


def test_a_decline_has_its_own_exit_code_and_no_headline(
    declining: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(clip), QUESTION, "--model", "nano"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "answer:      No answer"
    head = [line for line in lines if not line.startswith(("step", "round"))]
    assert not any(line.startswith(("confidence", "evidence")) for line in head)
    assert not any("outside my world" in line for line in head)
    assert any(line.startswith("looked at:   4 places (0:00.00-0:04.00") for line in head)
    assert any(line.startswith("next:        nano knows") for line in head)
    assert any("outside my world" in line for line in lines), "what it said is in the trace"
    assert main(["ask", str(clip), QUESTION, "--model", "nano", "--short"]) == 3
    short = capsys.readouterr().out.splitlines()
    assert short[0].startswith("answer:      No answer (") and len(short) <= 7


def test_lines_beside_the_video_are_quoted_and_end_with_0(
    declining: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = tmp_path / "talk.mp4"
    video.write_bytes(clip.read_bytes())
    line = "1\n00:00:01,000 --> 00:00:02,000\nThe screen is said to be red.\n"
    (tmp_path / "talk.srt").write_text(line)
    assert main(["ask", str(video), QUESTION, "--model", "nano"]) == 0
    out = capsys.readouterr().out
    assert 'answer:      The subtitles say: "The screen is said to be red."' in out
    assert "evidence:    0:01.00-0:02.00 (from the subtitles, stands in the transcript)" in out
    assert "subtitles:   talk.srt: 1 line, 1 passage matches the question" in out
    assert main(["ask", str(video), QUESTION, "--model", "nano", "--no-subtitles"]) == 3
    assert "--no-subtitles" in capsys.readouterr().out
    both = ["ask", str(video), QUESTION, "--no-subtitles", "--subtitles", "x.srt"]
    assert main(both) == 2


def test_the_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "3 no answer to a question or nothing found" in text


@pytest.mark.parametrize("target", ["folder", "file/report.html"])
def test_a_report_without_a_place_is_refused_before_anything_is_asked(
    target: str,
    model: ScriptedModel,
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / target
    assert main(["ask", str(clip), QUESTION, "--model", "nano", "--html", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, model.calls) == ("", 0)
    assert err.count("\n") == 1 and "cannot be written" in err


def test_a_folder_that_cannot_be_written_is_refused_first(
    model: ScriptedModel, clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mmreason.video.files.os.access", lambda *_: False)
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"video": str(clip), "question": QUESTION}))
    places = (
        ["ask", str(clip), QUESTION, "--model", "nano", "--html", str(tmp_path / "a.html")],
        ["ask", "--questions", str(questions), "--out", str(tmp_path / "a.jsonl")],
        ["ground", str(clip), "red half", "--out", str(tmp_path / "a.png")],
    )
    assert [main(words) for words in places] == [2, 2, 2]
    assert model.calls == 0


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_report_that_fails_to_be_written_comes_after_the_answer(
    flags: list[str],
    model: ScriptedModel,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmreason.video.files.write_atomic", fails)
    path = tmp_path / "a.html"
    assert main(["ask", str(clip), QUESTION, "--model", "nano", "--html", str(path), *flags]) == 1
    out, err = capsys.readouterr()
    assert "red" in out or "blue" in out
    assert "No space left on device" in err and "report:" not in out


@pytest.mark.parametrize("name", ["", "*.mp4"])
def test_many_videos_are_told_to_go_into_a_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", str(tmp_path / name), QUESTION]) == 2
    assert "--questions FILE" in capsys.readouterr().err
