"""Chat templates of strangers, run within limits.

A template is a program that comes with a model. The library's sandbox lets it reach nothing and
bounds a single `range`; what is left is time and memory. Loops, macros that call themselves and
texts that double are counted while the compiled lines run. One operation cannot be interrupted, so
that what makes much of little (`'x' * 10**9`, `'%999999999d' % 1`, `.ljust(10**9)`, `|center`) is
measured before it is done: operators and calls pass the sandbox, which is watched, and of filters
only those are taken that are known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from itertools import islice
from types import BuiltinMethodType, FrameType
from typing import Any, ClassVar

import jinja2
from jinja2 import filters, nodes, runtime
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace, generate_lorem_ipsum
from markupsafe import soft_str

from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

MOST_LINES = 300_000
"""Compiled lines run for one call: many times what a batch of long dialogues takes."""
MOST_CHARACTERS = 4_000_000
"""Of one value that a template holds or is about to make."""
MOST_WRITTEN = 16_000_000
"""Characters of all that it writes for one call."""
MOST_FACTOR = 100
"""Largest number, and longest text, that a filter with a size is given."""
MOST_BITS = 10_000
"""Of a whole number."""
MOST_NAMES = 20
"""Values of one list, and arguments of one call, that are no constants: each may be long."""
_UNKNOWN_SIZE = 100
"""Characters that a value of another kind is taken for."""
_LINES_A_LOOK = 4
"""What a template holds is measured at each of so many lines: measuring takes longer than they."""

_COMPILED = "<template>"
"""What jinja2 calls the file of a compiled template."""

# The sandbox does these operators in a function of its own, which the meter sees; results are the
# same. Jinja2 has no other way to set it for environments that a library makes.
SandboxedEnvironment.intercepted_binops = frozenset({"+", "*", "**", "%"})

_FAILURES = (
    jinja2.TemplateError,
    RecursionError,
    MemoryError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)

_FILTERS = (
    "abs attr capitalize center count d default dictsort e escape first float groupby indent int "
    "items join last length list lower map max min reject rejectattr replace reverse safe select "
    "selectattr sort string title trim unique upper wordcount"
)
"""What they give is at most a few times as long as what they are given, or is measured before."""
_SIZED_FILTERS = "batch round slice sum tojson truncate"
"""Taken with small arguments that stand in the template."""
_MAPPED_FILTERS = "capitalize first int last length list lower string title tojson trim upper"
"""Taken as `map('lower')`, without arguments."""

_METHODS = (
    "capitalize casefold copy count endswith find get index isalnum isalpha isascii isdecimal "
    "isdigit islower isnumeric isspace isupper items keys lower lstrip partition removeprefix "
    "removesuffix rfind rindex rpartition rsplit rstrip split splitlines startswith strip "
    "swapcase title upper values"
)
"""Methods of texts, lists and mappings that make nothing much longer than these are."""


class _TemplateLimitError(BaseException):
    """A template went beyond a limit. No `Exception`: where jinja2 tries out constants, it swallows
    those."""


class _GenerationTag(Extension):
    """`{% generation %}` marks what a model wrote; the library that renders knows it."""

    tags: ClassVar[set[str]] = {"generation"}

    def parse(self, parser: Any) -> Any:
        """Its body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check_operations(template: object, name: str) -> None:
    """UsageError where the chat template of the model `name` cannot be read, or holds a filter
    that no limit could end. A processor may have several templates by name."""
    sources = template.values() if isinstance(template, dict) else [template]
    # The extensions that transformers turns on, without which its templates cannot be parsed.
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols", _GenerationTag])
    for source in sources:
        try:
            tree = environment.parse(str(source))
        except (jinja2.TemplateError, RecursionError) as error:
            raise _refusal(name, f"cannot be read: {error}") from error
        for node in tree.find_all(nodes.Filter):
            if not _is_bounded(node):
                raise _refusal(
                    name,
                    f"uses the filter {node.name!r} in a way that may write without end (line "
                    f"{node.lineno}); write it without",
                )
        for literal in tree.find_all((nodes.List, nodes.Tuple, nodes.Dict, nodes.Call)):
            if isinstance(literal, nodes.Call):
                count = len(literal.args) + len(literal.kwargs)
            else:
                count = len(list(islice(literal.find_all(nodes.Name), MOST_NAMES + 1)))
            if count > MOST_NAMES:
                raise _refusal(name, f"lists more than {MOST_NAMES} values at once")


def _is_bounded(node: nodes.Filter) -> bool:
    """Whether a filter, with these arguments, makes at most a few times what it is given."""
    arguments = [*node.args, *(pair.value for pair in node.kwargs)]
    # What is unpacked here does not tell its size before it runs.
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return False
    if node.name in _SIZED_FILTERS.split():
        return all(map(_is_small, arguments))
    if node.name == "map" and node.args:
        # `map` runs a filter by its name, past the checks of this function.
        mapped = node.args[0]
        is_known = isinstance(mapped, nodes.Const) and mapped.value in _MAPPED_FILTERS.split()
        return is_known and len(arguments) == 1
    return node.name in _FILTERS.split()


def _is_small(argument: nodes.Node) -> bool:
    if isinstance(argument, nodes.Tuple | nodes.List):
        return all(map(_is_small, argument.items))
    if not isinstance(argument, nodes.Const):
        return False
    value = argument.value
    if isinstance(value, int | float):
        return abs(value) <= MOST_FACTOR
    return value is None or (isinstance(value, str) and len(value) <= MOST_FACTOR)


@contextmanager
def within_limits(name: str) -> Iterator[None]:
    """Run what renders the chat template of the model `name`. UsageError where the template goes
    beyond a limit or fails, by whichever error of Python its operations raise."""
    # A debugger or a coverage tool may be tracing, and goes on afterwards.
    before = sys.gettrace()
    sys.settrace(_Meter().enter)
    try:
        yield
    except _TemplateLimitError as error:
        raise _refusal(name, str(error)) from error
    except UsageError:
        raise
    except _FAILURES as error:
        raise _refusal(
            name, f"or its processor fails: {str(error) or type(error).__name__}"
        ) from error
    finally:
        sys.settrace(before)


class _Meter:
    """Counts what one template does. `enter` and `follow` are what `sys.settrace` wants."""

    def __init__(self) -> None:
        self._lines = 0
        self._characters = 0
        self._sizes: dict[int, tuple[object, int]] = {}
        """Of lists and mappings by id, with the value itself, so that no id is used anew. The
        sandbox lets none of them change."""
        # By code object: templates cannot rename the functions that do the work.
        self._checks: dict[object, Callable[[Mapping[str, Any]], int]] = {
            SandboxedEnvironment.call_binop.__code__: self._size_of_operation,
            SandboxedEnvironment.call.__code__: self._size_of_call,
            runtime.str_join.__code__: lambda values: sum(map(self._size, values["seq"])),
            runtime.markup_join.__code__: lambda values: sum(map(self._size, values["seq"])),
            # Lists as texts and texts as lists: again and again, each makes more of the other.
            soft_str.__code__: lambda values: self._size(values["s"]),
            filters.sync_do_list.__code__: lambda values: self._size(values["value"]),
            filters.do_center.__code__: lambda values: _number(values["width"]),
            filters.do_indent.__code__: self._size_of_indent,
            filters.do_replace.__code__: lambda values: self._size_of_replace(
                values["s"], values["old"], values["new"]
            ),
            filters.sync_do_join.__code__: lambda values: self._size_of_join(
                values["d"], values["value"]
            ),
        }

    def enter(self, frame: FrameType, event: str, argument: object) -> Any:
        """Follow templates only, and measure what is about to be made for them: other code runs as
        fast as without."""
        if frame.f_code.co_filename == _COMPILED:
            return self.follow
        check = self._checks.get(frame.f_code)
        if check is None and frame.f_code.co_name == "tojson":  # made anew for each environment
            check = self._size_of_json
        if check is not None and check(frame.f_locals) > MOST_CHARACTERS:
            raise _TemplateLimitError(f"makes more than {MOST_CHARACTERS:,} characters at once")
        return None

    def follow(self, frame: FrameType, event: str, argument: object) -> Any:
        """Each line, and each text that is given back."""
        if event == "line":
            self._lines += 1
            if self._lines > MOST_LINES:
                raise _TemplateLimitError(f"runs more than {MOST_LINES:,} lines")
            if self._lines % _LINES_A_LOOK == 0 and any(
                self._size(value) > MOST_CHARACTERS for value in frame.f_locals.values()
            ):
                raise _TemplateLimitError(f"holds more than {MOST_CHARACTERS:,} characters")
        elif event == "return" and isinstance(argument, str):
            self._characters += len(argument)
            if self._characters > MOST_WRITTEN:
                raise _TemplateLimitError(f"writes more than {MOST_WRITTEN:,} characters")
        return self.follow

    def _size(self, value: object) -> int:
        """Characters, or values with all that they hold: about the length of it as a text."""
        if isinstance(value, str | bytes):
            return len(value)
        if isinstance(value, Namespace):
            # Jinja2 hides these from templates; a namespace may hold itself.
            attributes = object.__getattribute__(value, "_Namespace__attrs")
            return sum(self._size(item) for item in attributes.values() if item is not value)
        if isinstance(value, int):
            # A decimal digit takes a little more than three bits.
            return value.bit_length() // 3 + 1
        if isinstance(value, KeysView | ValuesView | ItemsView):
            value = list(value)
        if not isinstance(value, list | tuple | dict):
            return _UNKNOWN_SIZE
        if id(value) not in self._sizes:
            items = [*value, *value.values()] if isinstance(value, dict) else value
            if any(isinstance(item, Namespace) for item in items):
                return MOST_CHARACTERS + 1  # it could grow later
            size = len(value) + sum(map(self._size, items))
            self._sizes[id(value)] = (value, size)
        return self._sizes[id(value)][1]

    def _size_of_operation(self, values: Mapping[str, Any]) -> int:
        operator, left, right = values["operator"], values["left"], values["right"]
        if operator == "+":
            return self._size(left) + self._size(right)
        if operator == "*":
            if isinstance(left, int) and isinstance(right, int):
                return _size_of_bits(left.bit_length() + right.bit_length())
            return max(self._size(left) * _number(right), self._size(right) * _number(left))
        if operator == "**":
            bits = left.bit_length() * abs(right) if _are_whole(left, right) else 0
            return _size_of_bits(bits)
        if isinstance(left, str | bytes):  # what stands after the sign may be a width of any size
            raise _TemplateLimitError("formats a text with %; write it with ~")
        return 0

    def _size_of_call(self, values: Mapping[str, Any]) -> int:
        called = values["_SandboxedEnvironment__obj"]
        arguments = [*values["args"], *values["kwargs"].values()]
        name = getattr(called, "__name__", "")
        if called is generate_lorem_ipsum or name in ("format", "format_map"):
            raise _TemplateLimitError("formats a text or makes one up; write it with ~")
        if name == "strftime_now":  # a field takes up to 256 characters
            return 256 * sum(map(self._size, arguments))
        if name == "fromkeys" and len(arguments) == 2:
            return self._size_of_join(arguments[1], arguments[0])
        if not isinstance(called, BuiltinMethodType) or name in _METHODS.split():
            return 0
        owner = called.__self__
        if name == "replace" and len(arguments) >= 2:
            return self._size_of_replace(owner, *arguments[:2])
        if name == "join" and len(arguments) == 1:
            return self._size_of_join(owner, arguments[0])
        # Widths of `center`, `ljust`, `zfill`, `expandtabs`, and what may come: each character of
        # the owner may become all of the arguments.
        total = sum(_number(argument) + self._size(argument) for argument in arguments)
        return (self._size(owner) + 1) * (total + 1)

    def _size_of_json(self, values: Mapping[str, Any]) -> int:
        return self._size(values.get("x")) * (1 + _number(values.get("indent")))

    def _size_of_indent(self, values: Mapping[str, Any]) -> int:
        width = values["width"]
        indent = len(width) if isinstance(width, str) else _number(width)
        text = str(values["s"])
        return len(text) + (text.count("\n") + 1) * indent

    def _size_of_replace(self, text: object, old: object, new: object) -> int:
        length = self._size(text)
        return length + (length // max(self._size(old), 1) + 1) * self._size(new)

    def _size_of_join(self, between: object, values: object) -> int:
        # An iterator does not tell its length, so that the most is assumed.
        count = len(values) if isinstance(values, list | tuple | dict | str) else MOST_LINES
        return self._size(values) + count * self._size(between)


def _number(value: object) -> int:
    return abs(int(value)) if isinstance(value, int) else 0


def _are_whole(*values: object) -> bool:
    return all(isinstance(value, int) for value in values)


def _size_of_bits(bits: int) -> int:
    """More than any limit for whole numbers that take long to reckon with."""
    return MOST_CHARACTERS + 1 if bits > MOST_BITS else 0


def _refusal(name: str, reason: str) -> UsageError:
    return UsageError(f"the chat template of model {name!r} {show_line(reason)[:300]}")
