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
        return isinstance(self, Caption | Skim | DescribeStills)

    @property
    def asks(self) -> bool:
        """Whether it puts a question to what is to be seen."""
        return isinstance(self, Look | Focus | LookAtSpans)

    @property
    def is_check(self) -> bool:
        """Whether it looks again, to check an answer."""
        return isinstance(self, Skim | Look | Focus | LookAtSpans) and self.check

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
class LookAtSpans(AgentCall):
    """Put a question to one clip that joins frames of several stretches, with their times.

    Example:
        >>> look = LookAtSpans(spans=(Span(0, 4), Span(60, 64)), question="Who?", frames=8)
        >>> look.name, look.span
        ('look', Span(start_s=0, end_s=64))
    """

    spans: tuple[Span, ...]
    """In order of time, none overlapping another."""
    question: str
    options: tuple[str, ...] = ()
    frames: int
    """Frames of all stretches together, at most."""
    shift: float = 0.0
    """See `Skim`."""
    check: bool = False
    """See `Skim`."""
    cues: tuple[str, ...] = ()
    """Timed lines that were read of the video, shown with the question as cues."""

    @property
    def name(self) -> str:
        """The same tool as `Look` to a model."""
        return "look"

    @property
    def span(self) -> Span:
        """From the start of the first stretch to the end of the last."""
        return Span(self.spans[0].start_s, self.spans[-1].end_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreStretch(AgentCall):
    """Ask how much a stretch would help to answer a question: 1 (not at all) to 4, and why.

    Example:
        >>> ScoreStretch(span=Span(0, 8), question="Who?", frames=2).asks
        False
    """

    span: Span
    question: str
    options: tuple[str, ...] = ()
    frames: int

    @property
    def name(self) -> str:
        """The tool's."""
        return "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeStills(AgentCall):
    """Describe frames one by one, each speaking for a stretch.

    Example:
        >>> call = DescribeStills(span=Span(0, 8), stills=(StillFrame(5.5, Span(4, 8)),))
        >>> call.arguments["moments"]
        [(5.5, 4, 8)]
    """

    span: Span
    stills: tuple[StillFrame, ...]

    @property
    def name(self) -> str:
        """The tool's."""
        return "describe"

    @property
    def arguments(self) -> dict[str, Any]:
        """`stills` stand there as in `Caption`."""
        rows = [(still.time_s, still.span.start_s, still.span.end_s) for still in self.stills]
        return {"span": self.span, "moments": rows}


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
class Overview(AgentCall):
    """Tell what is known of the video as a whole and of its scenes. Asks no model.

    Example:
        >>> Overview(span=Span(0, 600)).name
        'overview'
    """

    span: Span
    leaves: bool = False
    """What was described of each short stretch, in place of the whole and its scenes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchMemory(AgentCall):
    """Find what was read or said, by words, in channels and times. Asks no model.

    Example:
        >>> SearchMemory(span=Span(0, 600), text="red car").name
        'search'
    """

    span: Span
    text: str
    channels: tuple[str, ...] = ()
    """Of `mmreason.memory.records.CHANNELS`; empty for all."""
    limit: int = 8

    @property
    def name(self) -> str:
        """The tool's."""
        return "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecords(AgentCall):
    """Read records of the memory in full. Asks no model.

    Example:
        >>> ReadRecords(span=Span(0, 600), ids=("ev-2f6xqlvb",)).name
        'read'
    """

    span: Span
    ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """The tool's."""
        return "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTranscript(AgentCall):
    """Read what is said in a stretch, in passages. Asks no model.

    Example:
        >>> ReadTranscript(span=Span(0, 600)).name
        'transcript'
    """

    span: Span
    in_full: bool = False
    """Every word, in place of an outline of what is long."""

    @property
    def name(self) -> str:
        """The tool's."""
        return "transcript"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScreen(AgentCall):
    """Read what stands on the screen in a stretch, as far as it was read before. Asks no model.

    Example:
        >>> ReadScreen(span=Span(0, 600)).name
        'screen'
    """

    span: Span

    @property
    def name(self) -> str:
        """The tool's."""
        return "screen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan(AgentCall):
    """Find the frames of a stretch that differ most. Asks no model."""

    span: Span
    count: int
    """Most frames to find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundFrame(AgentCall):
    """Find the box of something in frames at some times, in each by itself.

    Example:
        >>> GroundFrame(span=Span(8, 9), times_s=(8.5,), expression="the red cup").name
        'ground'
    """

    span: Span
    times_s: tuple[float, ...]
    """In order: one for a box, several to follow it through the span."""
    expression: str

    @property
    def name(self) -> str:
        """The tool's."""
        return "ground"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenAnswer(AgentCall):
    """The answer of a model that decides, with the ids of what it observed for it.

    Example:
        >>> WrittenAnswer(choice="B", evidence_ids=("look-1",)).name
        'answer'
    """

    text: str = ""
    choice: str = ""
    """Letter of the option."""
    evidence_ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The tool's."""
        return "answer"


MemoryCall = Overview | SearchMemory | ReadRecords | ReadTranscript | ReadScreen
"""Answered from what is known already: no frames, no model."""
ToolCall = (
    Caption
    | Skim
    | Look
    | Focus
    | LookAtSpans
    | ScoreStretch
    | DescribeStills
    | Search
    | Scan
    | GroundFrame
    | MemoryCall
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoosePolicy(AgentCall):
    """Which policy answers a question from here on; why is the step's thought.

    Example:
        >>> ChoosePolicy(policy="direct", tier="small").name
        'choose'
    """

    policy: str
    tier: str
    """Of the model, see `ChatModel.tier`."""
    kind: str = ""
    """What the model takes the question for, such as "moment" or "whole"; empty where it was not
    asked."""

    @property
    def name(self) -> str:
        """The step's."""
        return "choose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Perceive(AgentCall):
    """Have a sense go through a stretch of video, for what is not known of it yet.

    Example:
        >>> str(Perceive(span=Span(0, 60), sense="speech"))
        'perceive(span=0:00.00-1:00.00, sense=speech)'
    """

    span: Span
    sense: str
    """Of `mmreason.senses.SENSE_NAMES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain(AgentCall):
    """Have a sense read once more what an answer rests on: another window, or other frames.

    Example:
        >>> ReadAgain(span=Span(4, 9), sense="screen").name
        'read_again'
    """

    span: Span
    sense: str
    """See `Perceive`."""

    @property
    def name(self) -> str:
        """The tool's."""
        return "read_again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPassages(AgentCall):
    """Have a text model choose among passages and word the answer.

    Example:
        >>> ReadPassages(span=Span(4, 60), question="Who?", passages=3).name
        'read_passages'
    """

    span: Span
    """From the first passage to the last."""
    question: str
    passages: int
    """How many it is shown."""

    @property
    def name(self) -> str:
        """The tool's."""
        return "read_passages"


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
