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


def tool_bonus(seen: Trajectory, truth: Truth) -> float | None:
    """1 for a right answer that used a tool at all, else 0 (DeepEyes, arXiv 2505.14362).

    However many calls: one is enough. None where the task has no tools or no answer is known.
    """
    right = correct(seen, truth)
    if right is None or seen.tool_calls is None:
        return None
    return float(bool(right) and seen.tool_calls > 0)


def length_band(
    seen: Trajectory, truth: Truth, *, least_tokens: int = 320, most_tokens: int = 512
) -> float | None:
    """1 for a right answer written in `least_tokens` to `most_tokens` tokens, thoughts included,
    else 0 (the length term of Video-R1, arXiv 2503.21776, and its bounds).

    None where the number of tokens or the answer is not known.
    """
    right = correct(seen, truth)
    if right is None or seen.tokens_out is None:
        return None
    return float(bool(right) and least_tokens <= seen.tokens_out <= most_tokens)


def repetition(seen: Trajectory, truth: Truth) -> float | None:
    """A penalty, -1..0: less the share of runs of four tokens, over all turns, that were there
    before. Case does not count. None where the turns were not kept."""
    if not seen.turns:
        return None
    tokens = _TOKEN.findall("\n".join(seen.turns).lower())
    runs = list(zip(*(tokens[i:] for i in range(REPEAT_RUN)), strict=False))
    return len(set(runs)) / len(runs) - 1 if runs else 0.0
