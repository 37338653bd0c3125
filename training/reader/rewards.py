"""Rewards of the reader, each told by the notes alone: right, cited, abstains."""

from __future__ import annotations

from mmreason.training.reader.scoring import cites_all, is_right, read_reply
from mmreason.training.rewards import Combination, Component, Trajectory, Truth


def reward_right(trajectory: Trajectory, truth: Truth) -> float | None:
    """1 for the words of the answer, 0 for others and for a wrong "none". None for questions that
    no note answers.

    Example:
        >>> truth = Truth(answer="[2] red", columns={"answer": "red", "notes": [2]})
        >>> reward_right(Trajectory(answer="[2] red"), truth)
        1.0
    """
    answer = str(truth.columns["answer"])
    return float(is_right(read_reply(trajectory.answer), answer)) if answer else None


def reward_cited(trajectory: Trajectory, truth: Truth) -> float | None:
    """1 for citing exactly the notes that prove the answer. None where no note does."""
    notes = [int(number) for number in truth.columns["notes"]]
    return float(cites_all(read_reply(trajectory.answer), notes)) if notes else None


def reward_abstains(trajectory: Trajectory, truth: Truth) -> float | None:
    """1 for "none" where no note answers, else 0. None for all other questions."""
    if truth.columns["notes"]:
        return None
    return float(read_reply(trajectory.answer).declines)


READER_REWARD = Combination(
    components=(
        Component(name="right", reward=reward_right, weight=0.6),
        Component(name="cited", reward=reward_cited, weight=0.4),
        Component(name="abstains", reward=reward_abstains, weight=1.0),
    )
)
"""1 for a reply that is all right, whether or not there is an answer."""
