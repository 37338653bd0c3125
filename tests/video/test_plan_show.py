"""A plan reads well as text, as a table and as a timeline."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from mmreason.video import SamplePlan, Span, plan
from tests.video.plans import clip


def test_a_plan_prints_as_a_table() -> None:
    made = plan.uniform(clip(240, size_px=(640, 352)), 2, family="qwen3_vl")
    assert str(made).splitlines() == [
        "uniform: 2 frames of 640x352 over 0:00.00-0:08.00, 220 visual tokens (qwen3_vl), "
        "450,560 pixels (1.3 MiB)",
        "    1      0:02.00  middle of part 1 of 2",
        "    2      0:06.00  middle of part 2 of 2",
    ]


def test_the_head_says_what_the_budget_took() -> None:
    made = plan.uniform(Span(0.0, 9.0), 5, budget=plan.FrameBudget(frames=3))
    head = str(made).splitlines()[0]
    assert head == (
        "uniform: 3 frames of the video's own size over 0:00.00-0:09.00; 5 frames were asked for"
    )


@pytest.mark.parametrize(("n", "shown"), [(33, 33), (34, 33), (768, 33)])
def test_a_long_plan_leaves_out_its_middle(n: int, shown: int) -> None:
    lines = str(plan.uniform(Span(0.0, 900.0), n)).splitlines()[1:]
    assert len(lines) == shown
    hidden = sum(int(m[1]) for line in lines if (m := re.search(r"\.\.\.  (\d+) more", line)))
    assert hidden + shown - (hidden > 0) == n
    assert lines[-1].split()[0] == str(n)


def test_rich_shows_the_same_rows() -> None:
    made = SamplePlan(times_s=(1.5,), size_px=None, method="x", reasons=("[red]as it is[/red]",))
    console = Console(width=100, file=None, record=True, quiet=False)
    with console.capture() as capture:
        console.print(made)
    assert "[red]as it is[/red]" in capture.get() and "0:01.50" in capture.get()


def _svg(made: SamplePlan) -> ET.Element:
    page = made._repr_html_()
    return ET.fromstring(page[page.index("<svg") :])


def test_the_timeline_has_a_mark_for_every_frame() -> None:
    made = plan.uniform(Span(10.0, 70.0), 6)
    svg = _svg(made)
    name = "{http://www.w3.org/2000/svg}"
    marks = [line for line in svg.iter(f"{name}line") if line.find(f"{name}title") is not None]
    places = [float(mark.attrib["x1"]) for mark in marks]
    assert len(places) == 6 and places == sorted(places)
    width = float(svg.attrib["viewBox"].split()[2])
    assert places[0] - 0 == pytest.approx(width - places[-1], abs=0.2)
    ticks = [text.text for text in svg.iter(f"{name}text")]
    assert ticks == ["0:10.00", "0:20.00", "0:30.00", "0:40.00", "0:50.00", "1:00.00", "1:10.00"]


def test_the_timeline_escapes_what_it_is_given() -> None:
    made = SamplePlan(times_s=(1.0, 1.0), size_px=None, method="<b>&", reasons=("<script>", '"'))
    assert "<script>" not in made._repr_html_() and "<b>" not in made._repr_html_()
    assert _svg(made).attrib["aria-label"].startswith("<b>&: 2 frames")


@pytest.mark.parametrize("span", [Span(0.0, 0.02), Span(0.0, 36_000.0), Span(1e6, 1e6 + 5)])
def test_ticks_stay_few(span: Span) -> None:
    svg = _svg(plan.uniform(span, 3))
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}text"))) <= 7


def test_an_empty_plan_can_be_shown() -> None:
    made = plan.relevant([], [], 4)
    assert str(made) == "relevant (aks): 0 frames of the video's own size"
    assert _svg(made) is not None
    sized = plan.relevant([], [], 4, size_px=(64, 64), family="qwen3_vl")
    assert len(sized) == 0 and sized.token_count == 0
