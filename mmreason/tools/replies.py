"""Replies of models as the store keeps them, what is wrong with kept ones, and what a tool call
tells of them. Pure; asking for them is in `toolbox.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.language.thoughts import split_thought
from mmreason.models.base import Reply
from mmreason.models.thought_budget import describe_thought_only
from mmreason.tool_calls import ToolCall
from mmreason.tools.calls import PreparedCall
from mmreason.tools.views import View
from mmreason.types import Cost, Note, Observation
from mmreason.video.types import FrameBatch, Span, format_time

MOST_TOLD = 1e12
"""No number of tokens and no second of a video is as large."""


def to_stored(reply: Reply, clip: FrameBatch) -> dict[str, Any]:
    """What the store keeps of a reply to the frames of `clip`."""
    thought, text = split_thought(reply.text)
    note = reply.note
    if not text and (thought or reply.thought):
        note = describe_thought_only(reply.tokens_out)
    noted = {"note": note} if note else {}
    return noted | {
        "text": text,
        "confidence": reply.confidence,
        "tokens_in": reply.tokens_in,
        "tokens_visual": reply.tokens_visual,
        "tokens_out": reply.tokens_out,
        "frame_times_s": [float(t) for t in clip.times_s],
    }


def find_reply_fault(value: Mapping[str, Any], views: Sequence[View]) -> str:
    """What makes a kept value unfit as the replies to `views`; empty where nothing does. Whoever
    can write the store, and a disk that fails, can put anything there.

    Example:
        >>> find_reply_fault({"replies": []}, [])
        ''
        >>> find_reply_fault({"text": "red"}, [])
        'expected 0 replies'
    """
    replies = value.get("replies")
    if not isinstance(replies, list) or len(replies) != len(views):
        return f"expected {len(views)} replies"
    faults = map(_fault_of_reply, replies, views)
    return next(filter(None, faults), "")


def find_scan_fault(value: Mapping[str, Any]) -> str:
    """The same of the kept result of a scan."""
    moments = value.get("moments")
    if not _is_count(value.get("frames")) or not isinstance(moments, list):
        return "expected a number of frames and a list of moments"
    return "" if all(map(_is_moment, moments)) else "expected moments of three times each"


def _fault_of_reply(reply: object, view: View) -> str:
    if not isinstance(reply, dict):
        return "expected objects as replies"
    if not all(isinstance(text, str) for text in (reply.get("text"), reply.get("note", ""))):
        return "expected text"
    confidence = reply.get("confidence")
    if confidence is not None and not (_is_number(confidence) and 0 <= confidence <= 1):
        return "expected a confidence of 0 to 1"
    if not all(_is_count(reply.get(name)) for name in ("tokens_in", "tokens_visual", "tokens_out")):
        return "expected numbers of tokens"
    times_s = reply.get("frame_times_s")
    if not isinstance(times_s, list) or not all(map(_is_number, times_s)):
        return "expected times of frames"
    if len(times_s) != len(view.times_s):
        return f"expected {len(view.times_s)} times of frames"
    return ""


def _is_number(value: object) -> bool:
    # JSON's true is an int in Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < MOST_TOLD  # not NaN, and not infinite


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value) and value >= 0


def _is_moment(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(map(_is_number, row)) and row[1] < row[2]


def count_cost(
    values: list[dict[str, Any]], call: ToolCall, frames: int, seconds: list[float]
) -> Cost:
    """Cost of a call of which `frames` were shown and `values` came back, in `seconds` of decoding
    and of the model."""
    checking = call.is_check
    return Cost(
        model_calls=len(values),
        observer_calls=0 if checking else len(values),
        checker_calls=len(values) if checking else 0,
        frames=frames,
        tokens_in=sum(value["tokens_in"] for value in values),
        tokens_visual=sum(value["tokens_visual"] for value in values),
        tokens_out=sum(value["tokens_out"] for value in values),
        decode_seconds=seconds[0],
        model_seconds=seconds[1],
        seconds=sum(seconds),
    )


def to_observation(
    prepared: PreparedCall, values: list[dict[str, Any]], cost: Cost, *, cached: bool
) -> Observation:
    """What a call tells when all its replies are there."""
    reading = prepared.call.describes
    # A view of one frame: its note speaks for that frame, and has its time.
    stills = reading and all(len(view.times_s) == 1 for view in prepared.views)
    notes = tuple(
        Note(view.span, value["text"], value["frame_times_s"][0] if stills else None)
        for view, value in zip(prepared.views, values, strict=True)
    )
    confidences = [value["confidence"] for value in values if value["confidence"] is not None]
    return Observation(
        text=values[0]["text"] if len(values) == 1 else as_text(merge_equal(notes)),
        span=prepared.span,
        notes=notes,
        frame_times_s=tuple(t for value in values for t in value["frame_times_s"]),
        confidence=sum(confidences) / len(confidences) if confidences else None,
        cached=cached,
        cost=cost,
        note="; ".join(dict.fromkeys(v["note"] for v in values if v.get("note"))),
    )


def merge_equal(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Neighbouring notes of the same text as one, over both their spans. One that lies earlier than
    the note before stays by itself: hits of a search stand in the order of their rank.

    Example:
        >>> merge_equal([Note(Span(0, 4), "a star."), Note(Span(4, 8), "a star.")])[0].span
        Span(start_s=0, end_s=8)
    """
    runs: list[Note] = []
    for note in notes:
        before = runs[-1] if runs else None
        if before is not None and before.text == note.text and before.span.end_s <= note.span.end_s:
            # Over both spans it belongs to no single frame any more.
            start_s = min(before.span.start_s, note.span.start_s)
            runs[-1] = Note(Span(start_s, note.span.end_s), note.text)
        else:
            runs.append(note)
    return tuple(runs)


def as_text(notes: Sequence[Note]) -> str:
    """One line a note, behind its time.

    Example:
        >>> as_text([Note(Span(0, 4), "a star.")])
        '0:00.00 a star.'
    """
    return "\n".join(f"{format_time(note.span.start_s)} {note.text}" for note in notes)
