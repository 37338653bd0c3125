"""A plan for people: lines of text, a rich table, a timeline in SVG."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import prod
from typing import TYPE_CHECKING

from mmreason.video.plain_text import show_text
from mmreason.video.types import SamplePlan, Span, format_time

if TYPE_CHECKING:
    from rich.table import Table

_HEAD_ROWS, _TAIL_ROWS = 24, 8
_WIDTH_PX, _EDGE_PX, _AXIS_Y_PX, _MARK_PX = 720, 34, 34, 22
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MOST_TICKS = 6


def format_head(plan: SamplePlan) -> str:
    """Method, count, size, span, cost: `uniform: 4 frames of 64x36 over 0:00.00-0:08.00, ...`."""
    n = len(plan)
    text = f"{plan.method}: {n} frame" + ("" if n == 1 else "s")
    text += (
        " of the video's own size" if plan.size_px is None else " of {}x{}".format(*plan.size_px)
    )
    if plan.span is not None:
        text += f" over {plan.span}"
    if plan.token_count is not None:
        text += f", {plan.token_count:,} visual tokens ({plan.family})"
    if plan.size_px is not None:
        pixels = n * prod(plan.size_px)
        text += f", {pixels:,} pixels ({pixels * 3 / 2**20:.1f} MiB)"
    if frames_asked := plan.settings.get("frames_asked"):
        text += f"; {frames_asked} frames were asked for"
    return text


def format_rows(plan: SamplePlan) -> Iterator[tuple[str, str, str]]:
    """(number, time, reason) of each frame; one row of dots for the middle of a long plan."""
    n = len(plan)
    hidden = range(_HEAD_ROWS, n - _TAIL_ROWS) if n > _HEAD_ROWS + _TAIL_ROWS + 1 else range(0)
    for k, (time_s, reason) in enumerate(zip(plan.times_s, plan.reasons, strict=True)):
        if k not in hidden:
            yield str(k + 1), format_time(time_s), reason
        elif k == hidden.start:
            yield "...", "...", f"{len(hidden)} more"


def format_text(plan: SamplePlan) -> str:
    """The head line and one line a frame, without a line break at the end.

    Example:
        >>> print(format_text(plan.uniform(Span(0, 8), n=4)))  # doctest: +SKIP
    """
    lines = [format_head(plan)]
    lines += [f"{number:>5} {time:>12}  {reason}" for number, time, reason in format_rows(plan)]
    return "\n".join(lines)


def rich_table(plan: SamplePlan) -> Table:
    """The same as a table for `rich`."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(format_head(plan)), title_justify="left")
    table.add_column("frame", justify="right")
    table.add_column("time", justify="right")
    table.add_column("reason")
    for row in format_rows(plan):
        table.add_row(*(Text(cell) for cell in row))
    return table


def render_html(plan: SamplePlan) -> str:
    """The head line above an SVG timeline; each mark tells its time and reason when pointed at."""
    axis = _axis(plan)
    # Reasons may hold words of a file or a model: shown as text, never as markup.
    marks = "".join(
        f'<line x1="{(x := _x_px(time_s, axis)):.1f}" x2="{x:.1f}" y1="{_AXIS_Y_PX - _MARK_PX}" '
        f'y2="{_AXIS_Y_PX}" stroke="#2563eb" stroke-width="2">'
        f"<title>{escape(show_text(f'{format_time(time_s)}: {reason}'))}</title></line>"
        for time_s, reason in zip(plan.times_s, plan.reasons, strict=True)
    )
    caption = escape(show_text(format_head(plan)))
    return (
        f'<div>{caption}</div><svg role="img" aria-label="{caption}" '
        f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} 56" width="100%" '
        f'style="max-width:{_WIDTH_PX}px" font-family="sans-serif" font-size="11">'
        f'<line x1="{_EDGE_PX}" x2="{_WIDTH_PX - _EDGE_PX}" y1="{_AXIS_Y_PX}" y2="{_AXIS_Y_PX}" '
        f'stroke="#888"/>{marks}{_ticks(axis)}</svg>'
    )


def _axis(plan: SamplePlan) -> Span:
    """What the timeline covers: the span planned for, or else all times; never of no length."""
    times_s = plan.times_s or (0.0,)
    first_s, last_s = times_s[0], times_s[-1]
    if plan.span is not None:
        first_s, last_s = min(first_s, plan.span.start_s), max(last_s, plan.span.end_s)
    return Span(first_s, last_s if last_s > first_s else first_s + 1.0)


def _x_px(time_s: float, axis: Span) -> float:
    return _EDGE_PX + (time_s - axis.start_s) / axis.duration_s * (_WIDTH_PX - 2 * _EDGE_PX)


def _ticks(axis: Span) -> str:
    """Round times below the axis, about six."""
    fitting = (step for step in _STEPS_S if axis.duration_s / step <= _MOST_TICKS)
    longest_s = _STEPS_S[-1]
    # A video too long for every step gets a multiple of the longest one.
    step_s = next(fitting, longest_s * -(-axis.duration_s // (_MOST_TICKS * longest_s)))
    # Rounded up: no tick stands before the axis begins.
    first = -int(-axis.start_s // step_s)
    last = int(axis.end_s // step_s)
    return "".join(
        f'<text x="{_x_px(k * step_s, axis):.1f}" y="{_AXIS_Y_PX + 16}" text-anchor="middle" '
        f'fill="#666">{format_time(k * step_s)}</text>'
        for k in range(first, last + 1)
    )
