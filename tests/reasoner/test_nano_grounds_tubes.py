"""Nano grounds in worlds through time: its own boxes, the tracker, and choosing by rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmreason import Reasoner, models
from mmreason.grounding import Box, GroundingStatus, iou
from mmreason.memory.store import Store
from mmreason.video.world.script import Actor, Colour, Motion, MotionKind, Scene, Shape, World
from mmreason.video.world.truth import boxes_at


@pytest.fixture(scope="module")
def reasoner() -> Reasoner:
    return Reasoner(models.load("nano"), store=Store.in_memory())


@pytest.fixture(scope="module")
def world() -> World:
    ways: tuple[tuple[Shape, Colour, float, MotionKind], ...] = (
        ("star", "red", 0.25, "right"),
        ("ring", "blue", 0.75, "left"),
    )
    actors = tuple(
        Actor(id=shape, shape=shape, colour=colour, x=0.2 if kind == "right" else 0.8, y=y,
              motion=Motion(kind=kind, travel=0.6))
        for shape, colour, y, kind in ways
    )  # fmt: skip
    scene = Scene(start_s=0, end_s=4, background="navy", actors=actors)
    return World(scenes=(scene,), width_px=320, height_px=180)


@pytest.fixture(scope="module")
def script(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.save(tmp_path_factory.mktemp("worlds") / "two.json")


def test_nano_follows_what_it_was_taught_and_looks_at_it_again(reasoner, world, script):
    found = reasoner.ground(script, "the red star that moves right", want="tube", fps=5)
    assert found.status is GroundingStatus.FOUND
    (target,) = found.targets
    assert target.tube is not None and target.tube.present.sum() >= 6
    for time_s in (0.6, 2.0):
        x1, y1, x2, y2 = boxes_at(world, time_s)["star"]
        box = target.tube.at(time_s)
        assert box is not None and iou(box, Box(x1 * 320, y1 * 180, x2 * 320, y2 * 180)) > 0.5
    # Its look was asked for again in other frames.
    assert target.checks == {"red": True, "moves right": True}
    assert (target.score, target.score_kind) == (1.0, "agreement")


def test_nano_refuses_a_motion_that_its_track_denies(reasoner, script):
    found = reasoner.ground(script, "the red star that moves left", want="tube", fps=2)
    assert found.status is GroundingStatus.NONE
    assert [rival.fails for rival in found.rivals] == [("moves left",)]


def test_nano_refuses_what_is_outside_its_words(reasoner, script):
    found = reasoner.ground(script, "the dog that runs", want="tube", fps=1)
    assert found.status in (GroundingStatus.NONE, GroundingStatus.UNPARSED)
    assert not found.targets
    # That it declined is told: it did not look.
    assert any("does not know the word" in issue.text for issue in found.issues)


def test_nano_tells_apart_by_a_negation(reasoner, tmp_path):
    actors = (
        Actor(id="a", shape="star", colour="red", x=0.2, y=0.5),
        Actor(id="b", shape="star", colour="blue", x=0.8, y=0.5),
    )
    world = World(scenes=(Scene(start_s=0, end_s=2, background="navy", actors=actors),))
    path = world.save(tmp_path / "stars.json")
    found = reasoner.ground(path, "the star that is not red", want="tube", fps=5)
    assert found.status is GroundingStatus.FOUND
    assert found.targets[0].checks == {"not red": True}
    # The blue one stands on the right.
    assert found.boxes[0].x1_px > world.width_px / 2
