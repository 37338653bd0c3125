"""Why one row is none, in one line."""

from __future__ import annotations

from typing import Any


class BadRow(ValueError):
    """Why one row cannot be read or written; whoever goes through the rows makes a `RowFault` of
    it."""


def describe(value: Any) -> str:
    """What stands there instead, short and without looking into containers.

    Example:
        >>> describe(["a", "b"]), describe("x" * 60)
        ('a list of 2', "the text 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'...")
    """
    if isinstance(value, str):
        return f"the text {value[:40]!r}" + ("..." if len(value) > 40 else "")
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]}"
