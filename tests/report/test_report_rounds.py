"""Long traces: what is told together, what is shown at once, and what it all cost."""

import itertools
from dataclasses import replace

import pytest

from mmreason.report.cost_table import cost_by_role, limits_by_name, time_by_stage
from mmreason.report.rounds import group_rounds, round_numbers, telling_rounds
from mmreason.report.text import asked_words, cost_rows
from mmreason.tools.replies import merge_equal
from mmreason.types import Answer, Cost, Note
from mmreason.video.types import Span


def test_the_calls_of_a_round_are_together(hour: Answer) -> None:
    found = group_rounds(hour.trace)
    assert [one.number for one in found] == list(range(15))
    assert [len(one.steps) for one in found] == [6, 6, 6, *([1] * 12)]
    assert [one.groups[0].nodes for one in found[:3]] == [
        "nodes 1 to 6",
        "nodes 4.1 to 4.6",
        "nodes 4.3.1 to 4.3.6",
    ]
    assert found[1].groups[0].span == Span(1800, 2400)
    assert found[1].thoughts == ("open 4",)
    assert tuple(itertools.chain(*(one.steps for one in found))) == hour.trace
    assert round_numbers(hour.trace)[-1] == hour.cost.rounds


def test_calls_without_a_place_have_no_span(hour: Answer) -> None:
    found = group_rounds(hour.trace)
    assert [found[i].groups[0].span for i in (3, 4)] == [None, None]


def test_a_long_trace_shows_the_looks_that_matter(hour: Answer) -> None:
    assert telling_rounds(hour, group_rounds(hour.trace)) == {13, 14}
    short = replace(hour, trace=hour.trace[6:18])
    assert telling_rounds(short, group_rounds(short.trace)) == {1, 2}


def test_a_long_reading_is_folded_even_in_a_short_trace(hour: Answer) -> None:
    step = hour.trace[0]
    notes = tuple(
        replace(step.observation.notes[0], text=f"line {i}", span=Span(i, i + 1)) for i in range(30)
    )
    read = replace(step, observation=replace(step.observation, notes=notes))
    short = replace(hour, trace=(read, *hour.trace[1:6], hour.trace[-1]))
    assert telling_rounds(short, group_rounds(short.trace)) == {1}


def test_the_ledger_adds_up_by_role(hour: Answer) -> None:
    reasoner, observer, checker = cost_by_role(hour)
    assert (reasoner.role, reasoner.model, reasoner.calls) == ("reasoner", "large", 2)
    assert (observer.calls, checker.calls) == (27, 1)
    total = hour.cost
    rows = (reasoner, observer, checker)
    assert sum(row.calls for row in rows) == total.model_calls
    for name in ("frames", "tokens_in", "tokens_out"):
        assert sum(getattr(row.cost, name) for row in rows) == getattr(total, name), name
    assert checker.cost.frames == 8 and reasoner.cost.tokens_in == 1800


def test_stages_fill_the_whole_time() -> None:
    found = time_by_stage(Cost(seconds=10.0, model_seconds=6.0, decode_seconds=3.0))
    assert [(stage.seconds, stage.share_pct) for stage in found] == [(6, 60), (3, 30), (1, 10)]
    assert time_by_stage(Cost(seconds=1.0)) == ()
    together = time_by_stage(Cost(seconds=5.0, model_seconds=6.0, decode_seconds=2.0))
    assert sum(stage.share_pct for stage in together) == pytest.approx(100)


def test_limits_stand_beside_what_was_spent(hour: Answer) -> None:
    assert limits_by_name(hour) == {"frames shown": "400", "tokens read": "90,000 read and written"}
    assert limits_by_name(replace(hour, settings={})) == {}


def test_the_parts_of_a_cost_are_told_where_they_are_known() -> None:
    known = Cost(model_calls=3, observer_calls=2, checker_calls=1, frames=24, frames_unique=16)
    rows = {what: of_which for what, _, of_which in cost_rows(known)}
    assert rows["model calls"] == "2 observer, 1 checker"
    assert rows["frames shown"] == "16 different"
    assert rows["tokens read"] == rows["seconds"] == ""
    assert cost_rows(Cost(tokens_in=90, tokens_visual=80))[5] == ("tokens read", "90", "80 visual")


def test_what_was_asked_is_not_repeated(hour: Answer) -> None:
    look, search = hour.trace[-1], hour.trace[19]
    assert asked_words(look, "What colour is the star?") == ""
    assert asked_words(look, "What colour is the star while the word GO is on the screen?") == ""
    assert asked_words(look, "How many?") == "What colour is the star?"
    assert asked_words(search, "What colour is the star?") == "star"


def test_equal_hits_in_the_order_of_their_rank_are_told_one_by_one() -> None:
    hits = (
        Note(Span(620, 736), "a pan"),
        Note(Span(600, 632), "a pan"),
        Note(Span(632, 700), "a pan"),
    )
    assert [note.span for note in merge_equal(hits)] == [Span(620, 736), Span(600, 700)]
