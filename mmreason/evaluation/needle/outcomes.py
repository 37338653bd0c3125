"""What came of one item: the answer, what was visited on the way, what it cost. JSON in and out.

`metrics.py` says how good that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmreason.language.refusals import says_absent
from mmreason.needle.items import Item
from mmreason.tool_calls import Caption, Focus, Look, Skim
from mmreason.types import Answer, Cost, Step, StopReason
from mmreason.video.types import Span

_TOOLS_WITH_QUESTION = frozenset(tool.__name__.lower() for tool in (Look, Focus, Skim))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One tool call.

    Example:
        >>> visit = Visit(
        ...     tool="look", node=None, span=Span(60.0, 64.0), frame_times_s=(60.5, 62.5),
        ...     rounds=1, frames=2,
        ... )
        >>> visit.shows_question
        True
    """

    tool: str
    node: tuple[int, ...] | None
    """Id of the tree's node, where the call was about one."""
    span: Span
    frame_times_s: tuple[float, ...]
    rounds: int
    frames: int
    """Frames that a model was shown: 0 for a call that the store served."""
    cached: bool = False
    failed: bool = False

    @property
    def shows_question(self) -> bool:
        """Whether frames were shown together with the question."""
        return self.tool in _TOOLS_WITH_QUESTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One item answered by one method, or failed."""

    item: Item
    method: str
    choice: int | None
    text: str
    confidence: float | None
    stop_reason: str
    evidence: tuple[tuple[Span, tuple[float, ...], bool], ...]
    """(span, frame times, verified)."""
    cost: Cost
    visits: tuple[Visit, ...]
    depth: int
    """Levels of the tree below the whole video."""
    branching: int
    error: str | None = None
    """Why there is no answer: class and message of what was raised."""

    @property
    def abstained(self) -> bool:
        """Whether it says that nothing supports an answer."""
        # A failure is not an abstention, though neither chose an option.
        if self.choice is not None or self.error is not None:
            return False
        return self.stop_reason == StopReason.ABSTAINED or says_absent(self.text)

    @property
    def right(self) -> bool:
        """Strictly: the right option, or an abstention where there is none."""
        if self.item.answer is None:
            return self.abstained
        return self.choice == self.item.answer

    @property
    def leaf_s(self) -> float:
        return self.item.duration_s / self.branching**self.depth

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "item": self.item.to_dict(),
            "method": self.method,
            "choice": self.choice,
            "text": self.text,
            "confidence": self.confidence,
            "stop_reason": self.stop_reason,
            "evidence": [[s.to_list(), list(times), sure] for s, times, sure in self.evidence],
            "cost": self.cost.to_dict(),
            "tree": [self.branching, self.depth],
            "visits": [_visit_to_row(visit) for visit in self.visits],
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Outcome:
        """What `to_dict` gave."""
        return cls(
            item=Item.from_dict(data["item"]),
            method=data["method"],
            choice=data["choice"],
            text=data["text"],
            confidence=data["confidence"],
            stop_reason=data["stop_reason"],
            evidence=tuple((Span(*s), tuple(times), sure) for s, times, sure in data["evidence"]),
            cost=Cost(**data["cost"]),
            visits=tuple(_visit_from_row(row) for row in data["visits"]),
            branching=data["tree"][0],
            depth=data["tree"][1],
            error=data["error"],
        )


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """What an item that raised leaves behind."""

    error: Exception
    cost: Cost = field(default_factory=Cost)


def outcome_of(item: Item, method: str, answer: Answer | ItemFailure) -> Outcome:
    """Keep of an answer what the metrics need."""
    if isinstance(answer, ItemFailure):
        return Outcome(
            item=item,
            method=method,
            choice=None,
            text="",
            confidence=None,
            stop_reason="failed",
            evidence=(),
            cost=answer.cost,
            visits=(),
            depth=0,
            branching=2,
            error=f"{type(answer.error).__name__}: {answer.error}",
        )
    # The tree that was searched, from which metrics know what a leaf is.
    tree = answer.settings["tree"]
    return Outcome(
        item=item,
        method=method,
        choice=answer.choice,
        text=answer.text,
        confidence=answer.confidence,
        stop_reason=str(answer.stop_reason),
        evidence=tuple((e.span, e.frame_times_s, e.verified) for e in answer.evidence),
        cost=answer.cost,
        visits=tuple(_visit_of(step) for step in answer.trace if step.call.name != "answer"),
        depth=tree["depth"],
        branching=tree["branching"],
    )


def _visit_of(step: Step) -> Visit:
    observation = step.observation
    node = step.call.node if isinstance(step.call, Caption) else None
    return Visit(
        tool=step.call.name,
        node=node,
        span=observation.span,
        frame_times_s=observation.frame_times_s,
        rounds=observation.cost.rounds,
        frames=observation.cost.frames,
        cached=observation.cached,
        failed=observation.error is not None,
    )


def _visit_to_row(visit: Visit) -> list[Any]:
    return [
        visit.tool,
        None if visit.node is None else list(visit.node),
        visit.span.to_list(),
        [round(t, 3) for t in visit.frame_times_s],
        visit.rounds,
        visit.frames,
        visit.cached,
        visit.failed,
    ]


def _visit_from_row(row: list[Any]) -> Visit:
    tool, node, span, times_s, rounds, frames, cached, failed = row
    return Visit(
        tool=tool,
        node=None if node is None else tuple(node),
        span=Span(*span),
        frame_times_s=tuple(times_s),
        rounds=rounds,
        frames=frames,
        cached=cached,
        failed=failed,
    )
