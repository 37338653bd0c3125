"""What is asked: an item or a row as it is, and under every change that tests how it is read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mmreason.evaluation.refadv.footage import Footage
from mmreason.evaluation.refadv.outcomes import Change, Facts, Kind
from mmreason.types import UsageError

FLOOR_TEXT = "the one"
"""Asked in place of the expression: what is reached without reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question to a subject, with all that scores the answer.

    Example: `next(item_cases(item, ("original",))).expression` is that of the item.
    """

    item: str
    change: Change = "original"
    number: int = 0
    kind: Kind
    cluster: str
    expression: str
    changed: str = ""
    footage: Footage
    shows: Literal["all", "one frame", "nothing"] = "all"
    facts: Facts
    target_ids: tuple[str, ...]
    """What the item's own expression refers to, in the footage shown."""
    denoted_ids: tuple[str, ...] | None
    """What the expression that is asked refers to; None where that is nothing in particular."""
    hard_ids: frozenset[str] = frozenset()
    """Distractors that lack one descriptor only."""
    candidate_ids: tuple[str, ...] = ()
    """All that could be meant; empty where every box of the footage could."""
    lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By id of a distractor: the descriptors that it lacks."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Names the case in a run."""
        return self.item, self.change, self.number


def shuffle_words(text: str, seed: str) -> str | None:
    """`text` with its words in another order; None where there is no other.

    Example:
        >>> sorted(shuffle_words("the red star", "0").split())
        ['red', 'star', 'the']
        >>> shuffle_words("star", "0") is None
        True
    """
    words = text.split()
    if len(set(words)) < 2:
        return None
    drawn = random.Random(seed)
    shuffled = words[:]
    # The order that it has tests nothing.
    while shuffled == words:
        drawn.shuffle(shuffled)
    return " ".join(shuffled)


def reworded_cases(case: Case, changes: Sequence[Change], shuffles: int) -> Iterator[Case]:
    """The changes that need no program, of any case: shuffled words, one frame, no picture, no
    expression."""
    if "shuffle" in changes:
        for number in range(shuffles):
            text = shuffle_words(case.expression, f"{case.item} {number}")
            if text is not None:
                yield replace(
                    case, change="shuffle", number=number, expression=text, denoted_ids=None
                )
    if "single_frame" in changes and case.kind == "video":
        yield replace(case, change="single_frame", shows="one frame", denoted_ids=None)
    if "blind" in changes:
        yield replace(case, change="blind", shows="nothing", denoted_ids=None)
    if "floor" in changes:
        yield replace(case, change="floor", expression=FLOOR_TEXT, denoted_ids=None)


def check_changes(names: Sequence[str]) -> tuple[Change, ...]:
    """Names of changes, `original` always the first. Raises UsageError for one that is none.

    Example:
        >>> check_changes(["shuffle"])
        ('original', 'shuffle')
    """
    from mmreason.evaluation.refadv.outcomes import CHANGES

    for name in names:
        if name not in CHANGES:
            raise UsageError(f"{name!r} is no change; there are {', '.join(CHANGES)}")
    return tuple(change for change in CHANGES if change == "original" or change in names)
