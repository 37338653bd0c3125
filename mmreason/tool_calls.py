"""What the agent does, one frozen record a tool. They become JSON at the edge only: in traces and
in what a model is told.

    call = Look(span=Span(12, 16), question="What colour is the star?", shift=0.0)
    call.name, call.arguments    # "look", {"span": ..., "question": ..., "shift": 0.0}
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal

from mmreason.video.types import Span

NodeId = tuple[int, ...]
"""Of a node in the temporal tree: 1-based places from the top down, `()` for the whole video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCall:
    """One thing that the agent did: `name` and `arguments`."""

    JSON_PROPERTIES: ClassVar[tuple[str, ...]] = ("name", "arguments")
    JSON_FIELDS: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The tool's."""
        return type(self).__name__.lower()

    @property
    def arguments(self) -> dict[str, Any]:
        """Field -> value, without those that have their default."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return {
            name: value
            for name, value in values.items()
            if defaults[name] is MISSING or value != defaults[name]
        }

    @property
    def describes(self) -> bool:
        """Whether it tells what is to be seen, without a question."""
        return isinstance(self, Caption | Skim)

    @property
    def asks(self) -> bool:
        """Whether it puts a question to what is to be seen."""
        return isinstance(self, Look | Focus)

    @property
    def is_check(self) -> bool:
        """Whether it looks again, to check an answer."""
        return isinstance(self, Skim | Look | Focus) and self.check

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.arguments.items())})"


@dataclass(frozen=True, slots=True)
class StillFrame:
    """A frame that speaks for a stretch of video.

    Example:
        >>> StillFrame(5.5, Span(4, 8)).span.duration_s
        4
    """

    time_s: float
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption(AgentCall):
    """Describe a node of the temporal tree.

    Example:
        >>> str(Caption(span=Span(0, 8), node=(1, 2)))
        'caption(span=0:00.00-0:08.00, node=(1, 2))'
    """

    span: Span
    node: NodeId
    stills: tuple[StillFrame, ...] = ()
    """Frames to show in place of evenly spaced ones, the most telling first."""

    @property
    def arguments(self) -> dict[str, Any]:
        """`stills` stand there as `moments`, lists of [time, start, end] in seconds."""
        arguments: dict[str, Any] = {"span": self.span, "node": self.node}
        if self.stills:
            rows = [(s.time_s, s.span.start_s, s.span.end_s) for s in self.stills]
            arguments["moments"] = rows
        return arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Skim(AgentCall):
    """Describe any stretch from few frames.

    Example:
        >>> Skim(span=Span(0, 8), check=True).is_check
        True
    """

    span: Span
    shift: float = 0.0
    """Moves the frames by this share (-0.5..0.5) of the distance between them."""
    check: bool = False
    """Made to check an answer: the checker does it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(AgentCall):
    """Put a question to one clip of a stretch.

    Example:
        >>> Look(span=Span(0, 8), question="Is there a dog?", shift=0.0).asks
        True
    """

    span: Span
    question: str
    options: tuple[str, ...] = ()
    shift: float
    """See `Skim`."""
    check: bool = False
    """See `Skim`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus(AgentCall):
    """Put a question to each of up to four short clips of a stretch."""

    span: Span
    question: str
    options: tuple[str, ...] = ()
    check: bool = False
    """See `Skim`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search(AgentCall):
    """Find words in what was described so far and in the subtitles.

    Example:
        >>> Search(span=Span(0, 60), text="the budget").arguments["text"]
        'the budget'
    """

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(AgentCall):
    """Find the frames of a stretch that differ most. Asks no model."""

    span: Span
    count: int
    """Most frames to find."""


ToolCall = Caption | Skim | Look | Focus | Search | Scan


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTurn(AgentCall):
    """What the model that decides did without a tool: it gave an answer, wrote what cannot be read,
    or could not be asked."""

    kind: Literal["answer", "invalid", "consult"]
    text: str = ""

    @property
    def name(self) -> str:
        """`kind`."""
        return self.kind

    @property
    def arguments(self) -> dict[str, Any]:
        """The text, where there is one."""
        return {"text": self.text} if self.text else {}
