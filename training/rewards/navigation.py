"""The way through the tree: the reward of LongVideo-R1, as published and as it should be.

arXiv 2602.20913 pays R = answer + location - 0.2 * repeats, where location is an F1 of visited and
true time. The release adds up the overlap of *all* visits: going to the right leaf again and again
pays more than finding it, and the way through its parent pays less than jumping to it. Whether the
answer is right is judged by `answers.correct`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmreason.grounding.spans import intersection_length_us, merge_spans, union_length_us
from mmreason.memory.tree import NodeId, Tree
from mmreason.training.rewards.answers import correct
from mmreason.training.rewards.types import Trajectory, Truth
from mmreason.video.types import Span

REPEAT_WEIGHT = 0.2
REPEAT_LIMIT = 5
"""Repeats that cost the whole weight: about the visits of a published trajectory, whose penalty is
repeats over different visits."""
CLUE_GAP_S = 5.0
"""True spans not further apart than this are one, in the published reward."""


def longvideo_r1(trajectory: Trajectory, truth: Truth) -> float | None:
    """The corrected reward, -0.2..2: right answer (0 or 1), plus `location`, less 0.2 times the
    share of `REPEAT_LIMIT` visits that were repeats.

    Only the answer where true spans or the tree are not known. None where no answer is known.
    """
    answered = correct(trajectory, truth)
    located = location(trajectory, truth)
    if answered is None or located is None:
        return answered
    visits = _keep_in_tree(trajectory.visits, truth.tree)
    repeats = len(visits) - len(set(visits))
    return answered + located - REPEAT_WEIGHT * min(1.0, repeats / REPEAT_LIMIT)


def location(trajectory: Trajectory, truth: Truth) -> float | None:
    """F1 of the time in visited leaves and in true spans, 0..1, each moment counted once.

    Nodes above the leaves are the way and count for nothing, neither do ids outside the tree.
    Visiting every leaf of a video whose share p is true pays 2p / (1 + p). None without true spans
    or without the tree, and where the thing asked for is not in the video.
    """
    if not truth.spans or truth.tree is None:
        return None
    tree = truth.tree
    leaves = {node for node in _keep_in_tree(trajectory.visits, tree) if tree.is_leaf(node)}
    visited = _spans_of(leaves, tree)
    both_us = union_length_us(visited) + union_length_us(truth.spans)
    return 2 * intersection_length_us(visited, truth.spans) / both_us


def longvideo_r1_published(trajectory: Trajectory, truth: Truth) -> float | None:
    """The reward as released, for comparison only: from -0.2 times the number of visits up, without
    an upper bound, because repeated and nested visits add up in both terms of its location score.

    One visit to the one true leaf gives 2.0, two 2.8, four 4.4, fourteen 12.4. Only the answer
    where true spans or the tree are not known or no legal node was visited. None where no answer is
    known.
    """
    answered = correct(trajectory, truth)
    tree = truth.tree
    if answered is None or not truth.spans or tree is None:
        return answered
    visits = _keep_in_tree(trajectory.visits, tree)
    if not visits:
        return answered
    clues, visited = merge_spans(truth.spans, gap_s=CLUE_GAP_S), _spans_of(visits, tree)
    # The flaw that is kept: the overlap of every visit counts, also of the same time again.
    overlap_us = sum(intersection_length_us([span], clues) for span in visited)
    coverage = overlap_us / union_length_us(clues)
    precision = overlap_us / union_length_us(visited)
    located = 2 * coverage * precision / (coverage + precision) if overlap_us else 0.0
    different = len(set(visits))
    return answered + located - REPEAT_WEIGHT * (len(visits) - different) / different


def _keep_in_tree(visits: Sequence[NodeId], tree: Tree | None) -> list[NodeId]:
    """The visits that are nodes, with repeats. A model may ask for any id."""
    if tree is None:
        return []
    # Checked without asking the tree, which has no node for an id that is made up.
    digits = range(1, tree.branching + 1)
    return [
        node
        for node in visits
        if len(node) <= tree.depth and all(type(i) is int and i in digits for i in node)
    ]


def _spans_of(nodes: Iterable[NodeId], tree: Tree) -> list[Span]:
    return [tree.node(node).span for node in nodes]
