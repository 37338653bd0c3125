"""Worlds of notes: what is held out shares nothing with what is learnt, and every question has the
answer that is said to be right."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from mmreason.agent.record_passages import plain_words
from mmreason.training.reader.figures import compare, score_reply, share
from mmreason.training.reader.lessons import make_lesson
from mmreason.training.reader.measure import select_questions
from mmreason.training.reader.narrated import make_narrated_world
from mmreason.training.reader.notes import HARD, NotesWorld, make_world
from mmreason.training.reader.question_sets import (
    HARD_FAMILIES,
    AskedQuestion,
    hard_questions,
    held_out_questions,
    narrated_questions,
)
from mmreason.training.reader.reinforce import reader_task
from mmreason.training.reader.rewards import READER_REWARD
from mmreason.training.reader.samples import ReaderSamples, question_of
from mmreason.training.rewards import Trajectory

WORLDS = [make_world("train", seed) for seed in range(150)]
LESSONS = [make_lesson(seed) for seed in range(150)]
HELD_OUT = [make_world("test", seed) for seed in range(150)]


def text_of(worlds: list[NotesWorld]) -> str:
    notes = (note.text for world in worlds for note in world.notes)
    questions = (question.text for world in worlds for question in world.questions)
    return "\n".join((*notes, *questions)).lower()


def test_splits_share_no_name_and_no_running_text() -> None:
    facts = json.loads((files("mmreason.training.reader") / "facts.json").read_text("utf-8"))
    learnt, held_out = text_of(WORLDS + LESSONS), text_of(HELD_OUT)
    for kind, lists in facts.items():
        if kind in ("families", "hard"):
            continue
        assert not set(lists["train"]) & set(lists["test"]), kind
        if kind in ("names", "things", "events", "places", "roles"):
            assert not [name for name in lists["test"] if name.lower() in learnt]
            assert not [name for name in lists["train"] if name.lower() in held_out]
    lines = {note.text for world in WORLDS + LESSONS for note in world.notes}
    assert not lines & {note.text for world in HELD_OUT for note in world.notes}


def test_every_family_has_enough_wordings() -> None:
    facts = json.loads((files("mmreason.training.reader") / "facts.json").read_text("utf-8"))
    assert len(facts["families"]) >= 10 and set(facts["hard"]) >= set(HARD)
    for family in facts["families"].values():
        assert len(family["notes"]) >= 8 and len(family["questions"]) >= 8


def test_rows_never_repeat_and_follow_from_their_number() -> None:
    rows = ReaderSamples("train", 120)
    texts = {rows[i].messages[0].text for i in range(len(rows))}
    assert len(texts) == 120
    assert rows[5] == ReaderSamples("train", 6)[5]
    assert not texts & {row.messages[0].text for row in ReaderSamples("train", 60, first=100_000)}


def test_answers_stand_in_the_notes_that_prove_them() -> None:
    kinds = set()
    for world in (*WORLDS, *LESSONS, *HELD_OUT):
        for question in world.questions:
            kinds.add(question.family)
            if question.is_absent:
                assert question.reply == "none"
                continue
            proof = " ".join(world.notes[number].text for number in question.notes)
            if question.family == "tally":
                assert question.answer == str(len(question.notes))
            else:
                assert set(plain_words(question.answer)) <= set(plain_words(proof)), question
    assert set(HARD_FAMILIES) <= kinds


def test_about_three_in_ten_questions_have_no_answer() -> None:
    absent = [q.is_absent for world in WORLDS for q in world.questions]
    assert 0.22 < sum(absent) / len(absent) < 0.38


def test_half_of_a_lesson_is_hard_with_an_answer_and_near_misses_are_declined() -> None:
    questions = [q for lesson in LESSONS for q in lesson.questions]
    told = [q for q in questions if not q.is_absent]
    assert 0.45 < sum(q.is_hard for q in told) / len(questions) < 0.57
    assert 0.2 < 1 - len(told) / len(questions) < 0.27
    near = sum(q.family == "near-miss" for q in questions)
    assert near > (len(questions) - len(told)) / 2
    assert {q.family for q in questions} >= set(HARD_FAMILIES)


def find_order_lines(world: NotesWorld) -> list[int]:
    facts = json.loads((files("mmreason.training.reader") / "facts.json").read_text("utf-8"))
    wordings = "|".join(
        ".+".join(map(re.escape, wording.split("{thing}")))
        for wording in facts["hard"]["after"]["notes"]
    )
    return [i for i, note in enumerate(world.notes) if re.fullmatch(wordings, note.text)]


def test_an_order_in_a_lesson_is_of_neighbours_and_holds_both_ways() -> None:
    orders = 0
    for lesson in LESSONS:
        lines = find_order_lines(lesson)
        for question in lesson.questions:
            if question.family in ("after", "before"):
                first, second = question.notes
                assert lines.index(second) == lines.index(first) + 1, lesson.id
                told = lesson.notes[second if question.family == "after" else first].text
                assert question.answer in told
                orders += 1
    assert orders > 100


def test_in_three_of_the_measured_questions_another_order_stands_between() -> None:
    """Told on the page of the figures: what comes right after is there what the fact means."""
    broken = 0
    for asked in select_questions()[:126]:
        if asked.question.family in ("after", "before"):
            lines, (first, second) = find_order_lines(asked.world), asked.question.notes
            broken += lines.index(second) != lines.index(first) + 1
    assert broken == 3


def test_of_nobody_in_a_lesson_do_two_facts_tell() -> None:
    for lesson in LESSONS:
        tallies = [q for q in lesson.questions if q.family == "tally"]
        people = json.loads((files("mmreason.training.reader") / "facts.json").read_text("utf-8"))
        for question in tallies:
            (name,) = [n for n in people["names"]["train"] if n in question.text]
            told = [i for i, note in enumerate(lesson.notes) if name in note.text]
            assert tuple(told) == question.notes, lesson.id


def test_the_sets_ask_once_a_world_and_all_hard_families_alike() -> None:
    hard = hard_questions(14)
    assert [a.question.family for a in hard] == [*HARD_FAMILIES, *HARD_FAMILIES]
    asked = (*held_out_questions(20), *hard, *narrated_questions(10))
    assert len({a.id for a in asked}) == len(asked)
    assert {a.world.id.split("-")[0] for a in asked} == {"test", "narrated"}


def test_a_perfect_reader_and_one_that_never_answers_get_exactly_their_figures() -> None:
    asked = [*held_out_questions(40), *hard_questions(21), *narrated_questions(20)]
    perfect = [score_reply(a, a.question.reply) for a in asked]
    assert all(r.is_right for r in perfect)
    assert all(r.cites_all and r.cites_one for r in perfect if not r.is_absent)
    silent = [score_reply(a, "none") for a in asked]
    assert [r.is_right for r in silent] == [a.question.is_absent for a in asked]
    assert all(r.declines for r in silent)
    absent = sum(r.is_absent for r in silent)
    assert compare(silent, perfect).value == 1 - absent / len(asked)


def test_a_reader_that_recites_all_notes_is_not_right() -> None:
    world = next(w for w in HELD_OUT if len(w.notes) > 6 and not w.questions[0].is_absent)
    everything = " ".join(note.text for note in world.notes)
    assert not score_reply(AskedQuestion("hard", world, world.questions[0]), everything).is_right


def test_narrated_notes_hold_what_is_asked() -> None:
    world = make_narrated_world(5)
    assert [n.span.start_s for n in world.notes] == sorted(n.span.start_s for n in world.notes)
    told = [q for q in world.questions if not q.is_absent]
    assert told and all(len(q.notes) == 1 for q in told)


def test_intervals_narrow_with_more_worlds() -> None:
    few, many = share([0.0, 1.0] * 10), share([0.0, 1.0] * 200)
    assert few.value == many.value == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high


def test_rewards_tell_right_cited_and_abstaining_apart() -> None:
    world = next(w for w in WORLDS if not w.questions[0].is_absent)
    question = world.questions[0]
    sample = question_of(world, 0)

    def total(reply: str) -> float | None:
        return READER_REWARD(Trajectory(answer=reply), sample.truth).total

    assert total(question.reply) == 1.0
    assert total(question.answer) == 0.6  # right, and cites nothing
    assert total("none") == 0.0
    number = next(i for w in WORLDS for i, q in enumerate(w.questions) if q.is_absent)
    lacking = next(w for w in WORLDS if w.questions[number].is_absent)
    truth = question_of(lacking, number).truth
    assert READER_REWARD(Trajectory(answer="none"), truth).total == 1.0
    assert READER_REWARD(Trajectory(answer="[1] red"), truth).total == 0.0


def test_reinforcement_asks_mostly_what_has_an_answer() -> None:
    problems = reader_task(24, seed=0).problems
    absent = [not problem.truth.columns["notes"] for problem in problems]
    # Where most have none, saying "none" to everything pays.
    assert sum(absent) == 6
    assert sum(problem.kind in HARD_FAMILIES for problem in problems) > 12
