"""Shots have a still each; a new slide begins one, a cut is not counted twice."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmreason.video import Span, Video, VideoError
from mmreason.video.content.shot_list import list_shots

RATE_HZ = 10
SLIDES = ("First of all", "Budget of the year", "Questions")


def draw_slide(title: str) -> np.ndarray:
    image = Image.new("RGB", (320, 180), "white")
    draw = ImageDraw.Draw(image)
    draw.text((20, 14), title, fill="black", font_size=26)
    for row in range(3):
        draw.text((30, 60 + 30 * row), f"{title.split()[-1]} line {row}", fill="navy", font_size=18)
    return np.asarray(image)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 s of each of three slides, then 5 s of a dark picture."""
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    pictures = [*(draw_slide(title) for title in SLIDES), np.full((180, 320, 3), 30, np.uint8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "20", "g": "100"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for picture in pictures:
            for _ in range(5 * RATE_HZ):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_new_slides_begin_shots_and_cuts_are_not_counted_twice(talk: Path) -> None:
    with Video.open(talk) as video:
        shots = list_shots(video)
        plain = list_shots(video, "histogram")
    assert [shot.span.start_s for shot in shots.shots] == pytest.approx([0, 5, 10, 15], abs=0.11)
    assert shots.shots[-1].span.end_s == pytest.approx(20)
    assert all(shot.span.contains(shot.still_s) for shot in shots.shots)
    # The cut to the dark picture is one for both.
    assert len(plain) < len(shots) and plain.slides_s == ()
    assert len(shots.slides_s) == len(shots) - len(plain)


def test_a_stretch_is_tiled_by_its_shots(talk: Path) -> None:
    with Video.open(talk) as video:
        shots = list_shots(video, span=Span(3, 12))
        with pytest.raises(VideoError, match="nothing of the video lies there"):
            list_shots(video, span=Span(40, 50))
        with pytest.raises(ValueError, match="auto, histogram, transnetv2, got 'magic'"):
            list_shots(video, "magic")  # type: ignore[arg-type]
    edges = [edge for span in shots.spans for edge in (span.start_s, span.end_s)]
    assert edges[0] == 3 and edges[-1] == 12 and edges[1:-1:2] == edges[2::2]
    assert shots.to_dict()["shots"][0]["span"][0] == 3
