"""Span arithmetic against a count of single milliseconds, and its identities."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.grounding import tiou
from mmreason.grounding.spans import (
    LONGEST_S,
    intersection_length_us,
    merge_spans,
    union_length_us,
)
from mmreason.video.types import Span

STEP_US = 1000
steps = st.integers(0, 40)
spans = st.builds(lambda a, b: Span(min(a, b) / 1000, max(a, b) / 1000), steps, steps)
many_spans = st.lists(spans, max_size=6)


def covered_steps(many: list[Span]) -> set[int]:
    """The milliseconds that are covered, counted one by one."""
    return {step for s in many for step in range(round(s.start_s * 1000), round(s.end_s * 1000))}


@given(many_spans, many_spans)
def test_lengths_are_those_of_counted_steps(a, b):
    in_a, in_b = covered_steps(a), covered_steps(b)
    assert union_length_us(a) == STEP_US * len(in_a)
    assert intersection_length_us(a, b) == STEP_US * len(in_a & in_b)
    assert tiou(a, b) == (len(in_a & in_b) / len(in_a | in_b) if in_a | in_b else 0)


@given(many_spans, many_spans)
def test_union_and_intersection_add_up_exactly(a, b):
    both = intersection_length_us(a, b)
    assert union_length_us([*a, *b]) + both == union_length_us(a) + union_length_us(b)


@given(many_spans, st.randoms())
def test_order_and_repeats_change_nothing(many, rng):
    again = many + many[:3]
    rng.shuffle(again)
    assert merge_spans(again) == merge_spans(many)


@given(many_spans, st.integers(0, 20))
def test_merged_spans_lie_apart_by_more_than_the_gap(many, gap):
    merged = merge_spans(many, gap_s=gap / 1000)
    assert all(span.duration_s > 0 for span in merged)
    for before, after in pairwise(merged):
        assert round((after.start_s - before.end_s) * 1000) > gap
    assert covered_steps(list(merged)) >= covered_steps(many)
    assert merge_spans(merged, gap_s=gap / 1000) == merged


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2).map(sorted), spans)
def test_any_finite_time_is_measured(ends, span):
    wide = Span(*ends)
    assert 0 <= union_length_us([wide]) <= 2 * LONGEST_S * 1e6
    assert tiou([wide], [span]) == tiou([span], [wide])


def test_known_values():
    assert tiou([Span(0, 10)], [Span(5, 20)]) == 0.25
    assert tiou([Span(0, 10)], [Span(10, 20)]) == 0
    assert tiou([], []) == 0
    assert tiou([Span(3, 3)], [Span(3, 3)]) == 0
    assert union_length_us([Span(0.1, 0.3)] * 3) == 200_000
    assert merge_spans([Span(2, 3), Span(0, 1), Span(1, 2)]) == (Span(0, 3),)
    assert merge_spans([Span(0, 1), Span(6, 7)], gap_s=5) == (Span(0, 7),)
    assert merge_spans([Span(0, 1), Span(6.1, 7)], gap_s=5) == (Span(0, 1), Span(6.1, 7))


@pytest.mark.parametrize("count", [10, 1000])
def test_tenths_of_a_second_add_up_exactly(count):
    tiles = [Span(i / 10, (i + 1) / 10) for i in range(count)]
    assert union_length_us(tiles) == count * 100_000
    assert tiou(tiles, [Span(0, count / 10)]) == 1
