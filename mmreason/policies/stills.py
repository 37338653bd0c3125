"""Frames that speak for the shots of a video, found without a model, and what is known of them.

Parts of plays; no I/O.
"""

from __future__ import annotations

from mmreason.agent.protocol import CallTools, Inquiry, PlayPart, call_tools
from mmreason.policies.candidates import even_stretches
from mmreason.policies.inspection import merge_spans
from mmreason.tool_calls import DescribeStills, Overview, StillFrame
from mmreason.tools.scan import SCAN_THOUGHT, scan_calls
from mmreason.types import Note

KNOWN_SHARE = 0.8
"""Of the video that has to be described already for no stills to be taken."""


def read_descriptions(inquiry: Inquiry, count: int) -> PlayPart[tuple[list[Note], bool]]:
    """What is known of the video already, where that is most of it; else beside it what `count`
    stills of its shots show. And whether the budget refused that."""
    span = inquiry.tree.span
    read = CallTools("read what is known of it", (Overview(span=span, leaves=True),), opening=True)
    results = yield from call_tools(read)
    notes = [note for seen in results.observations for note in seen.notes]
    known_s = sum(part.duration_s for part in merge_spans([note.span for note in notes]))
    # An index that is half made tells nothing of the other half.
    if known_s >= KNOWN_SHARE * span.duration_s:
        return notes, False
    stills = yield from find_stills(inquiry, count)
    describe = DescribeStills(span=span, stills=tuple(stills))
    action = CallTools("describe a frame of each shot", (describe,), opening=True)
    results = yield from call_tools(action)
    notes += [note for seen in results.observations for note in seen.notes]
    return notes, results.spent is not None


def find_stills(inquiry: Inquiry, count: int) -> PlayPart[list[StillFrame]]:
    """The frames that differ most, found without a model; even ones where that fails."""
    tree = inquiry.tree
    calls = scan_calls(tree)
    if calls:
        results = yield from call_tools(CallTools(SCAN_THOUGHT, calls, opening=True))
        each = max(1, count // len(calls))
        notes = [note for seen in results.observations for note in seen.notes[:each]]
        times = [(note.span.middle_s if note.time_s is None else note.time_s) for note in notes]
        stills = [StillFrame(time_s, note.span) for time_s, note in zip(times, notes, strict=True)]
        if stills:
            return sorted(stills, key=lambda still: still.time_s)
    parts = even_stretches(tree.span, count)
    return [StillFrame(part.span.middle_s, part.span) for part in parts]
