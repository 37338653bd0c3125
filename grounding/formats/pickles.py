"""Pickles of plain data, read by an interpreter of our own that cannot call anything.

`refer` publishes its references as pickles, and unpickling runs what a file says. Here lists,
dictionaries, tuples, texts and numbers are built, and nothing is imported, called or set; every
other instruction refuses the file before anything after it is looked at.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_PICKLE_BYTES = 500_000_000
_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    )
)
"""Instructions whose argument is the value."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class PickleInputError(ValueError):
    """A pickle that is damaged, too long, or holds more than plain data; nothing of it was run."""


def read_plain_pickle(path: Path) -> Any:
    """The plain data in a pickle. Raises PickleInputError and OSError.

    Example:
        >>> read_plain_pickle(Path("refs(unc).p"))[0]["ref_id"]  # doctest: +SKIP
        0
    """
    with path.open("rb") as file:
        data = file.read(MOST_PICKLE_BYTES + 1)
    return parse_plain_pickle(data)


def parse_plain_pickle(data: bytes) -> Any:
    """The plain data that `data` holds. Raises PickleInputError.

    Example:
        >>> import pickle
        >>> parse_plain_pickle(pickle.dumps([{"ref_id": 1, "sent_ids": (2, 3)}]))
        [{'ref_id': 1, 'sent_ids': (2, 3)}]
        >>> parse_plain_pickle(b"cos\\nsystem\\n(S'ls'\\ntR.")
        Traceback (most recent call last):
        ...
        mmreason.grounding.formats.pickles.PickleInputError: holds more than lists, texts and \
numbers (instruction GLOBAL at byte 0); nothing was run. Save the rows as JSON
    """
    if len(data) > MOST_PICKLE_BYTES:
        raise PickleInputError(f"has more than the limit of {MOST_PICKLE_BYTES:,} bytes")
    try:
        return _Machine().run(pickletools.genops(io.BytesIO(data)))
    except PickleInputError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise PickleInputError(f"is a damaged pickle ({reason:.120}); fetch it again") from error


class _Machine:
    """The stack and the memo of a pickle; `run` gives the value on which it stops."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        # A dictionary: a list would grow to whatever place a file names.
        self.memo: dict[int, Any] = {}

    def run(self, instructions: Iterator[tuple[Any, Any, int | None]]) -> Any:
        stack = self.stack
        for opcode, argument, position in instructions:
            name = opcode.name
            if name in _VALUES:
                stack.append(argument)
            elif name == "STOP":
                break
            elif not self._step(name, argument):
                raise PickleInputError(
                    f"holds more than lists, texts and numbers (instruction {name} at byte "
                    f"{position}); nothing was run. Save the rows as JSON"
                )
        if len(stack) != 1 or stack[0] is _MARK:
            raise ValueError("it ends in the middle")
        return stack[0]

    def _step(self, name: str, argument: Any) -> bool:
        """Whether the instruction is one of plain data."""
        stack, memo = self.stack, self.memo
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(_CONSTANTS[name])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "LIST":
                stack.append(self._pop_to_mark())
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [self._pop() for _ in range(_TUPLE_SIZES[name])]
                stack.append(tuple(reversed(items)))
            case "DICT":
                target: dict[Any, Any] = {}
                self._set_items(target, self._pop_to_mark())
                stack.append(target)
            case "APPEND":
                item = self._pop()
                self._top(list).append(item)
            case "APPENDS":
                items = self._pop_to_mark()
                self._top(list).extend(items)
            case "SETITEM":
                value, key = self._pop(), self._pop()
                self._set_items(self._top(dict), [key, value])
            case "SETITEMS":
                items = self._pop_to_mark()
                self._set_items(self._top(dict), items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = self._top(object)
            case "MEMOIZE":
                memo[len(memo)] = self._top(object)
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case _:
                return False
        return True

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("its stack is empty")
        return self.stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        items = []
        while self.stack[-1] is not _MARK:
            items.append(self.stack.pop())
        self.stack.pop()
        return items[::-1]

    def _top(self, kind: type) -> Any:
        if not self.stack or self.stack[-1] is _MARK or not isinstance(self.stack[-1], kind):
            raise ValueError(f"expected a {kind.__name__} on its stack")
        return self.stack[-1]

    def _set_items(self, target: dict[Any, Any], items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values) or not all(isinstance(key, str | int) for key in keys):
            raise ValueError("keys of a dictionary must be texts or whole numbers")
        target.update(zip(keys, values, strict=True))
