"""Shares, intervals and what counts as right."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.evaluation.scoring import Mean, Proportion, says_same


@given(st.integers(1, 500), st.data())
def test_wilson_interval_holds_its_share(n, data):
    share = Proportion(data.draw(st.integers(0, n)), n)
    low, high = share.interval
    assert 0 <= low <= share.value + 1e-9 and share.value - 1e-9 <= high <= 1


def test_wilson_interval_known_value():
    """8 of 10: the textbook interval."""
    low, high = Proportion(8, 10).interval
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))


def test_nothing_measured_is_said():
    assert str(Proportion(0, 0)) == str(Mean.of([])) == "not measured"
    assert math.isnan(Proportion(0, 0).value)


def test_mean_interval():
    mean = Mean.of([0.0, 1.0, 0.0, 1.0])
    low, high = mean.interval
    assert mean.value == 0.5
    assert high - low == pytest.approx(2 * 1.959964 * math.sqrt(1 / 3 / 4))


def test_right_is_the_same_but_for_case_and_punctuation():
    assert says_same("It moves left.", "it moves left")
    assert not says_same("red", "dark red")
