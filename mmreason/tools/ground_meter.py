"""What grounding may spend, counted before it is spent: a model and a video behind a meter.

meter = Meter(Budget(frames=48, rounds=6))
model = MeteredModel(model, meter)      # raises BudgetSpent in place of asking too much
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from mmreason.grounding import Detection, Detector
from mmreason.models.base import ChatModel, ClipRecipe, FramesPart, GenerateRequest, Reply, Tier
from mmreason.types import Budget, Cost, StopReason
from mmreason.video.types import FrameBatch


class BudgetSpent(Exception):
    """The next request would go beyond a limit. Not among the failures that tools forgive."""

    def __init__(self, limit: StopReason):
        super().__init__(f"the budget is spent ({limit})")
        self.limit = limit


@dataclass
class Meter:
    """Frames shown to models, calls, tokens and seconds so far, and their limits.

    A round of the budget is one call here: one question to a model.
    """

    budget: Budget
    cost: Cost = field(default_factory=Cost)
    started_s: float = field(default_factory=time.monotonic)
    declined: dict[str, None] = field(default_factory=dict)
    """Why models declined to answer, each reason once: a decline is no absence."""

    def check(self, planned: Cost) -> None:
        """Raise BudgetSpent where `planned` does not fit into what is left."""
        elapsed = Cost(seconds=time.monotonic() - self.started_s)
        limit = self.budget.exceeded_by(self.cost + planned + elapsed)
        if limit is not None:
            raise BudgetSpent(limit)

    def has_room(self, frames: int, calls: int) -> bool:
        """Whether so much could be asked now."""
        try:
            self.check(Cost(frames=frames, rounds=calls))
        except BudgetSpent:
            return False
        return True

    @property
    def frames_left(self) -> int | None:
        """None without a limit."""
        limit = self.budget.frames
        return None if limit is None else max(0, limit - self.cost.frames)

    @property
    def calls_left(self) -> int | None:
        """None without a limit."""
        limit = self.budget.rounds
        return None if limit is None else max(0, limit - self.cost.rounds)

    @property
    def deadline_s(self) -> float | None:
        """As `time.monotonic()` counts; None without a limit."""
        limit_s = self.budget.seconds
        return None if limit_s is None else self.started_s + limit_s

    def to_dict(self) -> dict[str, float]:
        """What was spent, in JSON types."""
        return {
            "frames": self.cost.frames,
            "frames_decoded": self.cost.frames_scanned,
            "calls": self.cost.model_calls,
            "tokens_in": self.cost.tokens_in,
            "tokens_out": self.cost.tokens_out,
            "seconds": round(time.monotonic() - self.started_s, 3),
        }


@dataclass
class MeteredModel:
    """A model that asks its meter first. See `ChatModel`."""

    inner: ChatModel
    meter: Meter

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def fingerprint(self) -> str:
        return self.inner.fingerprint

    @property
    def lineage(self) -> str:
        return self.inner.lineage

    @property
    def calibrated(self) -> bool:
        return self.inner.calibrated

    @property
    def clip(self) -> ClipRecipe:
        return self.inner.clip

    @property
    def tier(self) -> Tier:
        return self.inner.tier

    @property
    def takes_tools(self) -> bool:
        return self.inner.takes_tools

    @property
    def notes(self) -> tuple[str, ...]:
        return self.inner.notes

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Raises BudgetSpent where a limit would be broken; nothing is asked
        then."""
        frames = count_frames(request)
        calls = len(request.conversations)
        planned = Cost(frames=frames, rounds=calls, model_calls=calls)
        self.meter.check(planned)
        deadline_s = self.meter.deadline_s
        if deadline_s is not None:
            request = replace(request, deadlines_s=(deadline_s,) * calls)
        replies = self.inner.generate(request)
        tokens = Cost(
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
        )
        self.meter.cost += planned + tokens
        self.meter.declined |= dict.fromkeys(
            reply.note for reply in replies if reply.note.startswith("declined: ")
        )
        return replies


def count_frames(request: GenerateRequest) -> int:
    """Frames that a request shows."""
    return sum(
        len(part.frames)
        for conversation in request.conversations
        for message in conversation
        for part in message.parts
        if isinstance(part, FramesPart)
    )


@dataclass
class MeteredDetector:
    """A detector whose frames count as shown. See `Detector`."""

    inner: Detector
    meter: Meter

    @property
    def name(self) -> str:
        return self.inner.name

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """See `Detector`. Raises BudgetSpent where a limit would be broken."""
        planned = Cost(frames=len(frames))
        self.meter.check(planned)
        detections = self.inner.detect(frames, phrase)
        self.meter.cost += planned
        return detections
