"""Shots in made films: what is one transition is found as one, and what is none is not found."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import shots as measure
from mmreason.video import Span, Video, VideoError
from mmreason.video.content import shots
from mmreason.video.content.signals import Scan
from mmreason.video.types import FrameBatch, VideoInfo
from mmreason.video.world import generate
from mmreason.video.world.encode import write_video
from mmreason.video.world.script import Actor, Event, Scene, World

HEIGHT, WIDTH, RATE_HZ = 27, 48, 15


def picture(seed: int, *, shift: int = 0) -> np.ndarray:
    """float64 (H, W, 3): a rough texture, the camera `shift` pixels further."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (HEIGHT // 3 + 1, WIDTH, 3)).repeat(3, axis=0)[:HEIGHT]
    coarse = (coarse + np.roll(coarse, 1, axis=1) + np.roll(coarse, 2, axis=1)) / 3
    return np.roll(coarse, -shift, axis=1)


def shot(seed: int, count: int, *, speed: float = 0.3) -> list[np.ndarray]:
    return [picture(seed, shift=round(i * speed)) for i in range(count)]


def dissolve(a: np.ndarray, b: np.ndarray, count: int) -> list[np.ndarray]:
    weights = (np.arange(count) + 1) / (count + 1)
    return [(1 - w) * a + w * b for w in weights]


def find(frames: list[np.ndarray]) -> tuple[shots.Transition, ...]:
    pixels = np.stack(frames).clip(0, 255).astype(np.uint8)
    return shots.find_in_frames(pixels, np.arange(len(pixels)) / RATE_HZ)


def test_a_cut_is_found_at_the_first_frame_of_the_new_shot() -> None:
    (cut,) = find(shot(1, 30) + shot(2, 30))
    assert (cut.kind, cut.hinted) == ("cut", False)
    assert cut.time_s == cut.span.start_s == cut.span.end_s == 2.0
    assert cut.score > 0.4


@pytest.mark.parametrize("speed", [0.0, 0.5, 1.0])
def test_movement_is_no_cut(speed: float) -> None:
    assert find(shot(1, 60, speed=speed)) == ()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = shot(1, 60)
    for i in range(25, 25 + length):
        frames[i] = frames[i] * 0.2 + 200
    assert find(frames) == ()


def test_a_cut_beside_a_flash_is_still_one_cut() -> None:
    frames = shot(1, 30) + shot(2, 30)
    frames[30] = np.full_like(frames[30], 250)
    (cut,) = find(frames)
    assert cut.time_s == pytest.approx(2.0, abs=1.5 / RATE_HZ)


@pytest.mark.parametrize("length", [6, 10, 15, 22])
def test_a_dissolve_is_one_transition(length: int) -> None:
    first, second = shot(1, 40, speed=0), shot(2, 40, speed=0)
    frames = first + dissolve(first[-1], second[0], length) + second
    (found,) = find(frames)
    assert found.kind == "dissolve"
    middle_s = (40 + (length - 1) / 2) / RATE_HZ
    assert found.time_s == pytest.approx(middle_s, abs=0.2)
    assert found.span.start_s < middle_s < found.span.end_s


def test_a_fade_through_black_is_one_transition() -> None:
    first, second, dark = shot(1, 30), shot(2, 30), np.zeros((HEIGHT, WIDTH, 3))
    out, back = dissolve(first[-1], dark, 7), dissolve(dark, second[0], 7)
    (found,) = find([*first, *out, dark, dark, *back, *second])
    assert found.kind == "fade"
    assert found.time_s == pytest.approx(37.5 / RATE_HZ, abs=0.07)
    assert found.span.start_s == pytest.approx(30 / RATE_HZ, abs=0.15)


def test_a_long_black_pause_is_a_shot_of_its_own() -> None:
    dark = np.zeros((HEIGHT, WIDTH, 3))
    found = find([*shot(1, 40), *[dark] * 45, *shot(2, 40)])
    assert [t.time_s for t in found] == pytest.approx([40 / RATE_HZ, 85 / RATE_HZ])


@pytest.mark.parametrize("gain", [0.4, 1.15])
def test_a_change_of_light_is_no_transition(gain: float) -> None:
    still = picture(1)
    ramp = [still * (1 + (gain - 1) * i / 10) for i in range(10)]
    assert find([still] * 30 + ramp + [still * gain] * 30) == ()
    assert find([still] * 30 + [still * gain] * 30) == ()


@pytest.mark.parametrize("frames", [[np.zeros((4, 4, 3))], [np.zeros((4, 4, 3))] * 90])
def test_nothing_to_see_is_no_transition(frames: list[np.ndarray]) -> None:
    assert find(frames) == ()


def test_frames_may_come_in_any_portions() -> None:
    first, second = shot(1, 60, speed=0), shot(3, 60, speed=0)
    frames = first + dissolve(first[-1], second[0], 12) + second + shot(4, 60) + shot(5, 30)
    pixels, times_s = np.stack(frames).astype(np.uint8), np.arange(len(frames)) / RATE_HZ
    found = []
    for portion in (len(frames), 70, 7, 1):
        scan = Scan(RATE_HZ)
        for i in range(0, len(frames), portion):
            scan.push(pixels[i : i + portion], times_s[i : i + portion])
        found.append(shots.find_transitions(scan.finish()))
    assert len(found[0]) == 3
    assert found[1:] == found[:1] * 3


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 25)), min_size=1, max_size=8),
    st.integers(0, 60),
)
def test_transitions_are_in_order_and_part_shots(runs, noise: int) -> None:
    rng = np.random.default_rng(noise)
    frames = [
        np.where(kind, rng.integers(0, noise + 1, (9, 16, 3)) + 60 * kind, 0)
        for kind, length in runs
        for _ in range(length)
    ]
    found = find(frames)
    times_s = [t.time_s for t in found]
    assert times_s == sorted(times_s)
    assert all(0 < time_s < (len(frames) - 0.5) / RATE_HZ for time_s in times_s)
    assert all(t.span.start_s <= t.time_s <= t.span.end_s and 0 < t.score <= 1 for t in found)
    assert len(found) < len(runs) or noise


def test_bad_frames_are_refused() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="2 frames but 3 times"):
        shots.find_in_frames(pixels, np.arange(3.0))
    with pytest.raises(ValueError, match="ascending"):
        shots.find_in_frames(pixels, np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="at least one frame"):
        Scan(15).finish()


@pytest.mark.parametrize(
    ("keys", "scenes"),
    [
        ([], []),
        ([0.0], []),
        ([0.0, 2.0, 4.0, 6.0, 8.0], []),
        ([0.0, 10.0, 13.1, 23.1, 33.1], [13.1]),
        ([0.0, 3.0, 4.5, 11.0], [3.0, 4.5, 11.0]),
    ],
)
def test_regular_key_frames_are_no_hints(keys: list[float], scenes: list[float]) -> None:
    assert shots.scene_keyframes(keys) == scenes


def small(world: World) -> World:
    return world.model_copy(update={"width_px": 160, "height_px": 90})


@pytest.fixture(scope="module")
def world() -> World:
    return small(generate.world(4, duration_s=24, scene_s=2.0, most_actors=3))


@pytest.fixture(scope="module")
def clip(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(world, tmp_path_factory.mktemp("shots") / "world.mp4")


def test_the_scenes_of_a_world_are_its_shots(world: World, clip: Path) -> None:
    with Video.open(clip) as video:
        found = shots.detect(video)
        assert found.span == video.info.span
    truth = [scene.start_s for scene in world.scenes[1:]]
    assert [t.time_s for t in found.transitions] == pytest.approx(truth, abs=0.1)
    assert len(found) == len(world.scenes)
    assert found.spans[0].start_s == 0 and found.spans[-1].end_s == found.span.end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(found.spans))
    assert (found.frames_read, found.fps_hz) == (24 * 15, 15.0)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert any(t.hinted for t in found.transitions)


def test_a_part_of_a_video_has_its_own_shots(world: World, clip: Path) -> None:
    span = Span(world.scenes[2].start_s + 0.4, world.scenes[4].start_s + 0.8)
    with Video.open(clip) as video:
        found = shots.detect(video, span, fps_hz=25)
        with pytest.raises(VideoError, match="nothing of the video lies there"):
            shots.detect(video, Span(50, 60))
        with pytest.raises(ValueError, match="above 0"):
            shots.detect(video, fps_hz=0)
    truth = [scene.start_s for scene in world.scenes[3:5]]
    assert [t.time_s for t in found.transitions] == pytest.approx(truth, abs=0.05)
    assert found.span == span


def test_what_happens_inside_a_scene_is_no_cut(tmp_path: Path) -> None:
    actors = (
        Actor(id="a", shape="square", colour="white", x=0.3),
        Actor(id="b", shape="circle", colour="red", x=0.75),
    )
    events = (
        Event(kind="appear", actor="a", time_s=1.0),
        Event(kind="disappear", actor="a", time_s=2.0),
        Event(kind="change_colour", actor="b", colour="yellow", time_s=3.0),
    )
    scene = Scene(start_s=0, end_s=4, actors=actors, events=events)
    path = small(World(scenes=(scene,))).save(tmp_path / "one.json")
    with Video.open(path) as video:
        assert shots.detect(video).transitions == ()


class Long:
    """An hour of cuts every 9 s, drawn on demand; counts the frames that are held at once."""

    keyframe_times_s = tuple(float(i) for i in range(0, 3600, 9))
    info = VideoInfo(
        path="long.mp4", duration_s=3600, start_s=0, width_px=1280, height_px=720, codec="none",
        mean_fps_hz=25, frame_count=90_000, rotation_deg=0, has_audio=False, backend="none",
        size_bytes=1,
    )  # fmt: skip

    def __init__(self) -> None:
        self.most_frames = 0

    def frames_at(self, times_s, size_px=None) -> FrameBatch:
        width, height = size_px or (1280, 720)
        self.most_frames = max(self.most_frames, len(times_s))
        values = (np.floor(np.asarray(times_s) / 9) % 2 * 150 + 40).astype(np.uint8)
        pixels = np.broadcast_to(values[:, None, None, None], (len(times_s), height, width, 3))
        return FrameBatch(
            pixels=pixels, times_s=np.asarray(times_s), exact=np.ones(len(times_s), bool)
        )


def test_an_hour_is_read_in_small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    video, held, seen = Long(), [], []
    push = Scan.push

    def watched(self: Scan, pixels: np.ndarray, times_s: np.ndarray) -> None:
        push(self, pixels, times_s)
        assert self._planes is not None
        held.append(len(self._planes))

    monkeypatch.setattr(Scan, "push", watched)
    found = shots.detect(video, fps_hz=2, progress=seen.append)
    assert len(found) == 400
    assert seen == sorted(seen) and len(seen) < 60 and seen[-1] == 3599.5
    assert video.most_frames <= 256 and max(held) <= 64


def test_portions_begin_at_key_frames() -> None:
    times_s = np.arange(1000) / 10
    portions = list(shots._chunks(times_s, [0.0, 15.0, 40.0, 60.0]))
    assert np.array_equal(np.concatenate(portions), times_s)
    assert [float(p[0]) for p in portions][:3] == pytest.approx([0.0, 15.0, 40.0])
    assert max(len(p) for p in portions) <= 256


def test_the_measure_pairs_each_boundary_once() -> None:
    truth = [Span(2.0, 2.0), Span(5.0, 6.0), Span(9.0, 9.0)]
    whole = measure.score_boundaries([2.04, 5.5, 9.0], truth)
    assert (whole.precision, whole.recall) == (1.0, 1.0)
    part = measure.score_boundaries([1.95, 2.05, 3.0, 6.1], truth)
    assert (part.hits, part.found, part.true) == (2, 4, 3)
    assert measure.score_boundaries([], truth).recall == 0.0


@pytest.mark.parametrize("kind", measure.KINDS)
def test_films_show_what_their_truth_says(kind: str) -> None:
    made = measure.make_film(kind, 0, shots=3)
    assert len(made.truth) == 2
    first, second = (span.middle_s for span in made.truth)
    assert 1.5 < first < second < made.starts_s[-1]
    assert all((span.duration_s > 0) == (kind in ("dissolves", "fades")) for span in made.truth)
    frames = list(itertools.islice(made.frames(), round(first * 25) + 2))
    assert frames[0].shape == (180, 320, 3)
    if kind == "cuts":
        at = round(first * 25 + 0.49)
        apart = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(frames)]
        assert int(np.argmax(apart)) + 1 == pytest.approx(at, abs=1)
