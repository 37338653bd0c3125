"""The one protocol every model meets: messages with text and frames in, text and tokens out.

Models that meet it are in `hf.py`, `endpoint.py` and `scripted.py`. Imports no model library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

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


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


Conversation = Sequence[Message]


def time_label(time_s: float) -> str:
    """What stands before a frame that is shown as a single image."""
    return f"<{time_s:.1f} seconds>"


def times_line(times_s: Iterable[float]) -> str:
    """What stands before a clip whose frames cannot carry their times one by one."""
    return f"<frames at {', '.join(f'{time_s:.1f}' for time_s in times_s)} seconds>"


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

    @property
    def written(self) -> str:
        """All that was written, for a reader of the thought and its tags."""
        return self.raw_text or self.text

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
    found = re.match(r"[^\W\d_]+", last)
    return found.group(0) if found else last


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
    def notes(self) -> tuple[str, ...]:
        """Fallbacks taken so far; empty where everything went the plain way."""
        ...

    def generate(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Reply]:
        """One reply a conversation, in order. Greedy at temperature 0; else `seed` decides.

        Raises ValueError, RuntimeError or OSError for what cannot be answered. Where conversations
        fail one by one, all are tried first, and a `ModelError` carries the replies there are.
        """
        ...


@runtime_checkable
class TimedModel(Protocol):
    """A `ChatModel` that can end a call when its time is up: one behind a server, which answers as
    slowly as it likes. Models of this process end by the number of their tokens."""

    def generate_until(
        self,
        deadlines_s: Sequence[float],
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Reply]:
        """`generate` with a deadline for each conversation, a value of `time.monotonic()`; `inf`
        for none. What is not there by then is an error of a `ModelError`."""
        ...
