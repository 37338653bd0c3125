"""Where to look next: a simple deterministic policy over captions of the tree.

A node's score is the share of the question's terms, weighted by rarity, that its caption holds,
mostly within one phrase: what is said of one thing says nothing of another.
Strong leaves are looked at, promising nodes are opened, then silent ones, then the rest. Leaves out
looking itself and judging answers (`agent.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from mmreason.tree import Node, NodeId, Tree
from mmreason.video.types import Span
from mmreason.wording import Terms, phrases, says_outside, terms, without_alternatives

STRONG_SCORE = 0.85
"""A caption with this share of the question's terms is worth a look at once."""
PAIR_WEIGHT = 0.5
TOGETHER_WEIGHT = 0.75
"""How much of a score comes from the best single phrase; the rest from the caption as a whole."""
SAME_SCORE = 1e-9


@dataclass(frozen=True, slots=True)
class Move:
    """What to do next, and why."""

    kind: Literal["open", "look"]
    node: Node
    why: str


@dataclass
class Navigator:
    """Captions read so far and the next move. Pure bookkeeping; `captions_limit` bounds reading."""

    tree: Tree
    question: str
    captions_limit: int = 32
    captions: dict[NodeId, tuple[Terms, ...]] = field(default_factory=dict)
    """The phrases of each caption."""
    opened: set[NodeId] = field(default_factory=set)
    looked: set[NodeId] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._asked = terms(without_alternatives(self.question))

    def read(self, node_id: NodeId, caption: str) -> None:
        """Take in the caption of a node (empty where it could not be had).

        A node the model knows nothing about is not opened further.
        """
        self.captions[node_id] = phrases(caption)
        if says_outside(caption):
            self.opened.add(node_id)

    def next_move(self) -> Move | None:
        """The most promising move, or None when everything worth a look has been looked at."""
        if not self._asked:
            return self._blind_look()
        scores = self.scores()
        open_nodes = self._waiting(scores, leaves=False)
        leaves = self._waiting(scores, leaves=True)
        may_open = len(self.captions) + self.tree.branching <= self.captions_limit
        if leaves and scores[leaves[0]] >= STRONG_SCORE:
            best_open = scores[open_nodes[0]] if open_nodes and may_open else 0.0
            if scores[leaves[0]] >= best_open:
                return self._look(leaves[0], scores)
        if open_nodes and may_open:
            node = self.tree.node(open_nodes[0])
            score = scores[node.id]
            why = f"matches {score:.0%} of the question" if score else "its caption is silent"
            return Move("open", node, f"open {_name(node.id)}: {why}")
        ranked = [i for i in (*leaves, *open_nodes) if scores[i] > 0]
        if ranked:
            return self._look(max(ranked, key=lambda i: scores[i]), scores)
        return self._blind_look()

    def scores(self) -> dict[NodeId, float]:
        """Share (0..1) of the question's terms in each caption read, by rarity."""
        count = len(self.captions)
        whole = {i: {t for part in parts for t in part} for i, parts in self.captions.items()}
        weights: dict[str, float] = {}
        for term in self._asked:
            holders = sum(term in held for held in whole.values())
            rarity = math.log((count + 1) / max(holders, 1))
            weights[term] = rarity * (PAIR_WEIGHT if " " in term else 1.0)
        total = sum(weights.values())

        def share(held: Iterable[str]) -> float:
            return sum(weights.get(term, 0.0) for term in held) / total if total else 0.0

        return {
            node_id: TOGETHER_WEIGHT * max(map(share, parts), default=0.0)
            + (1 - TOGETHER_WEIGHT) * share(whole[node_id])
            for node_id, parts in self.captions.items()
        }

    def best_known(self) -> Node:
        """The deepest of the nodes that match best so far; the whole video where none matches."""
        scores = self.scores()
        best = max(scores, key=lambda i: (scores[i], len(i)), default=())
        return self.tree.node(best if scores.get(best) else ())

    def merged_span(self, node_id: NodeId) -> Span:
        """The node's span, widened over neighbours of its level whose captions match as well."""
        scores = self.scores()
        here = self.tree.node(node_id).span
        score = scores.get(node_id, 0.0)
        if score <= 0:
            return here
        level = {
            self.tree.flat_index(i): i
            for i, s in scores.items()
            if len(i) == len(node_id) and abs(s - score) < SAME_SCORE
        }
        first = last = self.tree.flat_index(node_id)
        while first - 1 in level:
            first -= 1
        while last + 1 in level:
            last += 1
        start, end = self.tree.node(level[first]).span, self.tree.node(level[last]).span
        return Span(start.start_s, end.end_s)

    def mark_looked(self, node_id: NodeId) -> None:
        """Never propose this node again, nor the neighbours merged with it."""
        merged = self.merged_span(node_id)
        self.looked |= {
            i
            for i in {*self.captions, node_id}
            if len(i) == len(node_id) and self.tree.node(i).span.overlap_s(merged) > 0
        }

    def _waiting(self, scores: dict[NodeId, float], *, leaves: bool) -> list[NodeId]:
        """Nodes read but neither opened nor looked at: best first, then in order of time."""
        ids = [
            i
            for i in self.captions
            if self.tree.is_leaf(i) == leaves and i not in self.opened and i not in self.looked
        ]
        return sorted(ids, key=lambda i: (-scores[i], -len(i), self.tree.node(i).span.start_s))

    def _look(self, node_id: NodeId, scores: dict[NodeId, float]) -> Move:
        why = f"look at {_name(node_id)}: matches {scores[node_id]:.0%} of the question"
        return Move("look", self.tree.node(node_id), why)

    def _blind_look(self) -> Move | None:
        """No caption says anything: the whole video, then the top nodes in order."""
        for node in (self.tree.node(()), *self.tree.children()):
            if node.id not in self.looked:
                return Move("look", node, f"no caption matches; look at {_name(node.id)} itself")
        return None


def _name(node_id: NodeId) -> str:
    return "node " + ".".join(map(str, node_id)) if node_id else "the whole video"
