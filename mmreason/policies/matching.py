"""How well a line of a caption matches a question.

A line's score is the share of the question's terms, weighted by rarity, that it holds, mostly
within one phrase: what is said of one thing says nothing of another. Where the question says when
("while the word EXIT is on the screen"), that part is matched by itself. Pure.
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
    phrases: tuple[Terms, ...]
    terms: frozenset[str]
    """Of all its phrases."""
    pinpointed: bool
    """Whether it is of so short a stretch, or of one frame, that one look shows all of it."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well a line matches, 0..1.

    Example:
        >>> Score(0.5, context=1.0).value
        0.8
    """

    core: float
    """Of what is asked."""
    context: float | None
    """Of when; None where the question does not say when."""
    whole: bool = False
    """Whether one phrase holds all that is asked for, as far as captions use these words."""

    @property
    def value(self) -> float:
        """Of both."""
        if self.context is None:
            return self.core
        return (1 - CONTEXT_WEIGHT) * self.core + CONTEXT_WEIGHT * self.context

    @property
    def strong(self) -> bool:
        """Whether it is worth a look at once."""
        is_strong = self.core >= STRONG_SCORE and self.whole
        return is_strong and (self.context is None or self.context_seen)

    @property
    def whole_here(self) -> bool:
        """Whether all that captions tell at all of what is asked for is told here."""
        return self.core > 0 and self.whole and (self.context is None or self.context_seen)

    @property
    def context_seen(self) -> bool:
        """Whether the line shows the when of the question."""
        return self.context is not None and self.context >= STRONG_SCORE


def line_of(node: NodeId, note: Note, pinpointed: bool) -> ScoredLine:
    """A note of the caption of `node`, read.

    Example:
        >>> from mmreason.video.types import Span
        >>> line = line_of((1,), Note(Span(0, 4), "a star and a dog."), pinpointed=True)
        >>> len(line.phrases), sorted(line.terms)
        (2, ['dog', 'star'])
    """
    note_phrases = extract_phrases(note.text)
    note_terms = frozenset(term for phrase in note_phrases for term in phrase)
    return ScoredLine(node, note, note_phrases, note_terms, pinpointed)


def scores_of(lines: Sequence[ScoredLine], core: Terms, context: Terms) -> list[Score]:
    """A score a line, for what a question asks and when; rarity is that among these lines."""
    weights = _weights(lines, core, context)

    def matched_share(terms: Iterable[str], asked_terms: Terms) -> float:
        total = sum(weights[term] for term in asked_terms)
        matched = sum(weights[term] for term in set(terms) & set(asked_terms))
        return matched / total if total else 0.0

    core_words = {term for term in core if " " not in term}
    # A word that other captions use is missing here, not called by another name.
    used_words = {term for term in core_words if any(term in line.terms for line in lines)}
    scores = []
    for line in lines:
        together = max((matched_share(phrase, core) for phrase in line.phrases), default=0.0)
        value = TOGETHER_WEIGHT * together + (1 - TOGETHER_WEIGHT) * matched_share(line.terms, core)
        when = matched_share(line.terms, context) if context else None
        whole = bool(used_words) and any(used_words <= set(phrase) for phrase in line.phrases)
        scores.append(Score(value, when, whole))
    return scores


def _weights(lines: Sequence[ScoredLine], core: Terms, context: Terms) -> dict[str, float]:
    """Rarity of each term; a pair of words weighs a share of its commoner word."""
    count = len(lines)
    weights: dict[str, float] = {}
    # Single words first: pairs take their weight from them.
    for term in sorted({*core, *context}, key=lambda t: " " in t):
        if " " in term:
            weights[term] = PAIR_WEIGHT * min(weights[word] for word in term.split())
        else:
            holders = sum(term in line.terms for line in lines)
            # A term that no line holds weighs as much as one that a single line holds.
            weights[term] = math.log((count + 1) / max(holders, 1))
    return weights
