"""Captions at every level name exactly what is there, counted by a second look at the script."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mmreason.video.types import Span
from mmreason.video.world import World, generate, truth
from mmreason.video.world.script import Actor, Event, Scene
from tests.world.facts import Fact, facts

SENTENCE = re.compile(
    r"an? (small|large) (\w+) (?:(striped|dotted) )?(circle|square|triangle|star|cross|ring) (.+)"
)


@pytest.mark.parametrize("seed", range(8))
def test_a_caption_of_one_scene_names_exactly_what_is_there(seed: int) -> None:
    world = generate.world(seed, duration_s=24, most_actors=3)
    for scene in world.scenes:
        for span in (scene.span, Span(scene.start_s + 0.7, scene.end_s - 0.9)):
            text = truth.write_caption(world, span)
            told = []
            for sentence in text.removesuffix(".").split(". "):
                if sentence.startswith("the word"):
                    assert sentence == f"the word {scene.text} is on the screen"
                elif sentence != "nothing is there":
                    match = SENTENCE.fullmatch(sentence)
                    assert match, sentence
                    told.append(tuple(match.groups("plain")[:4]))
            there = [fact for fact in facts(world, span) if fact.seen_s >= 0.25]
            expected = [
                (f.actor.size, next(iter(f.colours)), f.actor.pattern, f.actor.shape) for f in there
            ]
            assert Counter(told) == Counter(expected)
            assert ("the word" in text) == bool(scene.text)
            assert ("nothing" in text) == (not there)


def test_a_caption_tells_events_in_words() -> None:
    def told(kind: str, **fields: object) -> str:
        actors = (
            Actor(id="a", shape="star", colour="red", size="small", x=0.2),
            Actor(id="b", shape="ring", colour="blue", x=0.7),
        )
        data = {"kind": kind, "actor": "a", "time_s": 6.0} | fields
        event = Event.model_validate(data)
        scene = Scene(start_s=4, end_s=8, actors=actors, events=(event,), text="EXIT")
        world = World(scenes=(Scene(start_s=0, end_s=4), scene))
        first, rest = truth.write_caption(world, Span(4, 8)).split(". ", 1)
        words = "a large blue ring stays still. the word EXIT is on the screen."
        if kind == "appear":
            first, rest = rest.split(". ")[1], words if "blue ring" in first else rest
        assert rest == words
        return first

    assert told("touch", other="b") == "a small red star touches the blue ring"
    assert told("occlude", other="b") == "a small red star passes in front of the blue ring"
    assert told("change_colour", colour="pink") == "a small red star turns pink"
    assert told("disappear") == "a small red star disappears"


@pytest.mark.parametrize("scenes", [2, 5, 8, 9, 30])
def test_captions_of_many_scenes_name_exactly_what_is_there(scenes: int) -> None:
    world = generate.world(scenes, duration_s=4.0 * scenes)
    text = truth.write_caption(world)
    there = facts(world, world.span)

    def name(fact: Fact) -> str:
        words = [next(iter(fact.colours)), fact.actor.pattern, fact.actor.shape]
        return " ".join(word for word in words if word != "plain")

    pattern = r"an? ((?:\w+ )?(?:\w+ )?(?:circle|square|triangle|star|cross|ring))(?=[ ,.])"
    if scenes <= truth.BRIEF_SCENES:
        for part, scene in zip(text.removesuffix(".").split(" then "), world.scenes, strict=True):
            told = re.findall(pattern, part + ".")
            assert Counter(told) == Counter(name(f) for f in there if f.scene == scene)
            assert (f"the word {scene.text}" in part) == bool(scene.text)
    else:
        assert text.startswith(f"{scenes} scenes with ")
        told = re.findall(pattern, text)
        assert len(told) == len(set(told)) and set(told) == {name(f) for f in there}


def test_captions_of_nothing() -> None:
    world = World(scenes=(Scene(start_s=0, end_s=4), Scene(start_s=4, end_s=8)))
    assert truth.write_caption(world, Span(0, 4)) == "nothing is there."
    assert truth.write_caption(world) == "nothing then nothing."
    assert truth.write_caption(world, Span(9, 10)) == "nothing is there."
