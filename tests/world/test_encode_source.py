"""A script opened as a video, and the same script as an H.264 file: same times, same pictures."""

from __future__ import annotations

import errno
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Video, VideoError, plan
from mmreason.video.world import World, encode, generate
from mmreason.video.world.script import Actor, Motion, Scene

SIZE_PX = (128, 72)


def small(seed: int = 1, *, duration_s: float = 6.0, fps_hz: float = 10.0) -> World:
    """A small world without fine patterns, which H.264 blurs at this size."""
    world = generate.world(seed, duration_s=duration_s, scene_s=2.5)
    return world.model_copy(
        update={"width_px": SIZE_PX[0], "height_px": SIZE_PX[1], "fps_hz": fps_hz}
    )


def moving(duration_s: float, fps_hz: float) -> World:
    motion = Motion(kind="right", travel=1.0)
    actor = Actor(id="a", shape="circle", colour="red", x=0.2, motion=motion)
    scene = Scene(start_s=0.0, end_s=duration_s, actors=(actor,))
    return World(width_px=SIZE_PX[0], height_px=SIZE_PX[1], fps_hz=fps_hz, scenes=(scene,))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, Path]:
    """A world, its script and its file."""
    folder = tmp_path_factory.mktemp("both")
    world = small()
    script = world.save(folder / "world.json")
    return world, script, encode.write_video(world, folder / "made" / "world.mp4")


def test_file_and_script_show_the_same_at_the_same_times(both: tuple[World, Path, Path]) -> None:
    world, script, file = both
    with Video.open(script) as drawn, Video.open(file) as decoded:
        times_s = np.concatenate([plan.uniform(drawn, 40).times_s, [0.0, 0.05, 3.0, 5.95]])
        one, other = drawn.frames_at(times_s), decoded.frames_at(times_s)
        assert np.abs(one.times_s - other.times_s).max() < 1e-3
        assert one.exact.all() and other.exact.all()
        for pixels, source_pixels, time_s in zip(
            other.pixels, one.pixels, one.times_s, strict=True
        ):
            expected = world.frame(float(time_s))
            assert (source_pixels == expected).all()
            assert np.abs(pixels.astype(float) - expected).mean() < 4


def test_a_frame_is_not_mistaken_for_its_neighbour(tmp_path: Path) -> None:
    world = moving(2.0, 10.0)
    with Video.open(encode.write_video(world, tmp_path / "a.mp4")) as video:
        frames = video.frames_at([i / 10 for i in range(20)])
    drawn = np.stack([world.frame(i / 10) for i in range(20)]).astype(float)
    for index, pixels in enumerate(frames.pixels):
        assert np.abs(drawn - pixels).mean((1, 2, 3)).argmin() == index


def test_file_and_script_tell_the_same_of_themselves(both: tuple[World, Path, Path]) -> None:
    world, script, file = both
    with Video.open(script) as drawn, Video.open(file) as decoded:
        one, other = drawn.info, decoded.info
        assert (one.width_px, one.height_px, one.frame_count) == (*SIZE_PX, 60)
        assert (other.width_px, other.height_px, other.frame_count) == (*SIZE_PX, 60)
        assert one.duration_s == world.duration_s == pytest.approx(other.duration_s, abs=1e-3)
        assert one.start_s == 0 == pytest.approx(other.start_s, abs=1e-6)
        assert one.mean_fps_hz == 10 == pytest.approx(other.mean_fps_hz)
        assert (one.backend, one.codec, one.has_audio) == ("world", "scripted world", False)
        assert other.codec == "h264"


@pytest.mark.parametrize(
    ("duration_s", "fps_hz", "frames"),
    [
        (1.01, 25.0, 26),
        (0.3, 1.0, 1),
        (2.0, 29.97, 60),
        (2.0, 30000 / 1001, 60),
        (1.0, 12.5, 13),
        (0.72, 25.0, 18),
    ],
)
def test_odd_lengths_have_as_many_frames_either_way(
    tmp_path: Path, duration_s: float, fps_hz: float, frames: int
) -> None:
    world = moving(duration_s, fps_hz)
    file = encode.write_video(world, tmp_path / "a.mp4")
    with Video.open(world.save(tmp_path / "a.json")) as drawn, Video.open(file) as decoded:
        assert drawn.info.frame_count == decoded.info.frame_count == frames
        last_s = (frames - 1) / fps_hz
        for video in (drawn, decoded):
            assert video.frames_at([last_s]).exact.all()
            batch = video.frames_at([last_s + 5, -1.0])
            assert batch.times_s == pytest.approx([last_s, 0.0], abs=1e-3)
            assert not batch.exact.any()


def test_times_on_the_grid_give_their_own_frame(tmp_path: Path) -> None:
    for fps_hz in (25.0, 30000 / 1001, 24.0, 7.0):
        world = moving(40.0, fps_hz)
        with Video.open(world.save(tmp_path / "a.json")) as video:
            index = np.arange(0, world.frame_count, 37)
            assert (video.frames_at(index / fps_hz, (2, 2)).times_s == index / fps_hz).all()
            late = video.frames_at((index + 0.99) / fps_hz, (2, 2))
            assert (late.times_s == index / fps_hz).all()


def test_a_script_gives_frames_of_any_size_in_the_order_asked(
    both: tuple[World, Path, Path],
) -> None:
    world, script, _ = both
    with Video.open(script) as video:
        batch = video.frames_at([3.0, 1.0, 3.0], (40, 30))
        assert batch.pixels.shape == (3, 30, 40, 3)
        assert batch.times_s.tolist() == [3.0, 1.0, 3.0]
        assert (batch.pixels[0] == batch.pixels[2]).all()
        assert (batch.pixels[1] == world.frame(1.0, (40, 30))).all()
        assert len(video.frames_at([])) == 0
        for times_s, size_px in (([np.nan], None), ([1.0], (0, 5)), ([[1.0]], None)):
            with pytest.raises(VideoError):
                video.frames_at(np.array(times_s), size_px)
    with pytest.raises(VideoError, match="closed"):
        video.frames_at([1.0])


def test_scenes_begin_at_key_frames(both: tuple[World, Path, Path]) -> None:
    world, script, _ = both
    with Video.open(script) as video:
        times_s = video.keyframe_times_s
        assert video.frames_at(times_s, (8, 8)).times_s == pytest.approx(times_s)
    assert len(times_s) == len(world.scenes)
    for time_s, scene in zip(times_s, world.scenes, strict=True):
        assert scene.start_s <= time_s + 1e-6 and time_s - scene.start_s < 0.1 + 1e-6


def test_key_frames_of_scenes_shorter_than_a_frame(tmp_path: Path) -> None:
    edges_s = [0.0, 1.0, 1.02, 1.05, 1.99, 2.0]
    scenes = tuple(Scene(start_s=a, end_s=b) for a, b in itertools.pairwise(edges_s))
    world = World(fps_hz=10.0, scenes=scenes)
    with Video.open(world.save(tmp_path / "a.json")) as video:
        assert video.keyframe_times_s == (0.0, 1.0, 1.1)


def test_progress_is_told_after_each_frame(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "a.mp4"

    def on_frame(done: int, total: int) -> None:
        assert not path.exists(), "appears only when complete"
        told.append((done, total))

    assert encode.write_video(moving(1.0, 10.0), path, on_frame=on_frame) == path
    assert told == [(i + 1, 10) for i in range(10)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.mp4"

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise error

    with pytest.raises(error):
        encode.write_video(moving(1.0, 10.0), path, on_frame=stop)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"of before")
    with pytest.raises(error):
        encode.write_video(moving(1.0, 10.0), path, on_frame=stop)
    assert path.read_bytes() == b"of before" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.iterdir())
    for path in (tmp_path / "file" / "a.mp4", tmp_path / "folder.mp4", Path("/proc/none/a.mp4")):
        with pytest.raises(VideoError) as caught:
            encode.write_video(moving(0.5, 10.0), path)
        assert str(caught.value).startswith(f"{path}: cannot be written (")
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_said_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(VideoError, match="No space left"):
        encode.write_video(moving(0.5, 10.0), tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_the_frame_rate_of_television_is_exact(tmp_path: Path) -> None:
    import av

    file = encode.write_video(moving(0.5, 30000 / 1001), tmp_path / "a.mp4")
    with av.open(str(file)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
