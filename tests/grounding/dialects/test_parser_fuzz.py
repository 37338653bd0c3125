"""No text raises, none is silent, and none takes long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_parser import fuzz, time_hostile
from mmreason.grounding import Dialect, parse_boxes


def test_no_damaged_reply_raises_and_none_is_silent():
    statuses, exceptions, _ = fuzz(500, seed=1)
    assert exceptions == {}
    # The texts are not all nonsense: every status is met.
    assert set(statuses["boxes"]) == {"found", "ambiguous", "none", "unparsed"}


@settings(max_examples=60, deadline=None)
@given(st.text(), st.sampled_from(Dialect))
def test_no_text_raises_and_no_result_is_silent(text, dialect):
    reading = parse_boxes(text, dialect, (640, 360))
    assert reading.boxes or reading.status == "none" or reading.issues


def test_no_text_that_is_made_to_cost_time_does():
    slowest_s = time_hostile(5_000)
    assert max(slowest_s.values()) < 1.0, slowest_s


@pytest.mark.full
def test_many_damaged_replies_raise_nothing():
    _, exceptions, _ = fuzz(5_000, seed=2)
    assert exceptions == {}
    slowest_s = time_hostile(1_000_000)
    assert max(slowest_s.values()) < 5.0, slowest_s
