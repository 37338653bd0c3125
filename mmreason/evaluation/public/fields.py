"""What fields of benchmarks mean: lettered options, answers as letter, number or words, times.

Pure functions; they raise ValueError with the reason, to which the adapters add where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmreason.language.prompts import LETTERS
from mmreason.video.types import Span

_LETTERED = re.compile(r"^\s*[(\[]?(?P<letter>[A-Z])[)\].:]+\s*(?P<text>.*\S)\s*$", re.DOTALL)
"""One option as benchmarks write it: "A. Apples.", "(B) Candles.", "C: Berries."."""
_CLOCK = re.compile(r"^(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)$")
_MINUTES = ((2, "under 2 min"), (15, "2 to 15 min"), (30, "15 to 30 min"), (60, "30 to 60 min"))


def strip_letters(options: Sequence[str]) -> tuple[str, ...]:
    """Options without their letters, where all of them carry theirs.

    Example:
        >>> strip_letters(["A. Apples.", "B. Candles."])
        ('Apples.', 'Candles.')
        >>> strip_letters(["A. Lincoln", "Grant"])
        ('A. Lincoln', 'Grant')
    """
    # "A. Lincoln" among other names is a name: only where all are lettered, in order, they go.
    matches = [_LETTERED.match(option) for option in options]
    lettered = [match for match in matches if match is not None]
    if [match["letter"] for match in lettered] != list(LETTERS[: len(options)]):
        return tuple(option.strip() for option in options)
    return tuple(match["text"] for match in lettered)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """(question, options) of a text in which lettered lines, A first, stand below each other; what
    follows them is joined to the question. No options where there are no such lines.

    Example:
        >>> split_options("Who wins?\\n(A) Anna\\n(B) Ben")
        ('Who wins?', ('Anna', 'Ben'))
    """
    lines = text.strip().splitlines()
    # The first line from which letters run on from A: a question may itself have lines.
    for start in range(len(lines)):
        options = []
        for line in lines[start:]:
            match = _LETTERED.match(line)
            expected = LETTERS[len(options)] if len(options) < len(LETTERS) else ""
            if match is None or match["letter"] != expected:
                break
            options.append(match["text"])
        # One such line may be a sentence that begins with "A.".
        if len(options) >= 2:
            remainder = lines[:start] + lines[start + len(options) :]
            return "\n".join(remainder).strip(), tuple(options)
    return text.strip(), ()


def find_letter(answer: str, options: Sequence[str]) -> int:
    """Index of the option whose letter is given: "B", "(B)", "B. Candles.". ValueError for a letter
    that no option has.

    Example:
        >>> find_letter("(B)", ["Apples", "Candles"])
        1
    """
    text = answer.strip()
    match = re.fullmatch(r"[(\[]?([A-Za-z])[)\].:]*", text) or _LETTERED.match(text)
    return _checked(LETTERS.find(match[1].upper()) if match else -1, answer, options)


def find_number(answer: object, options: Sequence[str]) -> int:
    """Index of the option whose number is given, from 0; numbers come as text too. ValueError for a
    number that no option has.

    Example:
        >>> find_number("1", ["Apples", "Candles"])
        1
    """
    text = str(answer).strip()
    return _checked(int(text) if re.fullmatch(r"\d{1,3}", text) else -1, answer, options)


def find_words(answer: str, options: Sequence[str]) -> int:
    """Index of the one option whose words are given. ValueError where none or several have them.

    Example:
        >>> find_words("candles", ["Apples", "Candles"])
        1
    """
    folded = [" ".join(option.casefold().split()) for option in options]
    text = " ".join(answer.casefold().split())
    return _checked(folded.index(text) if folded.count(text) == 1 else -1, answer, options)


def _checked(index: int, answer: object, options: Sequence[str]) -> int:
    if not 0 <= index < len(options):
        count = f"{len(options)} options"
        raise ValueError(f"the answer {str(answer)[:60]!r} is not one of the {count}")
    return index


def parse_clock(text: str) -> float:
    """Seconds of a time such as "1:02:03.5" or "15:19". ValueError for any other text.

    Example:
        >>> parse_clock("00:15:19")
        919.0
    """
    match = _CLOCK.match(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is no time such as 1:02:03")
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def parse_clock_spans(text: str) -> tuple[Span, ...]:
    """Stretches written as "00:15-00:19", several behind commas or semicolons; a time alone is one
    second. ValueError where one of them is neither.

    Example:
        >>> parse_clock_spans("01:00-01:30, 02:00")
        (Span(start_s=60.0, end_s=90.0), Span(start_s=120.0, end_s=121.0))
    """
    spans = []
    for stretch in re.split(r"\s*[,;]\s*(?=\d)", text.strip()):
        # Dashes of all kinds, and "to", stand between two times.
        start, dash, end = re.sub(r"[\u2013\u2014~]|\bto\b", "-", stretch).partition("-")
        start_s = parse_clock(start)
        spans.append(Span(start_s, parse_clock(end) if dash else start_s + 1.0))
    return tuple(spans)


def name_duration(seconds: float | None) -> str:
    """The group that a length falls into, for benchmarks that state lengths and no groups.

    Example:
        >>> name_duration(90.0), name_duration(7200.0), name_duration(None)
        ('under 2 min', 'over 60 min', '')
    """
    if seconds is None:
        return ""
    return next((name for most, name in _MINUTES if seconds < 60 * most), "over 60 min")
