"""Scripted worlds that mean harm: each limit is one line, and drawing costs what it shows."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmreason.needle.worlds import needle_set
from mmreason.video import Video, VideoError
from mmreason.video.world import World, generate
from mmreason.video.world import script as parts
from mmreason.video.world.motion import actor_position, colour_at, presence_span
from mmreason.video.world.render import BACKGROUND_RGB, RGB, draw_frame, draw_pixels
from mmreason.video.world.script import (
    MAX_ACTORS,
    MAX_BYTES,
    MAX_DURATION_S,
    MAX_EVENTS,
    MAX_SCENES,
    Actor,
    Event,
    Scene,
)
from mmreason.video.world.shapes import shade_pattern, signed_distance


def _actors(count: int) -> list[dict[str, Any]]:
    return [{"id": f"a{i}", "shape": "star", "colour": "red"} for i in range(count)]


def _touching(count: int) -> list[dict[str, Any]]:
    return [
        {"kind": "touch", "actor": f"a{i}", "other": f"a{i + 1}", "time_s": 1.0}
        for i in range(count)
    ]


def _scene(**fields: Any) -> dict[str, Any]:
    return {"scenes": [{"start_s": 0, "end_s": 2} | fields]}


def _scenes(count: int) -> dict[str, Any]:
    return {"scenes": [{"start_s": i, "end_s": i + 1} for i in range(count)]}


LINES = [{"start_s": 0, "end_s": 1, "text": "a"}]
HARMFUL: dict[str, tuple[dict[str, Any], str]] = {
    "actors": (_scene(actors=_actors(5_000)), f"at most {MAX_ACTORS} items"),
    "a chain of touches": (
        _scene(actors=_actors(3_001), events=_touching(3_000)),
        f"at most {MAX_ACTORS} items",
    ),
    "events": (
        _scene(actors=_actors(1), events=_touching(1) * 5_000),
        f"at most {MAX_EVENTS} items",
    ),
    "scenes": (_scenes(MAX_SCENES + 1), f"at most {MAX_SCENES} items"),
    "subtitles": (_scene() | {"subtitles": LINES * 30_000}, "at most 20000 items"),
    "a long line": (
        _scene() | {"subtitles": [LINES[0] | {"text": "a" * 5_000}]},
        "1000 characters",
    ),
    "a long name": (_scene() | {"name": "a" * 5_000}, "200 characters"),
    "fields": (_scene() | {f"f{i}": 1 for i in range(10_000)}, "at most 32 fields"),
    "lines that are none": (_scene() | {"subtitles": [[]] * 10_000}, "subtitles.0"),
    "long ids": (_scene(actors=[_actors(1)[0] | {"id": "a" * 5_000}]), "200 characters"),
    "smallest rate": (_scene() | {"fps_hz": 5e-324}, "fps_hz"),
    "small rate": (_scene() | {"fps_hz": 1e-300}, "fps_hz"),
    "high rate": (_scene() | {"fps_hz": 1e9}, "fps_hz"),
    "endless": (_scene(end_s=1e308), "end_s"),
    "beyond a day": (_scene(end_s=MAX_DURATION_S * 1.1), "end_s"),
    "no time at all": (_scene(end_s=5e-324), "must last at least"),
    "wide": (_scene() | {"width_px": 1_000_000}, "width_px"),
    "large": (_scene() | {"width_px": 4096, "height_px": 4096}, "pixels"),
    "an integer without end": (_scene() | {"seed": 10**400}, "digits"),
    "subtitles before time": (
        _scene() | {"subtitles": [LINES[0] | {"start_s": -1e308}]},
        "subtitles.0.start_s",
    ),
    "keys that a terminal obeys": (_scene() | {"\x1b[2J\u202e\nfile": 1}, "not permitted"),
    "text that a terminal obeys": (
        _scene(actors=[_actors(1)[0], _actors(1)[0] | {"id": "\x1b]0;a\x07"}], events=_touching(1)),
        "not in",
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_script_is_refused_in_one_short_line(name: str, tmp_path: Path) -> None:
    script, reason = HARMFUL[name]
    path = tmp_path / "w.json"
    path.write_text(json.dumps(script))
    for open_script in (World.load, Video.open):
        with pytest.raises(VideoError, match=reason) as caught:
            open_script(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and len(message) < 1_000
        assert message.isprintable()
        cause = caught.value.__cause__
        if isinstance(cause, ValidationError):
            assert cause.error_count() < 5, "reading stops at the first of many mistakes"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    with path.open("wb") as file:
        file.write(b'{"scenes": [')
        file.truncate(800_000_000)  # sparse: it takes no room
    tracemalloc.start()
    with pytest.raises(VideoError, match="more than the limit"):
        World.load(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * MAX_BYTES


def test_a_world_at_every_limit_is_drawn(tmp_path: Path) -> None:
    scene = _scene(actors=_actors(MAX_ACTORS), events=_touching(MAX_ACTORS - 1), text="W" * 40)
    path = tmp_path / "w.json"
    path.write_text(json.dumps(scene | {"fps_hz": parts.MIN_FPS_HZ}))
    with Video.open(path) as video:
        assert video.info.frame_count == 1
        assert video.frames_at([0.0], size_px=(64, 36)).pixels.shape == (1, 36, 64, 3)


def test_a_day_of_scenes_is_within_the_limits(tmp_path: Path) -> None:
    path = needle_set(0, MAX_DURATION_S, 1).world.save(tmp_path / "day.json")
    assert World.load(path).duration_s == MAX_DURATION_S


@pytest.mark.parametrize("size_px", [(320, 180)])
def test_a_frame_takes_no_more_memory_for_more_actors(size_px: tuple[int, int]) -> None:
    def peak_bytes(count: int) -> int:
        actors = tuple(
            Actor(id=str(i), shape="star", colour="red", x=i / count, size="small")
            for i in range(count)
        )
        world = World(scenes=(Scene(start_s=0, end_s=1, actors=actors),))
        world.frame(0.0, size_px)
        tracemalloc.start()
        world.frame(0.0, size_px)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(MAX_ACTORS) < 1.2 * peak_bytes(2)


def _drawn_plainly(world: World, time_s: float, size_px: tuple[int, int]) -> np.ndarray:
    """A frame without its text, each pixel over the whole frame and one actor after the other: the
    meaning of a script, without windows or anything kept."""
    width, height = size_px
    scene = world.scene_at(time_s)
    shade = np.linspace(1.15, 0.8, height, dtype=np.float32)[:, None, None]
    image = np.ones((1, width, 1), np.float32) * (
        np.array(BACKGROUND_RGB[scene.background], np.float32) * shade
    )
    scale_x = width / world.aspect
    x_heights, y_heights = np.meshgrid((np.arange(width) + 0.5) / scale_x,
                                       (np.arange(height) + 0.5) / height)  # fmt: skip
    front = {event.actor for event in scene.events if event.kind == "occlude"}
    for actor in sorted(scene.actors, key=lambda actor: actor.id in front):
        if not presence_span(scene, actor).contains(time_s):
            continue
        radius = parts.RADIUS[actor.size]
        x_centre, y_centre = actor_position(world, scene, actor, time_s)
        x, y = (x_heights - x_centre) / radius, (y_heights - y_centre) / radius
        pixel = 1 / (radius * np.sqrt(scale_x * height))
        alpha = np.clip(0.5 - signed_distance(actor.shape, x, y) / pixel, 0, 1).astype(np.float32)
        dark = shade_pattern(actor.pattern, x, y, pixel).astype(np.float32)
        colour = np.array(RGB[colour_at(scene, actor, time_s)], np.float32)
        image += alpha[..., None] * (colour * (1 - 0.72 * dark[..., None]) - image)
    return (image + 0.5).clip(0, 255).astype(np.uint8)


def _without_text(world: World) -> World:
    scenes = tuple(scene.model_copy(update={"text": None}) for scene in world.scenes)
    return world.model_copy(update={"scenes": scenes})


def _crowded(seed: int) -> World:
    """All shapes, sizes and patterns over each other, with every kind of event."""
    rng = random.Random(seed)
    actors = tuple(
        Actor(
            id=f"a{i}",
            shape=shape,
            colour=rng.choice(get_args(parts.Colour)),
            size=("small", "large")[i % 2],
            pattern=get_args(parts.Pattern)[i % 3],
            x=round(rng.random(), 3),
            y=round(rng.random(), 3),
        )
        for i, shape in enumerate(get_args(parts.Shape))
    )
    events = (
        Event(kind="occlude", actor="a0", other="a1", time_s=1.0),
        Event(kind="touch", actor="a2", other="a3", time_s=1.5),
        Event(kind="change_colour", actor="a3", colour="pink", time_s=0.7),
        Event(kind="disappear", actor="a4", time_s=1.2),
        Event(kind="appear", actor="a5", time_s=0.8),
    )
    return World(scenes=(Scene(start_s=0, end_s=2, actors=actors, events=events, text="STOP"),))


WORLDS: dict[str, Callable[[], World]] = {
    "generated": lambda: generate.world(3, duration_s=24, most_actors=4),
    "demo": lambda: generate.demo(5),
    "needle": lambda: needle_set(1, 180.0, 6).world,
    "crowded": lambda: _crowded(0),
    "crowded otherwise": lambda: _crowded(1),
}


@pytest.mark.parametrize("name", WORLDS)
@settings(max_examples=8)
@given(share=st.floats(0, 1), size_px=st.sampled_from([(160, 90), (48, 64), (97, 31)]))
def test_pixels_are_those_of_the_plain_way(
    name: str, share: float, size_px: tuple[int, int]
) -> None:
    world = WORLDS[name]()
    time_s = share * world.duration_s
    drawing = draw_frame(world, time_s, size_px)
    assert np.array_equal(draw_pixels(world, time_s, size_px), drawing.pixels)
    silent = _without_text(world)
    plain = _drawn_plainly(silent, time_s, size_px).astype(int)
    # A window of the frame and the whole of it may round the last bit of a float differently.
    assert np.abs(draw_pixels(silent, time_s, size_px).astype(int) - plain).max() <= 1
    assert drawing.coverage.shape == (len(world.scene_at(time_s).actors), *size_px[::-1])
    assert drawing.coverage.min(initial=0) >= 0
    assert drawing.coverage.sum(0).max(initial=0) <= 1 + 1e-5
