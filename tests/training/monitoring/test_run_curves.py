"""Where the points of charts lie, and which figures share one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.training.monitoring.curves import (
    Series,
    chart,
    number_words,
    smoothed,
    thinned,
    ticks,
)
from mmreason.training.monitoring.figures import sections
from mmreason.training.rl.events import METRICS


def test_a_long_run_stays_small_and_loses_no_spike() -> None:
    curve = tuple((step, 50.0 if step == 7_321 else step % 10 / 10) for step in range(1, 20_001))
    thin = thinned(curve)
    assert len(thin) <= 500
    assert thin[0] == curve[0] and thin[-1] == curve[-1] and (7_321, 50.0) in thin
    assert list(thin) == sorted(thin)
    made = chart([Series(name="a", curve=curve)], title="a")
    assert all(len(points.split()) <= 500 for points in (made.lines[0].path, made.lines[0].raw))
    assert len(made.stops) <= 60


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_points_and_ticks_lie_inside_the_chart(values: list[float]) -> None:
    made = chart([Series(name="a", curve=tuple(enumerate(values, 1)))], title="a")
    places = [tuple(map(float, pair.split(","))) for pair in made.lines[0].path.split()]
    assert all(48 <= x <= 392 and 8 <= y <= 168 for x, y in places)
    assert all(8 <= tick.at <= 168 for tick in made.up) and len(made.up) >= 2
    assert len({tick.text for tick in made.up}) == len(made.up)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (-1.7, 2.1, [-1, 0, 1, 2]), (3, 103, [25, 50, 75, 100])],
)
def test_ticks_are_round(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


def test_numbers_are_short() -> None:
    values = (0, 1, 0.51234, 12_400.4, 1e-6, 2.6e-4, -0.00025, 3.2e9)
    assert [number_words(v) for v in values] == [
        *("0", "1", "0.512", "12,400", "1e-6", "2.6e-4", "-2.5e-4", "3.2e9")
    ]


def test_smoothing_is_a_mean_of_neighbours() -> None:
    curve = tuple(enumerate((0.0, 3.0, 0.0, 3.0, 6.0)))
    assert [value for _, value in smoothed(curve, 3)] == pytest.approx([1.5, 1.0, 2.0, 3.0, 4.5])


def test_every_figure_stands_in_one_panel() -> None:
    for shared in (True, False):
        panels = [p for section in sections(list(METRICS), shared=shared) for p in section.panels]
        assert sorted(name for p in panels for name in p.names) == sorted(METRICS)
