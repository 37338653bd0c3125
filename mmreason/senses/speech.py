"""The sense that hears: subtitles where there are some, else a recogniser, as records of about a
sentence each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmreason.memory.records import MOST_TEXT_CHARACTERS, MemoryRecord
from mmreason.senses.parts import (
    Findings,
    SenseMissingError,
    SenseName,
    SensePlan,
    open_as_video,
    plan_stretches,
)
from mmreason.video.speech import Recogniser, Segment, Transcript, Word, transcribe
from mmreason.video.speech.find import INSIDE, find_transcript
from mmreason.video.types import FrameSource, Span

SUBTITLES = "subtitles"
"""The part that reads what people wrote."""
RECIPE = 1
LONGEST_RECORD_S = 15.0
"""Of a record of what is heard; a sentence that takes longer is cut at a word."""
LONGEST_PAUSE_S = 1.0
"""Between two words of one record."""
STRETCH_S = 600.0
"""Longer than of other senses, as a little is heard twice at each bound."""
LEAD_S, TAIL_S = 3.0, 12.0
"""Heard before and behind a stretch, so that what begins in it is heard whole, and what began
before it is not taken for something new."""
REFUSED_MARK = "nothing was written for"
"""In notes of a transcript on what was refused."""
_ENDS = (".", "?", "!", "\N{HORIZONTAL ELLIPSIS}", "\u3002", "\uff1f", "\uff01")
_SHORT_FORMS = ("mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "no.", "vs.", "e.g.", "i.e.")


@dataclass(frozen=True, slots=True)
class SpeechSense:
    """Reads subtitles, and hears what has none with a recogniser.

    Example:
        >>> from mmreason.video.speech import ScriptedRecogniser
        >>> SpeechSense(ScriptedRecogniser(())).name
        'speech'
    """

    recogniser: Recogniser | None
    reason: str = ""
    """Why there is no recogniser."""
    name: SenseName = "speech"

    def plan(self, video: FrameSource) -> SensePlan:
        """Subtitles are read in one stretch, sound is heard in several."""
        opened, whole = open_as_video(video), video.info.span
        said = find_transcript(opened)
        if said is not None and said.segments:
            return SensePlan(part=SUBTITLES, recipe=RECIPE, stretches=(whole,))
        if self.recogniser is None:
            raise SenseMissingError(self.reason)
        is_heard = video.info.has_audio
        stretches = plan_stretches(whole, STRETCH_S) if is_heard else (whole,)
        return SensePlan(part=self.recogniser.name, recipe=RECIPE, stretches=stretches)

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        """What is said from the stretch's start to its end."""
        opened = open_as_video(video)
        if plan.part == SUBTITLES:
            said = find_transcript(opened)
            assert said is not None, "as it was planned"
            # Under the name that whoever else reads them gives them, so that they stand there once.
            source = opened.path.name if said.source == INSIDE else said.source
            return make_speech_findings(replace(said, source=source), said.segments)
        assert self.recogniser is not None, "as it was planned"
        whole = video.info.span
        heard = span
        if len(plan.stretches) > 1:
            heard = Span(span.start_s - LEAD_S, span.end_s + TAIL_S).clip(whole)
        said = transcribe(opened, self.recogniser, span=heard)
        # Speech may begin a little before the first picture, and end behind the last.
        first_s = -math.inf if span.start_s <= whole.start_s else span.start_s
        last_s = math.inf if span.end_s >= whole.end_s else span.end_s
        inside = [s for s in said.segments if first_s <= s.span.start_s < last_s]
        return make_speech_findings(said, inside)


def make_speech_findings(said: Transcript, segments: Sequence[Segment]) -> Findings:
    """Records of these segments of a transcript.

    Example:
        >>> said = Transcript(segments=(Segment(Span(1, 4), "The budget is next."),), model="tiny")
        >>> make_speech_findings(said, said.segments).records[0].model
        'tiny'
    """
    lines = list(join_sentences(segments))
    records = tuple(
        MemoryRecord(
            "speech",
            line.span,
            line.text[:MOST_TEXT_CHARACTERS],
            said.source,
            said.model,
            confidence=line.confidence,
            speaker=line.speaker,
        )
        for line in lines
        if line.text.strip()
    )
    texts = [record.text for record in records]
    return Findings(
        records=records,
        empty=len(lines) - len(records),
        repeated=sum(a == b for a, b in itertools.pairwise(texts)),
        refused=sum(REFUSED_MARK in note for note in said.notes),
        notes=said.notes,
    )


def join_sentences(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Segments of about a sentence, at most `LONGEST_RECORD_S`, with the span of their words; those
    without words stay as they are.

    Example:
        >>> words = [Word(Span(i, i + 0.5), t) for i, t in enumerate(["Yes.", "It", "works."])]
        >>> segment = Segment(Span(0, 3), "Yes. It works.", tuple(words))
        >>> [line.text for line in join_sentences([segment])]
        ['Yes.', 'It works.']
    """
    open_words: list[Word] = []
    open_segment: Segment | None = None
    for segment in segments:
        if not segment.words:
            if open_segment is not None and open_words:
                yield _join_words(open_words, open_segment)
            open_words, open_segment = [], None
            yield segment
            continue
        for word in segment.words:
            if open_words and open_segment is not None:
                is_over = (
                    _ends_sentence(open_words[-1].text)
                    or word.span.start_s - open_words[-1].span.end_s > LONGEST_PAUSE_S
                    or word.span.end_s - open_words[0].span.start_s > LONGEST_RECORD_S
                    or segment.speaker != open_segment.speaker
                )
                if is_over:
                    yield _join_words(open_words, open_segment)
                    open_words = []
            open_words.append(word)
            open_segment = segment
    if open_segment is not None and open_words:
        yield _join_words(open_words, open_segment)


def _join_words(words: Sequence[Word], segment: Segment) -> Segment:
    start_s = min(word.span.start_s for word in words)
    end_s = max(word.span.end_s for word in words)
    known = [word.confidence for word in words if word.confidence is not None]
    return Segment(
        Span(start_s, end_s),
        " ".join(word.text.strip() for word in words),
        tuple(words),
        segment.speaker,
        min(1.0, float(np.mean(known))) if known else segment.confidence,
        segment.language,
    )


def _ends_sentence(word: str) -> bool:
    text = word.strip().rstrip("\"')]\u201d\u2019")
    # A single letter with a point is an initial.
    is_short = text.lower() in _SHORT_FORMS or (len(text) == 2 and text[0].isupper())
    return text.endswith(_ENDS) and not is_short
