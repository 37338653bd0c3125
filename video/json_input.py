"""JSON of others, read within limits: bytes, depth, digits of a number, and characters that no file
can hold.

`json.loads` alone follows brackets until Python's stack ends, takes `NaN`, makes integers of any
length, and keeps lone surrogates that fail only when they are written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

MOST_BYTES = 8_000_000
"""Of one JSON document, unless its reader says otherwise."""
MOST_DEPTH = 64
"""Of brackets inside brackets."""
MOST_DIGITS = 40
"""Of one number."""

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
"""A string ends at the end of the text at the latest, so that one pass sees each character once."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonInputError(ValueError):
    """JSON that breaks a limit or is none; the message says which, without naming the input."""


def parse_json(
    text: str | bytes,
    *,
    most_bytes: int = MOST_BYTES,
    refuse_half_pairs: bool = False,
    odd_numbers_as_null: bool = False,
) -> Any:
    """The value in `text`, whose numbers are finite and whose strings can be written as UTF-8: in
    place of half a surrogate pair stands U+FFFD, or it is refused. With `odd_numbers_as_null` a
    number that is not finite or too long is None, and costs nothing else. Raises JsonInputError.

    Example:
        >>> parse_json('{"times_s": [0, 1.5]}')
        {'times_s': [0, 1.5]}
        >>> parse_json("[NaN]")
        Traceback (most recent call last):
        ...
        mmreason.video.json_input.JsonInputError: holds NaN, expected a finite number
    """
    if len(text) > most_bytes:
        raise JsonInputError(f"has {len(text)} bytes, the limit is {most_bytes}")
    if isinstance(text, bytes):
        try:
            # A byte order mark, as some editors write it, is no part of the JSON.
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise JsonInputError(f"is not UTF-8 (byte {error.start})") from error
    _check_depth(text)
    try:
        value = json.loads(
            text,
            parse_int=partial(_or_null, _integer) if odd_numbers_as_null else _integer,
            parse_float=partial(_or_null, _number) if odd_numbers_as_null else _number,
            parse_constant=_null if odd_numbers_as_null else _refuse_constant,
        )
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise JsonInputError(f"is no JSON: {error.msg} ({line}column {error.colno})") from error
    # Escapes can name half a pair, which no file or terminal takes. Where the text has none, the
    # values are not looked through: there are millions in some data sets.
    may_hold_half = "\\u" in text or _SURROGATE.search(text) is not None
    writable = replace_half_pairs(value) if may_hold_half else value
    if refuse_half_pairs and writable != value:
        raise JsonInputError("holds half a surrogate pair, which stands for no character")
    return writable


def read_json(
    path: Path, *, most_bytes: int = MOST_BYTES, odd_numbers_as_null: bool = False
) -> Any:
    """The value in a regular file, of which at most `most_bytes` are read; see `parse_json`. Raises
    JsonInputError and OSError.

    Example:
        >>> read_json(Path("world.json"))  # doctest: +SKIP
    """
    if not path.is_file():
        raise JsonInputError("is not a regular file")
    with path.open("rb") as file:
        # One byte more than the limit tells a file that is too long from one that just fits.
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise JsonInputError(f"has more than the limit of {most_bytes} bytes")
    return parse_json(data, most_bytes=most_bytes, odd_numbers_as_null=odd_numbers_as_null)


def replace_half_pairs(value: Any) -> Any:
    """A JSON value with U+FFFD in place of each half of a surrogate pair, keys included.

    Example:
        >>> replace_half_pairs({"name": ["a\\ud800"]})
        {'name': ['a�']}
    """
    # Depth is bounded by whoever parsed or made the value, so that this may call itself.
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list | tuple):
        return [replace_half_pairs(item) for item in value]
    if isinstance(value, dict):
        return {replace_half_pairs(key): replace_half_pairs(item) for key, item in value.items()}
    return value


def _check_depth(text: str) -> None:
    """Refuse before the parser goes down into it: it has no limit of its own below the stack's."""
    if text.count("[") + text.count("{") <= MOST_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > MOST_DEPTH:
            raise JsonInputError(f"has more than {MOST_DEPTH} brackets inside each other")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise JsonInputError(f"holds a number of {len(digits)} digits, the limit is {MOST_DIGITS}")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonInputError(f"holds {text[:20]}, expected a finite number")
    return value


def _or_null(read: Callable[[str], int | float], text: str) -> int | float | None:
    try:
        return read(text)
    except JsonInputError:
        return None


def _null(name: str) -> None:
    """In the place of `NaN` and the infinities."""


def _refuse_constant(name: str) -> float:
    raise JsonInputError(f"holds {name}, expected a finite number")
