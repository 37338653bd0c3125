"""Frames and files show themselves in a notebook; contact sheets of odd shapes."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.video import FrameBatch, Video
from mmreason.video.sheet import contact_sheet
from tests.video import clips


def _batch(count: int, width: int = 32, height: int = 18, *, exact: bool = True) -> FrameBatch:
    return FrameBatch(
        pixels=np.full((count, height, width, 3), 90, np.uint8),
        times_s=np.arange(count, dtype=np.float64),
        exact=np.full(count, exact),
    )


def _picture(html: str) -> Image.Image:
    found = re.search(r"data:image/jpeg;base64,([^\"]+)", html)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_frames_are_shown_as_a_sheet_with_their_times() -> None:
    html = _batch(3)._repr_html_()
    assert "FrameBatch(3 frames 32x18, 0:00.00..0:02.00)" in html and "script" not in html
    assert _picture(html).width == 3 * (240 + 6) + 6


def test_a_long_batch_shows_some_and_says_so() -> None:
    html = _batch(500)._repr_html_()
    assert "32 of 500 shown" in html
    assert _picture(html).height < 8 * 200


def test_frames_that_are_not_exact_are_explained() -> None:
    assert "not the exact one" in _batch(2, exact=False)._repr_html_()
    assert "not the exact one" not in _batch(2)._repr_html_()
    with_legend, without = contact_sheet(_batch(2, exact=False)), contact_sheet(_batch(2))
    assert with_legend.height == without.height + 20


def test_no_frame_is_a_line() -> None:
    assert _batch(0)._repr_html_() == "<div>FrameBatch(0 frames)</div>"


def test_what_is_known_of_a_file_is_a_table_of_escaped_text(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a<b>&c.mp4", frames=20)
    with Video.open(path) as video:
        html = video.info._repr_html_()
    assert "a&lt;b&gt;&amp;c.mp4" in html and "<b>" not in html
    assert "20, " in html and ">audio<" in html


@pytest.mark.parametrize(("width", "height"), [(36, 64), (10, 200), (1, 1000)])
def test_sheets_of_tall_frames_stay_of_a_size_that_can_be_looked_at(
    width: int, height: int
) -> None:
    sheet = contact_sheet(_batch(8, width, height), columns=4)
    assert sheet.height <= 2 * (1.5 * 240 + 26) + 6 + 2
