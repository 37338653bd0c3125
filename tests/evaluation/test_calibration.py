"""Fitting confidence to the share that is right, and the table that says how well it fits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmreason.evaluation.calibration import Bin, expected_error, fit_rising, reliability_bins
from mmreason.evaluation.scoring import Proportion
from mmreason.models.calibration import Calibration


def _pairs(count: int, seed: int, chance) -> list[tuple[float, bool]]:
    rng = np.random.default_rng(seed)
    stated = rng.uniform(0.3, 1.0, count)
    return [(float(s), bool(rng.random() < chance(s))) for s in stated]


def test_the_fit_rises_and_comes_close_to_the_truth():
    points = fit_rising(_pairs(4000, 1, lambda s: s**3))
    known = Calibration({"question": points})
    for stated in (0.4, 0.6, 0.8, 0.95):
        assert known.right("question", stated) == pytest.approx(stated**3, abs=0.06)
    assert all(a <= b for (_, a), (_, b) in itertools.pairwise(points))


def test_a_fit_makes_overconfidence_smaller_on_other_pairs():
    known = Calibration({"question": fit_rising(_pairs(2000, 1, lambda s: 0.6 * s))})
    fresh = _pairs(2000, 2, lambda s: 0.6 * s)
    fitted = [(known.right("question", s) or 0.0, right) for s, right in fresh]
    assert expected_error(reliability_bins(fitted)) < 0.05 < expected_error(reliability_bins(fresh))


def test_nothing_is_certain_after_a_fit():
    points = fit_rising([(0.9, True)] * 200)
    assert len(points) == 1 and points[0][1] == pytest.approx(201 / 202, abs=1e-4)


def test_without_pairs_there_is_no_fit():
    assert fit_rising([]) == ()


def test_bins_hold_their_replies():
    pairs = [(0.4, False), (0.97, True), (0.98, False), (1.0, True)]
    low, middle, high = reliability_bins(pairs)
    assert (low, high) == (
        Bin(0.0, 0.5, 0.4, Proportion(0, 1)),
        Bin(0.99, 1.0, 1.0, Proportion(1, 1)),
    )
    assert (middle.low, middle.high, middle.right) == (0.95, 0.99, Proportion(1, 2))
    assert middle.stated == pytest.approx(0.975)
    assert expected_error(reliability_bins(pairs)) == pytest.approx((0.4 + 2 * 0.475) / 4)
