"""Reports on files, contact sheets and JPEG bytes."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmreason.cli import main
from mmreason.video import FrameBatch, VideoError, inspect_file
from mmreason.video import inspect as inspect_module
from mmreason.video.backends.choose import BACKENDS
from mmreason.video.sheet import contact_sheet, jpeg_bytes
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
    assert report.audio_streams == report.subtitle_streams == ()
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
    assert re.search(r"^read by: +pyav$", out, re.MULTILINE)
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


def test_contact_sheet_lays_frames_out_with_their_times() -> None:
    sheet = contact_sheet(frames(5), columns=2, cell_width_px=80)
    assert sheet.width == 2 * 86 + 6
    assert sheet.height == 3 * (45 + 20 + 6) + 6
    drawn = np.asarray(sheet)
    assert (drawn[6:51, 6:86] == 200).all()
    label = drawn[51:71, 6:86]
    assert label.min() < 100  # a time is written below
    # The second frame is not exact, so more is written under it: `~` and its time.
    first, second = (drawn[51:71, x : x + 20] < 150 for x in (6, 92))
    assert not np.array_equal(first, second)


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
