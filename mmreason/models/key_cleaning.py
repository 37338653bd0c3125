"""An API key taken out of what a server sends back.

The server knows the key, but a report that is sent on must not: a server may write what it was
given into a reply, a model's name or an error, by mistake or by intent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

KEY_MARK = "[key]"
"""Stands for the key, or a part of it."""
PART_LENGTH = 8
"""Characters of the key in order that count as a part of it."""


_MOST_PARTS = 20_000
"""Of the key in one text; what follows them is dropped, so that a hostile text costs little."""
_ANCHOR_LENGTH = PART_LENGTH // 2
"""Every part of the key holds one of its pieces of this length that begin at a multiple of it."""


class KeyCleaner:
    """Takes one key, and every part of it of `PART_LENGTH` characters or more, out of texts.

    A shorter key is taken out as a whole word: it may be a word of the language.

    Example:
        >>> KeyCleaner("sk-0123456789abcdef").clean_text("bad key 0123456789?")
        'bad key [key]?'
    """

    def __init__(self, key: str | None):
        self._anchors: tuple[str, ...] = ()
        if key:
            length = min(len(key), _ANCHOR_LENGTH)
            starts = range(0, len(key) - length + 1, length)
            self._anchors = tuple({key[start : start + length] for start in starts})
            self._part = re.compile(_pattern_of(key))

    def clean_text(self, text: str) -> str:
        """The text with `[key]` for each run of characters of the key."""
        # Looked for first because it is fast: a text may have megabytes.
        if not any(anchor in text for anchor in self._anchors):
            return text
        runs: list[tuple[int, int]] = []
        for count, match in enumerate(self._part.finditer(text)):
            start, end = match.span(1)
            if count == _MOST_PARTS:
                text = text[: runs[-1][1]]
                break
            if runs and start <= runs[-1][1]:  # parts that overlap, or follow one another
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((start, end))
        pieces, clean_from = [], 0
        for start, end in runs:
            pieces += [text[clean_from:start], KEY_MARK]
            clean_from = end
        return "".join([*pieces, text[clean_from:]])

    def clean_json(self, value: Any) -> Any:
        """The JSON value with all its texts, names of fields too, cleaned."""
        return _map_texts(value, self.clean_text) if self._anchors else value


def _pattern_of(key: str) -> str:
    """Matches nothing, in front of a part of the key, which is group 1: parts may overlap."""
    if len(key) < PART_LENGTH:
        return rf"(?=(?<![A-Za-z0-9])({re.escape(key)})(?![A-Za-z0-9]))"
    spellings = dict.fromkeys(
        key[start : start + PART_LENGTH] for start in range(len(key) - PART_LENGTH + 1)
    )
    # A look at the first letter spares most places the long alternatives.
    first = re.escape("".join(sorted({spelling[0] for spelling in spellings})))
    return rf"(?=[{first}])(?=({'|'.join(map(re.escape, spellings))}))"


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Depth was bounded when the JSON was read."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {change(name): _map_texts(item, change) for name, item in value.items()}
    return value
