"""Needle worlds: exact lengths, one right answer, look-alikes that stay beside the point."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.memory.tree import plan_tree
from mmreason.needle.items import (
    DURATIONS_S,
    NEEDLES_S,
    Item,
    duration_name,
    duration_of,
    read_items,
)
from mmreason.needle.layout import MARGIN
from mmreason.needle.words import Figure, figure_of, split_word_clause
from mmreason.needle.worlds import GLOBAL_QUESTIONS, needle_set
from mmreason.types import UsageError
from mmreason.video import Video
from mmreason.video.types import Span
from mmreason.video.world.script import RADIUS, Scene, World
from mmreason.video.world.truth import boxes_at

# Ten hours are made of more of the same, and take as long as all others together.
DURATION_S = st.sampled_from([s for s in DURATIONS_S.values() if s < 36_000.0])
SETS = st.builds(needle_set, st.integers(0, 10_000), DURATION_S, st.integers(6, 10))


def shown(world: World, phrase: str, word: str | None) -> dict[str, Span]:
    """When each actor that a phrase fits can be seen, by actor id; read off the scenes, without
    the code that planted it."""
    found: dict[str, Span] = {}
    for scene in world.scenes:
        if word is not None and scene.text != word:
            continue
        for actor in scene.actors:
            told = {actor.shape, actor.colour, actor.size, actor.pattern, "object"}
            if set(phrase.split()) <= told:
                before = found.get(actor.id)
                if before is not None:
                    assert before.end_s == scene.start_s, "one actor, one stretch"
                start_s = scene.start_s if before is None else before.start_s
                found[actor.id] = Span(start_s, scene.end_s)
    return found


def truth(world: World, item: Item) -> tuple[str | None, list[Span]]:
    """The answer and its spans by going through all scenes."""
    plain, word = split_word_clause(item.question)
    text = plain.removesuffix("?")
    if item.kind == "count":
        what = text.removeprefix("How many ").removesuffix(" are there")
        singular = {"crosses": "cross"}.get(what, what.removesuffix("s"))
        fits = shown(world, singular, word)
        return str(len(fits)), sorted(fits.values())
    if item.kind == "order":
        place, names = text.removeprefix("Which comes ").split(", ", 1)
        spans = {}
        for name in names.replace(" or ", ", ").split(", "):
            (spans[name],) = shown(world, name.removeprefix("the "), word).values()
        ranked = sorted(spans, key=lambda name: spans[name])
        return ranked[0 if place == "first" else -1], sorted(spans.values())
    asked, phrase = asked_about(text)
    fits = shown(world, phrase, word)
    if not fits:
        return None, []
    ((actor_id, span),) = fits.items()
    actor = next(a for s in world.scenes for a in s.actors if a.id == actor_id)
    if asked == "motion":
        kinds = {a.motion.kind for s in world.scenes for a in s.actors if a.id == actor_id}
        assert len(kinds) == 1
        verb = {"still": "stays still", "circle": "goes in circles", "bounce": "bounces"}
        return f"it {verb.get(actor.motion.kind, f'moves {actor.motion.kind}')}", [span]
    return getattr(actor, asked), [span]


def asked_about(text: str) -> tuple[str, str]:
    forms = {
        "What colour is the ": ("colour", ""),
        "What shape is the ": ("shape", ""),
        "What pattern does the ": ("pattern", " have"),
        "Is the ": ("size", " small or large"),
        "How does the ": ("motion", " move"),
    }
    for head, (asked, tail) in forms.items():
        if text.startswith(head):
            return asked, text.removeprefix(head).removesuffix(tail)
    raise AssertionError(text)


@settings(max_examples=25)
@given(SETS)
def test_every_item_has_exactly_one_right_answer(made):
    for item in made.items:
        assert len(set(item.options)) == 4
        if item.kind == "global":
            continue
        answer, spans = truth(made.world, item)
        told = None if item.answer is None else item.options[item.answer]
        assert told == answer, item.question
        assert list(item.gold_spans) == spans
        assert (item.kind == "absent") == (item.answer is None)


@settings(max_examples=25)
@given(SETS)
def test_needles_last_exactly_as_long_as_asked(made):
    for item in made.items:
        for span in item.gold_spans:
            if item.kind != "global":
                assert span.duration_s == pytest.approx(item.needle_s, abs=2e-3)
                assert item.needle_s in NEEDLES_S


@settings(max_examples=25)
@given(SETS)
def test_global_items_follow_the_words_on_the_screen(made):
    shown_s: dict[str, float] = {}
    for scene in made.world.scenes:
        assert scene.text is not None
        shown_s[scene.text] = shown_s.get(scene.text, 0.0) + scene.span.duration_s
    order = list(dict.fromkeys(scene.text for scene in made.world.scenes))
    assert len(order) == len(list(itertools.groupby(s.text for s in made.world.scenes)))
    by_length = sorted(shown_s, key=lambda word: -shown_s[word])
    assert shown_s[by_length[0]] >= 0.999 * MARGIN * shown_s[by_length[1]]
    right = dict(
        zip(GLOBAL_QUESTIONS, (by_length[0], order[-1], by_length[-1], order[0]), strict=True)
    )
    for item in made.items:
        if item.kind == "global":
            assert item.answer is not None
            assert item.options[item.answer] == right[item.question]


@settings(max_examples=20)
@given(SETS)
def test_scenes_hold_at_most_two_actors_that_are_told_apart(made):
    world = made.world
    assert world.duration_s == made.items[0].duration_s
    for scene in world.scenes:
        figures = [figure_of(actor) for actor in scene.actors]
        assert 1 <= len(figures) <= 2
        assert len({(f.colour, f.shape) for f in figures}) == len(figures)
        assert sum(actor.id.startswith("resident") for actor in scene.actors) == 1


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([180.0, 900.0]))
def test_actors_are_wholly_in_the_picture_above_the_word_and_apart(seed, duration_s):
    world = needle_set(seed, duration_s, 8).world
    for scene in world.scenes:
        for step in range(7):
            check_places(world, scene, scene.start_s + (scene.span.duration_s - 1e-3) * step / 6)


def check_places(world: World, scene: Scene, time_s: float) -> None:
    found = boxes_at(world, time_s)
    assert set(found) == {actor.id for actor in scene.actors}
    for actor in scene.actors:
        x1, y1, x2, y2 = found[actor.id]
        assert 0 < x1 < x2 < 1 and 0 < y1 < y2 < 0.77
        assert (x2 - x1) * world.aspect > 1.5 * RADIUS[actor.size]
    if len(found) == 2:
        a, b = found.values()
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@settings(max_examples=20)
@given(SETS)
def test_borders_are_told_as_they_are(made):
    tree = plan_tree(made.world.span, leaf_s=3.0)
    assert tree.depth == 3
    for item in made.items:
        if item.kind in ("attribute", "motion"):
            (span,) = item.gold_spans
            crosses = tree.leaf_at(span.start_s) != tree.leaf_at(span.end_s - 1e-6)
            assert (item.border == "across") == crosses
            assert item.position == int(10 * span.middle_s / item.duration_s)


def test_positions_lengths_and_kinds_are_spread():
    made = [item for seed in range(8) for item in needle_set(seed, 3600.0, 10).items]
    kinds = [item.kind for item in made]
    assert kinds.count("absent") == kinds.count("global") == 8
    planted = [item for item in made if item.kind not in ("absent", "global")]
    assert {item.position for item in planted} == set(range(10))
    assert {item.needle_s for item in planted} == set(NEEDLES_S)
    assert {item.border for item in planted} == {"inside", "near", "across"}
    assert {item.places for item in planted} == {1, 2, 3, 4}
    assert sum(item.distractors for item in planted) >= 2 * len(planted)


def test_same_seed_same_set_and_files(tmp_path):
    one, again = needle_set(5, 900.0, 10), needle_set(5, 900.0, 10)
    assert one == again != needle_set(6, 900.0, 10)
    script = one.save(tmp_path)
    assert read_items(script.with_suffix(".jsonl")) == one.items
    with Video.open(script) as video:
        assert video.info.duration_s == pytest.approx(900.0)
        assert len(video.frames_at([450.0], (144, 80))) == 1


def test_an_hour_is_made_in_well_under_a_second():
    started = time.process_time()
    needle_set(11, 3600.0, 10)
    assert time.process_time() - started < 1.0


@given(SETS, st.integers(0, 3))
def test_rotation_keeps_the_right_text(made, by):
    for item in made.items:
        turned = item.rotated(by)
        assert set(turned.options) == set(item.options)
        if item.answer is not None:
            assert turned.answer is not None
            assert turned.options[turned.answer] == item.options[item.answer]


def test_names_of_lengths():
    assert {name: duration_of(name) for name in DURATIONS_S} == DURATIONS_S
    assert [duration_name(s) for s in DURATIONS_S.values()] == list(DURATIONS_S)
    for bad in ("", "1", "h", "10s", "2d", "-3m", "30h"):
        with pytest.raises(UsageError, match="length"):
            duration_of(bad)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(UsageError, match="1 to"):
        needle_set(0, 3600.0, 0)
    with pytest.raises(UsageError, match="fewer items"):
        needle_set(0, 180.0, 30)
    bad = tmp_path / "items.jsonl"
    bad.write_text('{"id": "x"}\n')
    with pytest.raises(UsageError, match="line 1"):
        read_items(bad)


def test_a_figure_takes_only_values_that_there_are():
    figure = Figure("star", "red", "small", "plain")
    assert figure.with_value("colour", "blue") == Figure("star", "blue", "small", "plain")
    with pytest.raises(UsageError, match="colour must be one of"):
        figure.with_value("colour", "large")
