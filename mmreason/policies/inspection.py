"""Looks with the whole question, and the inspector: other frames, the question alone.

The inspector does not know what was answered. It says that the answer is verified, partly so (it
sees nothing, or one place agrees and another does not), or not. Parts of plays; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    CheckStatus,
    Claim,
    EvidenceRef,
    Inquiry,
    PlayPart,
    Stopped,
    ask_model,
    call_tools,
)
from mmreason.language.answer_reading import normalise_answer
from mmreason.models.base import Message, TextPart
from mmreason.policies.readings import MOST_WINDOWS, Reading, read_look
from mmreason.tool_calls import LookAtSpans
from mmreason.tools.prompts import NOT_SHOWN, ask_text
from mmreason.types import Observation
from mmreason.video.types import Span

OTHER_FRAMES = 0.25
"""Shift of the inspector's frames, as a share of the distance between frames; a third look goes
back."""
INSPECTED_FRAMES = 16
FRAMES_EACH = 4
"""Frames of one stretch that is inspected by itself."""
WIDER = 2.0
"""How much longer a window is where the inspector sees nothing in it."""
COMPARE = (
    "Two people answered the same question about a video.\n{question}\nFirst answer: {first}\n"
    "Second answer: {second}\nDo they say the same? Reply with one word: same, partly or different."
)
COMPARE_TOKENS = 256
"""For one word, behind whatever a model thinks first."""


class Verdict(StrEnum):
    """What the inspector says of an answer."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    NOT = "not"


_STATUS = {
    Verdict.VERIFIED: CheckStatus.AGREED,
    Verdict.PARTIAL: CheckStatus.UNCHECKED,
    Verdict.NOT: CheckStatus.UNSUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """The verdict, and the inspector's readings: those that agree, else all."""

    verdict: Verdict
    readings: tuple[Reading, ...]
    is_spent: bool = False
    """The budget refused a look: another would end the play before the answer is claimed."""


def take_look(
    inquiry: Inquiry,
    spans: Sequence[Span],
    frames: int,
    why: str,
    *,
    cues: Sequence[str] = (),
    question: str = "",
) -> PlayPart[Reading | None]:
    """Look at stretches with the whole question; None where the budget refuses or the look fails.
    No more frames than the budget has in all."""
    if inquiry.budget.frames is not None:
        frames = min(frames, inquiry.budget.frames)
    call = LookAtSpans(
        spans=tuple(spans),
        question=question or inquiry.question.text,
        options=() if question else inquiry.question.options,
        frames=max(1, frames),
        cues=tuple(cues),
    )
    readings, is_spent = yield from _read_calls(why, (call,))
    if is_spent or not readings:
        return readings[0] if readings else None
    reading = readings[0]
    if not reading.answers and NOT_SHOWN not in reading.observation.text.lower():
        # It refused, said nothing, or broke off in a thought: other frames may fare better.
        again = replace(call, shift=OTHER_FRAMES)
        readings, _ = yield from _read_calls(f"{why}, once more: no answer came", (again,))
    return readings[0] if readings else reading


def inspect_answer(
    inquiry: Inquiry, reading: Reading, *, together: bool = False
) -> PlayPart[Inspection]:
    """Ask other frames the question alone: all windows `together`, as where the first look named
    its times, else each stretch by itself, which also tells where the answer is to be seen."""
    windows = reading.windows
    if not together and not reading.seen_at_s and len(windows) > MOST_WINDOWS:
        # Too many to look at each: all of it again, from few frames.
        windows, together = merge_spans(windows), True
    if together or reading.seen_at_s:
        calls = [_again(reading, windows, max(INSPECTED_FRAMES, len(windows)), OTHER_FRAMES)]
    else:
        each = INSPECTED_FRAMES if len(windows) == 1 else FRAMES_EACH
        calls = [_again(reading, (window,), each, OTHER_FRAMES) for window in windows]
    first_check = yield from _judge(
        inquiry, reading, "check: other frames, the question alone", calls
    )
    if first_check.is_spent:
        return first_check
    is_survey = len(reading.call.spans) > MOST_WINDOWS
    if first_check.verdict is Verdict.NOT and is_survey and len(windows) <= MOST_WINDOWS:
        # A few places do not refute what all the shots together say, such as a count.
        spans = reading.call.spans
        calls = [_again(reading, spans, len(spans), OTHER_FRAMES)]
        why = "check: other frames of each shot, the question alone"
        return (yield from _judge(inquiry, reading, why, calls))
    if first_check.verdict is not Verdict.PARTIAL or len(windows) > MOST_WINDOWS:
        return first_check
    # Partly: one more look, at a wider window.
    video = inquiry.tree.span
    wide = merge_spans([_widened(window, video) for window in windows])
    calls = [_again(reading, wide, INSPECTED_FRAMES, -OTHER_FRAMES)]
    wider = yield from _judge(inquiry, reading, "check: a wider window", calls)
    return wider if wider.readings and wider.verdict is Verdict.VERIFIED else first_check


def claim_of(reading: Reading, inspection: Inspection | None) -> Claim:
    """The answer with what the inspector says of it and where; unchecked without an inspection."""
    if inspection is None:
        status, looks = CheckStatus.UNCHECKED, (reading,)
    else:
        status = _STATUS[inspection.verdict]
        looks = inspection.readings if inspection.verdict is Verdict.VERIFIED else ()
    inspected = bool(inspection is not None and inspection.readings)
    # An answer that names its times is to be seen there; else where the inspector saw it.
    call = inspection.readings[0].call if inspected and inspection is not None else reading.call
    supports: list[EvidenceRef] = []
    if reading.seen_at_s or not looks:
        supports = [_support(reading, call, window) for window in reading.windows]
    else:
        supports = [_support(look, look.call, w) for look in looks for w in look.windows]
    return Claim(
        text=reading.text,
        choice=reading.choice,
        supports=tuple(supports),
        status=status,
        compared=inspected,
    )


def merge_spans(spans: Sequence[Span]) -> tuple[Span, ...]:
    """In order of time, those that meet as one.

    Example:
        >>> merge_spans([Span(8, 12), Span(0, 4), Span(4, 6)])
        (Span(start_s=0, end_s=6), Span(start_s=8, end_s=12))
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start_s, span.end_s)):
        if merged and span.start_s <= merged[-1].end_s:
            before = merged.pop()
            span = Span(before.start_s, max(before.end_s, span.end_s))
        merged.append(span)
    return tuple(merged)


def _judge(
    inquiry: Inquiry, reading: Reading, why: str, calls: Sequence[LookAtSpans]
) -> PlayPart[Inspection]:
    readings, is_spent = yield from _read_calls(why, calls)
    agreeing: list[Reading] = []
    opposing: list[Reading] = []
    for other in readings:
        # Frames that were seen already check nothing.
        is_new = not set(other.observation.frame_times_s) <= set(reading.observation.frame_times_s)
        if not other.answers or not is_new:
            continue
        agrees = yield from _says_same(inquiry, reading, other)
        if agrees is not None:
            (agreeing if agrees else opposing).append(other)
    if agreeing:
        # Another stretch may speak of something else: one place that agrees is no contradiction
        # there, unless most places are against it.
        verdict = Verdict.VERIFIED if len(agreeing) > len(opposing) else Verdict.PARTIAL
        return Inspection(verdict, tuple(agreeing), is_spent)
    return Inspection(Verdict.NOT if opposing else Verdict.PARTIAL, tuple(readings), is_spent)


def _says_same(inquiry: Inquiry, first: Reading, second: Reading) -> PlayPart[bool | None]:
    """Whether two answers say the same; None where they do in part. Open ones that differ in words
    are compared by the model, in whatever language they are."""
    if inquiry.question.options:
        return first.agrees_in_choice(second)
    question = inquiry.question.text
    terms = [set(normalise_answer(item.text, question)) for item in (first, second)]
    # One within the other, such as "red" in "a red tie", agrees without a request.
    if terms[0] <= terms[1] or terms[1] <= terms[0]:
        return True
    text = COMPARE.format(question=ask_text(question), first=first.text, second=second.text)
    action = AskModel([Message("user", (TextPart(text),))], COMPARE_TOKENS, may_fail=True)
    reply = yield from ask_model(action)
    if isinstance(reply, Stopped):
        # Without a verdict the other answer counts neither for nor against.
        return None
    word = re.search(r"\b(same|partly|different)\b", reply.text.lower())
    return {"same": True, "different": False}.get(word[1]) if word else None


def _read_calls(why: str, calls: Sequence[LookAtSpans]) -> PlayPart[tuple[list[Reading], bool]]:
    """What the looks say that were made and did not fail, and whether the budget ended."""
    results = yield from call_tools(CallTools(why, tuple(calls)))
    pairs = zip(calls, results.observations, strict=False)
    readings = [read_look(call, result) for call, result in pairs if result.error is None]
    return readings, results.spent is not None


def _again(reading: Reading, spans: Sequence[Span], frames: int, shift: float) -> LookAtSpans:
    return replace(
        reading.call, spans=tuple(spans), frames=frames, shift=shift, check=True, cues=()
    )


def _widened(window: Span, video: Span) -> Span:
    more_s = (WIDER - 1) * window.duration_s / 2
    return Span(max(0.0, window.start_s - more_s), window.end_s + more_s).clip(video)


def _support(reading: Reading, call: LookAtSpans, window: Span) -> EvidenceRef:
    look_result = reading.observation
    times_s = tuple(t for t in look_result.frame_times_s if window.start_s <= t <= window.end_s)
    observation = Observation(
        text=reading.text, span=window, frame_times_s=times_s, confidence=look_result.confidence
    )
    return EvidenceRef(call, observation, window)
