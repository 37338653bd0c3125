"""The temporal tree of a video: K children a node, D levels, exact tiling.

Branching follows LongVideo-R1, K = clamp(round((T / 16 s)^(1/3)), 4, 8). Depth is a choice of this
project: the D in 1..3 whose leaf is closest, in log ratio, to the clip length the model sees best.
Ids are tuples of 1-based ints, `()` is the whole video. Arithmetic is in whole microseconds, so
children tile their parent exactly. Leaves out captions and any decision where to go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmreason.video.types import Span

NodeId = tuple[int, ...]

SHORT_VIDEO_LEAVES = 1.5
"""Videos up to this many leaves long are one node."""


@dataclass(frozen=True, slots=True)
class Node:
    """A stretch of the video with its place in the tree."""

    id: NodeId
    span: Span


@dataclass(frozen=True, slots=True)
class Tree:
    """All nodes of one video, computed on demand."""

    span: Span
    branching: int
    depth: int
    """Levels below the whole video; 0 is a video of one node."""

    def __post_init__(self) -> None:
        assert self.branching >= 2 and self.depth >= 0, (self.branching, self.depth)
        assert self._length_us >= self.leaf_count or self.depth == 0, (self.span, self.leaf_count)

    @property
    def leaf_count(self) -> int:
        return self.branching**self.depth

    @property
    def leaf_s(self) -> float:
        """Mean length of a leaf in seconds."""
        return self.span.duration_s / self.leaf_count

    def node(self, node_id: NodeId) -> Node:
        """The node with this id. ValueError for an id that is not in the tree."""
        if len(node_id) > self.depth or not all(1 <= i <= self.branching for i in node_id):
            raise ValueError(
                f"node id {node_id} is not in a tree of depth {self.depth} and branching "
                f"{self.branching} (ids count from 1)"
            )
        if not node_id:
            return Node((), self.span)
        index, level = self.flat_index(node_id), len(node_id)
        return Node(node_id, Span(self._bound_s(index, level), self._bound_s(index + 1, level)))

    def children(self, node_id: NodeId = ()) -> tuple[Node, ...]:
        """The K children in order of time; empty for a leaf."""
        if len(node_id) == self.depth:
            return ()
        return tuple(self.node((*node_id, i + 1)) for i in range(self.branching))

    def is_leaf(self, node_id: NodeId) -> bool:
        return len(node_id) == self.depth

    def flat_index(self, node_id: NodeId) -> int:
        """0-based position of a node among the nodes of its level."""
        index = 0
        for i in node_id:
            index = index * self.branching + (i - 1)
        return index

    def leaf_at(self, time_s: float) -> Node:
        """The leaf that holds `time_s`; times outside map to the first or last leaf."""
        if self.depth == 0:
            return self.node(())
        time_us = _us(time_s) - _us(self.span.start_s)
        index = ((time_us + 1) * self.leaf_count - 1) // self._length_us
        index = min(max(index, 0), self.leaf_count - 1)
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
        if index == 0:
            return self.span.start_s
        if index == count:
            return self.span.end_s
        return (_us(self.span.start_s) + self._length_us * index // count) / 1_000_000


def plan_tree(span: Span, *, leaf_s: float, frame_interval_s: float = 0.0) -> Tree:
    """The tree for a video of this span and a model that sees clips of `leaf_s` best.

    Leaves are never shorter than `frame_interval_s` (nor than a millisecond): depth goes down
    instead, to 0 if need be.
    """
    assert leaf_s > 0, leaf_s
    length_s = span.duration_s
    branching = min(8, max(4, round((length_s / 16) ** (1 / 3))))
    if length_s <= SHORT_VIDEO_LEAVES * leaf_s:
        return Tree(span, branching, 0)
    shortest_s = max(frame_interval_s, 0.001)
    depths = [d for d in (1, 2, 3) if length_s / branching**d >= shortest_s]
    depth = min(depths, key=lambda d: abs(math.log(length_s / branching**d / leaf_s)), default=0)
    return Tree(span, branching, depth)


def _us(time_s: float) -> int:
    return round(time_s * 1_000_000)
