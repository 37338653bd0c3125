"""How well a line of a caption matches a question.

A line's score is the share of the question's terms, weighted by rarity, that it holds, mostly
within one phrase: what is said of one thing says nothing of another. Where the question says when
("while the word EXIT is on the screen"), that part is matched by itself. Pure; leaves out what
follows from it (`navigate.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.language.text import Terms, extract_phrases
from mmreason.memory.tree import NodeId
from mmreason.types import Note

STRONG_SCORE = 0.85
"""A line with this share of the question's terms is worth a look at once."""
PAIR_WEIGHT = 0.25
TOGETHER_WEIGHT = 0.75
"""How much of a score comes from the best single phrase; the rest from the line as a whole."""
CONTEXT_WEIGHT = 0.6
"""How much of a line's value comes from the when of the question, where it has one."""


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """A note that was read, under the node whose caption it is part of."""

    node: NodeId
    note: Note
    parts: tuple[Terms, ...]
    held: frozenset[str]
    pinpointed: bool


@dataclass(frozen=True, slots=True)
class Score:
    core: float
    context: float | None
    """None where the question does not say when."""
    whole: bool = False
    """Whether one phrase holds all that is asked for, as far as captions use these words."""

    @property
    def value(self) -> float:
        if self.context is None:
            return self.core
        return (1 - CONTEXT_WEIGHT) * self.core + CONTEXT_WEIGHT * self.context

    @property
    def strong(self) -> bool:
        here = self.core >= STRONG_SCORE and self.whole
        return here and (self.context is None or self.context_seen)

    @property
    def whole_here(self) -> bool:
        return self.core > 0 and self.whole and (self.context is None or self.context_seen)

    @property
    def context_seen(self) -> bool:
        return self.context is not None and self.context >= STRONG_SCORE


def line_of(node: NodeId, note: Note, pinpointed: bool) -> ScoredLine:
    """A note of the caption of `node`, read."""
    parts = extract_phrases(note.text)
    held = frozenset(term for part in parts for term in part)
    return ScoredLine(node, note, parts, held, pinpointed)


def scores_of(lines: Sequence[ScoredLine], core: Terms, context: Terms) -> list[Score]:
    """A score a line, for what a question asks and when; rarity is that among these lines."""
    weights = _weights(lines, core, context)

    def share(held: Iterable[str], asked: Terms) -> float:
        total = sum(weights[term] for term in asked)
        found = set(held) & set(asked)
        return sum(weights[term] for term in found) / total if total else 0.0

    known = {term for term in core if " " not in term}
    used = {term for term in known if any(term in line.held for line in lines)}
    scores = []
    for line in lines:
        together = max((share(part, core) for part in line.parts), default=0.0)
        value = TOGETHER_WEIGHT * together + (1 - TOGETHER_WEIGHT) * share(line.held, core)
        when = share(line.held, context) if context else None
        # A word that other captions use is missing here, not called by another name.
        whole = bool(used) and any(used <= set(part) for part in line.parts)
        scores.append(Score(value, when, whole))
    return scores


def _weights(lines: Sequence[ScoredLine], core: Terms, context: Terms) -> dict[str, float]:
    """Rarity of each term; a pair of words weighs a share of its commoner word."""
    count = len(lines)
    weights: dict[str, float] = {}
    for term in sorted({*core, *context}, key=lambda t: " " in t):
        if " " in term:
            weights[term] = PAIR_WEIGHT * min(weights[word] for word in term.split())
        else:
            holders = sum(term in line.held for line in lines)
            weights[term] = math.log((count + 1) / max(holders, 1))
    return weights
