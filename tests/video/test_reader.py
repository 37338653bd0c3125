"""The contract of time: which frame comes back for which second, on real files of many kinds."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import SamplePlan, Video, VideoError, plan
from mmreason.video.backends import base
from mmreason.video.backends.groups import GroupReader
from tests.video import clips

# Frame numbers in order and presentation times in order, as each maker promises them.
CFR_S = [i / 30 for i in range(60)]
KINDS = ["mp4", "vfr", "trim", "webm", "mkv", "ts", "avi", "fragmented", "open_gop", "long_gop"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    source = clips.write(folder / "source.mp4", frames=90, gop=60)
    open_gop = {"x264-params": "open-gop=1:b-adapt=0", "bf": "3"}
    realtime = {"deadline": "realtime", "cpu-used": "8"}
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    return {
        "mp4": clips.write(folder / "plain.mp4"),
        "vfr": clips.write(folder / "vfr.mp4", pts_ms=clips.vfr_pts_ms()),
        "trim": clips.trimmed(folder / "trim.mp4", source, 1.0),
        "webm": clips.write(folder / "a.webm", codec="libvpx", options=realtime),
        "mkv": clips.write(folder / "a.mkv"),
        "ts": clips.write(folder / "a.ts"),
        "avi": clips.write(folder / "a.avi", codec="mpeg4"),
        "fragmented": clips.write(folder / "fragmented.mp4", muxer=fragments),
        "open_gop": clips.write(folder / "open.mp4", options=open_gop),
        "long_gop": clips.write(folder / "long.mp4", gop=600),
        "rotated": clips.write(folder / "rotated.mp4", rotation_deg=90),
        "one": clips.write(folder / "one.mp4", frames=1),
        "front": clips.write(folder / "front.mp4", frames=150, muxer={"movflags": "faststart"}),
    }


def promised(kind: str) -> tuple[list[int], np.ndarray]:
    """Frame numbers, and times from the first frame, that a file of this kind shows."""
    if kind == "vfr":
        return list(range(60)), np.asarray(clips.vfr_pts_ms()) / 1000
    return list(range(30, 90) if kind == "trim" else range(60)), np.asarray(CFR_S)


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_found_by_its_time(files: dict[str, Path], kind: str) -> None:
    shown, times_s = promised(kind)
    with Video.open(files[kind]) as video:
        assert video.info.frame_count == 60
        batch = video.frames_at(times_s + video.info.start_s + 0.0015, (80, 48))
    assert clips.numbers(batch.pixels) == shown
    assert batch.exact.all()
    np.testing.assert_allclose(batch.times_s - video.info.start_s, times_s, atol=0.0011)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_unsorted_repeated_times_come_back_as_asked(
    files: dict[str, Path], kind: str
) -> None:
    shown, times_s = promised(kind)
    asked = [59, 3, 31, 31, 0, 44, 16, 14, 15, 3]
    with Video.open(files[kind]) as video:
        start_s = video.info.start_s
        batch = video.frames_at([times_s[i] + start_s + 0.0015 for i in asked])
        assert clips.numbers(batch.pixels) == [shown[i] for i in asked]
        assert batch.pixels.shape == (10, 96, 160, 3)
        assert batch.exact.all()
        # What was delivered, asked for again, is the same frame, rounded to microseconds too.
        for again_s in (batch.times_s, np.round(batch.times_s, 6)):
            again = video.frames_at(again_s)
            np.testing.assert_array_equal(again.times_s, batch.times_s)
            np.testing.assert_array_equal(again.pixels, batch.pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_info_tells_the_true_span(files: dict[str, Path], kind: str) -> None:
    _, times_s = promised(kind)
    with Video.open(files[kind]) as video:
        info = video.info
        last_frame_s = 0.2 if kind == "vfr" else 1 / 30
        assert info.duration_s == pytest.approx(times_s[-1] + last_frame_s, abs=0.002)
        assert info.mean_fps_hz == pytest.approx(60 / info.duration_s)
        assert (info.width_px, info.height_px) == clips.SIZE_PX
        assert not info.has_audio
        keys = np.asarray(video.keyframe_times_s) - info.start_s
    if kind == "trim":  # its first key frame is hidden
        np.testing.assert_allclose(keys, [1.0], atol=0.001)
    elif kind == "vfr":
        np.testing.assert_allclose(keys, times_s[[0, 15, 30, 45]], atol=0.001)
    else:
        expected = [0.0] if kind == "long_gop" else [0, 0.5, 1.0, 1.5]
        np.testing.assert_allclose(keys, expected, atol=0.001)


def test_transport_stream_keeps_its_start_time(files: dict[str, Path]) -> None:
    with Video.open(files["ts"]) as video:
        assert video.info.start_s > 0
        first, inside = video.frames_at([video.info.start_s, video.info.start_s + 1]).times_s
    assert first == video.info.start_s
    assert inside == pytest.approx(video.info.start_s + 1)


def test_times_outside_give_the_nearest_end_and_say_so(files: dict[str, Path]) -> None:
    with Video.open(files["mp4"]) as video:
        batch = video.frames_at([-5.0, 0.0, 1.99, 2.0, 1e9])
    assert clips.numbers(batch.pixels) == [0, 0, 59, 59, 59]
    assert batch.exact.tolist() == [False, True, True, False, False]


def test_between_two_frames_the_earlier_one_is_displayed(files: dict[str, Path]) -> None:
    with Video.open(files["vfr"]) as video:
        batch = video.frames_at([1.0, 1.5, 1.866, 1.8671])
    assert clips.numbers(batch.pixels) == [29, 29, 29, 30]
    assert batch.exact.all()


def test_rotation_is_applied(files: dict[str, Path]) -> None:
    with Video.open(files["rotated"]) as video, Video.open(files["mp4"]) as upright:
        assert video.info.rotation_deg == 90
        assert (video.info.width_px, video.info.height_px) == (96, 160)
        stored = upright.frames_at([1.0]).pixels[0]
        np.testing.assert_array_equal(video.frames_at([1.0]).pixels[0], np.rot90(stored))
        small = video.frames_at([1.0], (48, 80)).pixels[0]
    assert small.shape == (80, 48, 3)
    assert clips.read_number(np.rot90(small, -1)) == 30


def test_resizing_keeps_the_colours(files: dict[str, Path]) -> None:
    with Video.open(files["mp4"]) as video:
        pixels = video.frames_at([0.5], (40, 24)).pixels[0]
    assert pixels.shape == (24, 40, 3)
    red, green, blue = pixels[21, 3].astype(int)
    assert red > 180
    assert max(green, blue) < 70


def test_one_frame_clip_lasts_a_frame(files: dict[str, Path]) -> None:
    with Video.open(files["one"]) as video:
        assert video.info.frame_count == 1
        assert video.info.duration_s == pytest.approx(1 / 30)
        batch = video.sample(plan.uniform(video, 4))
    assert clips.numbers(batch.pixels) == [0] * 4
    assert batch.exact.all()


def test_no_times_give_an_empty_batch(files: dict[str, Path]) -> None:
    with Video.open(files["mp4"]) as video:
        assert video.frames_at([]).pixels.shape == (0, 96, 160, 3)


@pytest.mark.parametrize("step", [4, 7, 1000])
def test_a_long_index_is_counted_from_its_ends(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr("mmreason.video.backends.packets._INDEX_STEP", step)
    for kind in ("mp4", "trim"):
        with Video.open(files[kind]) as video:
            assert video.info.frame_count == 60


@pytest.mark.parametrize(("kind", "time_s", "most"), [("front", 4.97, 15), ("ts", 1.95, 15)])
def test_reads_one_group_for_one_frame(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, kind: str, time_s: float, most: int
) -> None:
    fed = []
    with Video.open(files[kind]) as video:
        decode = GroupReader._decode
        monkeypatch.setattr(
            GroupReader, "_decode", lambda self, packet: fed.append(packet) or decode(self, packet)
        )
        assert video.frames_at([time_s + video.info.start_s]).exact.all()
        assert len([packet for packet in fed if packet is not None]) <= most
        fed.clear()
        video.frames_at([video.info.start_s])  # a key frame needs no other packet
        assert len([packet for packet in fed if packet is not None]) == 1


def test_long_groups_are_fed_in_pieces(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmreason.video.backends.groups._MAX_HELD", 7)
    with Video.open(files["long_gop"]) as video:
        batch = video.frames_at([time_s + 0.001 for time_s in CFR_S])
    assert clips.numbers(batch.pixels) == list(range(60))
    assert batch.exact.all()


def test_file_cut_short_is_read_to_its_real_end(files: dict[str, Path], tmp_path: Path) -> None:
    with Video.open(clips.cut(tmp_path / "cut.mp4", files["front"], 0.6)) as video:
        assert 1.5 < video.info.duration_s < 4.5
        assert any("5.00 s" in note for note in video.info.notes)
        last_s = video.info.span.end_s - 0.01
        batch = video.frames_at([0.0, 1.0, last_s, 4.9])
    assert clips.numbers(batch.pixels)[:2] == [0, 30]
    assert clips.read_number(batch.pixels[3]) == clips.read_number(batch.pixels[2])
    assert batch.exact.tolist() == [True, True, True, False]
    assert batch.times_s[3] == batch.times_s[2] < last_s


@pytest.mark.parametrize("kind", ["ts", "mkv", "webm"])
def test_other_containers_cut_short(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    cut = clips.cut(tmp_path / f"cut{files[kind].suffix}", files[kind], 0.6)
    with Video.open(cut) as video:
        start_s, end_s = video.info.start_s, video.info.span.end_s
        assert 0.3 < video.info.duration_s < 1.9
        batch = video.frames_at([start_s, start_s + 0.2, end_s - 0.01, end_s + 1])
    assert clips.numbers(batch.pixels)[:2] == [0, 6]
    assert not batch.exact[3]


def test_damage_inside_is_survived_and_marked(files: dict[str, Path], tmp_path: Path) -> None:
    damaged = clips.zeroed(tmp_path / "zeroed.mp4", files["front"], 0.5, 0.6)
    times_s = np.arange(150) / 30 + 0.001
    with Video.open(damaged) as video:
        batch = video.frames_at(times_s, (80, 48))
        alone = video.frames_at([2.0])
    exact = np.flatnonzero(batch.exact)
    assert [clips.read_number(batch.pixels[i]) for i in exact] == exact.tolist()
    assert 60 <= len(exact) < 150
    assert batch.exact[:30].all()
    assert batch.exact[-30:].all()
    assert not alone.exact[0]
    assert alone.times_s[0] < 2.0


def text_file(path: Path) -> None:
    path.write_text("This is not a video. " * 200)


def half_an_mp4(path: Path) -> None:
    clips.cut(path, clips.write(path.with_name("whole.mp4")), 0.5)


def no_frames_left(path: Path) -> None:
    clips.zeroed(path, clips.write(path.with_name("whole.ts")), 0.0, 1.0)


def raw_stream(path: Path) -> None:
    clips.write(path.with_name("raw.h264")).rename(path)


BAD = {
    "missing": (lambda path: None, "no such file"),
    "folder": (Path.mkdir, "is a folder"),
    "empty": (Path.touch, "is empty"),
    "text": (text_file, "not a video"),
    "audio": (clips.audio_only, "audio only"),
    "no track": (clips.without_frames, "no video track"),
    "no index": (half_an_mp4, "cut short"),
    "zeros": (no_frames_left, "not a video"),
    "no times": (raw_stream, "carry no times"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_files_give_one_clear_line(tmp_path: Path, case: str) -> None:
    make, words = BAD[case]
    path = tmp_path / "input.mp4"
    make(path)
    with pytest.raises(VideoError, match=words) as caught:
        Video.open(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_no_frame_that_decodes(tmp_path: Path) -> None:
    whole = clips.write(tmp_path / "whole.mp4", frames=1)
    hollow = clips.zeroed(tmp_path / "hollow.mp4", whole, 50 / 1619, 0.5)
    with pytest.raises(VideoError, match="no frame of it can be decoded"):
        Video.open(hollow)


def test_requests_that_cannot_be_met(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Video.open(files["mp4"]) as video:
        with pytest.raises(VideoError, match="finite"):
            video.frames_at([float("nan")])
        with pytest.raises(VideoError, match="size_px"):
            video.frames_at([0.0], (0, 10))
        with pytest.raises(VideoError, match="list of seconds"):
            video.frames_at(np.zeros((2, 2)))
        monkeypatch.setattr(base, "MAX_BATCH_FRAMES", 2)
        with pytest.raises(VideoError, match="3 frames in one call, the limit is 2"):
            video.frames_at([0.0, 1.0, 1.1])
        monkeypatch.setattr(base, "MAX_BATCH_BYTES", 1000)
        with pytest.raises(VideoError, match="ask for fewer frames"):
            video.frames_at([0.0, 1.0])


def test_closed_video_says_so(files: dict[str, Path]) -> None:
    video = Video.open(files["mp4"])
    video.close()
    video.close()
    with pytest.raises(VideoError, match="is closed"):
        video.frames_at([0.0])
    with pytest.raises(VideoError, match="is closed"):
        _ = video.keyframe_times_s
    assert "is closed" in video._repr_html_()


def test_pickles_as_its_path(files: dict[str, Path]) -> None:
    with Video.open(files["mp4"]) as video, pickle.loads(pickle.dumps(video)) as copy:
        assert copy.info == video.info
        assert clips.numbers(copy.frames_at([1.0]).pixels) == [30]


def test_threads_take_turns(files: dict[str, Path]) -> None:
    seen: dict[int, list[int]] = {}
    with Video.open(files["mp4"]) as video:

        def read(worker: int) -> None:
            frames = video.frames_at([(i * 7 + worker) % 60 / 30 + 0.001 for i in range(20)])
            seen[worker] = clips.numbers(frames.pixels)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == {w: [(i * 7 + w) % 60 for i in range(20)] for w in range(3)}


def test_content_hash_follows_the_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.mp4"
    copy.write_bytes(files["mp4"].read_bytes())
    with (
        Video.open(files["mp4"]) as first,
        Video.open(str(copy)) as second,
        Video.open(files["vfr"]) as other,
    ):
        assert first.content_hash == second.content_hash
        assert first.content_hash != other.content_hash
        assert len(first.content_hash) == 64


def test_a_full_hash_sees_every_byte(files: dict[str, Path], tmp_path: Path) -> None:
    data = files["mp4"].read_bytes() + bytes(4 * 2**20)
    twins = tmp_path / "a.mp4", tmp_path / "b.mp4"
    twins[0].write_bytes(data)
    twins[1].write_bytes(data[: 2**21 + 2**18] + b"x" + data[2**21 + 2**18 + 1 :])
    sampled, full = set(), set()
    for twin in twins:
        with Video.open(twin) as video:
            sampled.add(video.content_hash)
        with Video.open(twin, full_hash=True) as video:
            full.add(video.content_hash)
            assert video.content_hash == hashlib.sha256(twin.read_bytes()).hexdigest()
            with pickle.loads(pickle.dumps(video)) as copy:
                assert copy.content_hash == video.content_hash
    assert (len(sampled), len(full)) == (1, 2)


def test_sample_executes_a_plan(files: dict[str, Path]) -> None:
    wanted = SamplePlan(times_s=(0.1, 1.2), size_px=(80, 48), method="by hand", reasons=("", ""))
    with Video.open(files["mp4"]) as video:
        batch = video.sample(wanted)
    assert clips.numbers(batch.pixels) == [3, 36]
    assert batch.pixels.shape == (2, 48, 80, 3)


def test_reprs_are_for_people(files: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / "<b>&.mp4"
    odd.write_bytes(files["mp4"].read_bytes())
    with Video.open(odd) as video:
        assert repr(video) == f"Video({odd}, 0:02.00, 160x96, 30 fps, h264)"
        page = video._repr_html_()
    assert "data:image/jpeg;base64," in page
    assert "<b>" not in page


def test_importing_the_package_loads_no_decoder() -> None:
    code = (
        "import sys, mmreason.video as v; v.Span, v.plan.uniform, v.Video; "
        "print([n for n in ('av', 'cv2', 'torch', 'PIL') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_title_that_is_not_utf8_does_no_harm(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "titled.mkv", frames=3, title="Xcafe")
    path.write_bytes(path.read_bytes().replace(b"Xcafe", b"X\xe9\xff\xfeZ"))
    with Video.open(path) as video:
        assert video.info.frame_count == 3


@pytest.mark.parametrize("kind", ["mp4", "trim", "ts", "mkv", "webm", "avi", "fragmented"])
def test_scattered_damage_never_escapes_as_another_error(
    files: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(sum(kind.encode()))
    whole = np.frombuffer(files[kind].read_bytes(), np.uint8)
    read = 0
    for _ in range(12):
        bad = whole.copy()
        bad[rng.integers(0, len(bad), rng.choice([1, 5, 40]))] = rng.integers(0, 256)
        path = tmp_path / f"bad{files[kind].suffix}"
        path.write_bytes(bad[: rng.integers(len(bad) // 2, len(bad))].tobytes())
        try:
            with Video.open(path) as video:
                batch = video.sample(plan.uniform(video, 6))
                assert len(video.keyframe_times_s) <= 90
        except VideoError:
            continue
        read += 1
        assert (np.diff(batch.times_s) >= 0).all()
        assert batch.pixels.shape[0] == 6
    assert read or kind in ("mp4", "trim")  # cut before their index, these cannot be opened
