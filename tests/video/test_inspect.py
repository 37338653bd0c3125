"""Reports on files, contact sheets and JPEG bytes."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.cli import main
from mmreason.video import FrameBatch, Span, Video, VideoError, inspect_file
from mmreason.video import inspect as inspect_module
from mmreason.video.backends.choose import BACKENDS
from mmreason.video.sheet import contact_sheet, jpeg_bytes
from mmreason.video.types import Chapter
from tests.video import clips

UNTAGGED = "colours are untagged: taken as BT.601 by its size"


def test_constant_rate_file(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "plain.mp4")
    report = inspect_file(path)
    assert (report.kind, report.codec, report.pixel_format) == ("video file", "h264", "yuv420p")
    assert report.profile == "High"
    assert "mp4" in report.container
    assert report.size_bytes == path.stat().st_size
    assert report.frame_rate == "constant"
    assert report.min_frame_gap_s == report.max_frame_gap_s == pytest.approx(1 / 30)
    assert (report.frame_count, report.keyframe_count) == (60, 4)
    assert report.mean_keyframe_gap_s == report.max_keyframe_gap_s == pytest.approx(0.5)
    assert report.hidden_packets == 0
    assert report.audio_streams == report.subtitles == report.chapters == ()
    assert report.notes == (UNTAGGED,)
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_variable_rate_is_measured(tmp_path: Path) -> None:
    report = inspect_file(clips.write(tmp_path / "vfr.mp4", pts_ms=clips.vfr_pts_ms()))
    assert report.frame_rate == "variable"
    assert report.min_frame_gap_s == pytest.approx(1 / 30, abs=0.001)
    assert report.max_frame_gap_s == pytest.approx(0.9, abs=0.001)


def test_rounding_to_milliseconds_is_still_constant(tmp_path: Path) -> None:
    report = inspect_file(str(clips.write(tmp_path / "a.mkv")))
    assert report.frame_rate == "constant"
    assert report.min_frame_gap_s != report.max_frame_gap_s
    assert any("no full index" in note for note in report.notes)


def test_edit_list_rotation_and_single_frame(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "source.mp4", frames=90, gop=60)
    trimmed = inspect_file(clips.trimmed(tmp_path / "trim.mp4", source, 1.0))
    assert (trimmed.hidden_packets, trimmed.frame_count) == (30, 60)
    assert trimmed.notes == (UNTAGGED, "an edit list hides 30 packets")
    assert trimmed.keyframe_count == 1
    rotated = inspect_file(clips.write(tmp_path / "rotated.mp4", frames=3, rotation_deg=90))
    assert (rotated.rotation_deg, rotated.width_px, rotated.height_px) == (90, 96, 160)
    one = inspect_file(clips.write(tmp_path / "one.mp4", frames=1))
    assert (one.frame_rate, one.min_frame_gap_s, one.max_keyframe_gap_s) == (
        "single frame",
        None,
        None,
    )


def test_long_files_are_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect_module, "_MAX_PACKETS", 20)
    report = inspect_file(clips.write(tmp_path / "plain.mp4"))
    assert report.frame_count == 60
    assert report.keyframe_count == 2
    assert any("up to 1 s only" in note for note in report.notes)


def test_back_ends_and_what_keeps_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clips.write(tmp_path / "source.mp4", frames=90, gop=60)
    trimmed = clips.trimmed(tmp_path / "trim.mp4", source, 1.0)
    report = inspect_file(trimmed)
    assert tuple(check.name for check in report.backends) == BACKENDS
    checks = {check.name: check.why_not for check in report.backends}
    assert checks["pyav"] is None
    assert checks["opencv"] == "has an edit list, which OpenCV does not follow"
    assert checks["torchcodec-cuda"] is None or "\n" not in checks["torchcodec-cuda"]
    said = report.to_dict()["backends"]
    assert said[0] == {"name": "pyav", "why_not": None}
    assert {check["name"] for check in said} == set(BACKENDS)
    assert main(["inspect", str(trimmed)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^read by: +pyav\b", out, re.MULTILINE)
    assert re.search(r"^not read by: +opencv: has an edit list", out, re.MULTILINE)
    assert main(["inspect", str(trimmed), "--no-backends"]) == 0
    assert "read by" not in capsys.readouterr().out
    assert main(["inspect", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.search(r"read by pyav.* opencv", lines[0]) and "opencv" not in lines[1]
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [r["backends"][0]["name"] for r in results] == ["pyav", "pyav"]


def test_a_back_end_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clips.write(tmp_path / "plain.mp4")
    monkeypatch.setattr(inspect_module, "_BACKEND_LIMIT_S", 0.0)
    checks = {check.name: check.why_not for check in inspect_file(path).backends}
    assert checks["opencv"] == "took longer than the limit of 0 s"


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="audio only"):
        inspect_file(clips.audio_only(tmp_path / "sound.mp4"))
    with pytest.raises(VideoError, match="no such file"):
        inspect_file(tmp_path / "nothing.json")


def frames(count: int) -> FrameBatch:
    return FrameBatch(
        pixels=np.full((count, 45, 80, 3), 200, np.uint8),
        times_s=np.arange(count, dtype=np.float64),
        exact=np.arange(count) != 1,
    )


def exact(count: int) -> FrameBatch:
    return replace(frames(count), exact=np.ones(count, np.bool_))


def test_contact_sheet_lays_frames_out_with_their_times() -> None:
    sheet = contact_sheet(frames(5), columns=2, cell_width_px=80)
    assert sheet.height == 6 + 3 * (45 + 20 + 6) + 20  # the last line says what `~` means
    assert contact_sheet(exact(5), columns=2, cell_width_px=80).size == (178, 6 + 3 * 71)
    assert contact_sheet(exact(1), cell_width_px=80, title="a b").size == (92, 6 + 71 + 20)
    drawn = np.asarray(sheet)
    assert (drawn[6:51, 6:86] == 200).all()
    label = drawn[51:71, 6:86]
    assert label.min() < 100  # a time is written below
    # The second frame is not exact, so more is written under it: `~` and its time.
    first, second = (drawn[51:71, x : x + 20] < 150 for x in (6, 92))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("size_px", [(8, 4320), (4320, 8), (1080, 1920), (1, 1)])
def test_contact_sheets_of_any_shape_stay_of_a_sensible_size(size_px: tuple[int, int]) -> None:
    batch = FrameBatch(
        pixels=np.zeros((16, size_px[1], size_px[0], 3), np.uint8),
        times_s=np.arange(16, dtype=np.float64),
        exact=np.ones(16, np.bool_),
    )
    sheet = contact_sheet(batch)
    assert 4 * 64 <= sheet.width <= 1000 and 100 < sheet.height <= 4 * (360 + 26) + 6


def test_pictures_longer_than_jpeg_allows_are_made_smaller() -> None:
    tall = Image.open(BytesIO(jpeg_bytes(np.zeros((131_000, 10, 3), np.uint8))))
    assert tall.size == (5, 65_500)


@pytest.mark.parametrize("size_px", [(8, 4320), (4320, 8)])
def test_a_tall_or_wide_video_has_a_preview(size_px: tuple[int, int], tmp_path: Path) -> None:
    path = clips.write(
        tmp_path / "a.mkv", frames=3, size_px=size_px, codec="ffv1", pixel_format="yuv444p"
    )
    with Video.open(path) as video:
        page = video._repr_html_()
    data = re.search(r"base64,([^\"]+)", page)
    assert data is not None
    assert max(Image.open(BytesIO(b64decode(data[1]))).size) < 1000


def test_contact_sheet_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        contact_sheet(frames(0))
    with pytest.raises(ValueError, match="1 or more"):
        contact_sheet(frames(1), columns=0)


def test_jpeg_bytes_keep_the_picture_and_the_limit() -> None:
    pixels = clips.draw(5)
    whole = Image.open(BytesIO(jpeg_bytes(pixels)))
    assert (whole.format, whole.size) == ("JPEG", (160, 96))
    assert clips.read_number(np.asarray(whole)) == 5
    assert Image.open(BytesIO(jpeg_bytes(pixels, max_width_px=80))).size == (80, 48)
    assert len(jpeg_bytes(pixels, quality=20)) < len(jpeg_bytes(pixels, quality=95))


def test_tracks_side_cars_and_chapters_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clips.with_subtitles(
        tmp_path / "film.mkv",
        [
            ("subrip", {"language": "eng", "title": "Full"}, [(0, 500, b"hello")]),
            ("dvdsub", {"language": "ger"}, [(0, 500, b"\0\4\0\4")]),
        ],
        flags=[1, 0],
        chapters=[(0.0, 1.0, "Opening [x]"), (1.0, 2.0, "")],
    )
    (tmp_path / "film.en.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    report = inspect_file(path, try_backends=False)
    assert report.chapters == (Chapter(Span(0, 1), "Opening [x]"), Chapter(Span(1, 2)))
    assert report.subtitles == (
        "track 1, subrip, eng, Full, default",
        "track 2, dvd_subtitle, ger (not read: it holds pictures of text)",
        "film.en.srt beside it",
    )
    plain = report.to_dict()
    assert plain["subtitle_tracks"][0]["language"] == "eng"
    assert plain["chapters"][0] == {"span": {"start_s": 0.0, "end_s": 1.0}, "title": "Opening [x]"}
    assert json.loads(json.dumps(plain)) == plain
    assert main(["inspect", str(path), "--no-backends"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^subtitles: +track 1, subrip, eng, Full, default; track 2, .*; film", out, re.M
    )
    assert re.search(r"^chapters: +0:00\.00 Opening \[x\]; 0:01\.00$", out, re.M)


def test_damaged_pictures_are_told_and_nothing_else_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = clips.write(tmp_path / "whole.mp4", frames=90)
    damaged = clips.zeroed(tmp_path / "damaged.mp4", whole, 0.3, 0.6)
    assert main(["inspect", str(damaged)]) == 0
    out, err = capfd.readouterr()
    assert re.search(
        r"^note: +damaged: \d+ of 16 frames looked at could not be decoded$", out, re.M
    )
    assert err == ""
    assert not re.search(r"\.(?:cc|cpp)\b|\[h264 @", out)
    assert max(len(line) for line in out.splitlines()) < 250
    assert not any("damaged" in note for note in inspect_file(whole).notes)


def test_one_reason_of_several_back_ends_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    assert main(["inspect", str(clips.write(tmp_path / "plain.mp4"))]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"^not read by: +torchcodec, torchcodec-cuda: ", out, re.M)) == 1
    assert out.count("cannot be used") == 1


@pytest.mark.parametrize(
    "verb",
    [
        ["inspect"],
        ["sample", "--n", "2"],
        ["index", "--store", "s.sqlite3"],
        ["ask", "QUESTION"],
        ["caption"],
        ["ground", "QUESTION"],
    ],
    ids=lambda verb: verb[0],
)
def test_every_verb_keeps_the_slashes_of_a_url(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "https://example.org/v.mp4?start=1&end=2"
    after = ["what?"] if "QUESTION" in verb else []
    options = [word for word in verb[1:] if word != "QUESTION"]
    assert main([verb[0], url, *after, *options]) in (1, 2)
    err = capsys.readouterr().err
    assert f"{url}: is a URL, and nothing is fetched from a network" in err
    assert "https:/example" not in err


def test_a_url_among_files_is_one_failure_with_its_slashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clips.write(tmp_path / "a.mp4", frames=3)
    assert main(["inspect", str(path), "s3://bucket/v.mp4", "--no-backends"]) == 1
    out, err = capsys.readouterr()
    assert "a.mp4" in out
    assert "  s3://bucket/v.mp4: is a URL, and nothing" in err
