"""One look over the whole video with the full question, then the check.

`Direct` for short videos, whose frames a model takes in at once. `Global` for questions about the
whole of a long one, with what was read of it as cues: even frames are as good as a search there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mmreason.agent.protocol import (
    CallTools,
    CaptionNeeds,
    Claim,
    Inquiry,
    Play,
    PlayPart,
    call_tools,
    claim_answer,
)
from mmreason.policies.inspection import claim_of, inspect_answer, take_look
from mmreason.policies.readings import Reading
from mmreason.policies.stages import Stage
from mmreason.policies.stills import survey_video
from mmreason.tool_calls import Overview
from mmreason.tools.prompts import NOT_SHOWN
from mmreason.video.types import Span

DIRECT_HZ = 2.0
"""Frames a second of a short video, as long as `DIRECT_FRAMES` allows."""
LEAST_HZ = 0.5
"""Looked at directly where so many frames a second are within `DIRECT_FRAMES` and the budget."""
DIRECT_FRAMES = 96
"""Leaves room for the check within 128 frames."""
GLOBAL_FRAMES = 96
DIRECT_S = 300.0
"""Videos up to this long are looked at directly: below five minutes tools bring nothing."""
SHOTS_CHECKED = 64
"""Of more shots no second survey fits: the answer stays unchecked, and says so."""
CUE_LINES = 40


@dataclass(frozen=True)
class Direct:
    """One look over all of it. `without=frozenset({"check"})` gives what it says as it is.

    Example:
        >>> Direct().name
        'direct'
    """

    without: frozenset[Stage] = frozenset()
    name: str = "direct"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        frames = planned_frames(inquiry.tree.span, inquiry.budget.frames)
        reading = yield from take_look(
            inquiry, (inquiry.tree.span,), frames, "look at the whole video"
        )
        yield from claim_reading(inquiry, reading, is_checked="check" not in self.without)


@dataclass(frozen=True)
class Global:
    """Even frames of all of it, with the overview of what was read.

    Example:
        >>> Global().name
        'global'
    """

    without: frozenset[Stage] = frozenset()
    by_shots: bool = False
    """Show frames of each shot in place of even ones: for counts and orders, where none may be
    missed."""
    name: str = "global"

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        span = inquiry.tree.span
        cues: tuple[str, ...] = ()
        if "search" not in self.without:
            overview = CallTools("read what is known of it", (Overview(span=span),), opening=True)
            results = yield from call_tools(overview)
            notes = [note for observation in results.observations for note in observation.notes]
            cues = tuple(f"{note.span} {note.text}" for note in notes[:CUE_LINES])
        is_checked = "check" not in self.without
        if not self.by_shots:
            why = "the question is about the whole video: look at even frames of all of it"
            reading = yield from take_look(inquiry, (span,), GLOBAL_FRAMES, why, cues=cues)
            yield from claim_reading(inquiry, reading, is_checked=is_checked)
            return
        why = "the question needs all of the video: look at frames of each shot"
        reading = yield from survey_video(inquiry, cues, why)
        # A few windows tell no count and no order: the inspector needs all shots again.
        is_checked &= reading is not None and len(reading.call.spans) <= SHOTS_CHECKED
        if reading is not None:
            # The times that a count names are of single shots; its evidence is all of them.
            reading = replace(reading, seen_at_s=())
        yield from claim_reading(inquiry, reading, is_checked=is_checked, together=True)


def claim_reading(
    inquiry: Inquiry, reading: Reading | None, *, is_checked: bool, together: bool = False
) -> PlayPart[None]:
    """Have an answer inspected (all its stretches `together`), and claim it; claim that nobody can
    tell where the look says so."""
    if reading is None:
        return
    if not reading.answers:
        yield from claim_answer(Claim(text=NOT_SHOWN, negative=True, abstains=True))
        return
    inspection = None
    if is_checked:
        inspection = yield from inspect_answer(inquiry, reading, together=together)
    yield from claim_answer(claim_of(reading, inspection))


def planned_frames(span: Span, budget: int | None) -> int:
    """Frames of one look over `span`.

    Example:
        >>> planned_frames(Span(0, 10), None), planned_frames(Span(0, 3600), None)
        (20, 96)
    """
    frames = min(DIRECT_FRAMES, max(4, math.ceil(span.duration_s * DIRECT_HZ)))
    return frames if budget is None else max(1, min(frames, budget))


def fits_directly(span: Span, budget: int | None) -> bool:
    """Whether one look over `span` is dense enough: it is short, or half a frame a second fits.

    Example:
        >>> fits_directly(Span(0, 300), None), fits_directly(Span(0, 3600), None)
        (True, False)
    """
    return span.duration_s <= DIRECT_S or span.duration_s * LEAST_HZ <= min(
        DIRECT_FRAMES, DIRECT_FRAMES if budget is None else budget
    )
