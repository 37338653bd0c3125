"""Numbers in words, as digits. English, up to ninety-nine."""

from __future__ import annotations

import re

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TEENS = (
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

NUMBERS = {word: str(value) for value, word in enumerate(_UNITS)}
"""zero to ten."""
_WORDS = NUMBERS | {word: str(11 + i) for i, word in enumerate(_TEENS)}
_WORDS |= {word: str(20 + 10 * i) for i, word in enumerate(_TENS)}
_WORDS |= {
    f"{tens} {unit}": str(20 + 10 * i + j)
    for i, tens in enumerate(_TENS)
    for j, unit in enumerate(_UNITS[1:10], start=1)
}
_IN_WORDS = re.compile(
    rf"\b(?:(?:{'|'.join(_TENS)})[ -](?:{'|'.join(_UNITS[1:10])})"
    rf"|{'|'.join(_TEENS + _TENS + _UNITS)})\b",
    re.IGNORECASE,
)


def numbers_as_digits(text: str) -> str:
    """The text with its numbers in digits: "twenty-one of 1,200 stars" is "21 of 1200 stars"."""
    text = re.sub(r"(?<=\d)[,\u202f\u00a0'](?=\d{3}(?!\d))", "", text)
    return _IN_WORDS.sub(lambda match: _WORDS[match[0].lower().replace("-", " ")], text)
