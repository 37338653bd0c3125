"""The tree tiles exactly, whatever the video."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.memory.tree import MOST_OVERLAP, Tree, plan_tree
from mmreason.types import UsageError
from mmreason.video.types import Span


def _tree(start_s: float, length_s: float, k: int, d: int, shares: list[float]) -> Tree:
    cuts_s = tuple(sorted(start_s + share * length_s for share in shares))
    return Tree(Span(start_s, start_s + length_s), k, d, cuts_s)


trees = st.builds(
    _tree,
    st.floats(0, 1e5),
    st.floats(1.0, 1e5),
    st.integers(2, 8),
    st.integers(0, 3),
    st.lists(st.floats(0.001, 0.999), max_size=30),
)


@given(trees, st.data())
def test_children_tile_their_parent_exactly(tree, data):
    depth = data.draw(st.integers(0, max(0, tree.depth - 1)))
    node_id = tuple(data.draw(st.integers(1, tree.branching)) for _ in range(depth))
    parent, children = tree.node(node_id), tree.children(node_id)
    if tree.depth == 0:
        assert children == ()
        return
    assert len(children) == tree.branching
    assert children[0].span.start_s == parent.span.start_s
    assert children[-1].span.end_s == parent.span.end_s
    for left, right in pairwise(children):
        assert left.span.end_s == right.span.start_s
        assert left.span.duration_s > 0


@given(trees, st.floats(0.01, MOST_OVERLAP), st.data())
def test_captions_reach_into_both_neighbours_and_never_beyond_the_video(tree, overlap, data):
    wide = replace(tree, overlap=overlap)
    depth = data.draw(st.integers(0, tree.depth))
    node_id = tuple(data.draw(st.integers(1, tree.branching)) for _ in range(depth))
    plain, node = tree.node(node_id), wide.node(node_id)
    assert plain.watched == plain.span == node.span, "ids and times are not moved"
    assert node.watched.clip(node.span) == node.span
    assert node.watched.clip(tree.span) == node.watched
    inside = [node.watched.start_s > tree.span.start_s, node.watched.end_s < tree.span.end_s]
    reach_s = node.span.start_s - node.watched.start_s, node.watched.end_s - node.span.end_s
    for is_inside, more_s in zip(inside, reach_s, strict=True):
        assert not is_inside or more_s == pytest.approx(overlap * node.span.duration_s, abs=1e-5)


@given(trees, st.floats(0, 1))
def test_every_time_has_its_leaf(tree, share):
    time_s = round((tree.span.start_s + share * tree.span.duration_s) * 1e6) / 1e6
    leaf = tree.leaf_at(time_s)
    assert tree.is_leaf(leaf.id)
    assert leaf.span.start_s - 1e-6 <= time_s <= leaf.span.end_s + 1e-6


@given(trees)
def test_end_maps_to_last_leaf_and_borders_to_the_right(tree):
    assert tree.leaf_at(tree.span.end_s).id == (tree.branching,) * tree.depth
    assert tree.leaf_at(tree.span.start_s).id == (1,) * tree.depth
    if tree.depth:
        second = (1,) * (tree.depth - 1) + (2,)
        assert tree.leaf_at(tree.node(second).span.start_s).id == second


@given(st.floats(0.001, 40_000), st.floats(0.5, 60), st.floats(0, 0.2))
def test_plan_follows_the_published_branching(length_s, leaf_s, interval_s):
    tree = plan_tree(Span(0, length_s), leaf_s=leaf_s, frame_interval_s=interval_s)
    assert tree.branching == min(8, max(4, round((length_s / 16) ** (1 / 3))))
    assert tree.depth <= 3
    if length_s <= 1.5 * leaf_s:
        assert tree.depth == 0
    if tree.depth:
        assert tree.leaf_s >= interval_s


@pytest.mark.parametrize(
    ("length_s", "leaf_s", "branching", "depth"),
    [
        (5.9, 4.0, 4, 0),
        (60.0, 4.0, 4, 2),
        (60.0, 16.0, 4, 1),
        (3600.0, 16.0, 6, 3),
        (36_000.0, 4.0, 8, 3),
    ],
)
def test_depth_brings_leaves_near_what_the_model_sees_best(length_s, leaf_s, branching, depth):
    tree = plan_tree(Span(0, length_s), leaf_s=leaf_s)
    assert (tree.branching, tree.depth) == (branching, depth)


def test_boundaries_move_to_near_cuts_only():
    tree = plan_tree(Span(0, 64), leaf_s=4.0, cuts_s=(15.5, 17.0, 30.0))
    tops = [node.span.start_s for node in tree.children()]
    assert tops == [0, 15.5, 32, 48], "15.5 is within a quarter of a leaf of 16; 30 is not of 32"
    assert tree.leaf_at(15.6).id[0] == 2
    assert tree.leaf_at(15.4).id[0] == 1


def test_depth_and_branching_can_be_fixed():
    short = plan_tree(Span(0, 60), leaf_s=16.0, depth=3, branching=(3, 8))
    assert (short.branching, short.depth) == (3, 3)
    long = plan_tree(Span(0, 36_000), leaf_s=4.0, depth=4)
    assert long.leaf_count == 8**4
    for depth, bounds in ((-1, (4, 8)), (99, (4, 8)), (None, (1, 4)), (None, (5, 4))):
        with pytest.raises(UsageError, match="a tree needs"):
            plan_tree(Span(0, 60), leaf_s=4.0, depth=depth, branching=bounds)
    for overlap in (-0.1, 0.3, float("nan")):
        with pytest.raises(UsageError, match="the overlap of a tree"):
            plan_tree(Span(0, 60), leaf_s=4.0, overlap=overlap)


@pytest.mark.parametrize("bad", [(0,), (5,), (1, 1, 1)])
def test_ids_outside_the_tree_are_refused(bad):
    with pytest.raises(ValueError, match="not in a tree"):
        Tree(Span(0, 10), 4, 2).node(bad)
