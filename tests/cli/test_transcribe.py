"""`mmreason transcribe`: what is printed, written, kept and told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmreason.cli import main
from mmreason.video import Span
from mmreason.video.audio import AudioSamples
from mmreason.video.speech import ScriptedRecogniser, Segment
from tests.video.audio.sounds import write_clip

HEARD = ScriptedRecogniser((Segment(Span(0.5, 1.5), "Good morning, [bold]everybody."),))


@pytest.fixture
def talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two videos: one loud, one without sound. The recogniser is scripted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("mmreason.video.speech.load_recogniser", lambda *_, **__: HEARD)
    module = __import__("mmreason.video.speech.transcribe", fromlist=["load_detector"])
    from mmreason.video.speech.activity import LoudnessDetector

    monkeypatch.setattr(module, "load_detector", LoudnessDetector)
    folder = tmp_path / "talks"
    folder.mkdir()
    samples = np.full(32_000, 0.5, np.float32)
    write_clip(folder / "a.mkv", "pcm_s16le", rate_hz=16_000, samples=samples)
    write_clip(folder / "b.mp4", "aac", tracks=())
    return folder


def test_what_is_said_is_printed_with_its_time_and_what_is_odd_beside(
    talks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(talks / "a.mkv")]) == 0
    assert capsys.readouterr().out == "[0:00.50] Good morning, [bold]everybody.\n"
    assert main(["transcribe", str(talks / "b.mp4"), "--format", "srt"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "b.mp4: has no sound" in captured.err


def test_a_bad_file_among_many_does_not_stop_the_others(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, out = talks / "c.mp4", tmp_path / "out"
    bad.write_bytes(b"no video")
    assert main(["transcribe", str(talks), "--out", str(out), "--format", "vtt"]) == 1
    captured = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == ["a.vtt", "b.vtt"]
    assert "Good morning" in (out / "a.vtt").read_text()
    assert f"a.mkv: 1 line of speech, written to {out / 'a.vtt'}" in captured.out
    assert "1 of 3 files failed" in captured.err


def test_nothing_is_overwritten(
    talks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("mine")
    assert main(["transcribe", str(talks / "a.mkv"), "--out", str(tmp_path)]) == 1
    assert "a.txt is there already and is not overwritten" in capsys.readouterr().err
    assert (tmp_path / "a.txt").read_text() == "mine"


def test_ctrl_c_keeps_what_was_done(
    talks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(
        talks / "z.mkv",
        "pcm_s16le",
        rate_hz=16_000,
        samples=np.full(32_000, 0.4, np.float32),
    )
    calls = []

    class Interrupted(ScriptedRecogniser):
        def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
            calls.append(samples)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return super().recognise(samples)

    stopping = Interrupted(HEARD.segments)
    monkeypatch.setattr("mmreason.video.speech.load_recogniser", lambda *_, **__: stopping)
    assert main(["transcribe", str(talks), "--json"]) == 130
    captured = capsys.readouterr()
    value = json.loads(captured.out)
    assert [Path(row["path"]).name for row in value["results"]] == ["a.mkv", "b.mp4"]
    assert value["not_reached"] == 1 and "not reached" in captured.err
    # The first file is not heard again.
    assert main(["transcribe", str(talks / "a.mkv")]) == 0 and len(calls) == 2


def test_what_was_heard_is_its_users_alone_and_is_forgotten_with_the_video(
    talks: Path, tmp_path: Path
) -> None:
    video = str(talks / "a.mkv")
    assert main(["transcribe", video]) == 0
    (kept,) = (tmp_path / "cache" / "mmreason" / "speech").iterdir()
    assert "everybody" in kept.read_text() and kept.stat().st_mode & 0o077 == 0
    assert main(["cache", "forget", video]) == 0
    assert not kept.exists()


def test_a_cache_that_cannot_be_written_costs_no_transcript(
    talks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main(["transcribe", str(talks / "a.mkv")]) == 0
    captured = capsys.readouterr()
    assert "everybody" in captured.out and "is not kept for another run" in captured.err


def test_missing_weights_are_told_with_the_line_that_gets_them(
    talks: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmreason.video.speech.recogniser import load_recogniser

    monkeypatch.setattr("mmreason.video.speech.load_recogniser", load_recogniser)
    assert main(["transcribe", str(talks / "a.mkv")]) == 1
    assert "mmreason weights get whisper-tiny.en" in capsys.readouterr().err


def test_subtitles_are_taken_unless_they_are_not_wanted(
    talks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (talks / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nWritten.\n")
    assert main(["transcribe", str(talks / "a.mkv")]) == 0
    assert capsys.readouterr().out == "[0:01.00] Written.\n"
    assert main(["transcribe", str(talks / "a.mkv"), "--no-subtitles", "--span", "0:00-0:02"]) == 0
    assert "everybody" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "doc"], "--format doc: expected one of srt, vtt, json, text"),
        (["--span", "9-2"], "--span 9-2: expected two times in order"),
        (["--span", "soon"], "--span soon: expected two times"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_line(
    talks: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["transcribe", str(talks / "a.mkv"), *words]) == 2
    assert told in capsys.readouterr().err
