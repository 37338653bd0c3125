"""Every question is answered a second time, from the script looked up every 20 ms and from the
drawn pixels, by an evaluator that knows only the wording of the questions."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video.types import Span
from mmreason.video.world import World, generate
from mmreason.video.world.questions import FAMILIES, Question, make_questions, with_options
from mmreason.video.world.script import Shape
from mmreason.video.world.truth import find_sightings
from tests.world.facts import STEP_S, Fact, centres, facts

LEAST_S = 0.3


def windows(seeds: range, *, count: int = 5) -> Iterator[tuple[World, Span, list[Fact]]]:
    """Worlds, stretches of them and all that can be seen there; without the few stretches where
    something is seen for so nearly `LEAST_S` that a grid of 20 ms cannot tell."""
    for seed in seeds:
        world = generate.world(seed, duration_s=20, most_actors=3)
        rng = random.Random(f"windows/{seed}")
        spans = [world.span]
        for _ in range(count):
            start_s = rng.uniform(0, 17)
            spans.append(Span(start_s, min(20.0, start_s + rng.uniform(1, 9))))
        for span in spans:
            glimpsed = facts(world, span)
            if all(abs(fact.seen_s - LEAST_S) > 2 * STEP_S for fact in glimpsed):
                yield world, span, glimpsed


def named(expression: str, among: list[Fact]) -> list[Fact]:
    return [fact for fact in among if all(fact.has(word) for word in expression.split())]


def one(expression: str, among: list[Fact]) -> Fact:
    found = named(expression, among)
    assert len(found) == 1, f"{expression!r} names {len(found)} things"
    return found[0]


def evaluate(
    text: str, world: World, span: Span, glimpsed: list[Fact]
) -> tuple[str, list[Fact] | None]:
    """The answer to a question and whom it is about; None where it is about the whole stretch."""
    seen = [fact for fact in glimpsed if fact.seen_s >= LEAST_S]
    if match := re.fullmatch(r"Is there an? (.+)\?", text):
        found = named(match[1], glimpsed)
        return ("yes", [found[0]]) if found else ("no", None)
    if match := re.fullmatch(r"How many (.+) are there\?", text):
        words = re.sub(r"crosses$", "cross", match[1])
        found = named(re.sub(r"(?<=[a-rt-z])s$", "", words), seen)
        return str(len(found)), found or None
    if text == "What word is on the screen?":
        (scene,) = (s for s in world.scenes if s.text and s.span.overlap_s(span) > 0)
        assert scene.span.overlap_s(span) >= 0.5
        return str(scene.text), None
    if match := re.fullmatch(r"Which (comes first|is larger), the (.+) or the (.+)\?", text):
        pair = {name: one(name, seen) for name in match.groups()[1:]}
        if match[1] == "is larger":
            (name,) = (name for name, fact in pair.items() if fact.actor.size == "large")
        else:
            onsets_s = sorted(fact.times_s[0] for fact in pair.values())
            assert onsets_s[1] - onsets_s[0] >= 0.5 - 2 * STEP_S
            name = min(pair, key=lambda name: pair[name].times_s[0])
        return f"the {name}", list(pair.values())
    match = re.fullmatch(r"(.*) the (.+?)(?: (?:have|small or large|move|become))?\?", text)
    assert match, f"unknown question {text!r}"
    if not named(match[2], glimpsed):
        return f"there is no {match[2]}", None
    return _about_one(match[1], one(match[2], seen), world, seen)


def _about_one(
    asked: str, fact: Fact, world: World, seen: list[Fact]
) -> tuple[str, list[Fact] | None]:
    if match := re.fullmatch(r"What comes right (after|before)", asked):
        after = match[1] == "after"
        edge_s = fact.scene.end_s if after else fact.scene.start_s
        (other,) = (
            f for f in seen if (f.scene.start_s if after else f.scene.end_s) == edge_s
        )  # and nobody else is in that scene
        (colour,) = other.colours
        words = [colour, other.actor.pattern, other.actor.shape]
        phrase = " ".join(word for word in words if word != "plain")
        return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}", [fact, other]
    if asked == "How does":
        return _motion(world, fact), [fact]
    if asked == "Where is":
        places = [x for x, _ in centres(world, fact, list(fact.times_s[::10]))]
        share = sum(places) / len(places) / world.aspect
        assert share < 0.38 or 0.42 < share < 0.58 or share > 0.62, "clearly somewhere"
        return _place(share), [fact]
    if asked == "What colour does":
        _, colour = fact.colours
        return colour, [fact]
    (colour, *_) = fact.colours
    answers = {
        "What colour is": colour,
        "What shape is": fact.actor.shape,
        "What pattern does": fact.actor.pattern,
        "Is": fact.actor.size,
    }
    assert asked != "What colour is" or len(fact.colours) == 1
    return answers[asked], [fact]


def _place(share: float) -> str:
    if share < 0.4:
        return "on the left"
    return "in the middle" if share < 0.6 else "on the right"


def _motion(world: World, fact: Fact) -> str:
    """How the drawn pixels of an actor move."""
    times_s = [fact.times_s[round(i * (len(fact.times_s) - 1) / 16)] for i in range(17)]
    x, y = np.array(centres(world, fact, times_s, height_px=54)).T
    if np.ptp(x) < 0.02 and np.ptp(y) < 0.02:
        return "it stays still"
    if np.ptp(x) < 0.02:
        turns = int((np.diff(np.sign(np.diff(y))) != 0).sum())
        return "it bounces" if turns else f"it moves {'up' if y[-1] < y[0] else 'down'}"
    if np.ptp(y) > 0.1:
        return "it goes in circles"
    side = "left" if x[-1] < x[0] else "right"
    steps = np.abs(np.diff(x))
    if steps[-1] < 0.1 * steps.max():
        return f"it comes in from the {'right' if side == 'left' else 'left'}"
    at_edge = min(x[-1], world.aspect - x[-1]) < 0.14
    if steps[0] < 0.1 * steps.max() or (at_edge and fact.actor.motion.kind == "leave"):
        return f"it goes out to the {side}"
    if fact.actor.motion.kind == "enter":
        return f"it comes in from the {'right' if side == 'left' else 'left'}"
    return f"it moves {side}"


def in_doubt(question: Question, glimpsed: list[Fact]) -> bool:
    """Whether pixels cannot settle it: somebody passes in front, so middles of pixels wander."""
    return question.family in ("motion", "location") and any(
        event.kind == "occlude" for fact in glimpsed for event in fact.scene.events
    )


def test_every_answer_is_found_again() -> None:
    asked = Counter[str]()
    for world, span, glimpsed in windows(range(8), count=3):
        for question in make_questions(world, span, seed=1, least_s=LEAST_S):
            if in_doubt(question, glimpsed):
                continue
            told, _ = evaluate(question.text, world, span, glimpsed)
            assert told == question.answer, (world.name, span, question)
            asked[question.family] += 1
    assert set(asked) == set(FAMILIES)
    assert min(asked.values()) >= 2


def test_evidence_shows_what_is_asked_about() -> None:
    checked = 0
    for world, span, glimpsed in windows(range(20, 27)):
        for question in make_questions(world, span, seed=1, least_s=LEAST_S):
            assert question.spans
            for proof in question.spans:
                assert span.start_s <= proof.start_s < proof.end_s <= span.end_s
            if question.family == "motion":
                continue  # who it is about is checked by all other families
            _, about = evaluate(question.text, world, span, glimpsed)
            if question.family == "text":
                (scene,) = (s for s in world.scenes_in(span) if s.text)
                assert question.spans == (scene.span.clip(span),)
            elif about is None:
                assert question.spans == (span,)
            else:
                _proves(question, about)
                checked += 1
    assert checked > 500


def _proves(question: Question, about: list[Fact]) -> None:
    """Each span shows one of those asked about, and each of them is shown for all it is seen."""
    for proof in question.spans:
        times_s = [t for fact in about for t in fact.times_s]
        assert any(proof.contains(t) for t in times_s) or question.answer == "yes"
    for fact in about:
        held = sum(any(p.contains(t) for p in question.spans) for t in fact.times_s)
        assert held >= len(fact.times_s) - 2 or question.answer == "yes"


def test_all_ten_families_are_asked() -> None:
    found = Counter(q.family for seed in range(25) for q in make_questions(generate.world(seed)))
    assert set(found) == set(FAMILIES) and len(FAMILIES) == 10
    assert min(found.values()) >= 5


def test_the_same_seed_asks_the_same() -> None:
    world = generate.world(2)
    assert make_questions(world, seed=5) == make_questions(world, seed=5)
    first, second = make_questions(world, seed=5), make_questions(world, seed=6)
    assert first != second
    coined = ("absence", "order")
    kept = [[q for q in asked if q.family not in coined] for asked in (first, second)]
    assert sorted(q.text for q in kept[0]) == sorted(q.text for q in kept[1])


def test_the_same_question_has_one_answer() -> None:
    for world, span, _ in windows(range(40, 60), count=2):
        answers: dict[str, str] = {}
        for question in make_questions(world, span):
            assert answers.setdefault(question.text, question.answer) == question.answer


@settings(max_examples=30)
@given(
    seed=st.integers(0, 30),
    start=st.floats(0, 15),
    length=st.floats(0.3, 6),
    least_s=st.floats(0.1, 1.5),
)
def test_a_window_asks_of_nothing_that_is_hardly_seen(
    seed: int, start: float, length: float, least_s: float
) -> None:
    world = generate.world(seed, duration_s=20, most_actors=3)
    span = Span(start, start + length)
    seen = find_sightings(world, span, least_s=least_s)
    hardly = [f for f in facts(world, span) if f.seen_s < least_s - 2 * STEP_S]
    names = {(s.scene.start_s, s.actor.id) for s in seen}
    assert names.isdisjoint((f.scene.start_s, f.actor.id) for f in hardly)
    for question in make_questions(world, span, least_s=least_s):
        if question.family == "text":
            continue
        for proof in question.spans:
            assert proof == span or proof in [s.span for s in seen]
            assert proof == span or proof.duration_s >= least_s


def test_a_window_asks_for_changes_that_can_be_seen() -> None:
    for world, span, glimpsed in windows(range(60), count=5):
        for question in make_questions(world, span, least_s=LEAST_S):
            if question.family == "change":
                _, about = evaluate(question.text, world, span, glimpsed)
                assert about and min(about[0].colours.values()) >= LEAST_S - 2 * STEP_S


def test_a_moment_is_asked_about_what_is_there() -> None:
    for seed in range(20):
        world = generate.world(seed)
        for index in range(15):
            span = Span(2.1 * index + 0.3, 2.1 * index + 0.301)
            shown = [s for s in find_sightings(world, span, least_s=1e-4) if s.span.duration_s > 0]
            counts = [
                q for q in make_questions(world, span, least_s=1e-4) if "objects are" in q.text
            ]
            assert str(len(shown)) in [q.answer for q in counts if q.text.startswith("How many o")]


def test_the_wording_does_not_give_the_order_away() -> None:
    first = Counter[bool]()
    for seed in range(60):
        world = generate.world(seed, duration_s=8, most_actors=1)
        for question in make_questions(world, seed=seed):
            if question.family == "order":
                named_first = question.text.split("first, ")[1].split(" or ")[0]
                first[named_first == question.answer] += 1
    assert 0.25 < first[True] / first.total() < 0.75


def test_options_hold_the_answer_once() -> None:
    rng = random.Random(3)
    places = Counter[int]()
    for question in make_questions(generate.world(1)) + make_questions(generate.world(7)):
        choice = with_options(question, rng)
        assert replace(choice, options=()) == question
        if choice.options:
            assert choice.options.count(choice.answer) == 1
            assert 2 <= len(set(choice.options)) == len(choice.options) <= 4
            places[choice.options.index(choice.answer)] += 1
        else:
            assert question.family != "change" and question.answer not in (
                "red",
                "star",
                "plain",
                "2",
            )
    assert min(places[i] for i in range(3)) > 0.1 * places.total()


def test_options_are_of_one_kind() -> None:
    for answer, family in (("red", "attribute"), ("star", "attribute"), ("3", "count")):
        question = Question(text="?", answer=answer, family=family, spans=(Span(0, 1),))
        options = with_options(question, random.Random(0)).options
        assert len(options) == 4
        assert all(o in get_args(Shape) for o in options) == (answer == "star")
        assert all(o.isdigit() for o in options) == (answer == "3")


def test_an_empty_world_has_none_of_everything() -> None:
    world = World.model_validate({"scenes": [{"start_s": 0, "end_s": 3}]})
    asked = make_questions(world)
    assert {q.answer for q in asked if q.family == "count"} == {"0"}
    assert {q.family for q in asked} == {"count", "absence"}
    denied = [q.answer for q in asked if q.family == "absence"]
    assert all(answer == "no" or answer.startswith("there is no ") for answer in denied)
    assert all(q.spans == (world.span,) for q in asked)
