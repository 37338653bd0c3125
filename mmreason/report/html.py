"""An answer as HTML: one self-contained page, and a fragment for notebooks.

No script, no external file; every text of a model, a user or a file is escaped, and hidden
characters in it are U+FFFD. `text.py` has the words, `rounds.py` says which steps belong together,
`timeline.py` where bars stand.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from mmreason.report.cost_table import cost_by_role, limits_by_name, time_by_stage
from mmreason.report.rounds import Group, Round, group_rounds, telling_rounds
from mmreason.report.text import (
    all_notes,
    answer_words,
    asked_words,
    check_words,
    checked_words,
    confidence_words,
    cost_rows,
    format_percent,
    has_place,
    looked_words,
    model_name,
    policy_words,
    result_words,
    shorten_text,
    source_words,
    spent_words,
    stop_words,
    subtitle_words,
    tool_words,
)
from mmreason.report.timeline import lay_out_timeline
from mmreason.tool_calls import ModelTurn, Scan, Search
from mmreason.tools.replies import merge_equal
from mmreason.types import Answer, Cost, Evidence, Step
from mmreason.video.types import Span, format_time
from mmreason.viz.pages import load_templates, render_document, render_fragment

_MOST_THUMBNAILS = 8
"""Pictures shown for one piece of evidence, spread over its span."""
_FEW_THUMBNAILS = 5
"""The same where there are more than two pieces: one row each."""
_BRIEF = 70
"""Characters of a result that stand in the line of a folded round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thumbnail:
    time: str
    src: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    span: str
    quote: str
    check: str
    verified: bool
    source: str
    """Where the quotation comes from; empty for what a model said of frames."""
    thumbnails: tuple[_Thumbnail, ...]
    times: str
    shown: str
    """How many of its frames are pictured, where that is not all of them."""
    boxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _CallView:
    """One call with what came of it."""

    number: int
    tool: str
    asked: str
    span: str
    result: str
    notes: tuple[tuple[str, str], ...]
    """(time, text) lines that say the result at more length; empty where there is one line."""
    written: str
    """What a model wrote that was no call."""
    failed: bool
    tally: str
    picture: _Thumbnail | None
    """The middle one of the frames that were looked at, where it was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupView:
    """Calls of a round that are told together."""

    title: str
    span: str
    asked: str
    rows: tuple[_CallView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoundView:
    number: int
    is_open: bool
    thoughts: tuple[str, ...]
    parts: tuple[_GroupView, ...]
    brief: str
    """For the folded line: what came of its one call, or why its several were made."""
    failed: bool
    tally: str


def answer_page(answer: Answer) -> str:
    """One HTML document that shows all of `answer`; it needs no other file and runs no script.

    Example:
        >>> Path("answer.html").write_text(answer_page(answer), encoding="utf-8")  # doctest: +SKIP
    """
    return render_document(
        load_templates("mmreason", "report"),
        "answer.html",
        _context(answer) | {"top": "h1", "sub": "h2"},
        title=f"{answer_words(answer)} · {answer.question}",
        width_rem=54,
    )


def answer_fragment(answer: Answer) -> str:
    """The same as a `<div>` with its own scoped style, to be put inside another page."""
    return render_fragment(
        load_templates("mmreason", "report"),
        "answer.html",
        _context(answer) | {"top": "h2", "sub": "h3"},
    )


def _context(answer: Answer) -> dict[str, object]:
    rounds = group_rounds(answer.trace)
    open_numbers = telling_rounds(answer, rounds)
    limit_of = limits_by_name(answer)
    # Pictures are in the page itself: many of them make it heavy.
    most = _MOST_THUMBNAILS if len(answer.evidence) <= 2 else _FEW_THUMBNAILS
    return {
        "question": answer.question,
        "text": answer_words(answer),
        "answered": answer.answered,
        "options": [
            # Letters as the model saw them, as far as the alphabet goes.
            (f"{chr(65 + i)}." if i < 26 else f"{i + 1}.", option, i == answer.choice)
            for i, option in enumerate(answer.options)
        ],
        "confidence": confidence_words(answer),
        "confidence_pct": _meter_pct(answer),
        "looked": looked_words(answer),
        "next_steps": answer.next_steps,
        "policy": policy_words(answer),
        "subtitles": subtitle_words(answer),
        "stop_reason": str(answer.stop_reason),
        "stop_words": stop_words(answer),
        "checked": checked_words(answer),
        "video": answer.video,
        "video_name": PurePath(answer.video).name,
        "duration": format_time(answer.duration_s),
        "model": model_name(answer),
        "notes": all_notes(answer),
        "cards": [_card(e, answer.thumbnails, most) for e in answer.evidence],
        "timeline": lay_out_timeline(answer),
        "rounds": [_round_view(r, answer, is_open=r.number in open_numbers) for r in rounds],
        "folded": sum(r.number not in open_numbers for r in rounds),
        "costs": [(*row, limit_of.get(row[0], "")) for row in cost_rows(answer.cost)],
        "roles": cost_by_role(answer),
        "stages": time_by_stage(answer.cost),
        "settings": list(_flat(answer.settings)),
    }


def _meter_pct(answer: Answer) -> int | None:
    """Length of the bar beside the confidence; none for a number that measures nothing."""
    # A bar looks like a probability.
    if answer.confidence is None or not answer.confidence_calibrated:
        return None
    return round(100 * answer.confidence)


def _card(evidence: Evidence, thumbnails: dict[float, bytes], most: int) -> _Card:
    pictures = () if evidence.source == "subtitles" else _thumbnails(evidence, thumbnails, most)
    count = len(evidence.frame_times_s)
    return _Card(
        span=_dash(evidence.span),
        quote=evidence.quote,
        check=check_words(evidence),
        verified=evidence.verified,
        source=source_words(evidence),
        thumbnails=pictures,
        times=", ".join(format_time(t) for t in evidence.frame_times_s),
        shown=f"{len(pictures)} of {count} frames shown" if 0 < len(pictures) < count else "",
        boxes=tuple(", ".join(f"{v:g}" for v in box) for box in evidence.boxes_px),
    )


def _thumbnails(
    evidence: Evidence, thumbnails: dict[float, bytes], most: int
) -> tuple[_Thumbnail, ...]:
    """The pictures taken at the evidence's frame times, or inside its span where it names none."""
    # To the millisecond: times go through JSON and come back a little other.
    wanted_s = {round(t, 3) for t in evidence.frame_times_s}
    times_s = [t for t in sorted(thumbnails) if round(t, 3) in wanted_s]
    # Evidence of subtitles, or of an older file, names no frames.
    times_s = times_s or [t for t in sorted(thumbnails) if evidence.span.contains(t)]
    if len(times_s) > most:
        last = len(times_s) - 1
        # Spread over all of them, the first and the last included.
        picked = [round(i * last / (most - 1)) for i in range(most)]
        times_s = [times_s[i] for i in picked]
    return tuple(_thumbnail(t, thumbnails[t]) for t in times_s)


def _thumbnail(time_s: float, jpeg: bytes) -> _Thumbnail:
    return _Thumbnail(
        time=format_time(time_s),
        src="data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
        alt=f"Video frame at {format_time(time_s)}",
    )


def _round_view(agent_round: Round, answer: Answer, *, is_open: bool) -> _RoundView:
    last = agent_round.steps[-1]
    # A round of one call is told in its line; of several, why they were made.
    failed, several = last.observation.error is not None, len(agent_round.steps) > 1
    return _RoundView(
        number=agent_round.number,
        is_open=is_open,
        thoughts=agent_round.thoughts,
        parts=tuple(_group_view(group, answer) for group in agent_round.groups),
        brief=shorten_text(
            " ".join(agent_round.thoughts) if several else result_words(last), _BRIEF
        ),
        failed=failed and not several,
        tally=spent_words(agent_round.cost, cached=agent_round.cached)
        + ("" if several else _sure(last)),
    )


def _group_view(group: Group, answer: Answer) -> _GroupView:
    first, several = group.steps[0], len(group.steps) > 1
    times = f" \N{MULTIPLICATION SIGN} {len(group.steps)}" if several else ""
    return _GroupView(
        title=tool_words(first) + times,
        span="" if group.span is None else _dash(group.span),
        asked=group.nodes if several else asked_words(first, answer.question),
        rows=tuple(_call_views(group, answer)),
    )


def _call_views(group: Group, answer: Answer) -> Iterator[_CallView]:
    """A row a call; neighbours that came to the same one line as one row."""
    # Numbers are those of the trace, so that a folded row can be found in the JSON.
    numbered = list(enumerate(group.steps, start=group.first))
    for _, neighbours in itertools.groupby(numbered, key=_one_line_result):
        members = list(neighbours)
        row = _call_view(*members[0], answer)
        if len(members) > 1:
            steps = tuple(step for _, step in members)
            merged_group = Group(members[0][0], steps)
            cost = sum((step.cost for step in steps), Cost())
            cached = all(step.observation.cached for step in steps)
            # One row stands for all: their places together, and what they cost in sum.
            row = replace(
                row,
                span="" if merged_group.span is None else _dash(merged_group.span),
                asked=merged_group.nodes or row.asked,
                tally=f"{len(steps)} calls · {spent_words(cost, cached=cached)}",
            )
        yield row


def _one_line_result(numbered: tuple[int, Step]) -> object:
    """What a call came to, where that is one line; else the call itself."""
    number, step = numbered
    # Rows of several lines, hits of a search and what could not be read are shown each by itself.
    is_one_line = len(_notes(step)) < 2 and not (
        isinstance(step.call, Search) or _unread_text(step)
    )
    return (step.call.name, result_words(step)) if is_one_line else number


def _call_view(number: int, step: Step, answer: Answer) -> _CallView:
    observation = step.observation
    # The middle frame stands for the clip: the first often still shows what was before.
    middle_s = (
        observation.frame_times_s[len(observation.frame_times_s) // 2]
        if observation.frame_times_s
        else None
    )
    picture = None if middle_s is None else answer.thumbnails.get(middle_s)
    # A step from the store may still have cost a thought.
    tally = spent_words(step.cost, cached=observation.cached and not step.thinking.model_calls)
    written = _unread_text(step)
    return _CallView(
        number=number,
        tool=tool_words(step),
        asked=asked_words(step, answer.question),
        span=_dash(observation.span) if has_place(step) else "",
        result=result_words(step),
        notes=_notes(step),
        written=written,
        failed=observation.error is not None,
        tally=tally + _sure(step),
        picture=None if middle_s is None or picture is None else _thumbnail(middle_s, picture),
    )


def _sure(step: Step) -> str:
    sure = step.observation.confidence
    return "" if sure is None else f" · own confidence {format_percent(sure)}"


def _unread_text(step: Step) -> str:
    """What a model wrote that could not be read; else empty."""
    if isinstance(step.call, ModelTurn) and step.call.kind == "invalid":
        return step.call.text
    return ""


def _notes(step: Step) -> tuple[tuple[str, str], ...]:
    """The lines of a result with their times, neighbours that say the same as one."""
    observation = step.observation
    # A scan's notes are times without words: the timeline shows them.
    if isinstance(step.call, Scan):
        return ()
    if observation.error is not None or (
        len(observation.notes) < 2 and not isinstance(step.call, Search)
    ):
        return ()
    return tuple((_dash(note.span), note.text) for note in merge_equal(observation.notes))


def _dash(span: Span) -> str:
    return f"{format_time(span.start_s)} \N{EN DASH} {format_time(span.end_s)}"


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of nested settings."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            # Settings may hold anything that a model or a user put there.
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{prefix}{key}", text
