"""What a recogniser writes and nobody said: tests that refuse it. Pure functions.

Whisper writes fluent text for anything: a hum, a melody, another language. Its own probabilities
tell: measured on made speech, English has a mean log-probability of -0.71 and up (with noise at
20 dB too), German, Spanish and French heard as English -1.75 and down, sound that passes for a voice
-0.89.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mmreason.video.speech.transcript import Segment, Word

Verdict = Literal["kept", "not understood", "no speech", "repeats"]

LEAST_LOG_PROBABILITY = -1.0
LEAST_WORD_PROBABILITY = 0.5
"""Below either, what was heard was not understood: most often another language."""
LEAST_LOG_PROBABILITY_DOUBTFUL = -0.75
"""The same where little speaks for speech: three words at most, or a detector in doubt."""
_FEW_WORDS = 3
_DOUBTFUL_SCORE = 0.6
_MOST_REPEATS = 4
_NEVER_SAID = re.compile(r"[^\w]*", re.UNICODE)


def judge_segment(segment: Segment, activity: float) -> Verdict:
    """Whether what `segment` says was said; `activity` is the detector's mean score over it.

    Example:
        >>> from mmreason.video.types import Span
        >>> judge_segment(Segment(Span(0, 1), "Mm-hmm.", confidence=math.exp(-0.89)), 0.9)
        'no speech'
    """
    if _NEVER_SAID.fullmatch(segment.text):
        return "no speech"
    if count_repeats(segment.text) > _MOST_REPEATS:
        return "repeats"
    log_probability = (
        None if segment.confidence is None else math.log(max(segment.confidence, 1e-9))
    )
    word_count = len(segment.text.split())
    is_doubtful = word_count <= _FEW_WORDS or activity < _DOUBTFUL_SCORE
    if log_probability is not None:
        if is_doubtful and log_probability < LEAST_LOG_PROBABILITY_DOUBTFUL:
            return "no speech"
        if log_probability < LEAST_LOG_PROBABILITY:
            return "not understood"
    probability = mean_word_probability(segment.words)
    if probability is not None and probability < LEAST_WORD_PROBABILITY:
        return "no speech" if word_count <= _FEW_WORDS else "not understood"
    return "kept"


def mean_word_probability(words: Sequence[Word]) -> float | None:
    """0 to 1; None where no word has one."""
    known = [word.confidence for word in words if word.confidence is not None]
    return sum(known) / len(known) if known else None


def count_repeats(text: str) -> int:
    """How often in a row the same one to eight words are said, at most.

    Example:
        >>> count_repeats("Thank you. Thank you. Thank you."), count_repeats("one two three")
        (3, 1)
    """
    terms = [term for term in re.split(r"\W+", text.lower()) if term]
    most = 1 if terms else 0
    for size in range(1, 9):
        # How long a stretch agrees with itself `size` words later.
        run = 0
        for first, later in zip(terms, terms[size:], strict=False):
            run = run + 1 if first == later else 0
            most = max(most, 1 + run // size)
    return most


def order_segments(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Segments in order of time whose words do not go back: a word that a recogniser puts before
    the one it follows begins where that one does."""
    ordered: list[Segment] = []
    for segment in sorted(segments, key=lambda s: s.span.start_s):
        words: list[Word] = []
        latest_s = segment.span.start_s
        for word in segment.words:
            start_s = max(latest_s, word.span.start_s)
            span = replace(word.span, start_s=start_s, end_s=max(start_s, word.span.end_s))
            words.append(replace(word, span=span))
            latest_s = start_s
        ordered.append(replace(segment, words=tuple(words)))
    return tuple(ordered)
