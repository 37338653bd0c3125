"""What people fall over in a dialect, told from the first rows of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmreason.training.data.dialects.placeholders import has_placeholder
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.dialects.table_columns import ANSWERS, OPTIONS, find_column
from mmreason.training.data.dialects.truths import strip_letters

_BOX_IN_TEXT = re.compile(
    r'"bbox(?:_2d)?"\s*:\s*\[\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*\]'
)
_MOST_TEXT = 100_000
"""Letters of a row that are looked through for boxes."""


def find_traps(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for each trap that the rows hold.

    Example:
        >>> find_traps(Dialect.EASYR1, [{"problem": "<video>?", "videos": ["a"], "images": []}])[0]
        "1 row has an empty 'images' beside its 'videos': EasyR1 reads no video of such a file"
    """
    lines = []
    for trap in (
        _empty_images,
        _both_kinds,
        _stage,
        _letters,
        _box_space,
        _filled,
        _sizes,
        _places,
    ):
        lines += trap(dialect, rows)
    return lines


def _rows(count: int, verb: str = "has") -> str:
    return f"1 row {verb}" if count == 1 else f"{count} rows {'have' if verb == 'has' else verb}"


def _empty_images(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect is not Dialect.EASYR1:
        return
    count = sum(bool(row.get("videos")) and row.get("images", 0) in ([], None) for row in rows)
    if count:
        yield (
            f"{_rows(count)} an empty 'images' beside its 'videos': EasyR1 reads no video of such "
            "a file"
        )


def _both_kinds(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect not in (Dialect.EASYR1, Dialect.ONETHINKER):
        return
    count = sum(bool(row.get("videos")) and bool(row.get("images")) for row in rows)
    if count:
        yield f"{_rows(count)} both 'images' and 'videos': EasyR1 reads the images only"


def _stage(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect not in (Dialect.TWO_U1, Dialect.VLM_R1):
        return
    count = sum(any(has_placeholder(text) for text in _texts(row)) for row in rows)
    if count:
        yield (
            f"{_rows(count)} placeholders, which the GRPO stage of 2U1 takes as text; here their "
            "files stand in their places"
        )


def _letters(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect not in (Dialect.VIDEO_R1, Dialect.ONETHINKER):
        return
    lists = [row["options"] for row in rows if isinstance(row.get("options"), list)]
    lists = [options for options in lists if options and all(isinstance(o, str) for o in options)]
    bare = sum(strip_letters(options) == tuple(o.strip() for o in options) for options in lists)
    if bare:
        yield (
            f"{_rows(bare)} options without letters, which {dialect} shows as they are: a letter "
            "in the answer is taken as the place of the option"
        )


def _box_space(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    numbers = [
        float(number)
        for row in rows
        for text in _texts(row)
        for match in _BOX_IN_TEXT.finditer(text[:_MOST_TEXT])
        for number in match.groups()
        if number.count(".") <= 1 and number != "."
    ]
    if not numbers:
        return
    most = max(numbers)
    if most <= 1:
        space = "all at most 1: they look like fractions of the frame"
    elif most <= 1000:
        space = "all at most 1000: thousandths of the frame, or pixels of a small one"
    else:
        space = "above 1000 in part: they look like pixels"
    yield f"boxes in the texts are {space}; they are taught as they stand"


def _filled(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect is not Dialect.MS_SWIFT:
        return
    boxed = [row for row in rows if row.get("objects")]
    count = sum(any("<bbox>" in text for text in _texts(row)) for row in boxed)
    if count:
        yield (
            f"{_rows(count)} <bbox>, which is written as pixels of the original image: a model "
            "that counts otherwise has to be taught its own numbers"
        )


def _sizes(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect is not Dialect.ONETHINKER:
        return
    boxed = [row for row in rows if "boxes" in str(row.get("answer"))[:_MOST_TEXT]]
    count = sum(not (row.get("width") and row.get("height")) for row in boxed)
    if count:
        yield (
            f"{_rows(count)} boxes and no 'width' and 'height' of the frame: the boxes stay text, "
            "and rewards of boxes do not apply"
        )


def _places(dialect: Dialect, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if dialect is not Dialect.TABLE:
        return
    named = [(find_column(row, OPTIONS), find_column(row, ANSWERS), row) for row in rows]
    count = sum(bool(o) and a is not None and type(row[a]) is int for o, a, row in named)
    if count:
        yield f"{_rows(count)} a whole number as the answer: it is the place of an option, from 0"


def _texts(row: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a row's messages, and of a problem."""
    for name in ("conversations", "messages", "prompt"):
        turns = row.get(name)
        for turn in turns if isinstance(turns, list) else ():
            text = turn.get("value", turn.get("content")) if isinstance(turn, dict) else None
            if isinstance(text, str):
                yield text
    for name in ("problem", "solution", "answer"):
        if isinstance(row.get(name), str):
            yield row[name]
