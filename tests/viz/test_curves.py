"""Where the points of a run's curves lie, and what the mouse reads off."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from mmreason.viz.curves import CurveSeries, draw_curves, smooth_curve, thin_curve
from mmreason.viz.drawing import Area, Box, Dot, Label, Path


def _lines(drawing, kind: str) -> list[Path]:
    paths = [mark for mark in drawing.marks if isinstance(mark, Path)]
    return [path for path in paths if kind in str(path.paint).split()]


def test_a_long_run_stays_small_and_loses_no_spike() -> None:
    curve = tuple((step, 50.0 if step == 7_321 else step % 10 / 10) for step in range(1, 20_001))
    thin = thin_curve(curve)
    assert len(thin) <= 500
    assert thin[0] == curve[0] and thin[-1] == curve[-1] and (7_321, 50.0) in thin
    assert list(thin) == sorted(thin)
    drawing = draw_curves([CurveSeries(name="a", curve=curve)], title="a").drawing
    mean, raw = _lines(drawing, "mmr-line")[::-1]
    assert "mmr-raw" in str(raw.paint)
    assert all(len(path.points) <= 500 for path in (mean, raw))
    assert sum(isinstance(mark, Box) for mark in drawing.marks) <= 60


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_points_and_ticks_lie_inside_the_chart(values: list[float]) -> None:
    chart = draw_curves([CurveSeries(name="a", curve=tuple(enumerate(values, 1)))], title="a")
    for path in _lines(chart.drawing, "mmr-line"):
        assert all(48 <= x <= 392 and 8 <= y <= 168 for x, y in path.points)
    values_texts = [m for m in chart.drawing.marks if isinstance(m, Label) and m.x == 42]
    assert all(8 <= label.y <= 168 for label in values_texts) and len(values_texts) >= 2
    assert len({label.text for label in values_texts}) == len(values_texts)


def test_smoothing_is_a_mean_of_neighbours() -> None:
    curve = tuple(enumerate((0.0, 3.0, 0.0, 3.0, 6.0)))
    assert smooth_curve(curve, 3) == ((0, 1.5), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.5))


def test_bands_lie_under_lines_and_every_column_reads_its_values() -> None:
    band = ((0.0, 0.5), (0.25, 0.75))
    mean = CurveSeries(name="<seeds>", curve=((1, 0.25), (2, 0.5)), band=band, colour=9)
    chart = draw_curves([mean], title="reward & more")
    kinds = [type(m) for m in chart.drawing.marks if isinstance(m, Area | Path | Dot)]
    assert kinds[-4:] == [Area, Path, Dot, Dot]
    assert chart.keys[0].css == "mmr-c2 mmr-dashed"
    element = ET.fromstring(chart.svg)
    assert element.get("aria-label") == "reward & more by step"
    titles = [node.text for node in element.iter("title")]
    assert titles == ["step 1\n<seeds>: 0.25 (0 to 0.5)", "step 2\n<seeds>: 0.5 (0.25 to 0.75)"]
