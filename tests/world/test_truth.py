"""What is said of a world is what its pixels show: boxes, tracks, events, sightings."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video.types import Span
from mmreason.video.world import World, generate, truth
from mmreason.video.world.motion import actor_position, on_screen
from mmreason.video.world.render import RGB, draw_frame
from mmreason.video.world.script import (
    RADIUS,
    Actor,
    Event,
    Motion,
    MotionKind,
    Pattern,
    Scene,
    Shape,
    Size,
)
from tests.world.facts import facts
from tests.world.visible_area import visible_share

SIZE_PX = (640, 360)


def world_of(*actors: Actor, events: tuple[Event, ...] = (), text: str | None = None) -> World:
    """Two scenes of 4 s; what is given happens in the second."""
    second = Scene(start_s=4.0, end_s=8.0, actors=actors, events=events, text=text)
    return World(scenes=(Scene(start_s=0.0, end_s=4.0), second))


def drawn_box(coverage: np.ndarray, least: float = 0.2) -> tuple[float, float, float, float]:
    rows = np.flatnonzero((coverage > least).any(1))
    columns = np.flatnonzero((coverage > least).any(0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


@settings(max_examples=60)
@given(
    shape=st.sampled_from(get_args(Shape)),
    pattern=st.sampled_from(get_args(Pattern)),
    size=st.sampled_from(get_args(Size)),
    kind=st.sampled_from(get_args(MotionKind)),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    time_s=st.floats(4.0, 7.99),
)
def test_a_box_is_the_box_of_the_pixels(
    shape: Shape,
    pattern: Pattern,
    size: Size,
    kind: MotionKind,
    x: float,
    y: float,
    time_s: float,
) -> None:
    motion = Motion(kind=kind)
    actor = Actor(
        id="a", shape=shape, colour="red", size=size, pattern=pattern, x=x, y=y, motion=motion
    )
    world = world_of(actor)
    covered = draw_frame(world, time_s, SIZE_PX).coverage[0]
    told = truth.boxes_at(world, time_s).get("a")
    if told is None:
        area = covered.sum() / (4 * (RADIUS[size] * SIZE_PX[1]) ** 2)
        assert area < 0.3, "most of it is outside"
    else:
        scaled = np.array(told) * [*SIZE_PX, *SIZE_PX]
        slack = (scaled - drawn_box(covered)) * [-1, -1, 1, 1]
        assert slack.min() >= -1.5, "nothing sticks out"
        whole = min(told) > 0 and max(told) < 1
        assert slack.max() <= 1.5 or not whole, "what the frame cuts may have a loose box"
        assert min(told) >= 0 and max(told) <= 1


def test_boxes_fit_at_the_size_of_the_model_too() -> None:
    for shape, size in itertools.product(get_args(Shape), get_args(Size)):
        world = world_of(Actor(id="a", shape=shape, colour="red", size=size))
        covered = draw_frame(world, 5.0, (144, 80)).coverage[0]
        scaled = np.array(truth.boxes_at(world, 5.0)["a"]) * [144, 80, 144, 80]
        assert np.abs(scaled - drawn_box(covered)).max() <= 1.5


@pytest.mark.parametrize("kind", get_args(MotionKind))
def test_a_track_has_no_jumps_and_ends_with_its_scene(kind: MotionKind) -> None:
    actor = Actor(id="a", shape="star", colour="red", size="small", motion=Motion(kind=kind))
    world = world_of(actor)
    times_s = [i / 50 for i in range(500)]
    boxes = [truth.boxes_at(world, t).get("a") for t in times_s]
    outside = [box for t, box in zip(times_s, boxes, strict=True) if not 4 <= t < 8]
    assert outside == [None] * 300
    steps = [
        max(abs(a - b) for a, b in zip(one, other, strict=True))
        for one, other in itertools.pairwise(boxes)
        if one and other
    ]
    assert max(steps) < 0.03 and len(steps) > 150
    assert (max(steps) == 0) == (kind == "still")


def test_appearing_disappearing_and_turning_happen_on_time() -> None:
    actors = tuple(
        Actor(id=name, shape="circle", colour="red", x=x, size="small")
        for name, x in (("comes", 0.2), ("goes", 0.5), ("turns", 0.8))
    )
    events = (
        Event(kind="appear", actor="comes", time_s=5.0),
        Event(kind="disappear", actor="goes", time_s=6.0),
        Event(kind="change_colour", actor="turns", time_s=7.0, colour="blue"),
    )
    world = world_of(*actors, events=events)

    def shown(name: str, time_s: float) -> list[int]:
        x = round(world.scenes[1].actor(name).x * 160)
        return world.frame(time_s, (160, 90))[45, x].tolist()

    red, blue = list(RGB["red"]), list(RGB["blue"])
    assert shown("comes", 4.99) != red and shown("comes", 5.0) == red == shown("comes", 7.9)
    assert shown("goes", 4.0) == red == shown("goes", 5.99) and shown("goes", 6.0) != red
    assert shown("turns", 6.99) == red and shown("turns", 7.0) == blue == shown("turns", 7.9)
    ids = [set(truth.boxes_at(world, t)) for t in (4.5, 5.5, 6.5)]
    assert ids == [{"goes", "turns"}, {"comes", "goes", "turns"}, {"comes", "turns"}]
    spans = {s.actor.id: s.span for s in truth.find_sightings(world)}
    assert spans == {"comes": Span(5, 8), "goes": Span(4, 6), "turns": Span(4, 8)}
    colours = {s.actor.id: s.colours for s in truth.find_sightings(world)}
    assert colours == {"comes": ("red",), "goes": ("red",), "turns": ("red", "blue")}
    assert [
        s.colours for s in truth.find_sightings(world, Span(7.2, 8)) if s.actor.id == "turns"
    ] == [("blue",)]


@settings(max_examples=20)
@given(
    kind=st.sampled_from(("enter", "leave")),
    side=st.sampled_from(("left", "right")),
    size=st.sampled_from(get_args(Size)),
    x=st.floats(0.15, 0.85),
)
def test_who_enters_or_leaves_is_seen_when_half_of_it_is_drawn(
    kind: MotionKind, side: str, size: Size, x: float
) -> None:
    motion = Motion.model_validate({"kind": kind, "side": side})
    actor = Actor(id="a", shape="circle", colour="red", size=size, x=x, motion=motion)
    world = world_of(actor)
    span = on_screen(world, world.scenes[1], actor)
    times_s = [4 + i / 25 for i in range(100)]
    half = [visible_share(world, t, height_px=60)["a"] >= 0.5 for t in times_s]
    differing = [
        t for t, seen in zip(times_s, half, strict=True) if seen != span.contains(t + 1e-9)
    ]
    assert len(differing) <= 1, "told to within a frame"
    beside = visible_share(world, 4.0 if kind == "enter" else 7.999)["a"]
    assert beside < 0.02 and not half[0 if kind == "enter" else -1]
    settled_x = actor_position(world, world.scenes[1], actor, 7.9 if kind == "enter" else 4.1)[0]
    assert settled_x == pytest.approx(x * world.aspect)


def meeting(kind: str, first: Shape, second: Shape, size: Size, y: float = 0.5) -> World:
    from_x, to_x = (0.2, 0.65) if kind == "touch" else (0.3, 0.55)
    actors = (
        Actor(id="a", shape=first, colour="red", size=size, x=from_x, y=0.5),
        Actor(id="b", shape=second, colour="blue", size=size, x=to_x, y=y),
    )
    event = Event.model_validate({"kind": kind, "actor": "a", "other": "b", "time_s": 6.0})
    return world_of(*actors, events=(event,))


def gap_px(world: World, time_s: float) -> float:
    """Pixels between the nearest drawn points of two actors; 0 where they meet."""
    first, second = draw_frame(world, time_s, (320, 180)).coverage > 0.3
    away = cv2.distanceTransform((~first).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return max(0.0, float(away[second].min()) - 1)


@pytest.mark.parametrize("size", get_args(Size))
@pytest.mark.parametrize("y", [0.5, 0.25])
def test_circles_touch_at_the_time_and_stay(size: Size, y: float) -> None:
    world = meeting("touch", "circle", "circle", size, y)
    scene = world.scenes[1]
    apart = [
        math.dist(*(actor_position(world, scene, actor, t) for actor in scene.actors))
        for t in (4.0, 5.0, 5.9, 6.0, 6.5, 7.9)
    ]
    assert apart[0] > apart[1] > apart[2] > apart[3]
    assert apart[3] == pytest.approx(2 * RADIUS[size], rel=2e-3) == apart[4] == apart[5]
    assert gap_px(world, 5.0) > 5
    assert gap_px(world, 6.0) == gap_px(world, 7.9) == 0
    shares = visible_share(world, 6.0)
    assert min(shares.values()) > 0.9, "edges meet, they do not cover each other"


def test_all_shapes_touch_at_the_time() -> None:
    pairs = itertools.combinations_with_replacement(get_args(Shape), 2)
    assert max(gap_px(meeting("touch", a, b, "small"), 6.0) for a, b in pairs) <= 2


@pytest.mark.parametrize("shape", get_args(Shape))
def test_who_is_passed_in_front_of_is_hidden_at_the_time(shape: Shape) -> None:
    world = meeting("occlude", shape, shape, "large")
    shares = {t: visible_share(world, t) for t in (4.0, 6.0, 7.9)}
    assert shares[4.0]["b"] > 0.95 and shares[7.9]["b"] > 0.95
    assert shares[6.0]["b"] < 0.05
    assert min(share["a"] for share in shares.values()) > 0.95
    under = meeting("occlude", shape, shape, "large")
    swapped = under.scenes[1].model_copy(update={"actors": under.scenes[1].actors[::-1]})
    again = under.model_copy(update={"scenes": (under.scenes[0], swapped)})
    assert visible_share(again, 6.0)["b"] < 0.05, "whoever comes first in the list"


@settings(max_examples=25)
@given(seed=st.integers(0, 20), start=st.floats(0, 0.9), length=st.floats(0.02, 0.5))
def test_sightings_lie_inside_what_is_asked_and_last(
    seed: int, start: float, length: float
) -> None:
    world = generate.world(seed, duration_s=16, most_actors=3)
    span = Span(16 * start, min(16.0, 16 * (start + length)))
    seen = truth.find_sightings(world, span, least_s=0.3)
    assert all(s.span.duration_s >= 0.3 for s in seen)
    assert all(span.start_s <= s.span.start_s and s.span.end_s <= span.end_s for s in seen)
    assert [s.span.start_s for s in seen] == sorted(s.span.start_s for s in seen)
    clear = {(f.scene.start_s, f.actor.id) for f in facts(world, span) if f.seen_s > 0.34}
    glimpsed = {(f.scene.start_s, f.actor.id) for f in facts(world, span) if f.seen_s > 0.26}
    assert clear <= {(s.scene.start_s, s.actor.id) for s in seen} <= glimpsed
