"""Round numbers on axes, and numbers in words."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.viz.axes import axis_from_zero, doubling_axis, format_number, round_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (-1.7, 2.1, [-1, 0, 1, 2]), (3, 103, [25, 50, 75, 100])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_numbers_are_short() -> None:
    values = (0, 1, 0.51234, 12_400.4, 1e-6, 2.6e-4, -0.00025, 3.2e9)
    assert [format_number(v) for v in values] == [
        *("0", "1", "0.512", "12,400", "1e-6", "2.6e-4", "-2.5e-4", "3.2e9")
    ]


@given(st.floats(1e-6, 1e9))
def test_an_axis_from_zero_holds_its_largest_value(largest: float) -> None:
    axis = axis_from_zero(largest)
    assert axis.low == 0 and largest <= axis.high * (1 + 1e-9) <= 2.6 * largest
    assert 2 <= len(axis.ticks) <= 6
    assert axis.ticks[-1].value == pytest.approx(axis.high)
    assert len({tick.text for tick in axis.ticks}) == len(axis.ticks)


@given(st.floats(0.01, 1e6), st.floats(1, 1e3))
def test_a_doubling_axis_is_logarithmic(smallest: float, ratio: float) -> None:
    axis = doubling_axis(smallest, smallest * ratio, "frames")
    assert axis.low <= smallest <= smallest * ratio <= axis.high * (1 + 1e-9)
    fractions = [axis.fraction(tick.value) for tick in axis.ticks]
    steps = [b - a for a, b in itertools.pairwise(fractions)]
    assert fractions[0] == 0 and fractions[-1] == 1
    assert steps == pytest.approx([1 / len(steps)] * len(steps))
    assert axis.fraction(0) == 0 and axis.fraction(1e12) == 1
