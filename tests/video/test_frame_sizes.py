"""Frames that change their size, shape or colours inside a track: shown whole, and told."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Video
from mmreason.video.backends.base import BackendError
from mmreason.video.backends.choose import Backend, why_not
from mmreason.video.backends.pictures import fit_inside
from tests.video import clips, colour_clips

Part = tuple[tuple[int, int], Fraction, int]
"""Size in pixels, shape of a pixel, number of frames."""
SQUARE = Fraction(1)


def write(path: Path, parts: Sequence[Part], codec: str = "libvpx") -> Path:
    """Numbered frames at 30 Hz in one track, encoded anew where the size changes."""
    options = {"libx264": {"bf": "2", "preset": "ultrafast"}, "mpeg2video": {}}
    options |= {
        name: {"deadline": "realtime", "cpu-used": "8"} for name in ("libvpx", "libvpx-vp9")
    }
    with av.open(str(path), "w") as container:
        stream, pts = None, 0
        for (width, height), aspect, count in parts:
            encoder = av.CodecContext.create(codec, "w")
            assert isinstance(encoder, av.VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.sample_aspect_ratio = aspect
            encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
            encoder.options, encoder.thread_count = options[codec], 1
            if stream is None:
                stream = container.add_stream(codec, rate=30)
                assert isinstance(stream, av.VideoStream)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                container.start_encoding()
            packets = []
            for number in range(pts, pts + count):
                picture = clips.draw(number, (width, height))
                picture[:2], picture[-2:], picture[:, :2], picture[:, -2:] = 90, 90, 90, 90
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 30)
                packets += encoder.encode(frame)
            for packet in [*packets, *encoder.encode(None)]:
                packet.stream = stream
                container.mux(packet)
            pts += count
    return path


def read(path: Path, size_px: tuple[int, int] | None = None):
    """All frames, by number from their pixels, with the box (left, top, right, bottom) of what is
    not black; and the notes afterwards."""
    with Video.open(path, "pyav") as video:
        batch = video.frames_at(video.frame_times_s, size_px)
        streamed = np.concatenate([frames.pixels for frames in video.stream(size_px=size_px)])
        assert (streamed == batch.pixels).all() and batch.exact.all()
        notes = video.info.notes
    boxes = []
    for picture in batch.pixels:
        rows, columns = np.nonzero(picture.max(axis=-1) > 45)
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    found = [
        clips.read_number(picture[top:bottom, left:right])
        for picture, (left, top, right, bottom) in zip(batch.pixels, boxes, strict=True)
    ]
    return found, boxes, notes


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_phone_that_is_turned_shows_its_pictures_between_bars(tmp_path: Path, codec: str) -> None:
    wide, tall = (192, 112), (112, 192)
    path = write(
        tmp_path / "a.webm", [(wide, SQUARE, 6), (tall, SQUARE, 6), (wide, SQUARE, 6)], codec
    )
    numbers, boxes, notes = read(path)
    assert numbers == list(range(18))
    assert {boxes[i] for i in (*range(6), *range(12, 18))} == {(0, 0, 192, 112)}
    for left, top, right, bottom in boxes[6:12]:
        assert (top, bottom) == (0, 112)
        assert abs((right - left) / 112 - 112 / 192) < 0.03 and abs(left + right - 192) <= 2
    assert notes[-1] == "frames of another size (112x192) are shown between black bars"


def test_a_call_that_grows_is_scaled_to_its_first_size_and_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", [((160, 96), SQUARE, 4), ((320, 192), SQUARE, 4)])
    numbers, boxes, notes = read(path)
    assert numbers == list(range(8)) and set(boxes) == {(0, 0, 160, 96)}
    assert notes[-1] == "frames of another size (320x192) are scaled to the video's"


@pytest.mark.parametrize("backend", ["opencv", "decord", "torchcodec"])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libvpx", ".webm"), ("libvpx-vp9", ".mkv"), ("libx264", ".mkv"), ("libx264", ".mp4"),
     ("mpeg2video", ".mkv")],
)  # fmt: skip
def test_other_back_ends_refuse_a_change_of_size(
    tmp_path: Path, backend: Backend, codec: str, suffix: str
) -> None:
    if reason := why_not(clips.write(tmp_path / "plain.mp4"), backend):
        pytest.skip(reason)
    parts = [((192, 112), SQUARE, 6), ((112, 192), SQUARE, 6)]
    path = write(tmp_path / f"a{suffix}", parts, codec)
    with pytest.raises(BackendError), Video.open(path, backend) as video:
        video.frames_at([0.3])


def test_frames_fit_into_any_size_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", [((192, 112), SQUARE, 3), ((192, 224), SQUARE, 3)])
    numbers, boxes, _ = read(path, (120, 168))
    assert numbers == list(range(6))
    for left, top, right, bottom in boxes[3:]:
        assert (top, bottom) == (0, 168) and abs(right - left - 60) <= 2


def test_pixels_of_another_shape_are_counted_in(tmp_path: Path) -> None:
    """1440x1080 with pixels a third wider than high is as wide as 1920x1080."""
    parts = [
        ((192, 112), SQUARE, 5),
        ((144, 112), Fraction(4, 3), 5),
        ((144, 112), Fraction(4, 3), 5),
    ]
    numbers, boxes, notes = read(write(tmp_path / "a.ts", parts, "libx264"))
    assert numbers == list(range(15)) and set(boxes) == {(0, 0, 192, 112)}
    assert "frames of another size (144x112) are scaled to the video's" in notes


def test_pixels_that_change_their_shape_alone_are_told(tmp_path: Path) -> None:
    parts = [((192, 112), SQUARE, 5), ((192, 112), Fraction(4, 3), 5)]
    _, boxes, notes = read(write(tmp_path / "a.ts", parts, "libx264"))
    assert set(boxes) == {(0, 0, 192, 112)}
    assert any(note.startswith("the shape of pixels changes (1, 1.333 times") for note in notes)


def test_other_colours_later_on_are_converted_and_told(tmp_path: Path) -> None:
    patches = colour_clips.patches()
    frames = [colour_clips.frame_of(patches / 255, matrix, 1, "yuv444p") for matrix in (1, 6)]
    marks = [colour_clips.Marks(matrix=matrix, transfer=1, primaries=1) for matrix in (1, 6)]
    parts = [
        colour_clips.write(tmp_path / f"{number}.h264", [frame] * 3, mark, codec="libx264")
        for number, (frame, mark) in enumerate(zip(frames, marks, strict=True))
    ]
    path = _joined(tmp_path / "a.ts", parts)
    with Video.open(path) as video:
        shown = video.frames_at(video.frame_times_s).pixels
        notes = video.info.notes
    assert len(shown) == 6
    assert all(colour_clips.error(picture, patches) <= 1 for picture in shown)
    assert any(note.startswith("some frames have other colours than the first") for note in notes)


def _joined(path: Path, parts: Sequence[Path]) -> Path:
    """Raw H.264 streams one after the other, ten frames a second, in one track."""
    with av.open(str(path), "w") as writer:
        copy, number = None, 0
        for part in parts:
            with av.open(str(part)) as reader:
                copy = copy or writer.add_stream_from_template(reader.streams.video[0])
                for packet in reader.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = number
                        packet.time_base, packet.stream = Fraction(1, 10), copy
                        number += 1
                        writer.mux(packet)
    return path


@pytest.mark.parametrize(
    ("frame_px", "aspect", "inner_px"),
    [((112, 192), 1.0, (33, 56)), ((384, 224), 1.0, (96, 56)), ((144, 112), 4 / 3, (96, 56)),
     ((1, 10_000), 1.0, (1, 56)), ((10_000, 1), 1.0, (96, 1))],
)  # fmt: skip
def test_a_frame_is_fitted_whole(
    frame_px: tuple[int, int], aspect: float, inner_px: tuple[int, int]
) -> None:
    assert fit_inside(frame_px, (192, 112), (96, 56), aspect) == inner_px
