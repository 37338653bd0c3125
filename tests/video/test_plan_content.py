"""Plans by content: exact counts, invariances, brute force on small inputs, planted needles."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from math import factorial, inf
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video import SamplePlan, plan
from mmreason.video.plan.diversity import (
    DiverseMethod,
    Kernel,
    greedy_dpp,
    published_relevance,
    unit_rows,
    unit_scores,
)
from mmreason.video.plan.information import at_quantiles, spread_evenly
from mmreason.video.plan.relevance import RelevantMethod
from tests.video.plans import chosen

RELEVANT = get_args(RelevantMethod)
DIVERSE = get_args(DiverseMethod)
UNKNOWN: Any = "best"
PLANNERS = ["motion", *RELEVANT, "mdp3 with embeddings", *DIVERSE]


def times(total: int) -> np.ndarray:
    return 3.0 + np.arange(total) / 2


def make(name: Any, scores: np.ndarray, budget: Any, seed: int = 0) -> SamplePlan:
    """The plan of any planner, over two-dimensional embeddings drawn from the scores."""
    times_s = times(len(scores))
    angles = 5 * np.asarray(scores, dtype=float)
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if name == "motion":
        return plan.motion(np.abs(scores), times_s, budget)
    if name == "mdp3 with embeddings":
        return plan.relevant(scores, times_s, budget, "mdp3", embeddings=embeddings)
    if name in RELEVANT:
        return plan.relevant(scores, times_s, budget, name, seed=seed)
    return plan.diverse(embeddings, times_s, budget, name, scores=scores)


# Hypothesis draws mostly repeated and extreme numbers here: ties, spikes, all the same.
scores_drawn = st.lists(
    st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0, -3.0]) | st.floats(-9, 9), max_size=70
)


@pytest.mark.parametrize("name", PLANNERS)
@given(scores_drawn, st.integers(1, 90))
def test_exactly_as_many_frames_as_there_can_be(name: str, drawn: list[float], n: int) -> None:
    scores = np.array(drawn, dtype=float)
    made = make(name, scores, n)
    found = chosen(made, times(len(scores)))
    assert len(found) == min(n, len(scores))
    assert all(made.reasons)
    assert made.settings["candidates"] == len(scores)


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_flat_scores_are_spread(name: str, n: int) -> None:
    total = 1000
    found = chosen(make(name, np.full(total, 0.5), n), times(total))
    widest = np.diff([-1, *found, total]).max()
    assert widest <= (total if n == 1 else 2.2 * total / n) + 1


@pytest.mark.parametrize("name", PLANNERS)
def test_the_same_seed_gives_the_same_plan(name: str) -> None:
    scores = np.random.default_rng(3).random(400)
    assert make(name, scores, 12, seed=5) == make(name, scores, 12, seed=5)


@pytest.mark.parametrize("name", ["qframe", "tstar"])
def test_another_seed_gives_another_plan(name: str) -> None:
    scores = np.random.default_rng(3).random(400)
    assert make(name, scores, 12, seed=5).times_s != make(name, scores, 12, seed=6).times_s


@pytest.mark.parametrize("name", RELEVANT)
@given(
    st.lists(st.integers(-64, 64), min_size=1, max_size=80),
    st.integers(1, 20),
    st.sampled_from([0.25, 1.0, 8.0]),
    st.integers(-50, 50),
)
def test_the_scale_of_scores_does_not_matter(
    name: str, drawn: list[int], n: int, scale: float, shift: int
) -> None:
    scores = np.array(drawn) / 64  # dyadic, so that rescaling is exact
    assert make(name, scores, n).times_s == make(name, scale * scores + shift, n).times_s


@pytest.mark.parametrize("name", ["farthest", "mmr", "dpp", "qframe"])
def test_more_budget_only_adds_frames(name: str) -> None:
    scores = np.random.default_rng(9).random(120)
    found = [set(make(name, scores, n).times_s) for n in range(1, 40)]
    assert all(less < more for less, more in pairwise(found))


def test_farthest_points_cover_more_with_every_frame() -> None:
    points = unit_rows(np.random.default_rng(1).normal(size=(300, 8)))
    radii = []
    for n in (1, 2, 4, 8, 16, 32):
        found = chosen(plan.diverse(points, times(300), n), times(300))
        radii.append(float((1 - (points @ points[found].T).max(axis=1)).max()))
    assert radii == sorted(radii, reverse=True) and radii[-1] < radii[0] / 2


def test_farthest_points_find_every_cluster() -> None:
    rng = np.random.default_rng(4)
    labels = rng.permutation(np.repeat(np.arange(6), [200, 3, 3, 3, 3, 3]))
    points = np.eye(6)[labels] + 0.02 * rng.normal(size=(len(labels), 6))
    for method in DIVERSE:
        found = chosen(plan.diverse(points, times(len(labels)), 6, method), times(len(labels)))
        assert set(labels[found]) == set(range(6)), method


def test_scores_steer_diverse_choices() -> None:
    rng = np.random.default_rng(4)
    points, scores = rng.normal(size=(100, 4)), np.zeros(100)
    scores[[10, 20, 30]] = 1.0
    for method in ("mmr", "dpp"):
        made = plan.diverse(points, times(100), 3, method, scores=scores, score_share=0.95)
        assert len({10, 20, 30} & set(chosen(made, times(100)))) >= 2, method
    first = plan.diverse(points, times(100), 1, scores=np.arange(100.0))
    assert chosen(first, times(100)) == [99]


def kernel_of(total: int, seed: int) -> tuple[Kernel, np.ndarray]:
    rng = np.random.default_rng(seed)
    kernel = Kernel.of(unit_rows(rng.normal(size=(total, 3))), rng.random(total))
    return kernel, np.stack([kernel.column(j) for j in range(total)], axis=1)


def log_volume(matrix: np.ndarray, rows: Any) -> float:
    rows = list(rows)
    return float(np.linalg.slogdet(matrix[np.ix_(rows, rows)])[1])


def plain_greedy(matrix: np.ndarray, n: int) -> list[int]:
    """The definition: each time the candidate that makes the determinant largest."""
    found: list[int] = []
    for _ in range(n):
        rest = [i for i in range(len(matrix)) if i not in found]
        found.append(max(rest, key=lambda i: log_volume(matrix, [*found, i])))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_cholesky_updates_are_the_plain_greedy(seed: int) -> None:
    kernel, matrix = kernel_of(12, seed)
    assert np.allclose(matrix, matrix.T) and np.linalg.eigvalsh(matrix).min() > 0
    assert np.allclose(np.diag(matrix), kernel.diagonal)
    greedy = greedy_dpp(kernel, times(12), 6)
    assert greedy.order == plain_greedy(matrix, 6)
    assert sum(greedy.gains) == pytest.approx(log_volume(matrix, greedy.order))
    assert greedy.gains == sorted(greedy.gains, reverse=True)


@pytest.mark.parametrize("seed", range(8))
def test_greedy_volume_is_near_the_best(seed: int) -> None:
    _, matrix = kernel_of(10, seed)
    for n in (1, 2, 3, 4):
        best = max(log_volume(matrix, rows) for rows in combinations(range(10), n))
        found = log_volume(matrix, plain_greedy(matrix, n))
        assert best - 2 * np.log(factorial(n)) - 1e-9 <= found <= best + 1e-9


def added(matrix: np.ndarray, given: list[int], part: range, count: int) -> tuple[float, list[int]]:
    """The definition: greedy in a part on top of `given`; what it adds, and the frames in order."""
    found: list[int] = []
    for _ in range(count):
        rest = [i for i in part if i not in found]
        found.append(max(rest, key=lambda i: log_volume(matrix, [*given, *found, i])))
    before = log_volume(matrix, given) if given else 0.0
    return (log_volume(matrix, given + found) - before if found else 0.0), sorted(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cosines", [False, True])
def test_mdp3_shares_frames_as_brute_force_does(seed: int, cosines: bool) -> None:
    rng = np.random.default_rng(seed)
    total, n = 96, 5  # three parts of 32
    points, query = unit_rows(rng.normal(size=(total, 4))), unit_rows(rng.normal(size=(1, 4)))[0]
    scores = points @ query
    kernel = Kernel.of_cosines(points, scores)
    if not cosines:
        relevance = published_relevance(unit_scores(scores))
        kernel = replace(Kernel.of(points, scores), quality=relevance)
    matrix = np.stack([kernel.column(j) for j in range(total)], axis=1)
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    every: list[tuple[float, list[int], int]] = [(0.0, [], 0)]  # without dynamic programming
    for k in range(3):
        part, longer = range(32 * k, 32 * k + 32), dict[int, tuple[float, list[int]]]()
        for value, rows in best.values():
            for count in range(n - len(rows) + 1):
                gain, new = added(matrix, rows[-1:], part, count)
                known = longer.get(len(rows) + count, (-inf, []))
                longer[len(rows) + count] = max(known, (value + gain, rows + new))
        best = longer
        every = [
            (value + gain, rows + new, left + count)
            for value, rows, left in every
            for count in range(n - left + 1)
            for gain, new in [added(matrix, rows[-1:], part, count)]
        ]
    made = plan.relevant(scores, times(total), n, "mdp3", embeddings=points, cosines=cosines)
    assert chosen(made, times(total)) == best[n][1]
    # Dynamic programming forgets prefixes that would have led to more: never by much.
    limit = max(value for value, _, count in every if count == n)
    assert limit - 0.5 <= best[n][0] <= limit + 1e-9


def test_the_published_kernel_is_that_of_query_and_frames() -> None:
    rng = np.random.default_rng(0)
    points, query = unit_rows(rng.normal(size=(9, 5))), unit_rows(rng.normal(size=(1, 5)))[0]
    kernel = Kernel.of_cosines(points, points @ query)

    def near(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([np.exp(-((a - b) ** 2).sum() / (2 * 2.0**k)) for k in range(-3, 2)]))

    relevance = np.array([near(point, query) for point in points])
    assert kernel.quality == pytest.approx(relevance**5)
    expected = [near(point, points[3]) * (r * relevance[3]) ** 5
                for point, r in zip(points, relevance, strict=True)]  # fmt: skip
    assert kernel.column(3) == pytest.approx(expected)
    assert kernel.column(3, slice(4, 7)) == pytest.approx(expected[4:7])
    with pytest.raises(ValueError, match="cosines need the embeddings"):
        plan.relevant([0.1, 0.2], [0.0, 1.0], 1, "mdp3", cosines=True)
    with pytest.raises(ValueError, match="lie in"):
        plan.relevant([0.1, 2.0], [0.0, 1.0], 1, "mdp3", embeddings=points[:2], cosines=True)


def test_mdp3_knows_what_was_chosen_before_a_part() -> None:
    points = np.random.default_rng(3).normal(size=(64, 16))
    points[32] = points[31]  # the same picture on both sides of the seam of the two parts
    scores = np.zeros(64)
    scores[[31, 32, 50]] = [1.0, 1.0, 0.9]
    made = plan.relevant(scores, times(64), 2, "mdp3", embeddings=points)
    assert chosen(made, times(64)) in ([31, 50], [32, 50])


def test_many_frames_of_mdp3_are_chosen_part_by_part() -> None:
    rng = np.random.default_rng(2)
    scores, points = rng.random(96), rng.normal(size=(96, 4))
    kernel = replace(Kernel.of(unit_rows(points), scores),
                     quality=published_relevance(unit_scores(scores)))  # fmt: skip
    matrix = np.stack([kernel.column(j) for j in range(96)], axis=1)
    offers = []
    for k in range(3):
        part = range(32 * k, 32 * k + 32)
        order = [part[i] for i in plain_greedy(matrix[np.ix_(part, part)], 25)]
        volumes = [0.0, *(log_volume(matrix, order[: i + 1]) for i in range(25))]
        offers += list(zip(np.diff(volumes), order, strict=True))
    made = plan.relevant(scores, times(96), 65, "mdp3", embeddings=points)
    assert made.settings["conditioned"] is False
    assert set(chosen(made, times(96))) >= {i for _, i in sorted(offers)[::-1][:50]}
    assert plan.relevant(scores, times(96), 64, "mdp3").settings["conditioned"] is True


def test_mdp3_does_not_take_twins() -> None:
    scores = np.zeros(40)
    scores[[5, 6, 7, 30]] = [1.0, 0.99, 0.98, 0.9]
    points = np.random.default_rng(0).normal(size=(40, 16))
    points[6] = points[7] = points[5]
    assert plan.relevant(scores, times(40), 2, "aks").times_s != ()
    made = plan.relevant(scores, times(40), 2, "mdp3", embeddings=points)
    assert chosen(made, times(40)) == [5, 30]


def test_aks_takes_the_peak_and_otherwise_covers() -> None:
    scores = np.full(64, 0.1)
    scores[20:24] = 1.0
    assert chosen(plan.relevant(scores, times(64), 4, "aks"), times(64)) == [20, 21, 22, 23]
    rolling = 0.5 + 0.5 * np.sin(np.arange(64) * 2 * np.pi / 16 - np.pi / 2)
    found = chosen(plan.relevant(rolling, times(64), 4, "aks"), times(64))
    assert found == [8, 24, 40, 56]


def test_bolt_is_the_inverse_of_the_cumulated_cube() -> None:
    scores = np.array([0.0, 1.0, 2.0, 4.0, 4.0, 2.0, 1.0, 0.0, 0.0, 0.0])
    # cubes of 0..1: 0, 1/64, 1/8, 1, 1, 1/8, 1/64; cumulated 0, .007, .062, .5, .938, .993, 1
    assert chosen(plan.relevant(scores, times(10), 4, "bolt"), times(10)) == [2, 3, 4, 5]
    assert plan.relevant(scores, times(10), 4, "bolt").reasons == (
        "next best score (score 2)",
        "25% of the score behind (score 4)",
        "58% of the score behind (score 4)",
        "next best score (score 2)",
    )
    reasons = plan.relevant(scores, times(10), 6, "bolt").reasons
    assert sum("behind" in why for why in reasons) == 2  # uncubed scores would place four of six


def test_qframe_draws_by_score() -> None:
    scores = np.array([0.0, 0.9, 1.0] + [0.0] * 97)
    drawn = [chosen(make("qframe", scores, 1, seed), times(100))[0] for seed in range(300)]
    # softmax at temperature 0.1: exp(9) and exp(10) against 98 times exp(0)
    assert np.mean(np.equal(drawn, 2)) == pytest.approx(0.728, abs=0.08)
    assert np.mean(np.equal(drawn, 1)) == pytest.approx(0.268, abs=0.08)


@given(
    st.integers(1, 90),
    st.integers(1, 60) | st.none(),
    st.integers(20, 2_000) | st.none(),
    st.integers(200_000, 20_000_000) | st.none(),
)
def test_tiers_keep_one_budget_together(
    total: int, frames: int | None, tokens: int | None, pixels: int | None
) -> None:
    scores = np.random.default_rng(total).random(total)
    budget = plan.FrameBudget(frames=frames, tokens=tokens, pixels=pixels)
    made = None
    try:
        made = plan.tiers(scores, times(total), budget, size_px=(1280, 720), family="qwen3_vl")
    except ValueError as error:
        assert "does not hold" in str(error) and tokens is not None and tokens < 44
        return
    found = [chosen(tier, times(total)) for tier in made]
    every = [i for tier in found for i in tier]
    assert len(every) == len(set(every)) == min(total, 44, frames or 44)
    sizes = [tier.size_px or (0, 0) for tier in made]
    assert sum(tier.token_count or 0 for tier in made) <= (tokens or 10**9)
    assert sum(len(t) * w * h for t, (w, h) in zip(made, sizes, strict=True)) <= (pixels or 10**9)
    widths = [width for width, _ in sizes]
    assert widths == sorted(widths, reverse=True)


def test_tiers_are_qframes() -> None:
    scores = np.random.default_rng(1).random(500)
    made = plan.tiers(scores, times(500), plan.FrameBudget(), size_px=(1280, 720), seed=3)
    assert [len(tier) for tier in made] == [4, 8, 32]
    assert [tier.size_px for tier in made] == [(1280, 720), (640, 360), (320, 180)]
    whole = plan.relevant(scores, times(500), 44, "qframe", seed=3)
    assert {t for tier in made for t in tier.times_s} == set(whole.times_s)
    first = plan.relevant(scores, times(500), 4, "qframe", seed=3)
    assert made[0].times_s == first.times_s
    eight = plan.FrameBudget(pixels=8 * 1280 * 720)
    assert plan.tiers(scores, times(500), eight, size_px=(1280, 720))[0].size_px == (1280, 720)
    few = plan.tiers(scores, times(500), 11, size_px=(64, 36))
    assert [len(tier) for tier in few] == [1, 2, 8]
    with pytest.raises(ValueError, match="needs the family"):
        plan.tiers(scores, times(500), plan.FrameBudget(tokens=9), size_px=(64, 36))
    with pytest.raises(ValueError, match="size_px must be"):
        plan.tiers(scores, times(500), 9, size_px=(0, 36))


def test_tstar_looks_at_few_and_closes_in() -> None:
    total, centre = 10_000, 6_321
    scores = np.exp(-(((np.arange(total) - centre) / 400) ** 2))
    made = plan.relevant(scores, times(total), 8, "tstar")
    assert made.settings["looked_at"] <= 4 * 32
    found = chosen(made, times(total))
    assert min(abs(i - centre) for i in found) <= 12
    whole = plan.relevant(scores[:20], times(20), 20, "tstar")
    assert whole.settings["looked_at"] == 20


@pytest.mark.parametrize("name", RELEVANT)
def test_a_planted_needle_is_found_more_often_than_by_chance(name: str) -> None:
    total, n, tries = 600, 16, 30
    hits = even_hits = 0
    for trial in range(tries):
        rng = np.random.default_rng(trial)
        needle = int(rng.integers(10, total - 10))
        scores = 0.2 * rng.random(total) + np.exp(-(((np.arange(total) - needle) / 12) ** 2))
        found = chosen(make(name, scores, n, trial), times(total))
        hits += any(abs(i - needle) <= 3 for i in found)
        even_hits += any(abs(i - needle) <= 3 for i in spread_evenly(total, n))
    assert hits >= 0.9 * tries > 2 * even_hits


@given(
    st.lists(st.sampled_from([0.0, 1.0, 50.0]) | st.floats(0, 9), min_size=1, max_size=80),
    st.integers(1, 80),
)
def test_motion_leaves_no_large_change_unseen(drawn: list[float], n: int) -> None:
    change = np.array(drawn)
    found = chosen(plan.motion(change, times(len(change)), n, even_share=0.0), times(len(change)))
    if not change.sum():
        return
    share = np.concatenate([[0.0], np.cumsum(change / change.sum())])
    edges = [-1, *found, len(change)]
    unseen = [share[b] - share[a + 1] for a, b in pairwise(edges)]
    assert max(unseen) <= 1 / n + 1e-9


def test_motion_goes_where_things_move() -> None:
    change = np.full(100, 0.01)
    change[60:70] = 1.0
    busy = sum(60 <= i < 70 for i in chosen(plan.motion(change, times(100), 10), times(100)))
    assert 7 <= busy <= 9
    calm = plan.motion(change, times(100), 10, even_share=1.0)
    assert max(np.diff(chosen(calm, times(100)))) <= 11


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30), st.floats(0.001, 1.0))
def test_quantiles_invert_the_cumulated_weight(weights: list[float], quantile: float) -> None:
    array = np.array(weights)
    if array.sum() < 1e-6:
        return
    i = int(at_quantiles(array, np.array([quantile]))[0])
    share = np.cumsum(array) / array.sum()
    assert share[i] >= quantile - 1e-9
    assert i == 0 or share[i - 1] < quantile + 1e-9


def test_a_token_budget_counts_candidates_too() -> None:
    budget = plan.FrameBudget(tokens=1000)
    scores = np.random.default_rng(0).random(500)
    made = plan.relevant(scores, times(500), budget, size_px=(640, 360), family="qwen3_vl")
    assert made.token_count is not None and 700 < made.token_count <= 1000
    assert len(made) == 20 and made.settings["budget"] == {"tokens": 1000}


@pytest.mark.parametrize("name", PLANNERS)
def test_ten_thousand_candidates_are_planned(name: str) -> None:
    scores = np.random.default_rng(0).random(10_000)
    assert len(set(make(name, scores, 32).times_s)) == 32


def test_a_static_video_is_spread_by_diversity() -> None:
    same = np.ones((200, 5))
    for method in DIVERSE:
        found = chosen(plan.diverse(same, times(200), 9, method), times(200))
        assert np.diff(found).max() <= 50, method


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan.relevant([1, 2], [0.0], 1), "as long as each other, got 2 and 1"),
        (lambda: plan.relevant([1, 2], [1.0, 1.0], 1), "each later than the one before"),
        (lambda: plan.relevant([1, np.nan], [0.0, 1.0], 1), "nan or infinity at candidate 1"),
        (lambda: plan.relevant(np.ones((2, 1)), [0.0, 1.0], 1), "one number a candidate"),
        (lambda: plan.relevant([1, 2], [0.0, 1.0], 0), "frames must be 1 or more"),
        (lambda: plan.relevant([1], [0.0], 1, UNKNOWN), "known are aks, bolt"),
        (lambda: plan.relevant([1], [0.0], 1, embeddings=[[1.0]]), 'only "mdp3" compares'),
        (
            lambda: plan.relevant([1], [0.0], 1, "mdp3", embeddings=np.ones(1)),
            "one row a candidate",
        ),
        (lambda: plan.motion([-1.0], [0.0], 1), "differences must be 0 or more"),
        (lambda: plan.motion([1.0], [0.0], 1, even_share=2), "even_share must lie in 0..1"),
        (lambda: plan.diverse([[1.0]], [0.0], 1, UNKNOWN), "known are farthest"),
        (lambda: plan.diverse([[1.0]], [0.0], 1, score_share=-1), "score_share must lie"),
        (lambda: plan.diverse([[1.0]], [0.0], 1, scores=[1, 2]), "scores and times_s"),
        (lambda: plan.diverse([[1.0], [np.inf]], [0.0, 1.0], 1), "at candidate"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
