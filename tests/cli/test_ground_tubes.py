"""`mmreason ground --want tube` on a real clip, with a scripted model."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from mmreason.cli import main
from mmreason.cli.ground import read_span
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError

TUBE = ("--want", "tube", "--fps", "2", "--span", "0-2")


def test_a_tube_in_words_and_as_json(
    model: ScriptedModel, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ground", str(clip), "red half", *TUBE]) == 0
    out = capsys.readouterr().out
    assert "red half: found" in out and "seen 0:00.00-0:01.50, in 4 of 4 frames" in out
    assert main(["ground", str(clip), "red half", *TUBE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (target,) = found["targets"]
    assert target["tube"]["times_s"] == [0.0, 0.5, 1.0, 1.5]
    assert found["steps"][0]["step"] == "parse" and found["cost"]["calls"] == model.calls / 2


def test_a_drawn_video_has_every_frame(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "drawn.mp4"
    assert main(["ground", str(clip), "red half", *TUBE, "--out", str(drawn)]) == 0
    assert f"drawn: {drawn}" in capsys.readouterr().out
    with av.open(str(drawn)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 40


def test_a_page_tells_what_was_found(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    words = "red <script>half"
    assert main(["ground", str(clip), words, *TUBE, "--out", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["picture"] == str(page)
    text = page.read_text(encoding="utf-8")
    assert "<script>half" not in text and "half" in text


def test_nothing_is_drawn_of_what_is_not_there(
    model: ScriptedModel, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "drawn.mp4"
    assert main(["ground", str(clip), "dragon", *TUBE, "--out", str(drawn)]) == 3
    assert "drawn: not written" in capsys.readouterr().out and not drawn.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "drawn.mp4"), "give --want tube"),
        (("--want", "mask"), "needs a grounder that makes masks"),
        (("--span", "5"), "--span must be START-END"),
        (("--span", "7-9"), "holds nothing of the video"),
        (("--at", "9"), "lies outside the video"),
        (("--want", "cube"), "want must be box, tube or mask"),
        (("--max-targets", "0"), "max_targets must be 1 to 20"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    model: ScriptedModel,
    clip: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ground", str(clip), "red half", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert model.calls == 0


@pytest.mark.parametrize("text", ["", "-", "a-b", "1-2-3", "5", "nan-2"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--span must be"):
        read_span(text)


def test_of_an_image_no_video_is_drawn(
    model: ScriptedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["ground", "picture.png", "red half", "--want", "tube", "--out", str(tmp_path / "a.mp4")]
    assert main(argv) == 2
    assert "of an image a picture is drawn" in capsys.readouterr().err
