"""An answer as HTML: one self-contained page, and a fragment for notebooks.

No script, no external file; every text of a model, a user or a file is escaped. Leaves out what the
words are (`words.py`) and where bars stand (`timeline.py`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mmreason.report.timeline import timeline
from mmreason.report.words import (
    answer_words,
    asked_words,
    confidence_words,
    cost_rows,
    model_name,
    result_words,
    stop_words,
)
from mmreason.types import Answer, Evidence, Step
from mmreason.video.types import Span, format_time

if TYPE_CHECKING:
    from jinja2 import Environment

_MOST_THUMBNAILS = 8
"""Pictures shown for one piece of evidence, spread over its span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thumbnail:
    time: str
    src: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    span: str
    quote: str
    verified: bool
    thumbnails: tuple[_Thumbnail, ...]
    times: str
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    number: int
    tool: str
    asked: str
    span: str
    thought: str
    result: str
    failed: bool
    confidence: str
    frames: int
    tokens: int
    seconds: str
    cached: bool
    picture: _Thumbnail | None
    """The middle one of the frames that were looked at, where it was kept."""


def answer_page(answer: Answer) -> str:
    """One HTML document that shows all of `answer`; it needs no other file and runs no script."""
    return _environment().get_template("page.html").render(_context(answer), top="h1", sub="h2")


def answer_fragment(answer: Answer) -> str:
    """The same as a `<div>` with its own scoped style, to be put inside another page."""
    return _environment().get_template("fragment.html").render(_context(answer), top="h2", sub="h3")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mmreason", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(answer: Answer) -> dict[str, object]:
    verified = sum(e.verified for e in answer.evidence)
    return {
        "question": answer.question,
        "text": answer_words(answer),
        "answered": bool(answer.text),
        "options": [
            (f"{chr(65 + i)}." if i < 26 else f"{i + 1}.", option, i == answer.choice)
            for i, option in enumerate(answer.options)
        ],
        "confidence": confidence_words(answer.confidence),
        "confidence_pct": None if answer.confidence is None else round(100 * answer.confidence),
        "stop_reason": str(answer.stop_reason),
        "stop_words": stop_words(answer),
        "verified": verified,
        "video": answer.video,
        "video_name": PurePath(answer.video).name,
        "duration": format_time(answer.duration_s),
        "model": model_name(answer),
        "notes": [str(note) for note in answer.settings.get("notes", ())],
        "cards": [_card(e, answer.thumbnails) for e in answer.evidence],
        "timeline": timeline(answer),
        "rows": [_row(i, step, answer) for i, step in enumerate(answer.trace, start=1)],
        "costs": cost_rows(answer.cost),
        "settings": list(_flat(answer.settings)),
    }


def _card(evidence: Evidence, thumbnails: dict[float, bytes]) -> _Card:
    return _Card(
        span=_dash(evidence.span),
        quote=evidence.quote,
        verified=evidence.verified,
        thumbnails=_thumbnails(evidence, thumbnails),
        times=", ".join(format_time(t) for t in evidence.frame_times_s),
        boxes=tuple(", ".join(f"{v:g}" for v in box) for box in evidence.boxes_px),
    )


def _thumbnails(evidence: Evidence, thumbnails: dict[float, bytes]) -> tuple[_Thumbnail, ...]:
    """The pictures taken at the evidence's frame times, or inside its span where it names none."""
    asked = {round(t, 3) for t in evidence.frame_times_s}
    times_s = [t for t in sorted(thumbnails) if round(t, 3) in asked]
    times_s = times_s or [t for t in sorted(thumbnails) if evidence.span.contains(t)]
    if len(times_s) > _MOST_THUMBNAILS:
        last = len(times_s) - 1
        picked = [round(i * last / (_MOST_THUMBNAILS - 1)) for i in range(_MOST_THUMBNAILS)]
        times_s = [times_s[i] for i in picked]
    return tuple(_thumbnail(t, thumbnails[t]) for t in times_s)


def _thumbnail(time_s: float, jpeg: bytes) -> _Thumbnail:
    return _Thumbnail(
        time=format_time(time_s),
        src="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
        alt=f"Video frame at {format_time(time_s)}",
    )


def _row(number: int, step: Step, answer: Answer) -> _Row:
    seen = step.observation
    middle_s = seen.frame_times_s[len(seen.frame_times_s) // 2] if seen.frame_times_s else None
    picture = None if middle_s is None else answer.thumbnails.get(middle_s)
    return _Row(
        number=number,
        tool=step.call.name,
        asked=asked_words(step, answer.question),
        span=_dash(seen.span),
        thought=step.thought,
        result=result_words(step),
        failed=seen.error is not None,
        confidence="" if seen.confidence is None else confidence_words(seen.confidence),
        frames=seen.cost.frames,
        tokens=seen.cost.tokens_in + seen.cost.tokens_out,
        seconds=f"{seen.cost.seconds:.2f}",
        cached=seen.cached,
        picture=None if middle_s is None or picture is None else _thumbnail(middle_s, picture),
    )


def _dash(span: Span) -> str:
    return f"{format_time(span.start_s)} \N{EN DASH} {format_time(span.end_s)}"


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of nested settings."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{prefix}{key}", text
