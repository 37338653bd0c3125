"""Charts as files: SVG that parses whatever a text holds, PNG of the same, every value told."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from mmreason.viz.axes import axis_from_zero
from mmreason.viz.charts import (
    BarPanel,
    HeatCell,
    IntervalPoint,
    LinePanel,
    PointSeries,
    draw_bar_charts,
    draw_heat_map,
    draw_line_charts,
)
from mmreason.viz.drawing import (
    Area,
    Box,
    Dot,
    Drawing,
    Label,
    Path,
    render_inline_svg,
    render_png,
    render_svg,
)

EVIL = '"><script>alert(1)</script>&\x00\x1b[2J\u202e\ud800'
SHOWN = '"><script>alert(1)</script>&\ufffd\ufffd[2J\ufffd\ufffd'
RED = (200, 0, 0)


@pytest.mark.parametrize("render", [render_svg, render_inline_svg])
def test_any_text_stays_text(render) -> None:
    marks = [
        Label(x=1, y=1, text=EVIL),
        Box(x=0, y=0, width=1, height=1, paint=EVIL, title=EVIL),
        Dot(x=0, y=0, radius=1, paint=RED, title=EVIL),
    ]
    root = ET.fromstring(render(Drawing(width=9, height=9, marks=marks, title=EVIL)))
    texts = [text for text in root.itertext() if text.strip()]
    if render is render_inline_svg:
        texts.append(root.attrib["aria-label"])
    assert sorted(texts) == [SHOWN] * 4
    assert not [element for element in root.iter() if "script" in element.tag]


def test_a_png_shows_what_the_svg_shows() -> None:
    marks = [
        Box(x=10, y=10, width=20, height=20, paint=RED),
        Area(points=((40, 10), (60, 10), (60, 30), (40, 30)), paint=(0, 200, 0)),
        Path(points=((10, 50), (90, 50)), paint=(0, 0, 200), width=4, is_dashed=True),
    ]
    drawing = Drawing(width=100, height=60, marks=marks, title="t")
    with Image.open(io.BytesIO(render_png(drawing))) as image:
        assert image.size == (200, 120)
        assert image.getpixel((40, 40)) == RED
        assert image.getpixel((100, 40)) == (0, 200, 0)
        dashes = [image.getpixel((x, 100)) for x in range(20, 180)]
    assert {(0, 0, 200), (255, 255, 255)} == set(dashes)
    css = Drawing(width=9, height=9, marks=[Area(points=((0, 0),), paint="mmr-band")], title="t")
    with pytest.raises(ValueError, match="mmr-band"):
        render_png(css)


def test_a_line_chart_has_a_line_an_interval_and_a_name_for_each_series() -> None:
    names = ["a", "b <c>"]
    series = [
        PointSeries(
            name=name,
            points=[
                IntervalPoint(x=0.25, y=0.2 + i, interval=(0.1 + i, 0.4 + i), title=f"first {i}"),
                IntervalPoint(x=0.75, y=0.4 + i),
            ],
        )
        for i, name in enumerate(names)
    ]
    axis = axis_from_zero(1.5)
    drawing = draw_line_charts(
        "t", [LinePanel(series=series, across=axis, up=axis)], names, plot=(300, 190)
    )
    paths = [m for m in drawing.marks if isinstance(m, Path) and m.paint in ((0, 92, 175),)]
    assert [len(path.points) for path in paths] == [2, 2]
    (line, interval) = paths
    (x, y), (_, later_y) = line.points
    assert later_y < y, "larger values stand higher"
    assert interval.points[0][0] == interval.points[1][0] == x
    assert interval.points[1][1] < y < interval.points[0][1]
    root = ET.fromstring(render_svg(drawing))
    assert {"a", "b <c>", "first 0"} <= set(root.itertext())


def test_bars_are_as_long_as_their_values_and_the_limit_lies_among_them() -> None:
    panel = BarPanel(
        title="seconds",
        bars={"slow": 4.0, "ours": 1.0},
        highlight="ours",
        limit=2.0,
        limit_name="floor",
    )
    empty = BarPanel(title="none", bars={}, highlight="", limit=1, limit_name="floor")
    drawing = draw_bar_charts("t", [panel, empty])
    ours, slow = [mark for mark in drawing.marks if isinstance(mark, Box)]
    assert slow.width == pytest.approx(4 * ours.width) and ours.y < slow.y
    assert ours.paint != slow.paint
    (limit,) = [mark for mark in drawing.marks if isinstance(mark, Path)]
    assert limit.points[0][0] - ours.x == pytest.approx(2 * ours.width)
    texts = [mark.text for mark in drawing.marks if isinstance(mark, Label)]
    assert "floor 2.00" in texts and "none" not in texts


def test_a_heat_map_tells_every_cell_and_leaves_those_without_a_value_grey() -> None:
    cell = HeatCell(value=1.0, text="100%", note="n=4", title="4 of 4")
    drawing = draw_heat_map({("r", "a"): cell}, ["r"], ["a", "b"], title="t", across="columns")
    full, empty = [mark for mark in drawing.marks if isinstance(mark, Box)]
    assert (full.title, empty.title) == ("r, a: 4 of 4", "r, b")
    assert (full.paint, empty.paint) == ((16, 72, 140), (246, 246, 246))
    texts = [mark.text for mark in drawing.marks if isinstance(mark, Label)]
    assert {"100%", "n=4", "r", "a", "b", "columns"} <= set(texts)
