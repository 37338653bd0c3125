"""What passes between the tools, their driver and the models: calls that are prepared, requests to
models, who plays which role.

Leaves out performing them (`tools.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
class Awaited:
    """Yielded instead of a request whose replies another question has asked for already: send None
    when others have gone on."""


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
class Prepared:
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


def batches(prepared: Sequence[Prepared]) -> Iterator[list[int]]:
    """Positions that are asked together: new calls of one role and length, within the limits."""
    waiting: list[int] = []
    pixels = views = 0
    for index, one in enumerate(prepared):
        alone = one.stored is not None or not one.views
        pixels += sum(view.pixel_count for view in one.views)
        views += len(one.views)
        fits = pixels <= BATCH_PIXELS and views <= BATCH_VIEWS
        if waiting and (alone or not fits or _kind(prepared[waiting[0]]) != _kind(one)):
            yield waiting
            waiting = []
            pixels, views = sum(view.pixel_count for view in one.views), len(one.views)
        if alone:
            yield [index]
            pixels = views = 0
        else:
            waiting.append(index)
    if waiting:
        yield waiting


def _kind(one: Prepared) -> tuple[bool, int]:
    return one.call.is_check, one.max_new_tokens
