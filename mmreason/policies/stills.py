"""Frames that speak for the shots of a video, found without a model, and what is known of them.

Parts of plays; no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.agent.protocol import CallTools, Inquiry, PlayPart, call_tools
from mmreason.policies.candidates import even_stretches
from mmreason.policies.inspection import merge_spans, take_look
from mmreason.policies.readings import Reading
from mmreason.tool_calls import DescribeStills, Overview, Scan, StillFrame
from mmreason.tools.scan import SCAN_THOUGHT
from mmreason.types import Note
from mmreason.video.types import Span

KNOWN_SHARE = 0.8
"""Of the video that has to be described already for no stills to be taken."""
MOST_STILLS = 160
"""Moments that a scan looks for, the most telling first."""
SURVEY_FRAMES = 112
"""Most frames of one look at all shots; leaves room for the check within 128."""
LEAST_SURVEY_FRAMES = 32
LEAST_GAP_S = 4.0


def read_known(inquiry: Inquiry) -> PlayPart[tuple[list[Note], bool]]:
    """What was described of short stretches of the video, and whether that is most of it: an index
    that is half made tells nothing of the other half."""
    span = inquiry.tree.span
    read = CallTools("read what is known of it", (Overview(span=span, leaves=True),), opening=True)
    results = yield from call_tools(read)
    notes = [note for observation in results.observations for note in observation.notes]
    known_s = sum(covered.duration_s for covered in merge_spans([note.span for note in notes]))
    return notes, known_s >= KNOWN_SHARE * span.duration_s


def describe_unknown(
    inquiry: Inquiry, known: list[Note], count: int
) -> PlayPart[tuple[list[Note], bool]]:
    """What is known, with descriptions of up to `count` stills where it leaves the video out; and
    whether the budget refused them."""
    spans = merge_spans([note.span for note in known])
    known_s = sum(span.duration_s for span in spans)
    if known_s >= KNOWN_SHARE * inquiry.tree.span.duration_s:
        return known, False
    candidates = yield from find_stills(inquiry, count)
    stills = [still for still in candidates if not any(s.contains(still.time_s) for s in spans)]
    if not stills:
        return known, False
    describe = DescribeStills(span=inquiry.tree.span, stills=tuple(stills))
    action = CallTools("describe a frame of each shot", (describe,), opening=True)
    results = yield from call_tools(action)
    described = [note for observation in results.observations for note in observation.notes]
    return [*known, *described], results.spent is not None


def find_stills(inquiry: Inquiry, count: int) -> PlayPart[list[StillFrame]]:
    """Up to `count` frames that differ most, found without a model, in order of time; even ones
    where that fails."""
    # One scan of all of it, of the same count whoever asks: its reply is kept in the store.
    scan = Scan(span=inquiry.tree.span, count=MOST_STILLS)
    results = yield from call_tools(CallTools(SCAN_THOUGHT, (scan,), opening=True))
    notes = [note for observation in results.observations for note in observation.notes]
    stills = [
        StillFrame(note.span.middle_s if note.time_s is None else note.time_s, note.span)
        for note in notes[:count]
        if note.span.duration_s > 0
    ]
    if not stills:
        stretches = even_stretches(inquiry.tree.span, count)
        stills = [StillFrame(stretch.span.middle_s, stretch.span) for stretch in stretches]
    return sorted(stills, key=lambda still: still.time_s)


def survey_video(inquiry: Inquiry, cues: Sequence[str], why: str) -> PlayPart[Reading | None]:
    """One look with the full question at frames of each shot, as far as `SURVEY_FRAMES` go; None
    where the budget refuses or the look fails."""
    stills = yield from find_stills(inquiry, SURVEY_FRAMES)
    spans = [still.span for still in stills]
    # What looks like something shown before is in no still: a person who comes back, a scene again.
    gaps = find_gaps(inquiry.tree.span, spans)
    # The longest first, as far as the frames go: it hides the most.
    gaps.sort(key=lambda gap: -gap.duration_s)
    spans = sorted([*spans, *gaps[: SURVEY_FRAMES - len(spans)]])
    frames = max(LEAST_SURVEY_FRAMES, len(spans))
    return (yield from take_look(inquiry, spans, frames, why, cues=cues))


def find_gaps(video: Span, spans: Sequence[Span]) -> list[Span]:
    """What no span covers, but for moments.

    Example:
        >>> find_gaps(Span(0, 60), [Span(0, 20), Span(30, 60)])
        [Span(start_s=20, end_s=30)]
    """
    # Edges pair up as gaps: from the end of one stretch to the start of the next.
    edges = [video.start_s]
    for span in merge_spans(spans):
        edges += [span.start_s, span.end_s]
    edges.append(video.end_s)
    # Stretches may reach beyond the video: what is left there is empty, not negative.
    gaps = [Span(edges[i], max(edges[i], edges[i + 1])) for i in range(0, len(edges), 2)]
    return [gap for gap in gaps if gap.duration_s >= LEAST_GAP_S]
