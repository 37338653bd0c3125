"""What passes between the tools, their driver and the models: calls that are prepared, requests to
models, who plays which role. Performing them is in `toolbox.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mmreason.models.base import ChatModel, GenerateRequest, Reply
from mmreason.tool_calls import ToolCall
from mmreason.tools.views import View
from mmreason.video.types import Span

BATCH_PIXELS = 16_000_000
"""Pixels decoded and shown at once: a batch of calls is cut where it would exceed this."""
BATCH_VIEWS = 32
"""Requests to a model that go together."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Which model is to be asked for what. Drivers send back the replies, or throw in what went
    wrong."""

    model: ChatModel
    request: GenerateRequest

    def perform(self) -> list[Reply]:
        """Ask now, and only this."""
        return self.model.generate(self.request)


FAILURES = (ValueError, RuntimeError, OSError)
"""What decoders and models raise for an input that they cannot take."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Yielded before what is not stored yet is asked for: send None when no other question in
    flight is asking for these. They are this question's until it yields again after its request."""

    keys: frozenset[str]
    """Of the store."""


ResultT = TypeVar("ResultT")
ToolRun = Generator[ModelRequest | Reserve, Any, ResultT]
"""Tools at work: sent the replies to a `ModelRequest` (or thrown one of `FAILURES`), None to a
`Reserve`."""


def send_request(request: ModelRequest) -> Generator[ModelRequest, list[Reply], list[Reply]]:
    """Have a model asked; gives a reply a conversation."""
    return (yield request)


def reserve_keys(keys: frozenset[str]) -> Generator[Reserve, None, None]:
    """Wait until no other question in flight asks for these."""
    yield Reserve(keys)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who does what. The same model may play all three."""

    observer: ChatModel
    """Captions and looks."""
    checker: ChatModel
    """Looks again at the evidence."""
    reasoner: ChatModel
    """Decides where to look, for policies that ask a model."""

    def by_name(self) -> dict[str, ChatModel]:
        return {"observer": self.observer, "checker": self.checker, "reasoner": self.reasoner}

    def watcher(self, call: ToolCall) -> ChatModel:
        return self.checker if call.is_check else self.observer


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCall:
    """A call whose frames and store key are known, with the stored reply where there is one."""

    call: ToolCall
    prompt: str
    max_new_tokens: int
    views: tuple[View, ...]
    key: str
    stored: dict[str, Any] | None

    @property
    def span(self) -> Span:
        return self.call.span

    @property
    def frame_count(self) -> int:
        return sum(len(view.times_s) for view in self.views)

    @property
    def new_frames(self) -> int:
        """Frames a model would be shown by performing this."""
        return 0 if self.stored is not None else self.frame_count


def first_line(error: Exception) -> str:
    """What went wrong, on one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def split_batches(prepared: Sequence[PreparedCall]) -> Iterator[list[int]]:
    """Positions that are asked together: new calls of one role and length, within the limits."""
    waiting: list[int] = []
    pixels = views = 0
    for index, call in enumerate(prepared):
        # What the store holds, searches and scans ask no model: each goes by itself.
        alone = call.stored is not None or not call.views
        # Counted before it is placed: a call that does not fit begins the next batch.
        pixels += sum(view.pixel_count for view in call.views)
        views += len(call.views)
        fits = pixels <= BATCH_PIXELS and views <= BATCH_VIEWS
        differs = waiting and _batch_kind(prepared[waiting[0]]) != _batch_kind(call)
        if waiting and (alone or not fits or differs):
            yield waiting
            waiting = []
            pixels, views = sum(view.pixel_count for view in call.views), len(call.views)
        if alone:
            yield [index]
            pixels = views = 0
        else:
            waiting.append(index)
    if waiting:
        yield waiting


def _batch_kind(prepared: PreparedCall) -> tuple[bool, int]:
    return prepared.call.is_check, prepared.max_new_tokens
