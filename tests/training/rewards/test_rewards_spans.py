"""Rewards of where in time, and that naming the whole video, or nothing, pays nothing."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmreason.grounding import tiou
from mmreason.training.rewards import Trajectory, Truth, from_turns, time_r1, union_tiou
from mmreason.training.rewards.reading import read_spans
from mmreason.video.types import Span

D_S = 100.0
times = st.floats(0, D_S, allow_nan=False)
spans = st.builds(lambda a, b: Span(min(a, b), max(a, b)), times, times)
many_spans = st.lists(spans, max_size=5)


def paid(value: float | None) -> float:
    assert value is not None
    return value


def cited(*found: Span) -> Trajectory:
    return Trajectory(answer="", spans=found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12.5 to 20 s", [(12.5, 20)]),
        ("from 12.5s until 20 seconds.", [(12.5, 20)]),
        ("1:05 - 1:20", [(65, 80)]),
        ("[3, 5] and (7.5, 9)", [(3, 5), (7.5, 9)]),
        ("between 1:00:00 and 1:00:10", [(3600, 3610)]),
    ],
)
def test_spans_are_read(text, wanted):
    assert read_spans(text) == tuple(Span(*pair) for pair in wanted)


def test_what_is_no_span_is_not_read():
    assert read_spans("20 to 12") is None
    assert read_spans("") is None
    assert read_spans("at 12 s") is None
    assert read_spans("There is no such thing.") == ()
    assert read_spans("1" * 20_000) is None
    assert read_spans("1 " + " " * 19_000 + "to 2") is None


@given(many_spans, many_spans)
def test_identity_40_tiou_is_symmetric_and_bounded(a, b):
    value = tiou(a, b)
    assert 0 <= value <= 1
    assert value == tiou(b, a)
    assert value == tiou(a[::-1] + a, b)


@given(spans, spans)
def test_identity_40_tiou_is_one_only_for_the_same_and_zero_when_apart(a, b):
    assume(min(a.duration_s, b.duration_s) > 1e-3)
    assert tiou([a], [a]) == 1
    if a.overlap_s(b) < 1e-7:
        assert tiou([a], [b]) < 1e-3
    if max(abs(a.start_s - b.start_s), abs(a.end_s - b.end_s)) > 1e-3:
        assert tiou([a], [b]) < 1


def test_two_true_spans_want_both():
    truth = Truth(spans=(Span(10, 20), Span(50, 60)))
    assert union_tiou(cited(Span(10, 20), Span(50, 60)), truth) == 1
    assert union_tiou(cited(Span(50, 60), Span(10, 20), Span(10, 20)), truth) == 1
    assert union_tiou(cited(Span(10, 20)), truth) == 0.5


def test_whole_video_spam_and_silence_pay_nothing_in_time():
    truth = Truth(spans=(Span(10, 40),), duration_s=D_S)
    tiles = [Span(i, i + 1) for i in range(100)]
    for found in ([Span(0, D_S)], tiles, [Span(0, 9e9)], [Span(20, 20)], []):
        assert union_tiou(cited(*found), truth) == 0
    assert union_tiou(Trajectory(answer=""), truth) == 0
    assert union_tiou(cited(Span(10, 40)), truth) == 1
    assert union_tiou(cited(Span(10, 40)), Truth()) is None
    assert union_tiou(cited(Span(0, 100)), Truth(spans=(Span(1, 100),), duration_s=D_S)) is None


def test_absence_is_paid_only_when_said_and_true():
    absent = Truth(spans=(), duration_s=D_S)
    assert union_tiou(from_turns(["There is no star."]), absent) == 1
    assert union_tiou(from_turns(["There is no star, 3 to 5 s."]), absent) == 0
    assert union_tiou(from_turns(["gibberish"]), absent) == 0
    assert union_tiou(from_turns([""]), absent) == 0
    there = Truth(spans=(Span(3, 5),), duration_s=D_S)
    assert union_tiou(from_turns(["There is no star."]), there) == 0


@given(spans, spans)
def test_time_r1_is_the_published_product(said, wanted):
    assume(wanted.duration_s > 1e-3)
    truth = Truth(spans=(wanted,), duration_s=D_S)
    value = paid(time_r1(cited(said), truth))
    product = (
        tiou([said], [wanted])
        * (1 - abs(said.start_s - wanted.start_s) / D_S)
        * (1 - abs(said.end_s - wanted.end_s) / D_S)
    )
    assert value == pytest.approx(product)
    assert 0 <= value <= tiou([said], [wanted])


def test_identity_40_time_r1_never_fails_where_the_release_does():
    truth = Truth(spans=(Span(10, 20),), duration_s=D_S)
    assert time_r1(cited(Span(15, 15)), truth) == 0
    assert time_r1(from_turns(["20 to 10"]), truth) == 0
    assert time_r1(cited(Span(10, 1e300)), truth) == 0
    assert time_r1(cited(), truth) == 0
    assert time_r1(cited(Span(10, 20)), Truth(spans=(Span(10, 20),))) is None
    assert time_r1(cited(), Truth(spans=(), duration_s=D_S)) is None


@given(spans)
def test_the_whole_video_pays_little_under_the_product(wanted):
    """At most share * ((1 + share) / 2)^2, which is reached in the middle of the video."""
    assume(wanted.duration_s > 1e-3)
    share = wanted.duration_s / D_S
    truth = Truth(spans=(wanted,), duration_s=D_S)
    assert time_r1(cited(Span(0, D_S)), truth) <= share * ((1 + share) / 2) ** 2 + 1e-6


@pytest.mark.parametrize(("share", "mean"), [(0.1, 0.02), (0.3, 0.11)])
def test_the_whole_video_pays_on_average_what_the_product_is_known_for(share, mean):
    length_s = share * D_S
    starts = [i * (D_S - length_s) / 200 for i in range(201)]
    values = [
        paid(time_r1(cited(Span(0, D_S)), Truth(spans=(Span(s, s + length_s),), duration_s=D_S)))
        for s in starts
    ]
    assert sum(values) / len(values) == pytest.approx(mean, abs=0.006)


def test_only_the_last_of_many_spans_counts_under_the_product():
    truth = Truth(spans=(Span(10, 20),), duration_s=D_S)
    spam = [Span(i, i + 10) for i in range(0, 90, 5)]
    assert time_r1(cited(*spam), truth) == 0
    assert time_r1(cited(*spam, Span(10, 20)), truth) == 1
