"""Boxes and tubes for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from mmreason.grounding import Box, Tube


def box_strategy() -> st.SearchStrategy[Box]:
    """Whole pixels, so that boxes often touch, are equal or have no area."""
    edge = st.integers(0, 12)
    return st.tuples(edge, edge, edge, edge).map(
        lambda v: Box(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    )


def tube_strategy(frames: int = 6) -> st.SearchStrategy[Tube]:
    """Tubes over a run of the frames 0.0, 0.2, ..., absent in some of them."""
    boxes = st.lists(st.none() | box_strategy(), min_size=0, max_size=frames)
    return st.tuples(st.integers(0, 3), boxes).map(
        lambda drawn: Tube.from_boxes(
            [round(0.2 * (drawn[0] + i), 6) for i in range(len(drawn[1]))], drawn[1]
        )
    )
