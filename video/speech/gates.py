"""What a recogniser writes and nobody said: tests that refuse it. Pure functions.

Whisper writes fluent text for anything: a hum, a melody, another language. Its probabilities tell,
once what it says again and again is counted once: it is sure of a phrase that it has just written.
Measured on made speech (mean probability of words, each phrase once): English 0.65 and up but for
sentences that are misheard altogether, with noise at 20 dB too; German, Spanish and French heard as
English 0.50 and down. Sound that passes for a voice has a mean log-probability of -0.89, short
English answers mostly above -0.75.
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
LEAST_WORD_PROBABILITY = 0.52
"""Below either, what was heard was not understood: most often another language."""
_UNDERSTOOD, _LEAST_AMONG_UNDERSTOOD = 0.65, 0.4
"""A part of a text that is understood as a whole is let pass down to the second: noise hides words,
and a language seldom changes without a pause."""
LEAST_SHORT_LOG_PROBABILITY = -0.75
LEAST_SHORT_WORD_PROBABILITY = 0.3
"""The same where little speaks for speech: three words at most, or a detector in doubt."""
_FEW_WORDS = 3
_DOUBTFUL_SCORE = 0.5
_OFTEN_INVENTED = re.compile(
    r"\b(for watching|in the next (one|video|episode)|(please )?subscribe|enjoyed this video)\b",
    re.IGNORECASE,
)
"""How videos of the training data end: what Whisper writes where it understands nothing."""
_LEAST_INVENTED_PROBABILITY = 0.75
_MOST_REPEATS = 5
_LOOP_WORDS, _LOOP_SHARE = 12, 0.5
"""A text of so many words of which this share or more is said again goes round in a circle."""
_NO_WORD = re.compile(r"[\W_]*")


def judge_segments(segments: Sequence[Segment], activities: Sequence[float]) -> list[Verdict]:
    """Whether each of `segments`, which were heard together, was said; `activities` are the
    detector's mean scores over them, 0 to 1.

    Example:
        >>> from mmreason.video.types import Span
        >>> hum = Segment(Span(0, 1), "Mm-hmm.", confidence=math.exp(-0.89))
        >>> judge_segments([hum], [0.9])
        ['no speech']
    """
    words = [word for segment in segments for word in segment.words]
    is_first = iter(mark_first(words))
    first_words = [[w for w in s.words if next(is_first)] for s in segments]
    all_first = [word for part in first_words for word in part]
    is_loop = len(words) >= _LOOP_WORDS and len(all_first) <= _LOOP_SHARE * len(words)
    whole = mean_word_probability(all_first) or 0.0
    least = _LEAST_AMONG_UNDERSTOOD if whole >= _UNDERSTOOD else LEAST_WORD_PROBABILITY
    verdicts: list[Verdict] = []
    for segment, firsts, activity in zip(segments, first_words, activities, strict=True):
        # A segment that says hardly anything new is judged by what it repeats.
        judged_words = firsts if len(firsts) > _FEW_WORDS else all_first
        verdicts.append(_judge(segment, judged_words, activity, least, is_loop=is_loop))
    return verdicts


def _judge(
    segment: Segment,
    judged_words: Sequence[Word],
    activity: float,
    least: float,
    *,
    is_loop: bool,
) -> Verdict:
    """`least` is the mean probability of words that is asked of it."""
    if _NO_WORD.fullmatch(segment.text):
        return "no speech"
    probability = mean_word_probability(judged_words)
    log_probability = 0.0 if segment.confidence is None else math.log(segment.confidence or 1e-9)
    if len(judged_words or segment.text.split()) <= _FEW_WORDS or activity < _DOUBTFUL_SCORE:
        if log_probability < LEAST_SHORT_LOG_PROBABILITY:
            return "no speech"
        if probability is not None and probability < LEAST_SHORT_WORD_PROBABILITY:
            return "no speech"
    elif log_probability < LEAST_LOG_PROBABILITY or (
        probability is not None and probability < least
    ):
        return "not understood"
    is_unsure = probability is not None and probability < _LEAST_INVENTED_PROBABILITY
    if is_unsure and _OFTEN_INVENTED.search(segment.text):
        return "not understood"
    return "repeats" if is_loop or count_repeats(segment.text) > _MOST_REPEATS else "kept"


def mark_first(words: Sequence[Word]) -> list[bool]:
    """Whether each word is new: it and the word before it were not said in this order before.

    Example:
        >>> from mmreason.video.types import Span
        >>> mark_first([Word(Span(0, 1), text) for text in ("So", "long,", "so", "long.")])
        [True, True, True, False]
    """
    terms = [re.sub(r"\W+", "", word.text.lower()) for word in words]
    pairs: set[tuple[str, str]] = set()
    marks: list[bool] = []
    for before, term in zip(["", *terms], terms, strict=False):
        marks.append((before, term) not in pairs)
        pairs.add((before, term))
    return marks


def mean_word_probability(words: Sequence[Word]) -> float | None:
    """0 to 1; None where no word has one."""
    probabilities = [word.confidence for word in words if word.confidence is not None]
    return sum(probabilities) / len(probabilities) if probabilities else None


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
