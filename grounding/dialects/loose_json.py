"""JSON as models write it: single quotes, commas too many or too few, cut off in the middle.

What is mended is named. A list of numbers that was cut off is dropped: its last number may be half
of one. Time is bounded by characters, whatever the text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

MOST_DEPTH = 32
"""Of brackets inside brackets."""
MOST_READINGS = 3
"""How often each character may be looked at, on average: a reading that fails goes on behind its
first bracket."""

_TOKEN = re.compile(
    r"""(?P<space>\s++)
    |(?P<mark>[\[\]{}():,])
    |(?P<double>"(?:[^"\\]|\\.)*+")
    |(?P<single>'(?:[^'\\]|\\.|'(?!\s{0,9}(?:[,:}\])]|\Z)))*+')
    |(?P<number>[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?(?!\w))
    |(?P<word>-?[A-Za-z_]\w*+)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = re.compile(r"[\[{]")
_CLOSES = {"[": "]", "{": "}", "(": ")"}
_WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
    "inf": math.inf,
    "-inf": -math.inf,
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class LooseValue:
    """A list or object found in a text, from `start` to `end`, and what was mended in it."""

    value: Any
    start: int
    end: int
    repairs: tuple[str, ...] = ()
    is_cut: bool = False


@dataclass(slots=True)
class _Container:
    """A list or object that is being read."""

    mark: str
    items: list[Any] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    has_colon: bool = False
    has_comma: bool = True
    """Whether another item may follow."""

    @property
    def value(self) -> Any:
        return self.members if self.mark == "{" else self.items


class _Unreadable(Exception):
    """What begins here is prose."""


@dataclass(slots=True)
class _Reader:
    """One pass from an opening bracket to its closing one, or to the end of the text."""

    text: str
    budget: int
    unclosed_from: int
    """No single quote from here on closes: looked for once, not again at each bracket."""
    position: int = 0
    """How far it came."""
    stack: list[_Container] = field(default_factory=list)
    repairs: dict[str, None] = field(default_factory=dict)
    """In order, each once."""

    def read(self, start: int) -> LooseValue:
        position = start
        while position < len(self.text):
            self.position = position
            token = None
            if self.text[position] != "'" or position < self.unclosed_from:
                token = _TOKEN.match(self.text, position)
            if token is None:
                if self.text[position] not in "\"'":
                    raise _Unreadable
                # A string without its end: whatever follows belongs to it.
                if self.text[position] == "'":
                    self.unclosed_from = min(self.unclosed_from, position)
                self.budget -= len(self.text) - position
                break
            self.budget -= token.end() - position
            if self.budget < 0:
                raise _Unreadable
            kind, position = token.lastgroup, token.end()
            if kind == "mark":
                value = self._mark(token[0])
                if value is not None:
                    return LooseValue(value.value, start, position, tuple(self.repairs))
            elif kind != "space":
                self._scalar(kind or "", token[0], position)
        return LooseValue(self._cut().value, start, len(self.text), tuple(self.repairs), True)

    def _mark(self, mark: str) -> _Container | None:
        """The outermost container, when this mark closes it."""
        if mark in _CLOSES:
            if self.stack:
                self._expect_value()
            if len(self.stack) >= MOST_DEPTH:
                raise _Unreadable
            if mark == "(":
                self.repairs["round brackets"] = None
            self.stack.append(_Container(mark))
            return None
        top = self.stack[-1]
        if mark == ",":
            if top.has_comma:
                self.repairs["a comma too many"] = None
            if top.key is not None:
                raise _Unreadable
            top.has_comma = True
        elif mark == ":":
            if top.mark != "{" or top.key is None or top.has_colon:
                raise _Unreadable
            top.has_colon = True
        else:
            return self._close(mark)
        return None

    def _close(self, mark: str) -> _Container | None:
        if not any(_CLOSES[open_.mark] == mark for open_ in self.stack):
            raise _Unreadable
        while True:
            top = self.stack.pop()
            if top.key is not None:
                raise _Unreadable
            if top.has_comma and top.value:
                self.repairs["a comma too many"] = None
            if not self.stack:
                return top
            self._put(top.value)
            if _CLOSES[top.mark] == mark:
                return None
            self.repairs["a bracket missing"] = None

    def _scalar(self, kind: str, text: str, end: int) -> None:
        top = self.stack[-1]
        if kind == "word":
            if top.mark == "{" and top.key is None:
                self.repairs["a key without quotes"] = None
                value: Any = text
            elif text.lower() in _WORDS:
                value = _WORDS[text.lower()]
            else:
                raise _Unreadable
        elif kind == "number":
            # A number that the text ends with may go on; its container is cut and drops it.
            value = float(text)
        else:
            value = _unescape(text[1:-1])
            if kind == "single":
                self.repairs["single quotes"] = None
        if top.mark == "{" and top.key is None:
            if not top.has_comma:
                self.repairs["a comma missing"] = None
            # Frame numbers and seconds stand as keys without quotes.
            top.key, top.has_comma = value if isinstance(value, str) else text, False
            return
        self._expect_value()
        if end == len(self.text):
            return
        self._put(value)

    def _expect_value(self) -> None:
        """Raise unless a value may come now; mend a comma that is missing."""
        top = self.stack[-1]
        if top.mark == "{":
            if not top.has_colon:
                raise _Unreadable
        elif not top.has_comma:
            self.repairs["a comma missing"] = None

    def _put(self, value: Any) -> None:
        top = self.stack[-1]
        if top.mark == "{":
            key = top.key or ""
            if key in top.members:
                self.repairs["a key twice, the last one counts"] = None
            top.members[key] = value
            top.key, top.has_colon = None, False
        else:
            top.items.append(value)
        top.has_comma = False

    def _cut(self) -> _Container:
        """What is complete of a text that ends too early."""
        while len(self.stack) > 1:
            top = self.stack.pop()
            is_row = any(isinstance(item, int | float) for item in top.items)
            if top.value and not is_row:
                self._put(top.value)
        (outermost,) = self.stack
        if any(isinstance(item, int | float) for item in outermost.items):
            outermost.items.clear()
        return outermost


def find_loose_values(text: str) -> tuple[list[LooseValue], bool]:
    """Every outermost list and object in `text` in order, and whether all of it was looked at
    (False where brackets were made to cost time).

    Example:
        >>> (value,), _ = find_loose_values("at [{'box': [1, 2, 3, 4]}, {'box': [5, 6")
        >>> value.value, value.repairs, value.is_cut
        ([{'box': [1.0, 2.0, 3.0, 4.0]}], ('single quotes',), True)
    """
    values: list[LooseValue] = []
    budget, offset, unclosed_from = MOST_READINGS * len(text) + 1000, 0, len(text)
    broken_to = 0
    while (opening := _OPENING.search(text, offset)) is not None:
        reader = _Reader(text, budget, unclosed_from)
        try:
            value = reader.read(opening.start())
        except _Unreadable:
            # A bracket may begin prose: the search goes on one character later.
            value = None
        budget, unclosed_from = reader.budget, reader.unclosed_from
        if budget < 0:
            return values, False
        # Nothing complete in what was cut off: there may be something behind its first bracket.
        if value is None or (value.is_cut and not value.value):
            offset = opening.start() + 1
            broken_to = max(broken_to, reader.position)
            continue
        if value.start < broken_to:
            around = "what stands around it is unreadable"
            value = replace(value, repairs=(*value.repairs, around))
        values.append(value)
        offset = value.end
    return values, True


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _escaped, text, flags=re.DOTALL)


def _escaped(match: re.Match[str]) -> str:
    if match[1]:
        character = chr(int(match[1], 16))
        # Half a pair can be neither written nor shown.
        return character if not 0xD800 <= ord(character) <= 0xDFFF else "\N{REPLACEMENT CHARACTER}"
    return _ESCAPES.get(match[2], match[2])
