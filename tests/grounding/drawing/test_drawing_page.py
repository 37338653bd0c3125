"""A grounding as a page: when, crops, scores, rivals, and what could not be shown."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmreason.grounding import Box, Grounding, GroundingStatus, Issue, Rival, Target, Tube
from mmreason.grounding.drawing.crops import crop_times, cut_crops, draw_paths
from mmreason.grounding.drawing.page import save_tube_page, tube_page
from mmreason.grounding.drawing.presence import presence_bars, tick_times
from mmreason.video import FrameBatch, Span, Video
from mmreason.video.types import VideoError, VideoInfo
from tests.grounding.metrics.strategies import tube_strategy
from tests.report.parsed_page import ParsedPage
from tests.video import clips

BOX = Box(20, 20, 60, 60)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.write(tmp_path_factory.mktemp("page") / "clip.mp4")


def tube_with_a_gap() -> Tube:
    """Looked at in every fourth of 20 frames, absent from 1.2 s to 1.6 s."""
    boxes = [None if 12 <= i < 16 else BOX for i in range(20)]
    return Tube.from_boxes(
        [i / 10 for i in range(20)], boxes, observed=[i % 4 == 0 for i in range(20)], label="dog"
    )


def grounding() -> Grounding:
    rival = Target(box=Box(100, 10, 150, 60), label="cat", score=0.4, score_kind="detector")
    return Grounding(
        status=GroundingStatus.FOUND,
        targets=(Target(tube=tube_with_a_gap(), checks={"runs": True, "no collar": None}),),
        rivals=(Rival(target=rival, fails=("dog",), reason="it is a cat"),),
        issues=(Issue("clipped_box", "a box was clipped"),),
        expression="the dog that runs",
        frame_time_s=0.5,
    )


def test_the_page_tells_everything_that_the_result_holds(tmp_path: Path, clip: Path) -> None:
    page = ParsedPage(save_tube_page(tmp_path / "a.html", clip, grounding()).read_text("utf-8"))
    for words in (
        "the dog that runs",
        "Found",
        "Target: dog",
        "20 frames: 4 looked at, 12 filled in, 4 without it",
        "runs: yes",
        "no collar: not checked",
        "Rival 1: cat",
        "it is a cat",
        "0.40 (detector)",
        "a box was clipped",
    ):
        assert words in page.text
    # The paths, every look that shows it, and the rival's box at the time of the result.
    assert len(page.named("img")) == 1 + 4 + 1
    assert all((image["src"] or "").startswith("data:image/jpeg") for image in page.named("img"))


@pytest.mark.parametrize("status", list(GroundingStatus))
def test_every_status_is_said_in_words(status: GroundingStatus) -> None:
    count = {GroundingStatus.FOUND: 1, GroundingStatus.AMBIGUOUS: 2}.get(status, 0)
    page = tube_page(Grounding(status=status, targets=(Target(box=BOX),) * count))
    assert "<html" in page and (count > 0) == ("20, 20, 60, 60 pixels" in page)


def test_a_tube_alone_has_its_name_and_no_status() -> None:
    shown = ParsedPage(tube_with_a_gap()._repr_html_())
    assert "dog" in shown.text and "12 filled in" in shown.text
    assert "Found" not in shown.text and "Target" not in shown.text


def test_a_video_that_cannot_be_read_costs_the_pictures_and_not_the_page(clip: Path) -> None:
    with Video.open(clip) as video:
        pass
    # It is closed: nothing can be read of it any more.
    page = tube_page(grounding(), video)
    assert "No pictures: " in page and "is closed" in page and "Target: dog" in page
    with pytest.raises(VideoError):
        save_tube_page(clip.with_name("b.html"), clip.with_name("missing.mp4"), grounding())


def test_a_page_of_a_hundred_thousand_frames_stays_small() -> None:
    n = 100_000
    tube = Tube(
        times_s=np.arange(n) / 30,
        boxes_px=np.tile([0.0, 0.0, 8.0, 8.0], (n, 1)),
        present=np.arange(n) % 3 > 0,
        observed=np.arange(n) % 5 == 0,
    )
    targets = (Target(tube=tube),) * 40
    page = tube_page(Grounding(status=GroundingStatus.AMBIGUOUS, targets=targets))
    assert len(page) < 500_000 and "20 more are in the result" in page


@settings(max_examples=40)
@given(tube_strategy(8), st.integers(0, 4))
def test_a_bar_stands_where_a_frame_shows_it_and_nowhere_else(tube: Tube, first: int) -> None:
    span = Span(0.2 * first, 0.2 * first + 2.0)
    bars = presence_bars(tube, span)
    for index, time_s in enumerate(tube.times_s):
        # In the middle of each frame, where it is inside.
        middle_s = time_s + 0.1
        if span.start_s <= middle_s < span.end_s and len(tube) > 1:
            covering = [bar for bar in bars if bar.span.contains(middle_s)]
            assert len(covering) == bool(tube.present[index])


def test_times_under_the_line_are_round_and_few() -> None:
    assert tick_times(Span(0, 3600 * 3)) == [0, 1800, 3600, 5400, 7200, 9000, 10800]
    assert tick_times(Span(1.3, 2.4)) == [1.4, 1.6, 1.8, 2.0, 2.2, 2.4]
    for length_s in (0.05, 0.7, 13, 500, 50_000, 1e6):
        assert len(tick_times(Span(0, length_s))) <= 8


@settings(max_examples=40)
@given(tube_strategy(), st.integers(1, 4))
def test_crops_are_of_times_at_which_it_is_to_be_seen(tube: Tube, most: int) -> None:
    picked = crop_times(tube, most)
    assert len(picked) == min(most, int(tube.present.sum()))
    assert picked == sorted(set(picked)) and tube.present[picked].all()


class Still:
    """A black video."""

    content_hash = "still"

    @property
    def info(self) -> VideoInfo:
        raise NotImplementedError

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        return FrameBatch(
            pixels=np.zeros((1, 50, 100, 3), np.uint8),
            times_s=np.array(times_s, np.float64),
            exact=np.ones(1, bool),
        )


def test_a_crop_keeps_to_the_picture_and_is_not_cut_of_what_lies_outside() -> None:
    corner = Tube.from_boxes([0.0, 1.0], [Box(90, 40, 120, 60), Box(200, 0, 220, 10)])
    (crop,) = cut_crops(Still(), corner, most=6, colour=(255, 0, 0))
    assert crop.time_s == 0.0 and crop.jpeg[:2] == b"\xff\xd8"


def test_a_path_is_broken_where_the_object_is_absent() -> None:
    boxes = [Box(x, 20, x + 4, 24) if x not in (40, 50) else None for x in range(0, 100, 10)]
    tube = Tube.from_boxes([x / 10 for x in range(10)], boxes)
    crop = draw_paths(Still(), [tube], [""], [(250, 0, 0)])
    assert crop is not None
    red = np.asarray(Image.open(BytesIO(crop.jpeg), formats=["JPEG"]))[22, :, 0]
    assert (red[4:30] > 90).all() and (red[36:60] < 60).all() and (red[64:90] > 90).all()
    assert draw_paths(Still(), [Tube.from_boxes([0.0], [None])], [""], [(250, 0, 0)]) is None
