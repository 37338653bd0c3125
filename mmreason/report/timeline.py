"""Where everything an answer used lies in its video, as percentages of the whole width.

Pure geometry: the levels of the tree as rows of cells, where it was looked and in which round, the
evidence, and a closer picture where that would be a sliver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmreason.report.axis_labels import Mark, place_marks
from mmreason.report.rounds import round_numbers
from mmreason.report.text import has_place, is_second_look, node_of, result_words, shorten_text
from mmreason.tool_calls import Caption, Skim
from mmreason.types import Answer, Step
from mmreason.video.types import Span, format_time

LaneKind = Literal["captioned", "looked-at", "evidence"]
"""Also the name of its colour in the style sheet."""

_NICE_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_NARROWEST_PCT = 0.6
_LONGEST_LABEL = 200
_ZOOM_BELOW_PCT = 3.0
"""Evidence narrower than this is shown once more in a closer picture."""
_MOST_ZOOMS = 3
_LANE_PX, _MARKS_PX = 40, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stretch of video in one lane."""

    left_pct: float
    width_pct: float
    label: str
    """What it is, for people and screen readers."""
    dim: bool = False
    """Drawn weaker: a look that failed, evidence without an independent check."""
    opened: bool = False
    """Drawn stronger: a node whose children were read as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    title: str
    kind: LaneKind
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    """Numbers of rounds, under the bars."""
    top_px: int = 0

    @property
    def height_px(self) -> int:
        return _LANE_PX + (_MARKS_PX if self.marks else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    left_pct: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Lanes from overview to evidence above one time axis."""

    span: Span
    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    summary: str
    """The whole picture in one sentence, for readers who do not see it."""
    zooms: tuple[Zoom, ...] = ()

    @property
    def axis_px(self) -> int:
        return sum(lane.height_px for lane in self.lanes) + 6

    @property
    def has_dim(self) -> bool:
        return any(bar.dim for lane in self.lanes for bar in lane.bars)

    @property
    def has_opened(self) -> bool:
        return any(bar.opened for lane in self.lanes for bar in lane.bars)

    @property
    def has_marks(self) -> bool:
        return any(lane.marks for lane in self.lanes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoom:
    """A part of the picture, drawn over the whole width."""

    left_pct: float
    right_pct: float
    """Where the part lies in the whole."""
    title: str
    picture: Timeline


def lay_out_timeline(answer: Answer) -> Timeline | None:
    """Lay out the answer's steps and evidence over the video; None where nothing has a length."""
    whole = _whole_span(answer)
    if whole.duration_s <= 0:
        return None
    # The overview first: where evidence is a sliver in it, it is shown once more, larger.
    picture = _picture(answer, whole)
    zooms = (_zoom(answer, window, whole) for window in _windows(answer, whole))
    return replace(picture, zooms=tuple(zooms))


def time_ticks(whole: Span, most: int = 6) -> tuple[Tick, ...]:
    """At most `most` + 1 round times over `whole`, as positions on it.

    Example:
        >>> [tick.label for tick in time_ticks(Span(0, 90))]
        ['0:00', '0:15', '0:30', '0:45', '1:00', '1:15', '1:30']
    """
    # The smallest step that people count in and that gives few enough ticks.
    fitting = (s for s in _NICE_STEPS_S if whole.duration_s / s <= most)
    step_s = next(fitting, _NICE_STEPS_S[-1] * -(-whole.duration_s // (most * _NICE_STEPS_S[-1])))
    # Rounded up and down, with a hair of room for times that are sums of floats.
    first = -int(-(whole.start_s - 1e-9) // step_s)
    last = int((whole.end_s + 1e-9) // step_s)
    times_s = [i * step_s for i in range(first, last + 1)]
    return tuple(Tick(left_pct=_at_pct(t, whole), label=_short_time(t)) for t in times_s)


def _whole_span(answer: Answer) -> Span:
    """The video's span: from 0 unless something lies past its length (stamps that start later)."""
    spans = [e.span for e in answer.evidence]
    spans += [s.observation.span for s in answer.trace if has_place(s)]
    first_s = min((s.start_s for s in spans), default=0.0)
    last_s = max((s.end_s for s in spans), default=0.0)
    # Stamps that start late put everything past the length of the video.
    if last_s <= answer.duration_s + 0.05:
        return Span(min(0.0, first_s), max(last_s, answer.duration_s))
    return Span(first_s, max(last_s, first_s + answer.duration_s))


def _picture(answer: Answer, window: Span) -> Timeline:
    """Everything that lies in `window`, over the whole width."""
    numbered = [
        (number, step)
        for number, step in zip(round_numbers(answer.trace), answer.trace, strict=True)
        if _is_in(step.observation.span, window)
    ]
    captions = [
        numbered_step for numbered_step in numbered if isinstance(numbered_step[1].call, Caption)
    ]
    skims = [numbered_step for numbered_step in numbered if isinstance(numbered_step[1].call, Skim)]
    second = [numbered_step for numbered_step in numbered if is_second_look(numbered_step[1])]
    looks = [
        numbered_step
        for numbered_step in numbered
        if numbered_step[1].call.asks and not is_second_look(numbered_step[1])
    ]
    # From the overview down to what the answer rests on, as the search went.
    lanes = [
        *_level_lanes(captions, window),
        _step_lane("Skimmed", "captioned", skims, window),
        _step_lane("Looked at", "looked-at", looks, window),
        _step_lane("Second look", "looked-at", second, window),
        Lane(title="Evidence", kind="evidence", bars=_evidence_bars(answer, window)),
    ]
    span_texts = ", ".join(str(e.span) for e in answer.evidence if _is_in(e.span, window))
    summary = (
        f"Timeline of {format_time(window.duration_s)}: {len(captions)} stretches captioned, "
        f"{len(looks)} looked at, evidence at {span_texts or 'no place'}."
    )
    # A lane without a bar would be a question without an answer.
    stacked = _stacked(lane for lane in lanes if lane.bars)
    return Timeline(span=window, lanes=stacked, ticks=time_ticks(window), summary=summary)


def _stacked(lanes: Iterable[Lane]) -> tuple[Lane, ...]:
    placed, top_px = [], 0
    for lane in lanes:
        placed.append(replace(lane, top_px=top_px))
        top_px += lane.height_px
    return tuple(placed)


def _level_lanes(captions: list[tuple[int, Step]], window: Span) -> list[Lane]:
    """One lane for each level of the tree, the longest stretches first; a cell is marked with the
    round in which it was opened."""
    # A node was opened in the round in which the first of its children was captioned.
    opened: dict[tuple[int, ...], int] = {}
    levels: dict[int, list[Step]] = {}
    for number, step in captions:
        node = node_of(step)
        levels.setdefault(max(1, len(node)), []).append(step)
        if node[:-1]:
            opened.setdefault(node[:-1], number)
    lanes = []
    for level in sorted(levels):
        steps = levels[level]
        bars = [_step_bar(step, window, opened=node_of(step) in opened) for step in steps]
        rounds = [
            (bar, opened[node_of(step)])
            for bar, step in zip(bars, steps, strict=True)
            if node_of(step) in opened
        ]
        # Nodes of a level differ where the tree was cut at shots.
        mean_s = sum(step.observation.span.duration_s for step in steps) / len(steps)
        title = f"Level {level}, {_about(mean_s)} each"
        named = "Captioned" if len(levels) == 1 else title
        lanes.append(Lane(title=named, kind="captioned", bars=tuple(bars), marks=_marks(rounds)))
    return lanes


def _step_lane(title: str, kind: LaneKind, numbered: list[tuple[int, Step]], window: Span) -> Lane:
    bars = [_step_bar(step, window) for _, step in numbered]
    rounds = [(bar, number) for bar, (number, _) in zip(bars, numbered, strict=True)]
    # Narrow bars are drawn last, on top of wide ones.
    widest_first = sorted(bars, key=lambda bar: -bar.width_pct)
    return Lane(title=title, kind=kind, bars=tuple(widest_first), marks=_marks(rounds))


def _marks(rounds: Sequence[tuple[Bar, int]]) -> tuple[Mark, ...]:
    return place_marks([(bar.left_pct + bar.width_pct / 2, number) for bar, number in rounds])


def _step_bar(step: Step, window: Span, *, opened: bool = False) -> Bar:
    observation = step.observation
    # Labels are read out by screen readers, one after the other.
    label = shorten_text(f"{observation.span} {result_words(step)}", _LONGEST_LABEL)
    return replace(
        _bar(observation.span, window, label), dim=observation.error is not None, opened=opened
    )


def _evidence_bars(answer: Answer, window: Span) -> tuple[Bar, ...]:
    return tuple(
        replace(_bar(e.span, window, f"Evidence {e.span} {e.quote}"), dim=not e.verified)
        for e in answer.evidence
        if _is_in(e.span, window)
    )


def _bar(span: Span, window: Span, label: str) -> Bar:
    left_pct = max(0.0, _at_pct(span.start_s, window))
    # A second in an hour is less than a pixel: every bar can be seen, and stays inside.
    width_pct = max(min(100.0, _at_pct(span.end_s, window)) - left_pct, _NARROWEST_PCT)
    return Bar(left_pct=min(left_pct, 100 - width_pct), width_pct=round(width_pct, 3), label=label)


def _windows(answer: Answer, whole: Span) -> list[Span]:
    """Nodes of the top level that hold evidence too narrow to be seen, in order of time."""
    # Windows are nodes of the tree, so that a zoom shows whole cells.
    tops = [s.observation.span for s in answer.trace if len(node_of(s)) == 1]
    narrow = [
        e.span
        for e in answer.evidence
        if 100 * e.span.duration_s / whole.duration_s < _ZOOM_BELOW_PCT
    ]
    windows = {top for top in tops for span in narrow if top.contains(span.middle_s)}
    return sorted(windows, key=lambda span: span.start_s)[:_MOST_ZOOMS]


def _zoom(answer: Answer, window: Span, whole: Span) -> Zoom:
    picture = _picture(answer, window)
    # The window is one cell of the top level, which would fill its lane.
    lower = (lane for lane in picture.lanes if not lane.title.startswith("Level 1,"))
    return Zoom(
        left_pct=_at_pct(window.start_s, whole),
        right_pct=_at_pct(window.end_s, whole),
        title=f"{_short_time(window.start_s)} to {_short_time(window.end_s)}, closer",
        picture=replace(picture, lanes=_stacked(lower)),
    )


def _is_in(span: Span, window: Span) -> bool:
    # An empty span overlaps nothing, and still lies somewhere.
    is_moment_inside = span.duration_s == 0 and window.start_s <= span.start_s <= window.end_s
    return span.overlap_s(window) > 0 or is_moment_inside


def _at_pct(time_s: float, whole: Span) -> float:
    return round(100 * (time_s - whole.start_s) / whole.duration_s, 3)


def _about(length_s: float) -> str:
    """A length in the words people use: `4 s`, `1:40`."""
    if length_s < 60:
        return f"{length_s:.2g} s" if length_s < 10 else f"{length_s:.0f} s"
    return _short_time(float(round(length_s)))


def _short_time(time_s: float) -> str:
    """`format_time` without hundredths that are zero: `1:20`, `0:00.5`."""
    text = format_time(time_s)
    return text.removesuffix("0").removesuffix("0").removesuffix(".") if "." in text else text
