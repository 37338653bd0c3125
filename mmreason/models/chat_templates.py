"""Chat templates of strangers, run within limits.

A template is a program that comes with a model. The library's sandbox lets it reach nothing and
bounds a single `range`; what is left is time and memory: loops in loops, a macro that calls itself,
text that doubles. Its compiled lines are counted here while it runs, in this thread, and the text
that it holds and writes is measured. One operation cannot be interrupted: powers, and
products by what is no small number, are refused before; a filter or a format that makes gigabytes
of a short text (`join`, `center`, `'%999999999d'`) is not covered.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.utils import Namespace

from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

MOST_LINES = 300_000
"""Compiled lines run for one call: many times what a batch of long dialogues takes."""
MOST_CHARACTERS = 16_000_000
"""Of one text that a template holds, and of all that it writes."""
MOST_FACTOR = 100
_LINES_A_LOOK = 4
"""What a template holds is measured at each of so many lines: measuring takes longer than they."""

_COMPILED = "<template>"
"""What jinja2 calls the file of a compiled template."""


_FAILURES = (
    jinja2.TemplateError,
    RecursionError,
    MemoryError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
)


class _TemplateLimitError(Exception):
    """A template went beyond a limit. None of the kinds that a library might swallow."""


class _GenerationTag(Extension):
    """`{% generation %}` marks what a model wrote; the library that renders knows it."""

    tags: ClassVar[set[str]] = {"generation"}

    def parse(self, parser: Any) -> Any:
        """Its body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check_operations(template: object, name: str) -> None:
    """UsageError where the chat template of the model `name` cannot be read, or holds an operation
    that no limit could end. A processor may have several templates by name."""
    sources = template.values() if isinstance(template, dict) else [template]
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols", _GenerationTag])
    for source in sources:
        try:
            tree = environment.parse(str(source))
        except (jinja2.TemplateError, RecursionError) as error:
            raise _refusal(name, f"cannot be read: {error}") from error
        if tree.find(nodes.Pow) is not None:
            raise _refusal(name, "holds a power (**), which may take for ever; write the number")
        for product in tree.find_all(nodes.Mul):
            if not any(_is_small(factor) for factor in (product.left, product.right)):
                raise _refusal(name, f"holds a product without a factor up to {MOST_FACTOR}")


@contextmanager
def within_limits(name: str) -> Iterator[None]:
    """Run what renders the chat template of the model `name`. UsageError where the template goes
    beyond a limit or fails, by whichever error of Python its operations raise."""
    before = sys.gettrace()
    sys.settrace(_Meter().enter)
    try:
        yield
    except _TemplateLimitError as error:
        raise _refusal(name, str(error)) from error
    except _FAILURES as error:
        raise _refusal(
            name, f"or its processor fails: {str(error) or type(error).__name__}"
        ) from error
    finally:
        sys.settrace(before)


class _Meter:
    """Counts what one template does. Its methods are what `sys.settrace` wants."""

    def __init__(self) -> None:
        self._lines = 0
        self._characters = 0

    def enter(self, frame: FrameType, event: str, argument: object) -> Any:
        """Follow templates only: other code runs as fast as without."""
        return self.follow if frame.f_code.co_filename == _COMPILED else None

    def follow(self, frame: FrameType, event: str, argument: object) -> Any:
        """Each line, and each text that is given back."""
        if event == "line":
            self._lines += 1
            if self._lines > MOST_LINES:
                raise _TemplateLimitError(f"runs more than {MOST_LINES:,} lines")
            if self._lines % _LINES_A_LOOK == 0 and any(
                _size(value) > MOST_CHARACTERS for value in frame.f_locals.values()
            ):
                raise _TemplateLimitError(f"holds more than {MOST_CHARACTERS:,} characters")
        elif event == "return" and isinstance(argument, str):
            self._characters += len(argument)
            if self._characters > MOST_CHARACTERS:
                raise _TemplateLimitError(f"writes more than {MOST_CHARACTERS:,} characters")
        return self.follow


def _size(value: object) -> int:
    if isinstance(value, str | list):
        return len(value)
    if isinstance(value, Namespace):
        attributes = object.__getattribute__(value, "_Namespace__attrs")
        return max((_size(one) for one in attributes.values() if one is not value), default=0)
    return 0


def _is_small(factor: nodes.Node) -> bool:
    return (
        isinstance(factor, nodes.Const)
        and isinstance(factor.value, int | float)
        and abs(factor.value) <= MOST_FACTOR
    )


def _refusal(name: str, reason: str) -> UsageError:
    return UsageError(f"the chat template of model {name!r} {show_line(reason)[:300]}")
