"""Tubes on every frame of a file: its times, its sound, and a file that is whole or not there."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.grounding import Box, Mask, Tube
from mmreason.grounding.drawing.video import draw_video
from mmreason.video import FrameBatch, Video
from mmreason.video.types import VideoError
from tests.video import clips

BOX = Box(20, 40, 60, 90)


def tube_at(times_s: list[float], box: Box = BOX) -> Tube:
    return Tube.from_boxes(times_s, [box] * len(times_s), id="1")


def with_sound(path: Path, source: Path, codec: str) -> Path:
    """`source` with a tone that goes on for a moment after the last frame."""
    rate_hz = 48_000
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        video = reader.streams.video[0]
        copy = writer.add_stream_from_template(video)
        sound = writer.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for packet in reader.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                writer.mux(packet)
        samples = (np.sin(np.arange(2.3 * rate_hz) / 17) * 8000).astype(np.int16)
        resampler = av.AudioResampler(format=sound.format, layout="mono", rate=rate_hz)
        for start in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + 960], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
            for part in resampler.resample(frame):
                writer.mux(sound.encode(part))
        writer.mux(sound.encode(None))
    return path


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def sound_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [
            float(packet.pts * packet.time_base)
            for packet in container.demux(audio=0)
            if packet.size and packet.pts is not None
        ]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.write(tmp_path_factory.mktemp("drawn") / "clip.mp4", options={"crf": "10"})


def test_every_frame_is_there_once_at_its_time_with_a_variable_rate(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "vfr.mp4", pts_ms=clips.vfr_pts_ms())
    drawn = draw_video(source, [tube_at([0.0])], tmp_path / "drawn.mp4")
    with Video.open(source) as before, Video.open(drawn.path) as after:
        assert after.frame_times_s.tolist() == before.frame_times_s.tolist()
        assert clips.numbers(np.concatenate([batch.pixels for batch in after.stream()])) == list(
            range(60)
        )
    assert (drawn.frames, drawn.audio, drawn.notes) == (60, "none", ())


def test_the_frame_rate_stays_a_fraction(tmp_path: Path) -> None:
    source = tmp_path / "ntsc.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(31):
            pixels = np.zeros((48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    drawn = draw_video(source, [], tmp_path / "drawn.mov")
    with av.open(str(drawn.path)) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
    with Video.open(source) as before, Video.open(drawn.path) as after:
        assert after.frame_times_s.tolist() == before.frame_times_s.tolist()


def test_a_turned_video_is_drawn_upright(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "turned.mp4", frames=3, rotation_deg=90)
    box = Box(10, 120, 60, 150)
    drawn = draw_video(source, [tube_at([0.0], box)], tmp_path / "drawn.mp4")
    with Video.open(source) as before, Video.open(drawn.path) as after:
        assert (after.info.width_px, after.info.height_px, after.info.rotation_deg) == (96, 160, 0)
        pixels = after.frames_at([0.0]).pixels[0].astype(int)
        plain = before.frames_at([0.0]).pixels[0].astype(int)
    difference = np.abs(pixels - plain).max(axis=2)
    assert difference[121, 20:50].min() > 40 and difference[130:140, 20:50].max() < 40


@pytest.mark.parametrize(("codec", "suffix"), [("aac", ".mp4"), ("libopus", ".mkv")])
def test_sound_is_copied_packet_by_packet(
    tmp_path: Path, clip: Path, codec: str, suffix: str
) -> None:
    source = with_sound(tmp_path / f"sound{suffix}", clip, codec)
    drawn = draw_video(source, [], tmp_path / f"drawn{suffix}")
    assert drawn.audio == "copied"
    assert sound_packets(drawn.path) == sound_packets(source)
    lag_s = np.diff([sound_times(source), sound_times(drawn.path)], axis=0)[0]
    with Video.open(source) as before, Video.open(drawn.path) as after:
        moved_s = after.frame_times_s - before.frame_times_s
    # Where a container moves all times, sound and picture move together, which is told.
    assert np.abs(lag_s - moved_s[0]).max() < 2e-3 and np.ptp(moved_s) < 1e-9
    assert bool(abs(moved_s[0]) > 1e-3) == any("moves all times" in n for n in drawn.notes)


def test_sound_that_the_container_cannot_carry_makes_it_an_mkv_which_is_told(
    tmp_path: Path, clip: Path
) -> None:
    source = with_sound(tmp_path / "sound.mkv", clip, "wavpack")
    drawn = draw_video(source, [], tmp_path / "drawn.mov")
    assert (drawn.path.name, drawn.audio) == ("drawn.mkv", "moved to mkv")
    assert sound_packets(drawn.path) == sound_packets(source)
    assert not (tmp_path / "drawn.mov").exists()
    with pytest.raises(ValueError, match=r"cannot carry the sound \(wavpack\), and drawn.mkv"):
        draw_video(source, [], tmp_path / "drawn.mov")


def test_sound_that_no_container_takes_is_left_out_and_told(tmp_path: Path, clip: Path) -> None:
    source = with_sound(tmp_path / "sound.mov", clip, "pcm_mulaw")
    drawn = draw_video(source, [], tmp_path / "drawn.mp4")
    assert drawn.audio == "none" and "but .mov does" in drawn.notes[0]


def test_a_picture_with_odd_sides_keeps_them(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "odd.mkv", frames=2, codec="ffv1", size_px=(61, 37))
    drawn = draw_video(source, [tube_at([0.0])], tmp_path / "drawn.mp4")
    with Video.open(drawn.path) as after:
        assert (after.info.width_px, after.info.height_px) == (61, 37)
    assert any("odd" in note for note in drawn.notes)


def test_the_video_itself_is_never_overwritten(tmp_path: Path, clip: Path) -> None:
    before = clip.read_bytes()
    alias = tmp_path / "alias.mp4"
    alias.symlink_to(clip)
    for path in (clip, alias):
        with pytest.raises(ValueError, match="is the video itself"):
            draw_video(clip, [], path)
    assert clip.read_bytes() == before


def test_an_interrupted_drawing_leaves_nothing_and_replaces_nothing(
    tmp_path: Path, clip: Path
) -> None:
    target = tmp_path / "drawn.mp4"
    target.write_bytes(b"what was there")

    def interrupt(frames: int, of: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_video(clip, [], target, progress=interrupt)
    assert target.read_bytes() == b"what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["drawn.mp4"]


def test_progress_tells_frames_of_how_many(tmp_path: Path, clip: Path) -> None:
    told: list[tuple[int, int | None]] = []
    draw_video(clip, [], tmp_path / "drawn.mp4", progress=lambda n, of: told.append((n, of)))
    assert told[-1] == (60, 60) and [n for n, _ in told] == sorted({n for n, _ in told})


def test_memory_does_not_grow_with_the_video(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[weakref.ref[FrameBatch]] = []
    most = 0
    stream = Video.stream

    class Watched(FrameBatch):
        __slots__ = ("__weakref__",)

    def watched(self: Video) -> Iterator[FrameBatch]:
        nonlocal most
        for batch in stream(self):
            for start in range(0, len(batch), 6):
                part = Watched(
                    pixels=batch.pixels[start : start + 6],
                    times_s=batch.times_s[start : start + 6],
                    exact=batch.exact[start : start + 6],
                )
                parts.append(weakref.ref(part))
                most = max(most, sum(part() is not None for part in parts))
                yield part

    monkeypatch.setattr(Video, "stream", watched)
    assert draw_video(clip, [], tmp_path / "drawn.mp4").frames == 60
    assert len(parts) >= 10 and most <= 2


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in one of .mp4, .m4v, .mov, .mkv"):
        draw_video(clip, [], tmp_path / "drawn.avi")
    with pytest.raises(VideoError, match="cannot be written"):
        draw_video(clip, [], clip / "drawn.mp4")
    with pytest.raises(ValueError, match="one a tube: 1, got 2"):
        draw_video(clip, [tube_at([0.0])], tmp_path / "drawn.mp4", labels=["a", "b"])
    with pytest.raises(VideoError):
        draw_video(tmp_path / "missing.mp4", [], tmp_path / "drawn.mp4")
    assert not list(tmp_path.iterdir())


def test_filled_boxes_are_dashed_and_absence_is_nothing(tmp_path: Path, clip: Path) -> None:
    # Looked at in frames 0 and 12, absent in frame 24, there again in frame 36.
    box = Box(45, 66, 155, 94)
    looks = [box, box, None, box]
    tube = Tube.from_boxes([number / 30 for number in (0, 12, 24, 36)], looks)
    drawn = draw_video(clip, [tube], tmp_path / "drawn.mp4")
    ink = []
    with Video.open(clip) as before, Video.open(drawn.path) as after:
        for number in (12, 6, 18, 24, 30, 50):
            time_s = [number / 30]
            pair = [video.frames_at(time_s).pixels[0].astype(int) for video in (before, after)]
            ink.append(int((np.abs(pair[0] - pair[1]).max(axis=2) > 60).sum()))
    solid, dashed, *absent = ink
    assert 0.3 * solid < dashed < 0.8 * solid and absent == [0, 0, 0, 0]


def test_looks_at_times_rounded_to_the_millisecond_are_not_dashed(
    tmp_path: Path, clip: Path
) -> None:
    box = Box(45, 66, 155, 94)
    exact, rounded = (
        Tube.from_boxes([round(i / 30, digits) for i in range(60)], [box] * 60) for digits in (9, 3)
    )
    drawn = [
        draw_video(clip, [tube], tmp_path / f"{i}.mp4").path.read_bytes()
        for i, tube in enumerate((exact, rounded))
    ]
    assert drawn[0] == drawn[1]


def test_masks_are_tinted_in_the_frames_that_have_one(tmp_path: Path, clip: Path) -> None:
    grey = np.zeros((96, 160), bool)
    grey[70:90, 60:140] = True
    tube = Tube(
        times_s=np.array([0.0, 0.1]),
        boxes_px=np.array([[60.0, 70.0, 140.0, 90.0]] * 2),
        present=np.ones(2, bool),
        observed=np.ones(2, bool),
        masks=(Mask.from_array(grey), None),
    )
    drawn = draw_video(clip, [tube], tmp_path / "drawn.mp4")
    with Video.open(drawn.path) as after:
        with_mask, without = after.frames_at([0.0, 0.1]).pixels[:, 75:85, 80:120].astype(int)
    # Blue over grey, against grey alone.
    assert (with_mask[..., 2] - with_mask[..., 0]).mean() > 40
    assert abs((without[..., 2] - without[..., 0]).mean()) < 5
    wrong = replace(tube, masks=(Mask.from_array(grey.T), None))
    with pytest.raises(ValueError, match="96 x 160 pixels does not fit a picture of 160 x 96"):
        draw_video(clip, [wrong], tmp_path / "wrong.mp4")
    assert not (tmp_path / "wrong.mp4").exists()
