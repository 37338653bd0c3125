"""The tools of a strong model that decides by itself, as typed functions; see `schema.py`.

Their first parameter is what they know of the question; what a model writes for the others is
checked against their types. They touch no video.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from mmreason.language.prompts import LETTERS
from mmreason.tool_calls import (
    AgentCall,
    DescribeStills,
    GroundFrame,
    LookAtSpans,
    Overview,
    ReadRecords,
    ReadScreen,
    ReadTranscript,
    SearchMemory,
    StillFrame,
    WrittenAnswer,
)
from mmreason.tools.schema import Seconds, Text, Tool, clip_span
from mmreason.types import UsageError
from mmreason.video.types import Span

MOST_SPANS = 4
LOOK_FRAMES = 16
"""Most frames of one look."""
FOCUS_S = 16.0
"""Longest stretch of a focus."""
FOCUS_HZ = 4.0
"""Frames a second of a focus, as long as `LOOK_FRAMES` allows."""
GROUND_FRAMES = 8
"""Frames in which something is followed through a stretch."""
FRAME_S = 2.0
"""What a single frame speaks for."""

StartEnd = Annotated[list[Seconds], Field(min_length=2, max_length=2)]
Spans = Annotated[list[StartEnd], Field(min_length=1, max_length=MOST_SPANS)]
Times = Annotated[list[Seconds], Field(min_length=1, max_length=8)]
RecordIds = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=40)]], Field(min_length=1, max_length=16)
]
EvidenceIds = Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=16)]
Frames = Annotated[int, Field(ge=1, le=LOOK_FRAMES)]
ShortText = Annotated[str, Field(max_length=2_000)]
GroundWant = Literal["box", "tube"]
SearchChannel = Literal["any", "event", "entity", "screen_text", "speech", "label", "shot"]
OptionalSeconds = Seconds | None


@dataclass(frozen=True, slots=True)
class AskedVideo:
    """What the tools know: the length of the video and what is asked about it.

    Example:
        >>> AskedVideo(Span(0, 60), "Who speaks?").options
        ()
    """

    span: Span
    question: str
    options: tuple[str, ...] = ()


def overview(video: AskedVideo) -> AgentCall:
    """What is known of the video as a whole and of its scenes."""
    return Overview(span=video.span)


def search(
    video: AskedVideo,
    query: Text,
    channel: SearchChannel = "any",
    start_s: OptionalSeconds = None,
    end_s: OptionalSeconds = None,
) -> AgentCall:
    """Find what was described, said, written or named by words, in one channel or all, between two
    times if given. Hits are cues where to look, not evidence."""
    span = _between(video, start_s, end_s)
    channels = () if channel == "any" else (channel,)
    return SearchMemory(span=span, text=query, channels=channels)


def read(video: AskedVideo, ids: RecordIds) -> AgentCall:
    """Read records that an overview or a search named, in full."""
    return ReadRecords(span=video.span, ids=tuple(ids))


def look(
    video: AskedVideo, spans: Spans, question: ShortText = "", frames: Frames = LOOK_FRAMES
) -> AgentCall:
    """Look at up to four stretches, each [start_s, end_s] in seconds, in one clip, with a question;
    without one, the question asked by the user."""
    stretches = sorted(clip_span(video.span, start_s, end_s) for start_s, end_s in spans)
    # Frames of both would be shown twice, out of order, as if something came back.
    if any(a.end_s > b.start_s for a, b in itertools.pairwise(stretches)):
        raise UsageError("the spans overlap; give each stretch once")
    return _look(video, tuple(stretches), question, frames)


def focus(
    video: AskedVideo, start_s: Seconds, end_s: Seconds, question: ShortText = ""
) -> AgentCall:
    """Look closely at one stretch of up to 16 seconds, in dense frames, with a question."""
    span = clip_span(video.span, start_s, end_s)
    if span.duration_s > FOCUS_S:
        raise UsageError(
            f"focus takes up to {FOCUS_S:.0f} s, got {span.duration_s:.0f} s; use look for more"
        )
    frames = max(1, min(LOOK_FRAMES, round(span.duration_s * FOCUS_HZ)))
    return _look(video, (span,), question, frames)


def frames(video: AskedVideo, times_s: Times) -> AgentCall:
    """Describe single frames at up to eight times in seconds."""
    stills = []
    # Each once: a frame that is named twice would be paid for twice.
    for time_s in sorted(set(times_s)):
        span = Span(max(0.0, time_s - FRAME_S / 2), time_s + FRAME_S / 2).clip(video.span)
        if span.duration_s <= 0:
            raise UsageError(f"{time_s:g} s lies outside the video, which is {video.span}")
        stills.append(StillFrame(min(time_s, video.span.end_s), span))
    whole = Span(stills[0].span.start_s, stills[-1].span.end_s)
    return DescribeStills(span=whole, stills=tuple(stills))


def ground(
    video: AskedVideo,
    expression: Text,
    time_s: OptionalSeconds = None,
    want: GroundWant = "box",
    start_s: OptionalSeconds = None,
    end_s: OptionalSeconds = None,
) -> AgentCall:
    """Find the box of something in the frame at time_s; with want "tube", its boxes at up to eight
    moments from start_s to end_s."""
    if want == "tube":
        if time_s is not None:
            raise UsageError("time_s goes with want box; for a tube give start_s and end_s")
        span = _between(video, start_s, end_s)
        step_s = span.duration_s / GROUND_FRAMES
        times_s = tuple(span.start_s + (i + 0.5) * step_s for i in range(GROUND_FRAMES))
        return GroundFrame(span=span, times_s=times_s, expression=expression)
    if time_s is None:
        raise UsageError("give time_s, the second at which to look; or want tube with a stretch")
    span = Span(max(0.0, time_s - FRAME_S / 2), time_s + FRAME_S / 2).clip(video.span)
    if span.duration_s <= 0:
        raise UsageError(f"{time_s:g} s lies outside the video, which is {video.span}")
    return GroundFrame(span=span, times_s=(time_s,), expression=expression)


def transcript(
    video: AskedVideo, start_s: OptionalSeconds = None, end_s: OptionalSeconds = None
) -> AgentCall:
    """Read what is said, between two times if given."""
    return ReadTranscript(span=_between(video, start_s, end_s))


def screen(
    video: AskedVideo, start_s: OptionalSeconds = None, end_s: OptionalSeconds = None
) -> AgentCall:
    """Read what stands written on the screen, between two times if given."""
    return ReadScreen(span=_between(video, start_s, end_s))


def answer(
    video: AskedVideo,
    text: ShortText = "",
    choice: Annotated[str, Field(max_length=8)] = "",
    evidence_ids: EvidenceIds | None = None,
) -> AgentCall:
    """Answer the user's question: the letter of the right option as choice, or a short text, with
    the ids of what you observed that shows it. The text "not shown" says that nothing tells it."""
    # Models write "B", "(b)" and "B." for the same option.
    letter = choice.strip(" .()").upper()
    if letter and (not video.options or letter not in LETTERS[: len(video.options)]):
        letters = ", ".join(LETTERS[: len(video.options)])
        raise UsageError(
            f"choice must be one of {letters}, got {choice!r}"
            if letters
            else "the question has no options; give the answer as text"
        )
    if not letter and not text.strip():
        raise UsageError("the answer is empty; give a choice or a text")
    return WrittenAnswer(text=text.strip(), choice=letter, evidence_ids=tuple(evidence_ids or ()))


LOOP_TOOLS: tuple[Tool, ...] = (
    overview,
    search,
    read,
    look,
    focus,
    frames,
    ground,
    transcript,
    screen,
    answer,
)


def _look(video: AskedVideo, spans: tuple[Span, ...], question: str, frames: int) -> LookAtSpans:
    # The model's own question is another one: the options do not belong to it.
    model_question = question.strip()
    is_same = not model_question or model_question == video.question
    return LookAtSpans(
        spans=spans,
        question=video.question if is_same else model_question,
        options=video.options if is_same else (),
        frames=frames,
    )


def _between(video: AskedVideo, start_s: float | None, end_s: float | None) -> Span:
    if start_s is None and end_s is None:
        return video.span
    return clip_span(video.span, start_s or 0.0, video.span.end_s if end_s is None else end_s)
