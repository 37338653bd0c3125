"""PySceneDetect beside our shots: agreement, disagreement, and absence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import shots as measure
from mmreason.video import FrameBatch, Span, Video, VideoError, VideoInfo
from mmreason.video.content import shots
from mmreason.video.content.second_opinion import _pair


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shots with hard cuts."""
    made = measure.make_film("cuts", 100, shots=5)
    return measure.write_film(made, tmp_path_factory.mktemp("film") / "cuts.mp4")


def test_two_detectors_agree_on_hard_cuts(film: Path) -> None:
    pytest.importorskip("scenedetect")
    truth_s = [span.middle_s for span in measure.make_film("cuts", 100, shots=5).truth]
    with Video.open(film) as video:
        found = shots.detect(video)
        opinion = shots.second_opinion(video, found)
        part = shots.detect(video, Span(truth_s[0] + 0.5, truth_s[2] - 0.5))
        of_part = shots.second_opinion(video, part)
    assert [t.time_s for t in found.transitions] == pytest.approx(truth_s, abs=0.1)
    assert opinion.confirmed == (True,) * 4 and opinion.disagreement == 0
    assert opinion.detector.startswith("PySceneDetect ")
    assert of_part.confirmed == (True,) and of_part.only_theirs_s == ()
    assert json.loads(json.dumps(opinion.to_dict())) == opinion.to_dict()


def test_what_one_of_them_sees_alone_is_told(film: Path) -> None:
    pytest.importorskip("scenedetect")
    with Video.open(film) as video:
        found = shots.detect(video)
        invented = shots.Transition(
            kind="cut", span=Span(0.8, 0.8), time_s=0.8, score=0.5, hinted=False
        )
        claimed = shots.Shots(
            span=found.span,
            spans=found.spans,
            transitions=(invented, *found.transitions[1:]),
            frames_read=found.frames_read,
            fps_hz=found.fps_hz,
        )
        opinion = shots.second_opinion(video, claimed)
    assert opinion.confirmed == (False, True, True, True)
    assert opinion.only_ours_s == (0.8,)
    assert opinion.only_theirs_s == pytest.approx([found.transitions[0].time_s], abs=0.1)
    assert opinion.disagreement == 2


def test_each_boundary_serves_once() -> None:
    spans = [Span(1.0, 1.0), Span(1.1, 1.1), Span(4.0, 5.0)]
    assert _pair(spans, [1.05, 4.9, 7.0], 0.2) == ([True, False, True], [7.0])


class Nothing:
    """A video without frames."""

    info = VideoInfo(
        path="none.mp4", duration_s=1, start_s=0, width_px=4, height_px=4, codec="none",
        mean_fps_hz=25, frame_count=0, rotation_deg=0, has_audio=False, backend="none",
        size_bytes=1,
    )  # fmt: skip

    def stream(self, fps=None, size_px=None, span=None) -> Iterator[FrameBatch]:
        assert size_px == (4, 4)  # never larger than the video
        return iter(())


def test_without_pyscenedetect_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = shots.Shots(
        span=Span(0, 1), spans=(Span(0, 1),), transitions=(), frames_read=1, fps_hz=15
    )
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(VideoError, match=r"none\.mp4: .*pip install \"\.\[scenedetect\]\""):
        shots.second_opinion(Nothing(), found)
    monkeypatch.undo()
    pytest.importorskip("scenedetect")
    assert shots.second_opinion(Nothing(), found).disagreement == 0
