"""Arguments of a tool as a client sends them: limits before they are read, and one line where they
do not fit the tool. Their meaning is checked by `service`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, ValidationError

from mmreason.language.validate import QUESTION_LIMIT
from mmreason.server.roots import MAX_PATH_BYTES
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

FilePath = Annotated[str, Field(description="Path of a video file.", max_length=MAX_PATH_BYTES)]
Seconds = Annotated[FiniteFloat, Field(ge=-1e9, le=1e9)]
PartStart = Annotated[Seconds | None, Field(description="First second; default: the start.")]
PartEnd = Annotated[Seconds | None, Field(description="Last second; default: the end.")]
BudgetFrames = Annotated[int | None, Field(description="Most frames to look at.")]
BudgetSeconds = Annotated[FiniteFloat | None, Field(description="Most seconds to spend.")]
FramesFile = Annotated[
    str, Field(description="Path of a video file or an image.", max_length=MAX_PATH_BYTES)
]
Wording = Annotated[
    str,
    Field(description='What to find, such as "the red star".', max_length=QUESTION_LIMIT),
]
Moment = Annotated[
    Seconds | None, Field(description="Second of the video to look at; default: the middle.")
]
Wanted = Annotated[
    Literal["box", "tube"],
    Field(description="box: in one frame; tube: followed through the video, or a part of it."),
]

MAX_TEXT_CHARACTERS = 20_000
"""Of one argument: room for a list that is written as text."""
MAX_LIST_ITEMS = 64
MAX_INTEGER_BITS = 64
_SHOWN_REJECTIONS = 3
_SHOWN_CHARACTERS = 60


def check_arguments(tool: str, arguments: Mapping[str, Any], names: Collection[str]) -> None:
    """UsageError where an argument is not one of `names`, or is larger than any tool takes.

    Example:
        >>> check_arguments("inspect", {"path": "a.mp4"}, ["video"])
        Traceback (most recent call last):
        ...
        mmreason.types.UsageError: inspect takes no argument 'path'; it takes: video
    """
    for name, value in arguments.items():
        if name not in names:
            raise UsageError(
                f"{tool} takes no argument {_shorten(name)!r}; it takes: {', '.join(names)}"
            )
        items = value if isinstance(value, list) else [value]
        if len(items) > MAX_LIST_ITEMS:
            raise UsageError(f"{name}: holds {len(items):,} items, the limit is {MAX_LIST_ITEMS}")
        for item in items:
            if isinstance(item, str) and len(item) > MAX_TEXT_CHARACTERS:
                raise UsageError(
                    f"{name}: has {len(item):,} characters, the limit is {MAX_TEXT_CHARACTERS:,}"
                )
            if isinstance(item, int) and item.bit_length() > MAX_INTEGER_BITS:
                raise UsageError(f"{name}: is a number of more than {MAX_INTEGER_BITS} bits")
            if isinstance(item, list | dict):
                raise UsageError(f"{name}: expected text, a number or a list of them")


def describe_rejection(error: ValidationError) -> str:
    """What does not fit the schema of a tool, on one line; the first three such things.

    Example: `times_s.0: Input should be a valid number (got 'soon')`.
    """
    rejections = error.errors(include_url=False, include_context=False)
    lines = []
    for rejection in rejections[:_SHOWN_REJECTIONS]:
        path = ".".join(map(str, rejection["loc"]))
        is_missing = rejection["type"] == "missing"
        got = "" if is_missing else f" (got {_shorten(repr(rejection['input']))})"
        lines.append(f"{path}: {rejection['msg']}{got}")
    more = len(rejections) - len(lines)
    return show_line("; ".join(lines) + (f"; and {more:,} more" if more else ""))


def _shorten(text: str) -> str:
    line = show_line(text[:_SHOWN_CHARACTERS])
    return line if len(text) <= _SHOWN_CHARACTERS else f"{line}..."
