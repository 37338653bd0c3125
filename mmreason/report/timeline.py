"""Where everything an answer used lies in its video, as percentages of the whole width.

Pure geometry: which bars stand in which lane and where the axis is labelled. Leaves out drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmreason.report.words import is_second_look, result_words
from mmreason.types import Answer, Step
from mmreason.video.types import Span, format_time

Kind = Literal["caption", "look", "evidence"]

_NICE_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_NARROWEST_PCT = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One stretch of video in one lane."""

    left_pct: float
    width_pct: float
    label: str
    """What it is, for people and screen readers."""
    dim: bool = False
    """Drawn weaker: a look that failed, evidence that was not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    title: str
    kind: Kind
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    left_pct: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Lanes from overview to evidence above one time axis."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    summary: str
    """The whole picture in one sentence, for readers who do not see it."""

    @property
    def has_dim(self) -> bool:
        return any(bar.dim for lane in self.lanes for bar in lane.bars)


def timeline(answer: Answer) -> Timeline | None:
    """Lay out the answer's steps and evidence over the video; None where nothing has a length."""
    whole = _whole_span(answer)
    if whole.duration_s <= 0:
        return None
    captions = [s for s in answer.trace if s.call.name == "caption"]
    second = [s for s in answer.trace if is_second_look(s)]
    looks = [s for s in answer.trace if s.call.name != "caption" and not is_second_look(s)]
    lanes = [
        *_caption_lanes(captions, whole),
        Lane(title="Looked at", kind="look", bars=_step_bars(looks, whole)),
        Lane(title="Second look", kind="look", bars=_step_bars(second, whole)),
        Lane(title="Evidence", kind="evidence", bars=_evidence_bars(answer, whole)),
    ]
    lanes = [lane for lane in lanes if lane.bars]
    summary = (
        f"Timeline of {format_time(whole.duration_s)}: {len(captions)} stretches captioned, "
        f"{len(looks)} looked at, evidence at "
        + (", ".join(str(e.span) for e in answer.evidence) or "no place")
        + "."
    )
    return Timeline(lanes=tuple(lanes), ticks=ticks(whole), summary=summary)


def ticks(whole: Span, most: int = 6) -> tuple[Tick, ...]:
    """At most `most` + 1 round times over `whole`, as positions on it."""
    fitting = (s for s in _NICE_STEPS_S if whole.duration_s / s <= most)
    step_s = next(fitting, _NICE_STEPS_S[-1] * -(-whole.duration_s // (most * _NICE_STEPS_S[-1])))
    first = -int(-(whole.start_s - 1e-9) // step_s)
    last = int((whole.end_s + 1e-9) // step_s)
    times_s = [i * step_s for i in range(first, last + 1)]
    return tuple(Tick(left_pct=_at_pct(t, whole), label=_short_time(t)) for t in times_s)


def _whole_span(answer: Answer) -> Span:
    """The video's span: from 0 unless something lies past its length (stamps that start later)."""
    spans = [e.span for e in answer.evidence] + [s.observation.span for s in answer.trace]
    first_s = min((s.start_s for s in spans), default=0.0)
    last_s = max((s.end_s for s in spans), default=0.0)
    if last_s <= answer.duration_s + 0.05:
        return Span(min(0.0, first_s), max(last_s, answer.duration_s))
    return Span(first_s, max(last_s, first_s + answer.duration_s))


def _caption_lanes(captions: list[Step], whole: Span) -> list[Lane]:
    """One lane for each level of the tree, the longest stretches first."""
    by_level: dict[int, list[Step]] = {}
    for step in captions:
        by_level.setdefault(_level(step), []).append(step)
    return [
        Lane(
            title="Captioned" if len(by_level) == 1 else f"Captioned, level {level}",
            kind="caption",
            bars=_step_bars(by_level[level], whole),
        )
        for level in sorted(by_level)
    ]


def _level(step: Step) -> int:
    node = step.call.arguments.get("node")
    return len(node) if isinstance(node, list | tuple) else 1


def _step_bars(steps: list[Step], whole: Span) -> tuple[Bar, ...]:
    return tuple(
        _bar(
            step.observation.span,
            whole,
            label=f"{step.observation.span} {result_words(step)}",
            dim=step.observation.error is not None,
        )
        for step in steps
    )


def _evidence_bars(answer: Answer, whole: Span) -> tuple[Bar, ...]:
    return tuple(
        _bar(e.span, whole, label=f"Evidence {e.span} {e.quote}", dim=not e.verified)
        for e in answer.evidence
    )


def _bar(span: Span, whole: Span, *, label: str, dim: bool) -> Bar:
    left_pct = _at_pct(span.start_s, whole)
    width_pct = max(_at_pct(span.end_s, whole) - left_pct, _NARROWEST_PCT)
    left_pct = min(left_pct, 100 - width_pct)
    return Bar(left_pct=left_pct, width_pct=width_pct, label=label, dim=dim)


def _at_pct(time_s: float, whole: Span) -> float:
    return round(100 * (time_s - whole.start_s) / whole.duration_s, 3)


def _short_time(time_s: float) -> str:
    """`format_time` without hundredths that are zero: `1:20`, `0:00.5`."""
    text = format_time(time_s)
    return text.removesuffix("0").removesuffix("0").removesuffix(".") if "." in text else text
