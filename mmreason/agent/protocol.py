"""What passes between a policy, the loop and its driver: actions one way, results the other.

A policy is a generator: it yields a `CallTools`, `AskModel`, `RecordNote` or `Claim` and is sent
what came of it. The functions below that bear the actions' names make each of them one typed
expression: `results = yield from call_tools(CallTools("look here", (call,)))`. The rules of the
game are the loop's (`loop.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from mmreason.agent.question import Question
from mmreason.memory.tree import Tree
from mmreason.models.base import Message, Reply, Tier
from mmreason.tool_calls import AgentCall, Focus, Look, LookAtSpans, Skim, ToolCall
from mmreason.types import Budget, Check, Note, Observation, StopReason
from mmreason.video.types import Span


@dataclass(frozen=True, slots=True)
class ModelId:
    """Who speaks, so that a model's agreement with itself is not taken for another's.

    Example:
        >>> ModelId("Qwen/Qwen3-VL-4B-Instruct", "qwen").lineage
        'qwen'
    """

    name: str = ""
    lineage: str = ""
    """See `ChatModel.lineage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question with what a policy may know before it looks.

    Example:
        >>> question = Question(video="dog.mp4", text="Is there a dog?")
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> Inquiry(question=question, tree=tree, leaf_s=4.0).question.text
        'Is there a dog?'
    """

    question: Question
    tree: Tree
    leaf_s: float
    """Clip length the observer sees best, in seconds."""
    has_subtitles: bool = False
    transcript: tuple[Note, ...] = ()
    """Passages of the subtitles that match the question, for a reasoning model that reads them."""
    budget: Budget = field(default_factory=Budget)
    """The driver's: it refuses what goes beyond, whatever a policy makes of it."""
    tier: Tier = "nano"
    """Of the model that decides; nano where the one that looks is."""
    takes_tools: bool = False
    """Whether the model that decides can be sent tools as such."""
    observer: ModelId = ModelId()
    checker: ModelId = ModelId()
    reasoner: ModelId = ModelId()


@dataclass(frozen=True, slots=True)
class CallTools:
    """Tool calls to be made in one round, each independent of the others.

    Example:
        >>> call = look_call(Span(8, 12), "Is there a dog?")
        >>> CallTools("the caption of this part tells of a dog", (call,)).opening
        False
    """

    thought: str
    calls: tuple[ToolCall, ...]
    opening: bool = False
    """Part of the start state, such as the captions of the top level: not counted as a round."""


@dataclass(frozen=True, slots=True)
class Results:
    """What came of `CallTools`: observations of its first calls, all of them unless `spent`.

    Example:
        >>> Results((Observation(text="yes", span=Span(8, 12)),)).spent is None
        True
    """

    observations: tuple[Observation, ...]
    spent: StopReason | None = None
    """The limit that refused the rest."""


@dataclass(frozen=True, slots=True)
class AskModel:
    """A request to the reasoning model."""

    messages: Sequence[Message]
    max_new_tokens: int
    temperature: float = 0.0
    tools: tuple[Mapping[str, Any], ...] = ()
    """JSON schemas of what it may call, for models that take tools."""
    may_fail: bool = False
    """The policy has another way where this gets no reply: asked once, and no end of the play."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Sent instead of a reply: the budget does not allow the request, or the model fails. Yielded
    by a policy: a limit of its own ends the play, so that no one takes the end for a finding."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class RecordNote:
    """Something that happened without a tool: a malformed call, a repeated one, an answer."""

    thought: str
    call: AgentCall
    error: str | None
    """What was wrong; None for an answer, which costs nothing and which no budget refuses."""
    counted: bool = False
    """Whether its round is counted already, by other calls of the same round."""


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """A look that speaks for a claim, so that it can be looked at again."""

    look: Look | Focus | Skim | LookAtSpans
    observation: Observation
    span: Span
    """What the answer's evidence will name: the look's own span, or what matched around it."""
    checked: bool = False
    """The look was itself the check, of what a description of the place told before."""


class CheckStatus(StrEnum):
    """How a claim stands after its check."""

    AGREED = "agreed"
    """Looking again says the same: enough to end the search, whoever looked."""
    UNCHECKED = "unchecked"
    """No other frames could be seen, or the second look says something else at length."""
    UNSUPPORTED = "unsupported"
    """Looking again contradicts it."""
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An answer that the policy would give. The loop checks it against its evidence.

    Example:
        >>> look, span = look_call(Span(8, 12), "What colour is the star?"), Span(9, 10)
        >>> reference = EvidenceRef(look, Observation(text="red", span=look.span), span)
        >>> Claim(text="red", supports=(reference,)).supports[0].span
        Span(start_s=9, end_s=10)
    """

    text: str
    choice: int | None = None
    supports: tuple[EvidenceRef, ...] = ()
    negative: bool = False
    """Says that the thing asked for is not there: kept for the end, not checked."""
    abstains: bool = False
    """With `negative`: says that nobody can tell, which is no answer to yes or no either."""
    status: CheckStatus | None = None
    """Set by a policy that has checked it by other means."""
    compared: bool = True
    """With `status`: whether what was seen first was held against another look. Where the answer
    was read from one reading alone, nothing has checked that."""
    thought: str = "check: other frames of the same stretch, the question only"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the loop thinks of a claim. The play ends with the first one that a check agrees to."""

    status: CheckStatus
    missing: str = ""
    """What the check saw instead: a note for the reasoner."""
    check: Check = field(default_factory=Check)
    """The same for people: who looked again at this place, and how it went."""


Action = CallTools | AskModel | RecordNote | Claim | Stopped
Outcome = Results | Reply | Stopped | CheckResult | None
"""What is sent back: `Results` to `CallTools`, a `Reply` or `Stopped` to `AskModel`, None or
`Stopped` to `RecordNote`, a `CheckResult` to `Claim`, None to `Stopped`."""

ResultT = TypeVar("ResultT")
# What is sent depends on the action, which a generator's type cannot say: hence Any, and the
# functions below, which give each action the type of its outcome.
PlayPart = Generator[Action, Any, ResultT]
"""A part of a play that comes to a result."""
Play = PlayPart[None]


def call_tools(action: CallTools) -> Generator[CallTools, Results, Results]:
    """Have calls made; gives what came of them."""
    return (yield action)


def ask_model(action: AskModel) -> Generator[AskModel, Reply | Stopped, Reply | Stopped]:
    """Ask the reasoning model; gives its reply, or why there is none."""
    return (yield action)


def record_note(action: RecordNote) -> Generator[RecordNote, Stopped | None, Stopped | None]:
    """Put what happened without a tool into the trace; gives `Stopped` where the budget ends."""
    return (yield action)


def claim_answer(action: Claim) -> Generator[Claim, CheckResult, CheckResult]:
    """Propose an answer; gives what its check came to."""
    return (yield action)


@dataclass(frozen=True, slots=True)
class CaptionNeeds:
    """Which captions of a long video a policy reads, so that an index can make them ahead.

    Example:
        >>> CaptionNeeds(scan=True)
        CaptionNeeds(scan=True, parent_stills=False)
    """

    scan: bool = False
    """Those of the frames that a scan finds to differ most, in place of even ones."""
    parent_stills: bool = False
    """See `tools.scan.caption_call`."""


class Policy(Protocol):
    """Decides where to look. Stateless: all that changes lives in the play."""

    @property
    def name(self) -> str:
        """Short name, part of an answer's settings."""
        ...

    @property
    def caption_needs(self) -> CaptionNeeds:
        """The captions that it reads."""
        ...

    def play(self, inquiry: Inquiry) -> Play:
        """Start on a question. The play ends by returning; it may end without any claim."""
        ...


def look_call(span: Span, question: str, options: tuple[str, ...] = (), shift: float = 0.0) -> Look:
    """A look at one stretch with a question.

    Example:
        >>> str(look_call(Span(8, 12), "Is there a dog?"))
        'look(span=0:08.00-0:12.00, question=Is there a dog?, shift=0.0)'
    """
    return Look(span=span, question=question, options=options, shift=shift)
