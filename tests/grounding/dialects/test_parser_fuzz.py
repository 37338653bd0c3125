"""No text raises, none is silent, and none takes long."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Dialect, parse_boxes

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz_parser():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import fuzz_parser

        return fuzz_parser
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_no_damaged_reply_raises_and_none_is_silent(fuzz_parser):
    statuses, exceptions, _ = fuzz_parser.fuzz(500, seed=1)
    assert exceptions == {}
    # The texts are not all nonsense: every status is met.
    assert set(statuses["boxes"]) == {"found", "ambiguous", "none", "unparsed"}


@settings(max_examples=60, deadline=None)
@given(st.text(), st.sampled_from(Dialect))
def test_no_text_raises_and_no_result_is_silent(text, dialect):
    found = parse_boxes(text, dialect, (640, 360))
    assert found.boxes or found.status == "none" or found.issues


def test_a_million_characters_cost_no_more_than_a_hundred_thousand(fuzz_parser):
    # What is read is bounded, so the text need not be as long to show its cost.
    slowest_s = fuzz_parser.time_hostile(20_000)
    assert max(slowest_s.values()) < 2.0, slowest_s


@pytest.mark.full
def test_many_damaged_replies_raise_nothing(fuzz_parser):
    _, exceptions, _ = fuzz_parser.fuzz(20_000, seed=2)
    assert exceptions == {}
    slowest_s = fuzz_parser.time_hostile(1_000_000)
    assert max(slowest_s.values()) < 5.0, slowest_s
