"""The one protocol every model meets: messages with text and frames in, text and tokens out.

Models that meet it are in `hf.py`, `endpoint.py` and `scripted.py`. Imports no model library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, Protocol

from mmreason.grounding import Dialect
from mmreason.language.prompts import Prompts
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch


@dataclass(frozen=True, slots=True)
class TextPart:
    """Text of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class FramesPart:
    """Frames of a message: one clip, or still images shown one by one."""

    frames: FrameBatch
    kind: Literal["video", "image"] = "video"


Part = TextPart | FramesPart
Role = Literal["system", "user", "assistant", "tool"]
Tier = Literal["nano", "small", "strong"]
"""How much may be left to a model: nano knows scripted worlds, small is led step by step, strong
decides for itself. Small where nothing is known."""


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A tool call as a model wrote it: nothing of it is checked yet.

    Example:
        >>> WrittenCall("call_1", "search", '{"text": "budget"}').name
        'search'
    """

    id: str
    """Names the call in the message that answers it; a model behind a server chooses it."""
    name: str
    arguments: str
    """JSON text, as written."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Example:
        >>> call = WrittenCall("call_1", "search", '{"text": "budget"}')
        >>> turn = Message("assistant", (), calls=(call,))
        >>> Message("tool", (TextPart("nothing found"),), call_id=turn.calls[0].id).role
        'tool'
    """

    role: Role
    parts: tuple[Part, ...]
    calls: tuple[WrittenCall, ...] = ()
    """Of the assistant: what it called in this turn."""
    call_id: str = ""
    """Of a tool: which call this answers."""


Conversation = Sequence[Message]


def time_label(time_s: float) -> str:
    """What stands before a frame that is shown as a single image."""
    return f"<{time_s:.1f} seconds>"


def times_line(times_s: Iterable[float]) -> str:
    """What stands before a clip whose frames cannot carry their times one by one."""
    return f"<frames at {', '.join(f'{time_s:.1f}' for time_s in times_s)} seconds>"


@dataclass(frozen=True, slots=True)
class Constraint:
    """The reply has to be one of these texts."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What a model is asked for: one reply to each conversation.

    Example:
        >>> request = GenerateRequest([[Message("user", (TextPart("Is it day?"),))]], stop=(".",))
        >>> request.max_new_tokens, request.temperature
        (96, 0.0)
    """

    conversations: Sequence[Conversation]
    _: KW_ONLY
    max_new_tokens: int = 96
    temperature: float = 0.0
    """0 takes the likeliest token each time; above, `seed` decides."""
    seed: int = 0
    stop: tuple[str, ...] = ()
    """A reply ends before the first of these texts."""
    constraint: Constraint | None = None
    tools: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """JSON schemas of functions that the model may call, as `mmreason.tools.schema` makes them."""
    deadlines_s: Sequence[float] = ()
    """Of each conversation, as `time.monotonic()` counts; empty where there is none. A model behind
    a server ends a reply there; models of this process end by the number of their tokens."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens must be 1 or more, got {self.max_new_tokens}")
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"temperature must be 0 or a finite number, got {self.temperature}")
        if isinstance(self.stop, str) or not all(self.stop):
            raise UsageError(f"stop must be texts of one character or more, got {self.stop!r}")
        if self.deadlines_s and len(self.deadlines_s) != len(self.conversations):
            raise UsageError(
                f"expected a deadline for each of {len(self.conversations)} conversations, got "
                f"{len(self.deadlines_s)}"
            )

    def refuse_constraint(self, model_name: str) -> None:
        """For models that cannot be held to one. UsageError where the request has one."""
        if self.constraint is not None:
            raise UsageError(
                f"model {model_name!r} takes no constraint; leave it out of the request"
            )

    def refuse_tools(self, model_name: str) -> None:
        """For models that cannot call any. UsageError where the request has some."""
        if self.tools:
            raise UsageError(f"model {model_name!r} takes no tools; leave them out of the request")


def cut_at_stop(text: str, stop: Iterable[str]) -> str:
    """The text before the first of the `stop` texts; all of it where it holds none.

    Example:
        >>> cut_at_stop("a star. And more.", [".", "And"])
        'a star'
    """
    starts = [start for word in stop if (start := text.find(word)) >= 0]
    return text[: min(starts)] if starts else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model wrote, and what reading and writing it took."""

    text: str
    """What it says, without a thought; empty where the thought never ended."""
    token_ids: tuple[int, ...]
    """Generated tokens, the end token included where one was written; empty where the model
    behind an endpoint wrote them, which tells text only."""
    logprobs: tuple[float, ...]
    """Natural log-probability of each written token under the model at temperature 1; empty where
    an endpoint does not tell."""
    tokens_in: int
    """Text and visual tokens read."""
    tokens_out: int
    """All that were written: those of a stop text too, before which `text` ends."""
    tokens_visual: int = 0
    """The visual ones among `tokens_in`; 0 where the model does not tell."""
    note: str = ""
    """What was done to the question or the reply on its way: "declined: ..." where a guard speaks
    in the place of the model. Empty where nothing was."""
    stated_right: float | None = None
    """Measured share of such replies that are right, 0..1; None where the model is not
    calibrated."""

    thought: str = ""
    """What it thought before it spoke; empty where it did not, or did not tell."""
    raw_text: str = ""
    """Thought, tags and text as written, where there is a thought."""
    calls: tuple[WrittenCall, ...] = ()
    """Tools that it calls, of a request with `tools`; `text` is what it says beside them."""

    @property
    def written(self) -> str:
        """All that was written, for a reader of the thought and its tags."""
        return self.raw_text or self.text

    def cut_at(self, stop: Iterable[str]) -> Reply:
        """This reply up to the first of the stop texts after its thought; it cost what it cost."""
        text = cut_at_stop(self.text, stop)
        if text == self.text:
            return self
        before, is_held, _ = self.raw_text.rpartition(self.text)
        raw_text = before + text if is_held else cut_at_stop(self.raw_text, stop)
        return replace(self, text=text.strip(), raw_text=raw_text.strip())

    @property
    def confidence(self) -> float | None:
        """Share of such replies that are right where that was measured, else the geometric mean
        probability of the written tokens; 0..1, None where nothing is known."""
        if self.stated_right is not None:
            return self.stated_right
        if not self.logprobs:
            return None
        return math.exp(sum(self.logprobs) / len(self.logprobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecipe:
    """How a model likes to watch a clip and to be asked about it."""

    frames: int
    """Frames of one clip."""
    size_px: tuple[int, int] | None = None
    """(width, height) of each frame; None keeps the aspect ratio within `longest_px`."""
    leaf_s: float
    """Clip length the model sees best, in seconds; the tree's leaves come close to it."""
    longest_px: int = 640
    """Longest side where `size_px` is None."""
    multiple_px: int = 1
    """Sides are whole multiples of this where `size_px` is None."""
    overview: Literal["denser", "stills"] = "denser"
    """How stretches much longer than `leaf_s` are captioned: as one clip of more and smaller
    frames, or frame by frame, for models that lose track across cuts."""
    reads_options: bool = True
    """Whether the options of a question are shown with it. Without, its answer is matched to them
    afterwards: for models that answer worse when they see a choice."""
    reads_transcript: bool = True
    """Whether lines of subtitles are shown with a question: not to models that were trained on
    short prompts alone."""
    answer_tokens: int = 96
    """Most tokens of an answer to a question."""
    caption_tokens: int = 96
    """Most tokens of the description of a clip."""
    overview_tokens: int = 256
    """Most tokens of the description of a stretch longer than a clip, written in one piece."""
    decide_tokens: int = 1024
    """Most tokens of a turn that decides where to look."""
    prompts: Prompts = field(default_factory=Prompts)
    box_dialect: Dialect = Dialect.NORM_1000

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.leaf_s > 0:
            raise UsageError(
                f"a clip recipe needs frames >= 1 and leaf_s > 0, got {self.frames}, {self.leaf_s}"
            )
        if self.overview not in ("denser", "stills"):
            raise UsageError(f"overview must be 'denser' or 'stills', got {self.overview!r}")

    def frame_size_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        """(width, height) to show a frame of the given size at. Never enlarges beyond rounding."""
        if self.size_px is not None:
            return self.size_px
        scale = min(1.0, self.longest_px / max(width_px, height_px))
        step = self.multiple_px
        width, height = (
            max(step, round(side * scale / step) * step) for side in (width_px, height_px)
        )
        return width, height


def family_of(name: str) -> str:
    """The letters that a model's name begins with, of its last part: "qwen" for
    "Qwen/Qwen3-VL-4B-Instruct" and for the model type "qwen3_vl"."""
    last = re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1].lower()
    letters = re.match(r"[^\W\d_]+", last)
    return letters.group(0) if letters else last


class ModelError(ValueError):
    """Some conversations of a `generate` call got no reply; those of the others are kept."""

    def __init__(
        self,
        message: str,
        *,
        replies: Sequence[Reply | None],
        errors: Mapping[int, str],
    ):
        """`replies` as `generate` returns them, None where there is none; `errors` by place."""
        super().__init__(message)
        self.replies = tuple(replies)
        self.errors = dict(errors)


class ChatModel(Protocol):
    """A model that reads conversations with frames. One method, and facts."""

    @property
    def name(self) -> str:
        """Name or path as given by the caller."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies weights and processing; part of every store key."""
        ...

    @property
    def lineage(self) -> str:
        """Family of the weights, such as "nano" or "qwen": models of one family learnt much the
        same, so that their agreement proves little."""
        ...

    @property
    def calibrated(self) -> bool:
        """Whether `Reply.confidence` is the share of such replies that are right, as measured."""
        ...

    @property
    def clip(self) -> ClipRecipe:
        """How this model watches a clip."""
        ...

    @property
    def tier(self) -> Tier:
        """How much may be left to it."""
        ...

    @property
    def takes_tools(self) -> bool:
        """Whether `GenerateRequest.tools` reach it, as far as is known: a server that refuses them
        once is asked without from then on."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Fallbacks taken so far; empty where everything went the plain way."""
        ...

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """One reply a conversation, in order.

        Raises ValueError, RuntimeError or OSError for what cannot be answered: UsageError for a
        constraint or tools that the model cannot do. Where conversations fail one by one, all are
        tried first, and a `ModelError` carries the replies there are.
        """
        ...
