"""Numbers in one form, however they are written or said: "twenty two", "22"; "10 %", "ten percent";
"1,200", "twelve hundred". English words; figures of any language."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ONE_WORDS = "one two three four five six seven eight nine"
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: number for number, word in enumerate(_ONE_WORDS.split(), start=1)}
_TEENS = {word: number for number, word in enumerate(_TEEN_WORDS.split(), start=10)}
_TENS = {word: 10 * number for number, word in enumerate(_TEN_WORDS.split(), start=2)}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_ORDINALS = tuple(_ORDINAL_WORDS.split())
"""Of 1 to 12: these stay words, as a second is also a time."""
_LATER_WORDS = (
    "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_LATER_ORDINALS = {
    word: f"{number}th" for number, word in enumerate(_LATER_WORDS.split(), start=13)
} | {"thirtieth": "30th", "fortieth": "40th", "fiftieth": "50th", "hundredth": "100th"}
_SUFFIXES = {1: "st", 2: "nd", 3: "rd"}

_WORDS = "|".join((*_ONES, *_TEENS, *_TENS, *_SCALES, "hundred", "zero"))
_RUN = re.compile(rf"\b(?:{_WORDS})(?:(?:[\s-]+|[\s-]+and[\s-]+)(?:{_WORDS}))*\b")
_HINT = re.compile(rf"\b(?:{_WORDS})\b")
_TENS_ORDINAL = re.compile(rf"\b({'|'.join(_TENS)})[\s-]+({'|'.join(_ORDINALS[:9])})\b")
_LATER_ORDINAL = re.compile(rf"\b({'|'.join(_LATER_ORDINALS)})\b")
_SHORT_ORDINAL = re.compile(r"\b(1st|2nd|3rd|[4-9]th|1[0-2]th)\b")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[,\u00a0\u202f']\d{3})+(?!\d|,\d)")
_SCALED = re.compile(rf"\b(\d+(?:\.\d+)?)\s+({'|'.join(_SCALES)})\b")
_PER_CENT = re.compile(r"\s*(?:%|\bper\s+cent\b)")
_CURRENCIES = {"$": "dollar", "\N{EURO SIGN}": "euro", "\N{POUND SIGN}": "pound"}
_CURRENCY = re.compile(r"([$\N{EURO SIGN}\N{POUND SIGN}])\s?(\d+(?:[.,]\d+)*)")
_ANY_NUMBER = re.compile(
    r"[\d%$\N{EURO SIGN}\N{POUND SIGN}]"
    rf"|\b(?:{_WORDS}|{'|'.join(_LATER_ORDINALS)}|per\s+cent)\b"
)
"""Most lines hold none of it: one look instead of five."""
_LONGEST_DIGITS = 18


def write_numbers_alike(text: str) -> str:
    """Folded text with its numbers in figures without marks between groups, and `%` in words.

    Example:
        >>> write_numbers_alike("twenty two of 1,200, ten percent")
        '22 of 1200, 10 percent'
        >>> write_numbers_alike("in nineteen eighty four, 2.5 million, the twenty-first")
        'in 1984, 2500000, the 21st'
    """
    if _ANY_NUMBER.search(text) is None:
        return text
    if any(c.isdigit() or c in "%$\N{EURO SIGN}\N{POUND SIGN}" for c in text):
        text = _CURRENCY.sub(lambda m: f"{m[2]} {_CURRENCIES[m[1]]}", text)
        text = _GROUPED.sub(lambda m: re.sub(r"\D", "", m[0]), text)
        text = _SCALED.sub(_scale_figures, text)
        text = _SHORT_ORDINAL.sub(lambda m: _ORDINALS[int(m[0][:-2]) - 1], text)
    text = _PER_CENT.sub(" percent", text)
    text = _TENS_ORDINAL.sub(_write_ordinal, text)
    text = _LATER_ORDINAL.sub(lambda m: _LATER_ORDINALS[m[0]], text)
    if _HINT.search(text) is None:
        return text
    return _RUN.sub(lambda m: " ".join(map(str, _read_run(re.split(r"[\s-]+", m[0])))), text)


def _scale_figures(match: re.Match[str]) -> str:
    whole, _, fraction = match[1].partition(".")
    if len(whole) > _LONGEST_DIGITS or len(fraction) > _LONGEST_DIGITS:
        return match[0]
    # In whole numbers: 2.3 million has no exact float.
    value = int(whole + fraction) * _SCALES[match[2]]
    scale = 10 ** len(fraction)
    return str(value // scale) if value % scale == 0 else match[0]


def _write_ordinal(match: re.Match[str]) -> str:
    ones = _ORDINALS.index(match[2]) + 1
    return f"{_TENS[match[1]] + ones}{_SUFFIXES.get(ones, 'th')}"


def _read_run(words: list[str]) -> Iterator[int]:
    """The numbers that a run of number words says, in order."""
    numbers = list(_split_run(words))
    i = 0
    while i < len(numbers):
        century, years = numbers[i], numbers[i + 1] if i + 1 < len(numbers) else 0
        # "Nineteen eighty four" is a year; "twelve thirty" is a time and stays two numbers.
        if 16 <= century <= 20 and 10 <= years <= 99:
            yield 100 * century + years
            i += 2
        else:
            yield century
            i += 1


def _split_run(words: list[str]) -> Iterator[int]:
    total = group = 0
    # How large the last word of the open number was: what may follow depends on it.
    room = 0
    is_open = False
    for word in words:
        if word == "and":
            continue
        if word in _SCALES:
            if is_open and total and _SCALES[word] >= total:
                yield total + group
                total = group = 0
            total += (group or 1) * _SCALES[word]
            group, room, is_open = 0, 1_000, True
            continue
        if word == "hundred":
            if is_open and not 0 < group < 100:
                is_fresh = group == 0
                if not is_fresh:
                    yield total + group
                    total = 0
                group = 1
            group = (group or 1) * 100
            room, is_open = 100, True
            continue
        value = _ONES.get(word) or _TEENS.get(word) or _TENS.get(word) or 0
        size = 10 if word in _ONES else 100
        fits = is_open and value and room >= size
        if is_open and not fits:
            yield total + group
            total = group = 0
        group += value
        # After "twenty" one of the ones may follow, after "two" and "twelve" nothing.
        room, is_open = (10 if word in _TENS else 0), True
    if is_open:
        yield total + group
