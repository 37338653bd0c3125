"""Looks of candidates, checked by boxes alone: for a model that was taught to box "red star", and
not to say whether a framed thing is red.

Each look is asked for by itself, in frames that the candidates were not found in; a candidate has
it where its box is among the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mmreason.agent.grounding.task import GroundTask
from mmreason.grounding import GroundingStatus, Tube, iou
from mmreason.grounding.expressions import Descriptor
from mmreason.grounding.recipes import choose_key_times
from mmreason.tools.calls import FAILURES, first_line
from mmreason.tools.ground_chat import ChatDetector
from mmreason.tools.ground_meter import BudgetSpent

CHECK_FRAMES = 3
SAME_OBJECT_IOU = 0.5
_READABLE = (GroundingStatus.FOUND, GroundingStatus.AMBIGUOUS, GroundingStatus.NONE)
_COMPARING = ("est", "er")
"""Endings of looks that only a comparison tells."""


@dataclass(frozen=True, slots=True)
class LookVotes:
    """What frames say of the looks of one candidate.

    Example:
        >>> LookVotes({"red": [True, True, False]}).holds("red")
        True
    """

    votes: dict[str, list[bool]] = field(default_factory=dict)
    """By descriptor, whether it holds, one a frame that could be read."""

    def holds(self, text: str) -> bool | None:
        """What most frames say; None where none does, or as many say one as the other."""
        votes = self.votes.get(text, [])
        yes = votes.count(True)
        return None if 2 * yes == len(votes) else 2 * yes > len(votes)

    @property
    def score(self) -> float | None:
        """Share of votes that agree with the expression, 0..1; None without any."""
        votes = [vote for row in self.votes.values() for vote in row]
        return votes.count(True) / len(votes) if votes else None


def check_looks(
    task: GroundTask, tubes: Sequence[Tube], times_s: np.ndarray, looked_s: Sequence[float]
) -> dict[str, LookVotes]:
    """Votes by id of a tube. `looked_s` are the times at which the tubes were found: others are
    looked at, where there are any."""
    looks = [d for d in task.expression.descriptors if _word_of(d)]
    votes = {tube.id: LookVotes({d.text: [] for d in looks}) for tube in tubes}
    fresh_s = np.setdiff1d(np.round(times_s, 3), np.round(np.array(looked_s), 3))
    if not looks or not tubes or not len(fresh_s):
        return votes
    shown_s = choose_key_times(fresh_s, tubes, CHECK_FRAMES)
    detector = ChatDetector(task.model)
    try:
        frames = task.source.frames_at(shown_s.tolist())
        for look in looks:
            detector.readings.clear()
            rows = detector.detect(frames, f"{_word_of(look)} {task.expression.head}")
            for (time_s, reading), row in zip(detector.readings, rows, strict=True):
                if reading.status not in _READABLE:
                    continue
                for tube in tubes:
                    box = tube.at(time_s)
                    if box is not None:
                        has_it = any(iou(box, d.box) >= SAME_OBJECT_IOU for d in row)
                        votes[tube.id].votes[look.text].append(has_it != look.negated)
    except BudgetSpent as error:
        task.tell("budget", f"not all looks were checked: {error}")
    except FAILURES as error:
        task.tell("failed", f"checking the looks failed: {first_line(error)}")
    task.log("looks", times_s=[round(float(t), 3) for t in shown_s],
             votes={id: dict(row.votes) for id, row in votes.items()})  # fmt: skip
    return votes


def _word_of(descriptor: Descriptor) -> str:
    """The look that is asked for, without its negation; empty where boxes cannot tell it."""
    tokens = descriptor.text.split()
    is_look = descriptor.kind in ("colour", "size", "pattern") and len(tokens) <= 2
    return tokens[-1] if is_look and not tokens[-1].lower().endswith(_COMPARING) else ""
