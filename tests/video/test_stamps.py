"""Files whose time stamps cannot be right: every frame is found, in order, and it is told."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Video, VideoError
from mmreason.video.backends.choose import BACKENDS
from mmreason.video.backends.stamps import (
    NO_STAMP,
    StoredStamps,
    earliest_later,
    find_restarts,
    order_frames,
)
from tests.video import clips

X264 = {"preset": "veryfast", "bf": "3", "b_strategy": "0"}
X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:b-adapt=0"}
WRONG = "stored times are missing or wrong"
AGAIN = "time stamps begin again"


def read_all(path: Path) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Numbers in the pictures of the stream, those of frames asked for out of order, notes."""
    with Video.open(path, "pyav") as video:
        streamed: list[int] = []
        times_s: list[float] = []
        for batch in video.stream():
            streamed += clips.numbers(batch.pixels)
            times_s += batch.times_s.tolist()
        info = video.info
        assert info.frame_count == len(streamed) == len(video.frame_times_s)
        assert video.frame_times_s == pytest.approx(times_s)
        assert info.start_s == pytest.approx(times_s[0])
        assert set(np.round(video.keyframe_times_s, 3)) <= set(np.round(times_s, 3))
        order = np.random.default_rng(3).permutation(len(times_s))
        middles_s = np.asarray(times_s) + 0.4 / clips.FPS_HZ
        asked = video.frames_at(middles_s[order])
        placed = np.empty(len(order), int)
        placed[order] = clips.numbers(asked.pixels)
        return streamed, placed.tolist(), info.notes


def check_told(path: Path, expected: list[int], note: str | None) -> None:
    streamed, asked, notes = read_all(path)
    assert streamed == expected
    assert asked == expected
    assert note is None or any(note in found for found in notes), notes
    if note is None:
        assert not any(WRONG in found or AGAIN in found for found in notes)


@pytest.mark.parametrize(
    ("name", "codec", "options", "note"),
    [
        ("h264.avi", "libx264", X264, WRONG),
        ("h264.asf", "libx264", X264, WRONG),
        ("mpeg4.avi", "mpeg4", {"bf": "2"}, None),
        ("mpeg2.avi", "mpeg2video", {"bf": "2"}, None),
        ("plain.avi", "mpeg4", {}, None),
        ("plain264.avi", "libx264", {"preset": "veryfast", "bf": "0"}, None),
        ("motion.avi", "mjpeg", {}, None),
        ("part.mpg", "libx264", X264, WRONG),
        ("whole.mpg", "mpeg2video", {"bf": "2"}, None),
        ("whole.wmv", "wmv2", {}, None),
    ],
)
def test_files_that_store_no_presentation_times(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], note: str | None
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = clips.write(
        tmp_path / name, frames=50, codec=codec, options=options, pixel_format=pixels
    )
    check_told(path, list(range(50)), note)


def test_an_avi_without_reordering_starts_at_its_first_stamp(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "plain.avi", frames=20, codec="mjpeg", pixel_format="yuvj420p")
    with Video.open(path) as video:
        assert video.info.start_s == 0.0
        assert clips.numbers(video.frames_at([0.001, 10.5 / 30]).pixels) == [0, 10]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("codec", "options"), [("libx264", X264), ("libx265", X265)])
def test_decoding_stamps_that_stand_as_presentation_stamps(
    tmp_path: Path, codec: str, options: dict[str, str], suffix: str
) -> None:
    """What copying a raw stream into a container writes."""
    source = clips.write(tmp_path / "source.mp4", frames=50, codec=codec, options=options)
    path = tmp_path / f"copied{suffix}"
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        packets = [packet for packet in reader.demux(stream) if packet.size]
        for place, packet in enumerate(packets):
            packet.pts = packet.dts = place
            packet.time_base = Fraction(1, clips.FPS_HZ)
            packet.stream = copy
            writer.mux(packet)
    check_told(path, list(range(50)), WRONG)


def packed(path: Path, frames: int) -> Path:
    """MPEG-4 in AVI with each B-frame in the chunk of the frame before it, as old DivX wrote it."""
    source = clips.write(
        path.with_suffix(".src.avi"), frames=frames, codec="mpeg4", gop=20, options={"bf": "1"}
    )
    vop, user_data, empty = b"\0\0\1\xb6", b"\0\0\1\xb2", b"\0\0\1\xb6\x50\x4f\x7f"
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        stream = reader.streams.video[0]
        chunks = [bytes(packet) for packet in reader.demux(stream) if packet.size]
        kinds = [chunk[chunk.index(vop) + 4] >> 6 for chunk in chunks]
        copy = writer.add_stream_from_template(stream)
        place, written = 0, 0
        while place < len(chunks):
            data, step = chunks[place], 1
            if user_data in data:
                rest = data[data.index(user_data) + 4 :]
                data = data[: data.index(user_data)] + user_data + b"DivX503b1393p"
                data += rest[rest.index(b"\0\0\1") :]
            parts = [data]
            if place + 1 < len(chunks) and kinds[place + 1] == 2:
                parts, step = [data + chunks[place + 1], empty], 2
            for part in parts:
                packet = av.Packet(part)
                packet.stream, packet.time_base = copy, Fraction(1, clips.FPS_HZ)
                packet.pts = packet.dts = written
                packet.is_keyframe = part[part.index(vop) + 4] >> 6 == 0
                writer.mux(packet)
                written += 1
            place += step
    return path


def test_packed_divx(tmp_path: Path) -> None:
    check_told(packed(tmp_path / "packed.avi", 40), list(range(40)), WRONG)


JOINED = [
    ("h264.ts", "libx264", X264),
    ("mpeg2.ts", "mpeg2video", {"bf": "2"}),
    ("hevc.ts", "libx265", X265),
    ("vp8.webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    ("vp9.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ("h264.mkv", "libx264", X264),
    ("mpeg1.mpg", "mpeg1video", {"bf": "2"}),
    ("mpeg2.vob", "mpeg2video", {"bf": "2"}),
    ("theora.ogv", "libtheora", {}),
    ("h264.flv", "libx264", X264),
    ("sorenson.flv", "flv", {}),
]


@pytest.mark.parametrize(("name", "codec", "options"), JOINED)
def test_files_joined_end_to_end_are_one_continuous_video(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    parts = 2 if name.endswith(("webm", "mkv")) else 3  # FFmpeg reads no third Matroska file
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    made = [
        clips.write(
            tmp_path / f"{part}-{name}", frames=40, codec=codec, options=options, first=40 * part
        )
        for part in range(parts)
    ]
    head_bytes = 13 if name.endswith("flv") else 0  # a reconnected recording writes no new header
    path = tmp_path / name
    rest = [file.read_bytes()[head_bytes:] for file in made[1:]]
    path.write_bytes(made[0].read_bytes() + b"".join(rest))
    check_told(path, list(range(40 * parts)), AGAIN)
    with Video.open(path) as video:
        assert video.info.duration_s == pytest.approx(parts * 40 / 30, abs=0.2)
        gaps_s = np.diff(video.frame_times_s)
        assert gaps_s.max() < 0.2


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "pyav"])
@pytest.mark.parametrize("name", ["h264.avi", "joined.ts"])
def test_other_back_ends_refuse_what_they_would_show_wrongly(
    tmp_path: Path, name: str, backend: str
) -> None:
    path = clips.write(tmp_path / name, frames=40, options=X264)
    if name == "joined.ts":
        path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(VideoError):
        Video.open(path, backend)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libx264"), ("clip.avi", "mpeg4"), ("clip.webm", "libvpx")]
)
def test_parts_that_cannot_be_read_are_told(tmp_path: Path, name: str, codec: str) -> None:
    path = clips.write(tmp_path / name, frames=20, codec=codec)
    with Video.open(path) as video:
        assert not any("whole files" in note for note in video.info.notes)
    path.write_bytes(path.read_bytes() * 3)
    with Video.open(path) as video:
        read = 2 if name.endswith("webm") else 1
        assert any(
            f"3 whole files one behind the other, of which {read} " in n for n in video.info.notes
        )


def test_a_long_pause_is_told(tmp_path: Path) -> None:
    for later_s, suffix in ((600, ".mkv"), (3600, ".mkv"), (3600, ".ts")):
        stamps_ms = [33 * i for i in range(60)] + [later_s * 1000 + 33 * i for i in range(60)]
        path = clips.write(tmp_path / f"{later_s}{suffix}", pts_ms=stamps_ms, gop=5)
        with Video.open(path) as video:
            told = [re.match(r"no frame for (\d+) s after 0:0", n) for n in video.info.notes]
        assert [abs(int(found[1]) - later_s) <= 3 for found in told if found] == [True]
    even = clips.write(tmp_path / "slides.mkv", pts_ms=[9000 * i for i in range(20)])
    with Video.open(even) as video:
        assert not any("no frame for" in note for note in video.info.notes)


def test_frames_with_the_time_of_another_are_counted_and_told(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "source.mkv", frames=20, options={"bf": "0"})
    path = tmp_path / "twice.mkv"
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for place, packet in enumerate(p for p in reader.demux(stream) if p.size):
            packet.stream = copy
            packet.pts = packet.dts = 33 * (9 if place == 10 else place)
            writer.mux(packet)
    with Video.open(path) as video:
        assert video.info.frame_count == 19
        assert any(note.startswith("1 frame carries the time") for note in video.info.notes)


def test_only_frames_that_can_be_shown_are_counted(tmp_path: Path) -> None:
    """A recording that was cut by size begins inside a group of pictures."""
    source = clips.write(tmp_path / "source.ts", frames=90, gop=30, options=X264)
    data = source.read_bytes()
    cut_at = len(data) // 5 // 188 * 188
    head = data[: 188 * 3]  # the tables that name the streams
    path = tmp_path / "cut.ts"
    path.write_bytes(head + data[cut_at:])
    streamed, asked, _ = read_all(path)
    assert streamed == asked == list(range(streamed[0], 90))
    assert streamed[0] in (30, 60)
    with Video.open(path) as video:
        assert video.info.mean_fps_hz == pytest.approx(30, abs=0.1)
        assert video.frame_times_s[0] == video.info.start_s


def stamps(pts: list[int], dts: list[int], keys: set[int]) -> StoredStamps:
    count = len(pts)
    return StoredStamps(
        pts=np.asarray(pts, np.int64),
        dts=np.asarray(dts, np.int64),
        is_key=np.asarray([row in keys for row in range(count)]),
        is_hidden=np.zeros(count, bool),
        is_corrupt=np.zeros(count, bool),
        duration=np.ones(count, np.int64),
        pos=np.full(count, -1),
        needs_order=True,
        complete=True,
    )


def test_a_single_late_stamp_is_no_restart() -> None:
    pts = list(range(0, 4000, 40))
    pts[30] = 900_000
    assert not len(find_restarts(stamps(pts, pts, {0, 50}), 0.001))


def test_open_groups_are_no_restart() -> None:
    """Key frames are shown after everything coded before them, leading frames before them."""
    pts = [0, 120, 40, 80, 240, 160, 200, 360, 280, 320]
    dts = [-40, 0, 40, 80, 120, 160, 200, 240, 280, 320]
    assert not len(find_restarts(stamps(pts, dts, {0, 4}), 0.001))


def test_a_part_that_begins_without_a_key_frame_is_a_restart() -> None:
    pts = [*range(0, 4000, 40), *range(0, 2000, 40)]
    assert find_restarts(stamps(pts, pts, {0}), 0.001).tolist() == [100]


def test_missing_stamps_lie_evenly_between_known_ones() -> None:
    gone = NO_STAMP
    stored = stamps([gone, 100, gone, gone, 400, gone], [gone] * 6, {0})
    assert order_frames(stored, list(range(6)), 100).pts.tolist() == [0, 100, 200, 300, 400, 500]


def test_a_repaired_decoding_stamp_is_a_promise() -> None:
    pts = np.asarray([0, 80, 40, 120, 200, 160])
    dts = earliest_later(pts)
    assert (np.diff(dts) >= 0).all()
    for row in range(len(pts)):
        assert (pts[row:] >= dts[row]).all()
