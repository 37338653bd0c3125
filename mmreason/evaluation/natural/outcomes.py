"""What came of one item asked of one observer by one method. JSON in and out.

`summary.py` says how good that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmreason.language.refusals import says_absent
from mmreason.natural.items import NaturalItem, says_answer
from mmreason.tool_calls import ModelTurn
from mmreason.types import Answer, Cost, StopReason
from mmreason.video.types import Span

_NO_TOOL = frozenset({"answer", "model_turn", ModelTurn.__name__.lower()})


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalOutcome:
    """One item answered, or failed.

    Example: `NaturalOutcome.from_dict(outcome.to_dict()) == outcome`.
    """

    item: NaturalItem
    observer: str
    method: str
    choice: int | None
    text: str
    stop_reason: str
    policy: str
    """Which policy ran, where one chooses among several."""
    evidence: tuple[tuple[Span, tuple[float, ...]], ...]
    """(span, frame times); no times for what was said."""
    cost: Cost
    tool_calls: int
    turns: int
    """Calls of the model that decides."""
    index_frames: int = 0
    """Shown for the index of the whole video, ahead of all its questions."""
    error: str | None = None
    """Why there is no answer: class and message of what was raised."""

    @property
    def abstained(self) -> bool:
        """Whether it says that there is no answer."""
        if self.error is not None or self.choice is not None:
            return False
        # Policies abstain by the stop reason, direct viewing in its own words.
        is_empty = self.stop_reason == StopReason.ABSTAINED or not self.text
        return is_empty or says_absent(self.text, self.item.question)

    @property
    def is_right(self) -> bool:
        """The right option, the right words, or an abstention where there is no answer."""
        if not self.item.is_answerable:
            return self.abstained
        if self.item.options:
            return self.choice == self.item.answer
        return says_answer(self.text, self.item.answer_text)

    @property
    def is_grounded(self) -> bool:
        """Whether the evidence meets a shot that proves the answer."""
        # Frames prove by their times; a line of speech has none, and proves by its span.
        return any(
            any(gold.contains(t) for t in times_s) if times_s else gold.overlap_s(span) > 0
            for gold in self.item.gold_spans
            for span, times_s in self.evidence
        )

    @property
    def evidence_share(self) -> float:
        """Length of the evidence as a share of the video, 0..1: how narrow it is."""
        return min(1.0, sum(span.duration_s for span, _ in self.evidence) / self.item.duration_s)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "item": self.item.to_dict(),
            "observer": self.observer,
            "method": self.method,
            "choice": self.choice,
            "text": self.text,
            "stop_reason": self.stop_reason,
            "policy": self.policy,
            "evidence": [[s.to_list(), [round(t, 3) for t in times]] for s, times in self.evidence],
            "cost": self.cost.to_dict(),
            "tool_calls": self.tool_calls,
            "turns": self.turns,
            "index_frames": self.index_frames,
            "error": self.error,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NaturalOutcome:
        """What `to_dict` gave."""
        values = {
            "item": NaturalItem.from_dict(data["item"]),
            "evidence": tuple((Span(*s), tuple(times)) for s, times in data["evidence"]),
            "cost": Cost(**data["cost"]),
        }
        return cls(**data | values)


def outcome_of(
    item: NaturalItem, observer: str, method: str, answer: Answer | Exception
) -> NaturalOutcome:
    """Keep of an answer, or of what was raised, what the metrics need."""
    if isinstance(answer, Exception):
        return NaturalOutcome(
            item=item,
            observer=observer,
            method=method,
            choice=None,
            text="",
            stop_reason="failed",
            policy="",
            evidence=(),
            cost=Cost(),
            tool_calls=0,
            turns=0,
            error=f"{type(answer).__name__}: {answer}",
        )
    calls = [step.call.name for step in answer.trace]
    return NaturalOutcome(
        item=item,
        observer=observer,
        method=method,
        choice=answer.choice,
        text=answer.text,
        stop_reason=str(answer.stop_reason),
        policy=_policy_name(answer.settings.get("policy", "")),
        evidence=tuple((e.span, e.frame_times_s) for e in answer.evidence),
        cost=answer.cost,
        tool_calls=sum(name not in _NO_TOOL for name in calls),
        turns=answer.cost.reasoner_calls,
    )


def _policy_name(policy: Any) -> str:
    return str(policy.get("name", "")) if isinstance(policy, dict) else str(policy)
