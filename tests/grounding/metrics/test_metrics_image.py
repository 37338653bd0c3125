"""Rows of one picture: accuracy, identity, paraphrases, sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box, iou
from mmreason.grounding.metrics.image import (
    MACC_THRESHOLDS,
    Identity,
    accuracy_at,
    accuracy_curve,
    all_at,
    distractor_bin,
    hits_at,
    identify,
    identity_rates,
    mean_accuracies,
    mean_by_group,
    mean_over_groups,
    row_ious,
    score_rows,
    size_bins,
    slope_in_log,
    worst_paths,
)
from tests.grounding.metrics.strategies import box_strategy

IOUS = st.lists(st.floats(0, 1), min_size=1, max_size=20)
LEFT, RIGHT = Box(0, 0, 10, 10), Box(50, 0, 60, 10)


@given(IOUS)
def test_the_area_under_the_accuracy_curve_is_the_mean_iou(ious: list[float]) -> None:
    curve = accuracy_curve(ious)
    assert curve.area == pytest.approx(np.mean(ious), abs=1e-12)
    for threshold in (*ious, 0.0, 0.5, 1.0):
        at = int(np.searchsorted(curve.thresholds, threshold))
        read = curve.accuracies[at] if at < len(curve.thresholds) else 0.0
        assert read == pytest.approx(accuracy_at(ious, threshold))


@given(IOUS)
def test_macc_is_the_mean_of_the_ten_accuracies(ious: list[float]) -> None:
    expected = np.mean([accuracy_at(ious, t) for t in MACC_THRESHOLDS])
    assert mean_accuracies(ious).mean() == pytest.approx(expected)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(box_strategy(), max_size=3), box_strategy()), max_size=5))
def test_row_ious_equal_those_taken_row_by_row(rows: list[tuple[list[Box], Box]]) -> None:
    predictions, truths = [boxes for boxes, _ in rows], [truth for _, truth in rows]
    first = [iou(boxes[0], truth) if boxes else 0.0 for boxes, truth in rows]
    last = [iou(boxes[-1], truth) if boxes else 0.0 for boxes, truth in rows]
    best = [max((iou(box, truth) for box in boxes), default=0.0) for boxes, truth in rows]
    assert row_ious(predictions, truths).ious.tolist() == first
    assert row_ious(predictions, truths, pick="last").ious.tolist() == last
    assert row_ious(predictions, truths, pick="best").ious.tolist() == best


def test_trap_2_a_threshold_counts_from_it_on_unless_strict() -> None:
    half = row_ious([[Box(0, 0, 10, 5)]], [LEFT]).ious
    assert half.tolist() == [0.5]
    assert accuracy_at(half, 0.5) == 1.0
    assert accuracy_at(half, 0.5, strict=True) == 0.0


def test_trap_3_which_box_was_scored_is_told_and_best_is_not_the_default() -> None:
    predictions, truths = [[RIGHT, LEFT], [LEFT]], [LEFT, LEFT]
    first, best = row_ious(predictions, truths), row_ious(predictions, truths, pick="best")
    assert (first.pick, first.ious.tolist(), first.with_several) == ("first", [0.0, 1.0], 1)
    assert (best.pick, best.ious.tolist()) == ("best", [1.0, 1.0])
    assert score_rows(best).pick == "best"


def test_trap_9_rows_that_were_not_understood_count_as_0_and_stay_in_n() -> None:
    scores = score_rows(row_ious([[LEFT], [], []], [LEFT] * 3), ["a", "b", "c"])
    assert scores.accuracy[0.5].value == pytest.approx(1 / 3)
    assert (scores.accuracy[0.5].n, scores.mean_iou.n, scores.without_box) == (3, 3, 2)
    with pytest.raises(ValueError, match="2 predictions, 3 truths; a row that failed"):
        row_ious([[LEFT], []], [LEFT] * 3)


@pytest.mark.parametrize(
    ("box", "meant"),
    [
        (Box(1, 0, 11, 10), "correct"),
        (Box(21, 0, 31, 10), "hard distractor"),
        (Box(49, 0, 59, 10), "other distractor"),
        (Box(80, 0, 90, 10), "background"),
        (None, "no box"),
        # As much of the target as of its twin.
        (Box(0, 0, 30, 10), "hard distractor"),
    ],
)
def test_a_box_is_meant_for_the_candidate_that_it_overlaps_most(
    box: Box | None, meant: str
) -> None:
    assert identify(box, [LEFT, Box(20, 0, 30, 10), RIGHT], target=0, hard=[1]) == meant


def test_instancebench_asks_for_enough_overlap_and_a_margin() -> None:
    candidates = [LEFT, Box(20, 0, 30, 10)]
    barely, between = Box(9.5, 0, 19.5, 10), Box(5, 0, 24.9, 10)
    assert identify(barely, candidates, 0) == "correct"
    assert identify(barely, candidates, 0, rule="instancebench") == "background"
    assert identify(between, candidates, 0) == "correct"
    assert identify(between, candidates, 0, rule="instancebench") == "background"
    # A small box inside its target overlaps it little, but shares much with it: 10 / sqrt(1000).
    inside = Box(0, 0, 10, 1)
    assert identify(inside, [Box(0, 0, 10, 10)], 0, rule="instancebench") == "correct"


def test_the_worst_paraphrase_of_each_target_counts() -> None:
    ious, targets = [0.9, 0.4, 0.8, 0.75], [7, 7, "b", "b"]
    assert worst_paths(ious, targets).tolist() == [0.4, 0.75]
    assert all_at(ious, targets, 0.7) == 0.5


def test_sizes_are_those_of_ref_l4() -> None:
    edges = [128 - 1e-9, 128, 256, 256 + 1e-9]
    assert size_bins([Box(0, 0, edge, edge) for edge in edges]) == (
        "small",
        "medium",
        "medium",
        "large",
    )


def test_groups_tell_their_n_and_weigh_the_same_in_their_mean() -> None:
    hits = hits_at([0.9, 0.1, 0.8, 0.7], 0.5)
    groups = [distractor_bin(count) for count in (2, 5, 5, 9)]
    means = mean_by_group(hits, groups, ["a", "a", "b", "b"])
    assert {name: (mean.value, mean.n, mean.clusters) for name, mean in means.items()} == {
        "2-3": (1.0, 1, 1),
        "4-6": (0.5, 2, 2),
        "7+": (1.0, 1, 1),
    }
    assert mean_over_groups(hits, groups) == pytest.approx(2.5 / 3)


def test_the_slope_is_the_change_for_twice_as_many() -> None:
    assert slope_in_log([0.9, 0.7, 0.5], [2, 4, 8]) == pytest.approx(-0.2)
    assert math.isnan(slope_in_log([0.9, 0.7], [4, 4]))


def test_a_row_of_identities_agrees_with_its_iou() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.uniform(0, 80, (5, 2))
        boxes = [Box(x, y, x + 20, y + 20) for x, y in corners]
        overlaps = [iou(boxes[0], box) for box in boxes[1:]]
        meant = identify(boxes[0], boxes[1:], target=0, hard=[1])
        best = int(np.argmax(overlaps))
        names = ["correct", "hard distractor", "other distractor", "other distractor"]
        assert meant == ("background" if max(overlaps) == 0 else names[best])


def test_rates_of_identities_add_up_to_one() -> None:
    boxes = (LEFT, RIGHT, None, LEFT)
    outcomes: list[Identity] = [identify(b, [LEFT, RIGHT], 0, hard=[1]) for b in boxes]
    rates = identity_rates(outcomes, ["a", "a", "b", "b"])
    assert {name: rate.value for name, rate in rates.items() if rate.value} == {
        "correct": 0.5,
        "hard distractor": 0.25,
        "no box": 0.25,
    }
    assert sum(rate.value for rate in rates.values()) == 1 and rates["correct"].clusters == 2
