"""Run lengths of masks as COCO's tools write them into JSON: numbers, or numbers as letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmreason.grounding.formats.rows import BadRow, check_object, describe, get_field
from mmreason.grounding.masks import Mask

MOST_MASK_PIXELS = 64_000_000
"""Of one mask, run lengths or picture."""
MOST_RUN_LETTERS = 20_000_000
"""Of one mask."""


def read_rle(value: Any) -> Mask:
    """A mask from `{"size": [height, width], "counts": ...}`. Raises BadRow.

    Example:
        >>> read_rle({"size": [2, 2], "counts": "02"}).counts
        (0, 2, 2)
    """
    values = check_object(value, "a mask")
    size, counts = get_field(values, "size"), get_field(values, "counts")
    if not (
        isinstance(size, list | tuple)
        and len(size) == 2
        and all(isinstance(side, int) and side > 0 for side in size)
    ):
        raise BadRow(f"'size' of a mask must be [height, width], found {describe(size)}")
    height, width = size
    if height * width > MOST_MASK_PIXELS:
        raise BadRow(f"a mask has {width} x {height} pixels, the limit is {MOST_MASK_PIXELS:,}")
    if isinstance(counts, str):
        runs: Sequence[int] = decode_counts(counts)
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        runs = counts
    else:
        raise BadRow(f"'counts' of a mask must be a text or numbers, found {describe(counts)}")
    # Readers of COCO take runs that end early: the rest belongs to the last kind.
    missing = height * width - sum(runs)
    full = (*runs, missing) if missing > 0 else tuple(runs)
    try:
        return Mask((width, height), full)
    except ValueError as error:
        raise BadRow(f"a mask is damaged: {error}") from error


def write_rle(mask: Mask) -> dict[str, Any]:
    """The same as COCO's compressed form.

    Example:
        >>> write_rle(Mask((2, 2), (0, 2, 2)))
        {'size': [2, 2], 'counts': '022'}
    """
    width, height = mask.size_px
    return {"size": [height, width], "counts": encode_counts(mask.counts)}


def decode_counts(text: str) -> list[int]:
    """Run lengths from letters: five bits each from `0` on, a sixth says that more follow, and from
    the third run on each is the difference to the last but one.

    Example:
        >>> decode_counts(encode_counts([3, 40, 5, 40]))
        [3, 40, 5, 40]
    """
    if len(text) > MOST_RUN_LETTERS:
        raise BadRow(f"a mask has {len(text):,} letters, the limit is {MOST_RUN_LETTERS:,}")
    runs: list[int] = []
    value, shift = 0, 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 30:
            raise BadRow("'counts' of a mask holds letters that stand for no run")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift  # the sign of the last five bits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise BadRow("'counts' of a mask ends in the middle of a run")
    return runs


def encode_counts(runs: Sequence[int]) -> str:
    """Letters from run lengths; see `decode_counts`."""
    letters: list[str] = []
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        while True:
            code = value & 31
            value >>= 5
            is_last = value == (-1 if code & 16 else 0)
            letters.append(chr(48 + (code if is_last else code | 32)))
            if is_last:
                break
    return "".join(letters)
