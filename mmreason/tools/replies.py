"""Replies of models as the store keeps them, and what a tool call tells of them. Pure.

Leaves out asking for them (`tools.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmreason.language.thoughts import split_thought
from mmreason.models.base import Reply
from mmreason.tool_calls import ToolCall
from mmreason.tools.calls import Prepared
from mmreason.types import Cost, Note, Observation
from mmreason.video.types import FrameBatch, Span, format_time

THOUGHT_ONLY = "the model said nothing: all {tokens} tokens went into its thought"


def kept(reply: Reply, clip: FrameBatch) -> dict[str, Any]:
    """What the store keeps of a reply to the frames of `clip`."""
    thought, text = split_thought(reply.text)
    note = reply.note
    if not text and (thought or reply.thought):
        note = THOUGHT_ONLY.format(tokens=reply.tokens_out)
    noted = {"note": note} if note else {}
    return noted | {
        "text": text,
        "confidence": reply.confidence,
        "tokens_in": reply.tokens_in,
        "tokens_visual": reply.tokens_visual,
        "tokens_out": reply.tokens_out,
        "frame_times_s": [float(t) for t in clip.times_s],
    }


def cost_of(
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


def observation_of(
    prepared: Prepared, values: list[dict[str, Any]], cost: Cost, *, cached: bool
) -> Observation:
    """What a call tells when all its replies are there."""
    reading = prepared.call.describes
    stills = reading and all(len(view.times_s) == 1 for view in prepared.views)
    notes = tuple(
        Note(view.span, value["text"], value["frame_times_s"][0] if stills else None)
        for view, value in zip(prepared.views, values, strict=True)
    )
    sure = [value["confidence"] for value in values if value["confidence"] is not None]
    return Observation(
        text=values[0]["text"] if len(values) == 1 else lines_of(merged(notes)),
        span=prepared.span,
        notes=notes,
        frame_times_s=tuple(t for value in values for t in value["frame_times_s"]),
        confidence=sum(sure) / len(sure) if sure else None,
        cached=cached,
        cost=cost,
        note="; ".join(dict.fromkeys(v["note"] for v in values if v.get("note"))),
    )


def merged(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Neighbouring notes of the same text as one, over both their spans."""
    runs: list[Note] = []
    for note in notes:
        if runs and runs[-1].text == note.text:
            runs[-1] = Note(Span(runs[-1].span.start_s, note.span.end_s), note.text)
        else:
            runs.append(note)
    return tuple(runs)


def lines_of(notes: Sequence[Note]) -> str:
    """One line a note, behind its time."""
    return "\n".join(f"{format_time(note.span.start_s)} {note.text}" for note in notes)
