"""Which problems come when: every one once an epoch, in an order that follows from the seed alone.

The place in it is one number, so that a run that goes on sees what it would have seen.
"""

from __future__ import annotations

import random
from functools import lru_cache

from mmreason.training.rollouts.types import stable_seed


def drawn(place: int, problems: int, seed: int) -> int:
    """Index of the problem at `place` (from 0) of an endless list."""
    epoch, at = divmod(place, problems)
    return _permutation(problems, epoch, seed)[at]


@lru_cache(maxsize=2)
def _permutation(problems: int, epoch: int, seed: int) -> tuple[int, ...]:
    order = list(range(problems))
    random.Random(stable_seed("order", seed, epoch)).shuffle(order)
    return tuple(order)
