"""What people may ask: questions, options and spans, checked before anything is opened or spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmreason.language.prompts import LETTERS
from mmreason.types import UsageError
from mmreason.video.types import Span, VideoInfo

QUESTION_LIMIT = 2_000
OPTION_LIMIT = 2_000
"""Those of public benchmarks may be whole summaries."""


def checked_question(text: str, what: str = "question") -> str:
    """The text without white space around it. UsageError where it is empty or too long."""
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"the {what} is empty; say what you want to know")
    _check_characters(text, what)
    text = text.strip()
    if len(text) > QUESTION_LIMIT:
        raise UsageError(
            f"the {what} has {len(text):,} characters, the limit is {QUESTION_LIMIT:,}; shorten it"
        )
    return text


def checked_options(options: Sequence[str] | None) -> tuple[str, ...]:
    """2 to 26 different texts, or none. UsageError otherwise."""
    if options is None:
        return ()
    if isinstance(options, str):
        raise UsageError(f"options must be a list of texts, got one text: {options[:60]!r}")
    stripped = tuple(str(option).strip() for option in options)
    if not 2 <= len(stripped) <= len(LETTERS):
        raise UsageError(f"options must be 2 to {len(LETTERS)} texts, got {len(stripped)}")
    for i, option in enumerate(stripped):
        if not option or len(option) > OPTION_LIMIT:
            raise UsageError(
                f"option {LETTERS[i]} must have 1 to {OPTION_LIMIT:,} characters, got {len(option)}"
            )
        _check_characters(option, f"option {LETTERS[i]}")
    folded = [option.casefold() for option in stripped]
    for i, option in enumerate(folded):
        if option in folded[:i]:
            twin = LETTERS[folded.index(option)]
            raise UsageError(f"options {twin} and {LETTERS[i]} are the same: {stripped[i]!r}")
    return stripped


def _check_characters(text: str, what: str) -> None:
    """Half of a surrogate pair is no character: it can be neither stored nor sent."""
    bad = next((i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff"), None)
    if bad is not None:
        raise UsageError(
            f"the {what} holds U+{ord(text[bad]):04X} at position {bad}, half of a surrogate pair, "
            "which is no character; remove it, or read the text as UTF-8"
        )


def checked_span(span: Span | tuple[float, float] | None, info: VideoInfo) -> Span:
    """The part of the span that the video has; the whole video for None. A pair of seconds is a
    span too. UsageError where it is neither, or holds nothing of the video."""
    if span is None:
        return info.span
    if not isinstance(span, Span):
        span = _span_of_pair(span)
    inside = span.clip(info.span)
    if inside.duration_s <= 0:
        raise UsageError(f"span {span} holds nothing of the video, which is shown over {info.span}")
    return inside


def _span_of_pair(pair: Any) -> Span:
    """`(4, 8)` as a span. UsageError where it is no pair of seconds in order."""
    try:
        start_s, end_s = pair
        if isinstance(pair, str):
            raise TypeError("a text is no pair of seconds")
        return Span(float(start_s), float(end_s))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"a span is Span(start_s, end_s) or a pair (start_s, end_s) in seconds, such as "
            f"(4, 8); got {pair!r}"
        ) from error


def checked_part(start_s: float | None, end_s: float | None, info: VideoInfo) -> Span:
    """The span between two times of the video; None is its start or its end. UsageError where they
    do not lie in it in that order."""
    whole = info.span
    start_s = whole.start_s if start_s is None else start_s
    end_s = whole.end_s if end_s is None else end_s
    if not whole.start_s <= start_s < end_s <= whole.end_s + 1e-3:
        raise UsageError(
            f"{info.path}: shown over {whole}; start and end must lie in it in that order, "
            f"got {start_s} and {end_s} seconds"
        )
    return Span(start_s, end_s)
