"""Reads once more what an answer rests on: speech in another window, a screen or a picture on other
frames.

The same part does it, so that this is no independent check. It finds out what was read by chance.
"""

from __future__ import annotations

from mmreason.agent.record_passages import CHANNEL_OF, RecordPassage, match_topic, plain_words
from mmreason.language.fact_questions import FactQuestion
from mmreason.language.text import FUNCTION_WORDS, stem_word
from mmreason.senses import Sense as SensePart
from mmreason.senses import SensePlan
from mmreason.video.types import FrameSource, Span

SPEECH_BEFORE_S, SPEECH_AFTER_S = 2.0, 3.0
"""How far the second window of speech reaches beyond the first."""
SCREEN_S = 1.0
"""Length of the stretch in which a screen is read again."""
SAME_QUOTE = 0.6
"""Share of a quotation's words that a second reading must hold to be one of the same words."""


def plan_second_span(passage: RecordPassage, video: Span) -> Span:
    """Where to read again: around a sentence; in the middle of what stays on a screen, which was
    first read when it came; in the second half of what a picture shows.

    Example:
        >>> from mmreason.memory.records import MemoryRecord
        >>> line = MemoryRecord("screen_text", Span(10, 20), "EXIT", "screen reading")
        >>> plan_second_span(RecordPassage((line,), "EXIT"), Span(0, 60))
        Span(start_s=14.5, end_s=15.5)
    """
    span = passage.span
    if passage.sense == "speech":
        start_s = max(video.start_s, span.start_s - SPEECH_BEFORE_S)
        return Span(start_s, min(video.end_s, span.end_s + SPEECH_AFTER_S))
    if passage.sense == "screen":
        # Not beyond the record: what stands there before or after is another text.
        half_s = min(SCREEN_S, span.duration_s) / 2
        return Span(span.middle_s - half_s, span.middle_s + half_s)
    return Span(span.middle_s, span.end_s)


def read_again(
    part: SensePart, plan: SensePlan, video: FrameSource, passage: RecordPassage
) -> tuple[str, ...]:
    """The texts that a second reading finds, in order of time. VideoError, OSError."""
    findings = part.find(video, plan, plan_second_span(passage, video.info.span))
    channel = CHANNEL_OF[passage.sense]
    records = [record for record in findings.records if record.channel == channel]
    return tuple(r.text for r in sorted(records, key=lambda record: record.span_us))


def compare_readings(
    question: FactQuestion, answer: str, passage: RecordPassage, texts: tuple[str, ...]
) -> bool | None:
    """Whether a second reading agrees: True where the words that answer stand there again, False
    where the words around them do and they do not, None where it does not tell.

    Example:
        >>> from mmreason.language.fact_questions import read_fact_question
        >>> from mmreason.memory.records import MemoryRecord
        >>> line = MemoryRecord("speech", Span(0, 9), "The budget is two million.", "a")
        >>> passage = RecordPassage((line,), line.text)
        >>> question = read_fact_question("What is the budget?")
        >>> compare_readings(question, "two million", passage, ("The budget is ten million.",))
        False
    """
    if passage.sense == "labels":
        return _compare_labels(passage.text, texts)
    second = " ".join(texts)
    # A count, a time and a yes stand nowhere: what they rest on are the words of the question.
    is_quoted = not _content(answer) - _content(passage.text)
    deciding = _content(answer) if is_quoted else frozenset(question.topic)
    if deciding and deciding <= match_topic(tuple(deciding), second):
        return True
    around = _content(passage.text) - deciding
    again = match_topic(tuple(around), second)
    is_same = bool(around) and len(again) >= SAME_QUOTE * len(around)
    return False if is_same and is_quoted else None


def _compare_labels(name: str, texts: tuple[str, ...]) -> bool | None:
    names = {part.strip().lower() for part in name.split(",")}
    others = [{part.strip().lower() for part in text.split(",")} for text in texts]
    if any(names & other for other in others):
        return True
    return False if others else None


def _content(text: str) -> frozenset[str]:
    return frozenset(stem_word(word) for word in plain_words(text) if word not in FUNCTION_WORDS)
