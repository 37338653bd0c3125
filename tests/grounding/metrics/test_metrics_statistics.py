"""Intervals by clusters, paired tests, and ranks that are given only where the data tell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding.metrics.statistics import (
    cluster_bootstrap,
    mcnemar,
    paired_permutation,
    rank_runs,
    wilson_interval,
)


def slow_bootstrap(
    values: np.ndarray, clusters: list[int], draws: int
) -> tuple[float, float, float]:
    """Rows of drawn clusters put together and averaged, one draw at a time."""
    names = sorted(set(clusters))
    rows = {name: values[np.array(clusters) == name] for name in names}
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(names), (draws, len(names)))
    means = [np.concatenate([rows[names[i]] for i in draw]).mean() for draw in drawn]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=2, max_size=12))
def test_the_bootstrap_equals_that_written_out_draw_by_draw(rows: list[tuple[int, float]]) -> None:
    rows.sort(key=lambda row: row[0])
    clusters, values = [c for c, _ in rows], np.array([v for _, v in rows])
    interval = cluster_bootstrap(values, clusters, draws=40)
    assert (interval.n, interval.clusters) == (len(rows), len(set(clusters)))
    if interval.clusters == 1:
        assert np.isnan([interval.low, interval.high]).all()
    else:
        expected = slow_bootstrap(values, clusters, 40)
        assert (interval.value, interval.low, interval.high) == pytest.approx(expected, abs=1e-12)


def test_rows_of_one_video_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    videos = np.repeat(np.arange(40), 10)
    hits = np.repeat(rng.integers(0, 2, 40), 10)
    alone, clustered = cluster_bootstrap(hits), cluster_bootstrap(hits, videos)
    assert clustered.value == alone.value
    assert clustered.high - clustered.low > 2 * (alone.high - alone.low)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(200):
        levels = rng.normal(0.5, 0.2, 30)
        values = np.repeat(levels, 4) + rng.normal(0, 0.1, 120)
        interval = cluster_bootstrap(values, np.repeat(np.arange(30), 4), draws=300, seed=seed)
        held += interval.low <= 0.5 <= interval.high
    assert 0.88 <= held / 200 <= 0.99


def test_trap_9_a_row_without_an_answer_cannot_be_dropped_unseen() -> None:
    with pytest.raises(ValueError, match=r"row 1 is nan.*counts as 0"):
        cluster_bootstrap([1.0, np.nan, 0.0])


def test_draws_taken_in_parts_give_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random(30)
    whole = cluster_bootstrap(values, draws=50)
    # Memory is bounded by drawing a few at a time, from the same stream of random numbers.
    monkeypatch.setattr("mmreason.grounding.metrics.statistics._MOST_CELLS", 70)
    assert cluster_bootstrap(values, draws=50) == whole


def test_an_interval_of_nothing_says_so() -> None:
    assert str(cluster_bootstrap([])) == "not measured"
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_mcnemar_equals_the_binomial_sum_written_out() -> None:
    from math import comb

    first = [1] * 9 + [0] * 2 + [1] * 20 + [0] * 5
    second = [0] * 9 + [1] * 2 + [1] * 20 + [0] * 5
    tested = mcnemar(first, second)
    tail = 2 * sum(comb(11, k) for k in range(3)) / 2**11
    assert (tested.only_first, tested.only_second, tested.n) == (9, 2, 36)
    assert tested.p_value == pytest.approx(tail)
    assert mcnemar([1, 0], [1, 0]).p_value == 1
    with pytest.raises(ValueError, match="0 or 1"):
        mcnemar([0.5], [1])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3)), min_size=1, max_size=8))
def test_the_permutation_test_equals_all_patterns_written_out(rows: list[tuple[int, int]]) -> None:
    clusters, differences = [c for c, _ in rows], np.array([float(d) for _, d in rows])
    names = sorted(set(clusters))
    measured, extreme = abs(differences.sum()), 0
    for signs in itertools.product((1, -1), repeat=len(names)):
        sign_of = dict(zip(names, signs, strict=True))
        total = sum(sign_of[c] * d for c, d in zip(clusters, differences, strict=True))
        extreme += abs(total) >= measured
    p_value = paired_permutation(differences, np.zeros(len(rows)), clusters)
    assert p_value == pytest.approx(extreme / 2 ** len(names))


def test_the_permutation_test_of_many_clusters_sees_what_is_there() -> None:
    rng = np.random.default_rng(4)
    second = rng.random(200)
    assert paired_permutation(second + 0.05, second + rng.normal(0, 0.05, 200), draws=1000) < 0.01
    assert paired_permutation(rng.random(200), second, draws=1000) > 0.01


def test_runs_inside_the_interval_share_a_rank() -> None:
    rng = np.random.default_rng(5)
    base = rng.random(300) < 0.6
    flips = rng.random(300) < 0.02
    runs = {"good": base, "as good": base ^ flips, "bad": base & (rng.random(300) < 0.5)}
    ranked = {run.name: run.rank for run in rank_runs(runs, np.arange(300) // 3)}
    assert ranked["good"] == ranked["as good"] == 1
    assert ranked["bad"] == 3


def test_runs_on_other_rows_are_not_ranked() -> None:
    with pytest.raises(ValueError, match="same rows"):
        rank_runs({"a": [1.0, 0.0], "b": [1.0]})
