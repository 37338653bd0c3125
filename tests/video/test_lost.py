"""Files that lost frames: no other frame is moved, none that refers to a lost one is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Video
from tests.video import clips


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("mpeg4", {}),
        ("libx264", {"preset": "veryfast", "bf": "3", "b_strategy": "0"}),
        ("mjpeg", {}),
    ],
)
def test_lost_chunks_move_no_other_frame(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = clips.write(
        tmp_path / "clip.avi", frames=90, gop=30, codec=codec, options=options, pixel_format=pixels
    )
    with Video.open(path) as video:
        times_s = video.frame_times_s
    data = bytearray(path.read_bytes())
    chunks = [at for at in range(len(data)) if data[at : at + 4] == b"00dc"]
    for at in chunks[20:23]:  # the heads of three chunks, so that the reader passes them by
        data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    with Video.open(path) as video:
        assert any("frames are missing, as its index tells" in note for note in video.info.notes)
        batch = video.frames_at(times_s + 0.001)
    sure = np.flatnonzero(batch.exact)
    assert len(sure) > 50
    shown = np.round((batch.times_s[sure] - times_s[0]) * clips.FPS_HZ).astype(int)
    assert clips.numbers(batch.pixels[sure]) == shown.tolist()


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.ts", "libx264", {"preset": "veryfast", "bf": "3", "b_strategy": "0"}),
        ("clip.mpg", "mpeg2video", {"bf": "2"}),
    ],
)
def test_what_refers_to_lost_packets_of_a_recording_is_not_exact(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = clips.write(tmp_path / name, frames=120, gop=30, codec=codec, options=options)
    with Video.open(path) as video:
        times_s = video.frame_times_s
        assert video.frames_at(times_s + 0.001).exact.all()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 6] = b""
    path.write_bytes(data)
    with Video.open(path) as video:
        batch = video.frames_at(times_s + 0.001)
    sure = np.flatnonzero(batch.exact)
    assert 40 < len(sure) < 120
    shown = np.round((batch.times_s[sure] - times_s[0]) * clips.FPS_HZ).astype(int)
    assert clips.numbers(batch.pixels[sure]) == shown.tolist()
