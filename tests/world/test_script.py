"""The script of a world: JSON in, JSON out, and one clear line for each thing that is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import Span, Video, VideoError
from mmreason.video.world import World, generate
from mmreason.video.world import script as parts

SECONDS = st.floats(0.1, 30.0)
FRACTIONS = st.floats(0.0, 1.0)


def _actor(actor_id: str) -> st.SearchStrategy[parts.Actor]:
    motion = st.builds(
        parts.Motion,
        kind=st.sampled_from(get_args(parts.MotionKind)),
        travel=st.floats(0.1, 2.0),
        side=st.sampled_from(("left", "right")),
        period_s=st.floats(0.3, 9.0),
    )
    return st.builds(
        parts.Actor,
        id=st.just(actor_id),
        shape=st.sampled_from(get_args(parts.Shape)),
        colour=st.sampled_from(get_args(parts.Colour)),
        size=st.sampled_from(get_args(parts.Size)),
        pattern=st.sampled_from(get_args(parts.Pattern)),
        x=FRACTIONS,
        y=FRACTIONS,
        motion=motion,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    scenes, start_s = [], 0.0
    for _ in range(draw(st.integers(1, 3))):
        end_s = start_s + draw(SECONDS)
        actors = [draw(_actor(f"a{i}")) for i in range(draw(st.integers(0, 2)))]
        events = []
        if actors:
            time_s = start_s + (end_s - start_s) * draw(st.floats(0.1, 0.9))
            kind = draw(st.sampled_from(("appear", "disappear", "change_colour", "touch")))
            if kind != "touch":
                events = [parts.Event(kind=kind, actor="a0", time_s=time_s, colour="pink")]
            elif len(actors) == 2:
                events = [parts.Event(kind=kind, actor="a0", other="a1", time_s=time_s)]
        scene = parts.Scene(
            start_s=start_s,
            end_s=end_s,
            background=draw(st.sampled_from(get_args(parts.Background))),
            actors=tuple(actors),
            events=tuple(events),
            text=draw(st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=40)),
        )
        scenes.append(scene)
        start_s = end_s
    lines = (parts.SubtitleLine(start_s=0.0, end_s=1.5, text="Grüße, 世界"),)
    return World(
        name=draw(st.text(st.characters(exclude_categories=("Cs",)), max_size=8)),
        seed=draw(st.none() | st.integers(0, 9)),
        width_px=2 * draw(st.integers(8, 2048)),
        fps_hz=draw(st.floats(0.5, 120.0)),
        scenes=tuple(scenes),
        subtitles=draw(st.sampled_from(((), lines))),
    )


@settings(max_examples=40)
@given(world=worlds())
def test_a_saved_world_loads_as_itself(
    tmp_path_factory: pytest.TempPathFactory, world: World
) -> None:
    path = tmp_path_factory.mktemp("script") / "new" / "world.json"
    assert world.save(path) == path
    loaded = World.load(path)
    assert loaded == world
    assert loaded.to_json() == world.to_json()
    assert json.loads(path.read_text(encoding="utf-8"))["format"] == "mmreason-world-1"


def test_a_script_written_by_hand_needs_only_its_scenes(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(
        '{"scenes": [\n {"start_s": 0, "end_s": 2, "actors": [{"id":"it","shape":"star",'
        '"colour":"red"}]},\n\t{"end_s": 5.6, "start_s": 2}]}\n'
    )
    world = World.load(path)
    assert (world.size_px, world.fps_hz, world.duration_s) == ((640, 360), 25.0, 5.6)
    star = world.scenes[0].actor("it")
    assert star == parts.Actor(id="it", shape="star", colour="red", size="large", x=0.5, y=0.5)
    assert (star.pattern, star.motion.kind) == ("plain", "still")
    with Video.open(path) as video:
        assert video.info.duration_s == pytest.approx(5.6)


def test_an_edit_by_hand_is_drawn(tmp_path: Path) -> None:
    star = parts.Actor(id="it", shape="star", colour="red")
    world = World(scenes=(parts.Scene(start_s=0, end_s=2, actors=(star,)),))
    path = world.save(tmp_path / "world.json")
    path.write_text(path.read_text().replace('"red"', '"blue"'))
    edited = World.load(path)
    assert edited.scenes[0].actor("it").colour == "blue"
    before, after = world.frame(1.0, (64, 36))[18, 32], edited.frame(1.0, (64, 36))[18, 32]
    assert before.argmax() == 0 and after.argmax() == 2


def _set(*keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = to

    return change


def _event(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return _set("scenes", 0, "events", to=[{"kind": "appear", "actor": "a", "time_s": 1} | fields])


def _events(*listed: tuple[str, str, float, str | None]) -> Callable[[dict[str, Any]], None]:
    events = [
        {"kind": kind, "actor": actor, "time_s": time_s} | ({"other": other} if other else {})
        for kind, actor, time_s, other in listed
    ]
    return _set("scenes", 0, "events", to=events)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "gap": (_set("scenes", 1, "start_s", to=2.5), ("scene 1", "2.0 s", "2.5 s")),
    "overlap": (_set("scenes", 1, "start_s", to=1.5), ("scene 1", "1.5 s")),
    "late start": (_set("scenes", 0, "start_s", to=0.5), ("scene 0", "0.5 s")),
    "backwards": (_set("scenes", 0, "end_s", to=-1), ("scenes.0", "end after it starts")),
    "no scenes": (_set("scenes", to=[]), ("scenes", "at least 1")),
    "endless": (_set("scenes", 1, "end_s", to=float("inf")), ("holds Infinity", "finite")),
    "not a number": (_set("scenes", 1, "end_s", to=float("nan")), ("holds NaN", "finite")),
    "colour": (_set("scenes", 0, "actors", 1, "colour", to="beige"), ("0.actors.1.colour", "pink")),
    "shape": (_set("scenes", 0, "actors", 0, "shape", to="cube"), ("0.actors.0.shape", "star")),
    "outside": (_set("scenes", 0, "actors", 0, "x", to=1.2), ("actors.0.x", "equal to 1")),
    "no id": (_set("scenes", 0, "actors", 0, "id", to=""), ("actors.0.id",)),
    "same id": (_set("scenes", 0, "actors", 1, "id", to="a"), ("scenes.0", "['a', 'a']")),
    "travel": (_set("scenes", 0, "actors", 0, "motion", to={"travel": 0}), ("motion.travel",)),
    "motion": (_set("scenes", 0, "actors", 0, "motion", to={"kind": "fly"}), ("motion.kind",)),
    "unknown field": (_set("scenes", 0, "actors", 0, "color", to="red"), ("actors.0.color",)),
    "field of two lines": (_set("a\nb", to=1), ("a b", "not permitted")),
    "ghost actor": (_event(actor="ghost"), ("scenes.0", "'ghost'")),
    "ghost other": (_event(kind="touch", other="ghost"), ("scenes.0", "'ghost'")),
    "event late": (_event(time_s=2.5), ("scenes.0", "2.5 s", "outside its scene")),
    "event early": (_event(time_s=-0.5), ("scenes.0", "outside its scene")),
    "event kind": (_event(kind="explode"), ("events.0.kind", "appear")),
    "no colour": (_event(kind="change_colour"), ("events.0", "`colour`")),
    "no other": (_event(kind="occlude"), ("events.0", "`other`")),
    "touches itself": (_event(kind="touch", other="a"), ("scenes.0", "ring: a -> a")),
    "touch each other": (
        _events(("touch", "a", 1.0, "b"), ("occlude", "b", 1.5, "a")),
        ("scenes.0", "ring: a -> b -> a"),
    ),
    "two partners": (
        _events(("touch", "a", 1.0, "b"), ("occlude", "a", 1.5, "b")),
        ("scenes.0", "'a'", "one other"),
    ),
    "appears twice": (
        _events(("appear", "a", 0.5, None), ("appear", "a", 1.5, None)),
        ("scenes.0", "'a'", "appear once"),
    ),
    "gone before it comes": (
        _events(("appear", "a", 1.5, None), ("disappear", "a", 0.5, None)),
        ("scenes.0", "'a'", "disappear at [0.5]"),
    ),
    "long text": (_set("scenes", 0, "text", to="x" * 41), ("scenes.0.text", "40")),
    "subtitle": (
        _set("subtitles", to=[{"start_s": 2, "end_s": 1, "text": "x"}]),
        ("subtitles.0", "end after it starts"),
    ),
    "odd width": (_set("width_px", to=333), ("width_px", "multiple of 2")),
    "tiny": (_set("height_px", to=2), ("height_px", "16")),
    "frame rate": (_set("fps_hz", to=0), ("fps_hz", "equal to 0.01")),
    "other format": (_set("format", to="mmreason-world-9"), ("format", "mmreason-world-1")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    change, pieces = WRONG[name]
    actors = [{"id": i, "shape": "star", "colour": c} for i, c in (("a", "red"), ("b", "blue"))]
    scenes = [
        {"start_s": 0, "end_s": 2, "actors": actors, "events": []},
        {"start_s": 2, "end_s": 4},
    ]
    data: dict[str, Any] = {"scenes": scenes}
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(data))
    World.load(path)
    change(data)
    path.write_text(json.dumps(data))
    _refused(path, *pieces)


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("red star, please", "is no JSON"),
        ('{"scenes": [', "is no JSON"),
        ("[" * 2000, "brackets inside each other"),
        ("[1, 2, 3]", "dictionary"),
        ('"scenes"', "dictionary"),
        ('{"name": "package", "version": "1.0"}', "scenes"),
        (b"\xff\xfe{\x00}", "cannot be read as a world script"),
    ],
)
def test_what_is_no_script_is_refused(tmp_path: Path, text: str | bytes, piece: str) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    _refused(path, piece)


def _refused(path: Path, *pieces: str) -> None:
    for opener in (World.load, Video.open):
        with pytest.raises(VideoError) as caught:
            opener(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert len(message.splitlines()) == 1
        for piece in pieces:
            assert piece in message


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(VideoError, match="cannot be read"):
            World.load(path)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(VideoError, match="cannot be written"):
        generate.world(0, duration_s=4).save(tmp_path / "file" / "world.json")


PRINT_DIGESTS = """
import hashlib
from mmreason.video.world import generate
for seed in (3, 4):
    world = generate.world(seed, duration_s=12, most_actors=3)
    pixels = b"".join(world.frame(t / 2, (160, 90)).tobytes() for t in range(24))
    print(hashlib.sha256(world.to_json().encode() + pixels).hexdigest())
"""


def test_the_same_seed_gives_the_same_script_and_pixels_in_another_process() -> None:
    def digest(seed: int) -> str:
        world = generate.world(seed, duration_s=12, most_actors=3)
        pixels = b"".join(world.frame(t / 2, (160, 90)).tobytes() for t in range(24))
        return hashlib.sha256(world.to_json().encode() + pixels).hexdigest()

    environment = os.environ | {"PYTHONHASHSEED": "271", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PRINT_DIGESTS]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [digest(3), digest(4)]
    assert digest(3) != digest(4)


def test_different_seeds_give_different_worlds() -> None:
    for make in (generate.world, generate.demo):
        worlds = [make(seed).model_copy(update={"name": "", "seed": 0}) for seed in range(30)]
        assert len({world.to_json() for world in worlds}) == 30


@settings(max_examples=40)
@given(world=worlds(), share=st.floats(-0.1, 1.1), length=st.floats(0.0, 0.5))
def test_scenes_are_found_by_time(world: World, share: float, length: float) -> None:
    time_s = share * world.duration_s
    holding = [scene for scene in world.scenes if scene.start_s <= time_s < scene.end_s]
    nearest = [world.scenes[0] if time_s < 0 else world.scenes[-1]]
    assert [world.scene_at(time_s)] == (holding or nearest)
    span = Span(time_s, time_s + length * world.duration_s)
    meeting = [s for s in world.scenes if s.start_s < span.end_s and s.end_s > span.start_s]
    assert world.scenes_in(span) == (meeting if span.duration_s > 0 else [])
