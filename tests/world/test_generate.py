"""Generated worlds keep the margins that make their truth visible, at any length."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.video import Video
from mmreason.video.world import World, generate, render, truth
from mmreason.video.world import script as parts
from mmreason.video.world.motion import actor_position
from mmreason.video.world.questions import make_questions
from mmreason.video.world.source import WorldSource
from tests.world.visible_area import visible_share

HOURS_S = 36_000.0


def scenes(
    seeds: range, most_actors: int = 4, *, still_share: float = 0.3
) -> Iterator[tuple[World, parts.Scene]]:
    """Single scenes with up to `most_actors` actors, each as a world of its own."""
    for seed in seeds:
        rng = random.Random(f"test/{seed}")
        length_s, actors = rng.uniform(2.5, 5.0), rng.randint(1, most_actors)
        scene = generate.scene(
            rng, 0.0, length_s, actors=actors, event_share=0.6, still_share=still_share
        )
        yield World(scenes=(scene,)), scene


def free(scene: parts.Scene) -> list[parts.Actor]:
    """Actors that nobody meets and that do not cross the frame's edge on purpose."""
    meeting = {name for e in scene.events if e.other for name in (e.actor, e.other)}
    crossing = ("enter", "leave")
    return [a for a in scene.actors if a.id not in meeting and a.motion.kind not in crossing]


def test_sizes_can_be_told_apart() -> None:
    small, large = sorted(parts.RADIUS.values())
    assert large / small >= 1.4


def test_actors_are_seen_for_the_most_part_unless_on_purpose() -> None:
    checked = 0
    for world, scene in scenes(range(100)):
        for step in range(6):
            time_s = scene.end_s * (step + 0.5) / 6
            shares = visible_share(world, time_s, height_px=48)
            for actor in free(scene):
                if actor.id in shares:
                    assert shares[actor.id] >= 0.6, (actor, time_s)
                    checked += 1
    assert checked > 400


def test_who_is_met_is_covered_for_a_while_only_and_bystanders_never() -> None:
    met = Counter[str]()
    for world, scene in scenes(range(700), most_actors=3, still_share=1.0):
        for event in (e for e in scene.events if e.other):
            assert event.other is not None
            shares = visible_share(world, event.time_s, height_px=60)
            assert shares[event.actor] > 0.7
            sizes = scene.actor(event.actor).size, scene.actor(event.other).size
            if event.kind == "touch":
                assert shares[event.other] > 0.7
            elif sizes != (
                "small",
                "large",
            ):  # a small star fits into a large ring and hides nothing of it
                assert shares[event.other] < 0.65
            before = visible_share(world, 0.0, height_px=60)
            assert min(before.get(event.actor, 1), before.get(event.other, 1)) > 0.9
            met[event.kind] += 1
    assert min(met["touch"], met["occlude"]) >= 3


def test_no_two_actors_of_a_scene_look_alike() -> None:
    for _, scene in scenes(range(200)):
        looks = [(a.colour, a.shape) for a in scene.actors]
        looks += [
            (event.colour, scene.actor(event.actor).shape)
            for event in scene.events
            if event.kind == "change_colour"
        ]
        assert len(set(looks)) == len(looks)


def test_actors_stay_in_the_frame_and_above_the_words() -> None:
    for world, scene in scenes(range(200)):
        floor = generate.TEXT_FLOOR if scene.text else 1.0
        for actor in free(scene):
            radius = parts.RADIUS[actor.size]
            for step in range(21):
                x, y = actor_position(world, scene, actor, scene.end_s * step / 20)
                assert 0.8 * radius <= x <= world.aspect - 0.8 * radius
                assert 0.8 * radius <= y <= floor - 0.8 * radius


def test_events_leave_time_before_and_after_and_scenes_are_valid_scripts() -> None:
    kinds = Counter[str]()
    for world, scene in scenes(range(300)):
        for event in scene.events:
            assert scene.start_s + 0.79 <= event.time_s <= scene.end_s - 0.79
            kinds[event.kind] += 1
        assert World.model_validate_json(world.to_json()) == world
    assert set(kinds) == {"appear", "disappear", "change_colour", "touch", "occlude"}


def test_orders_are_asked_where_onsets_lie_apart() -> None:
    checked = 0
    for seed in range(12):
        for question in make_questions(generate.world(seed, duration_s=24, most_actors=3)):
            if question.family == "order":
                first, second = question.spans
                assert second.start_s - first.start_s >= 0.5
                checked += 1
    assert checked > 100


def test_everything_that_can_be_scripted_occurs() -> None:
    found = [scene for _, scene in scenes(range(300))]
    actors = [actor for scene in found for actor in scene.actors]
    for kind, values in (
        (parts.Shape, {a.shape for a in actors}),
        (parts.Colour, {a.colour for a in actors}),
        (parts.Size, {a.size for a in actors}),
        (parts.Pattern, {a.pattern for a in actors}),
        (parts.MotionKind, {a.motion.kind for a in actors}),
        (parts.Side, {a.motion.side for a in actors}),
        (parts.Background, {scene.background for scene in found}),
    ):
        assert values == set(get_args(kind))
    assert {scene.text for scene in found} == {None, *generate.WORDS}


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    duration_s=st.floats(1, 120).map(lambda s: round(s, 2)),
    scene_s=st.floats(2, 12),
    most_actors=st.integers(1, 4),
)
def test_a_world_is_as_long_and_as_busy_as_asked(
    seed: int, duration_s: float, scene_s: float, most_actors: int
) -> None:
    world = generate.world(seed, duration_s=duration_s, scene_s=scene_s, most_actors=most_actors)
    assert world.duration_s == duration_s and world.seed == seed
    assert len(world.scenes) == max(1, round(duration_s / scene_s))
    lengths_s = [scene.end_s - scene.start_s for scene in world.scenes]
    assert max(lengths_s) <= 1.6 * min(lengths_s), "about even"
    assert all(len(scene.actors) <= most_actors for scene in world.scenes)
    assert World.model_validate_json(world.to_json()) == world


@pytest.mark.parametrize("seed", range(20))
def test_the_demo_shows_one_shape_once(seed: int) -> None:
    world = generate.demo(seed)
    shapes = Counter(actor.shape for scene in world.scenes for actor in scene.actors)
    assert (world.duration_s, len(world.scenes)) == (32.0, 8)
    assert len(world.subtitles) == 1
    once = [s for s in world.scenes if len(s.actors) == 1 and shapes[s.actors[0].shape] == 1]
    assert once, "a shape that is seen only once, by itself"
    for scene in world.scenes:
        assert scene.actors, "something is there in each scene"
        assert len({(a.colour, a.shape) for a in scene.actors}) == len(scene.actors)
    texts = {q.text: q.answer for q in make_questions(world) if q.family == "attribute"}
    told = [(a.colour, texts.get(f"What colour is the {a.shape}?")) for s in once for a in s.actors]
    assert any(colour == answer for colour, answer in told)
    assert World.model_validate_json(world.to_json()) == world


@pytest.fixture(scope="module")
def ten_hours(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    world = generate.world(1, duration_s=HOURS_S)
    assert world.duration_s == HOURS_S and len(world.scenes) == 9000
    return world, world.save(tmp_path_factory.mktemp("long") / "ten-hours.json")


def test_ten_hours_take_little_memory(ten_hours: tuple[World, Path]) -> None:
    tracemalloc.start()
    try:
        with Video.open(ten_hours[1]) as video:
            batch = video.frames_at([18_000.0], (160, 90))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert batch.times_s.tolist() == [18_000.0] and batch.exact.all()
    assert peak_bytes < 60e6


def test_a_frame_of_ten_hours_draws_that_frame_only(
    ten_hours: tuple[World, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, path = ten_hours
    drawn: list[float] = []
    looked: list[int] = []
    draw_pixels = render.draw_pixels

    def counted_draw(world: World, time_s: float, size_px: tuple[int, int]) -> np.ndarray:
        drawn.append(time_s)
        return draw_pixels(world, time_s, size_px)

    class CountedScenes(tuple[parts.Scene, ...]):
        def __getitem__(self, index):
            looked.append(index)
            return super().__getitem__(index)

        def __iter__(self):
            raise AssertionError("went through all scenes for one frame")

    source = WorldSource(world.model_copy(update={"scenes": CountedScenes(world.scenes)}), path)
    monkeypatch.setattr(render, "draw_pixels", counted_draw)
    batch = source.frames_at([35_999.97, 12.53], (64, 36))
    assert drawn == pytest.approx([35_999.96, 12.52], abs=1e-6)
    assert 0 < len(looked) <= 3 * math.ceil(math.log2(len(world.scenes)))
    assert (batch.pixels[0] == world.frame(35_999.96, (64, 36))).all()


def test_ten_hours_are_described_piece_by_piece_and_as_a_whole(
    ten_hours: tuple[World, Path],
) -> None:
    world, _ = ten_hours
    scene = world.scenes[8000]
    alone = World(scenes=(parts.Scene(start_s=0, end_s=scene.start_s), scene))
    assert truth.write_caption(world, scene.span) == truth.write_caption(alone, scene.span)
    assert truth.write_caption(world).startswith("9000 scenes with ")
    frames = [w.frame(scene.start_s + 1, (64, 36)) for w in (world, alone)]
    assert (frames[0] == frames[1]).all()
