"""How it was done: tools, length, repetition. Small terms to put beside a reward of the answer.

Each pays for nothing by itself: the two bonuses ask for a right answer, the third only takes.
"""

from __future__ import annotations

import re

from mmreason.training.rewards.answers import correct
from mmreason.training.rewards.types import Trajectory, Truth

REPEAT_RUN = 4
"""Tokens in a row that count as said again."""
_TOKEN = re.compile(r"\w{1,8}|[^\w\s]|\s{2,8}")
"""Pieces of words, signs and long gaps: a repetition may be made of any of them."""


def tool_bonus(trajectory: Trajectory, truth: Truth) -> float | None:
    """1 for a right answer that used a tool at all, else 0 (DeepEyes, arXiv 2505.14362).

    However many calls: one is enough. None where the task has no tools or no answer is known.

    Example:
        >>> tool_bonus(Trajectory(answer="red", tool_calls=2), Truth(answer="red"))
        1.0
    """
    right = correct(trajectory, truth)
    if right is None or trajectory.tool_calls is None:
        return None
    return float(bool(right) and trajectory.tool_calls > 0)


def length_band(
    trajectory: Trajectory, truth: Truth, *, least_tokens: int = 320, most_tokens: int = 512
) -> float | None:
    """1 for a right answer written in `least_tokens` to `most_tokens` tokens, thoughts included,
    else 0 (the length term of Video-R1, arXiv 2503.21776, and its bounds).

    None where the number of tokens or the answer is not known.

    Example:
        >>> length_band(Trajectory(answer="red", tokens_out=400), Truth(answer="red"))
        1.0
    """
    right = correct(trajectory, truth)
    if right is None or trajectory.tokens_out is None:
        return None
    return float(bool(right) and least_tokens <= trajectory.tokens_out <= most_tokens)


def repetition(trajectory: Trajectory, truth: Truth) -> float | None:
    """A penalty, -1..0: less the share of runs of four tokens, over all turns, that were there
    before. Case does not count. None where the turns were not kept.

    Example:
        >>> repetition(Trajectory(answer="", turns=("go on and on " * 2,)), Truth()) < 0
        True
    """
    if not trajectory.turns:
        return None
    # Runs that come again, as a share of all: 0 where every run is new.
    tokens = _TOKEN.findall("\n".join(trajectory.turns).lower())
    runs = list(zip(*(tokens[i:] for i in range(REPEAT_RUN)), strict=False))
    return len(set(runs)) / len(runs) - 1 if runs else 0.0
