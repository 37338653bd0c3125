"""The temporal tree of a video: K children a node, D levels, exact tiling.

Branching follows LongVideo-R1, K = clamp(round((T / 16 s)^(1/3)), 4, 8). Depth is a choice of this
project: the D in 1..3 whose leaf is closest, in log ratio, to the clip length the model sees best.
Ids are tuples of 1-based ints, `()` is the whole video. Arithmetic is in whole microseconds, so
children tile their parent exactly; boundaries may give way to a near cut between shots.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from mmreason.tool_calls import NodeId
from mmreason.types import UsageError
from mmreason.video.types import Span

BRANCHING = (4, 8)
"""Bounds of K in LongVideo-R1; its MLVU runs use (3, 8)."""
MOST_OVERLAP = 0.25
"""So far that a leaf with its overlaps is still shown as one clip."""
MOST_BRANCHING = 64
MOST_DEPTH = 8
USUAL_DEPTH = 3
"""Levels that are considered where none are asked for."""
SNAP_SHARE = 0.25
"""How far a boundary may move to a cut, as a share of a leaf: neighbours never meet."""
SHORT_VIDEO_LEAVES = 1.5
"""Videos up to this many leaves long are one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRecipe:
    """How a reasoner cuts videos, where the defaults of `plan_tree` are not wanted."""

    depth: int | None = None
    """Levels, as many as frames allow; None fits them to what the model sees best."""
    branching: tuple[int, int] = BRANCHING
    """Bounds of K."""
    shot_aligned: bool = False
    """Move boundaries to near cuts. Detecting shots decodes the whole video once."""
    overlap: float = 0.0
    """How far a caption of a node reaches into each neighbour, as a share of the node's length."""


@dataclass(frozen=True, slots=True)
class Node:
    """A stretch of the video with its place in the tree."""

    id: NodeId
    span: Span
    watched: Span
    """What a caption of it shows: its span and, with an overlap, a part of its neighbours."""


@dataclass(frozen=True, slots=True)
class Tree:
    """All nodes of one video, computed on demand.

    Example:
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> tree.node((1, 2)).span
        Span(start_s=4.0, end_s=8.0)
        >>> tree.leaf_at(5.0).id
        (1, 2)
    """

    span: Span
    branching: int
    depth: int
    """Levels below the whole video; 0 is a video of one node."""
    cuts_s: tuple[float, ...] = ()
    """Sorted times between shots: a boundary moves to the nearest one within `SNAP_SHARE` of a
    leaf."""
    overlap: float = 0.0
    """See `TreeRecipe`."""

    def __post_init__(self) -> None:
        assert self.branching >= 2 and self.depth >= 0, (self.branching, self.depth)
        assert self._length_us >= self.leaf_count or self.depth == 0, (self.span, self.leaf_count)

    @property
    def leaf_count(self) -> int:
        """Nodes of the lowest level."""
        return self.branching**self.depth

    @property
    def leaf_s(self) -> float:
        """Mean length of a leaf in seconds."""
        return self.span.duration_s / self.leaf_count

    def node(self, node_id: NodeId) -> Node:
        """The node with this id. ValueError for an id that is not in the tree."""
        if len(node_id) > self.depth or not all(1 <= i <= self.branching for i in node_id):
            raise ValueError(
                f"node id {node_id!r:.60} is not in a tree of depth {self.depth} and branching "
                f"{self.branching} (ids count from 1)"
            )
        if not node_id:
            return Node((), self.span, self.span)
        index, level = self.flat_index(node_id), len(node_id)
        span = Span(self._bound_s(index, level), self._bound_s(index + 1, level))
        more_s = self.overlap * span.duration_s
        watched = Span(max(0.0, span.start_s - more_s), span.end_s + more_s).clip(self.span)
        return Node(node_id, span, watched if self.overlap else span)

    def children(self, node_id: NodeId = ()) -> tuple[Node, ...]:
        """The K children in order of time; empty for a leaf."""
        if len(node_id) == self.depth:
            return ()
        return tuple(self.node((*node_id, i + 1)) for i in range(self.branching))

    def is_leaf(self, node_id: NodeId) -> bool:
        """Whether it has no children."""
        return len(node_id) == self.depth

    def flat_index(self, node_id: NodeId) -> int:
        """0-based position of a node among the nodes of its level."""
        # The places of an id are the digits of its index in base K.
        index = 0
        for i in node_id:
            index = index * self.branching + (i - 1)
        return index

    def leaf_at(self, time_s: float) -> Node:
        """The leaf that holds `time_s`; times outside map to the first or last leaf."""
        if self.depth == 0:
            return self.node(())
        # The inverse of `_bound_s` in whole microseconds, where floats could miss by one leaf.
        time_us = _us(time_s) - _us(self.span.start_s)
        index = ((time_us + 1) * self.leaf_count - 1) // self._length_us
        index = min(max(index, 0), self.leaf_count - 1)
        # A boundary that moved to a cut moved by less than half a leaf: a neighbour at most.
        if self.cuts_s and index and time_s < self._bound_s(index, self.depth):
            index -= 1
        elif self.cuts_s and index + 1 < self.leaf_count:
            index += time_s >= self._bound_s(index + 1, self.depth)
        # The index in base K, from the lowest level up, is the id read backwards.
        digits = []
        for _ in range(self.depth):
            index, digit = divmod(index, self.branching)
            digits.append(digit + 1)
        return self.node(tuple(reversed(digits)))

    @property
    def _length_us(self) -> int:
        return _us(self.span.end_s) - _us(self.span.start_s)

    def _bound_s(self, index: int, level: int) -> float:
        count = self.branching**level
        # The ends are the span's own: through microseconds they could move.
        if index == 0:
            return self.span.start_s
        if index == count:
            return self.span.end_s
        bound_s = (_us(self.span.start_s) + self._length_us * index // count) / 1_000_000
        return self._snapped_s(bound_s) if self.cuts_s else bound_s

    def _snapped_s(self, bound_s: float) -> float:
        index = bisect.bisect_left(self.cuts_s, bound_s)
        # Only the cut before and the one behind can be nearest.
        near = self.cuts_s[max(0, index - 1) : index + 1]
        best = min(near, key=lambda cut_s: abs(cut_s - bound_s), default=bound_s)
        return best if abs(best - bound_s) <= SNAP_SHARE * self.leaf_s else bound_s


def plan_tree(
    span: Span,
    *,
    leaf_s: float,
    frame_interval_s: float = 0.0,
    depth: int | None = None,
    branching: tuple[int, int] = BRANCHING,
    cuts_s: tuple[float, ...] = (),
    overlap: float = 0.0,
) -> Tree:
    """The tree for a video of this span and a model that sees clips of `leaf_s` best.

    Leaves are never shorter than `frame_interval_s` (nor than a millisecond): depth goes down
    instead, to 0 if need be. `depth` fixes the levels (LongVideo-R1 has 3), `branching` bounds K,
    `cuts_s` aligns boundaries with shots; `overlap` lets captions reach beyond them. UsageError for
    bounds that cannot be met.

    Example:
        >>> tree = plan_tree(Span(0, 3600), leaf_s=4.0)
        >>> tree.branching, tree.depth
        (6, 3)
    """
    assert leaf_s > 0, leaf_s
    low, high = branching
    if not 2 <= low <= high <= MOST_BRANCHING or not (depth is None or 0 <= depth <= MOST_DEPTH):
        raise UsageError(
            f"a tree needs 2 <= K <= {MOST_BRANCHING} and a depth of 0 to {MOST_DEPTH}, "
            f"got K in {low}..{high} and depth {depth}"
        )
    if not 0.0 <= overlap <= MOST_OVERLAP:
        raise UsageError(f"the overlap of a tree is 0 to {MOST_OVERLAP} of a node, got {overlap}")
    length_s = span.duration_s
    # Cube root: three levels of K parts have leaves of 16 s (LongVideo-R1).
    k = min(high, max(low, round((length_s / 16) ** (1 / 3))))
    shortest_s = max(frame_interval_s, 0.001)
    possible = [d for d in range(1, MOST_DEPTH + 1) if length_s / k**d >= shortest_s]
    if depth is not None:
        chosen = min(depth, max(possible, default=0))
    elif length_s <= SHORT_VIDEO_LEAVES * leaf_s:
        chosen = 0
    else:
        usual = [d for d in possible if d <= USUAL_DEPTH]
        # Ratios are compared: half as long is as far off as twice as long.
        chosen = min(usual, key=lambda d: abs(math.log(length_s / k**d / leaf_s)), default=0)
    inside = tuple(sorted(c for c in set(cuts_s) if span.start_s < c < span.end_s))
    return Tree(span, k, chosen, inside, overlap)


def _us(time_s: float) -> int:
    return round(time_s * 1_000_000)
