"""Pictures stored turned, mirrored or with oblong pixels: shown as the file says, or refused."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from shutil import which

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from mmreason.cli import main
from mmreason.video import Video, VideoError, inspect_file
from mmreason.video.backends.choose import why_not
from tests.video import clips

NUMBER = 5


def write(
    path: Path,
    rotation_deg: int = 0,
    *,
    hflip: bool = False,
    vflip: bool = False,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Three frames of one number, stored as drawn, to be turned and mirrored when shown."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = clips.SIZE_PX
        stream.pix_fmt = "yuv420p"
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_deg or hflip or vflip:
            stream.set_display_rotation(rotation_deg, hflip=hflip, vflip=vflip)
        for pts in range(3):
            frame = av.VideoFrame.from_ndarray(clips.draw(NUMBER), format="rgb24")
            frame.pts = pts
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_all_eight_ways_to_hold_a_camera(
    tmp_path: Path, rotation_deg: int, flips: tuple[bool, bool]
) -> None:
    path = write(tmp_path / "clip.mp4", rotation_deg, hflip=flips[0], vflip=flips[1])
    with Video.open(path, "pyav") as video:
        info = video.info
        shown = video.frames_at([0.0]).pixels[0]
        small = video.frames_at([0.0], (info.width_px // 2, info.height_px // 2)).pixels[0]
    expected = np.rot90(clips.draw(NUMBER), rotation_deg // 90)
    expected = expected[:, ::-1] if flips[0] else expected
    expected = expected[::-1] if flips[1] else expected
    assert shown.shape == expected.shape == (info.height_px, info.width_px, 3)
    assert np.abs(shown.astype(int) - expected).mean() < 6
    assert np.abs(small.astype(int) - expected[::2, ::2]).mean() < 20
    assert info.mirrored == any(flips)
    report = inspect_file(path)
    assert (report.rotation_deg, report.mirrored) == (info.rotation_deg, info.mirrored)


@pytest.mark.skipif(which("ffmpeg") is None, reason="needs the ffmpeg program")
@pytest.mark.parametrize("rotation_deg", [0, 90])
def test_ffmpeg_shows_the_same(tmp_path: Path, rotation_deg: int) -> None:
    path = write(tmp_path / "clip.mp4", rotation_deg, hflip=True)
    with Video.open(path) as video:
        shown = video.frames_at([0.0]).pixels[0]
    argv = ["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1"]
    raw = subprocess.run([*argv, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True)
    theirs = np.frombuffer(raw.stdout, np.uint8).reshape(shown.shape)
    assert np.abs(shown.astype(int) - theirs).mean() < 2


@pytest.mark.parametrize("backend", ["torchcodec", "opencv", "decord"])
def test_other_back_ends_refuse_mirrored_files(tmp_path: Path, backend) -> None:
    plain = write(tmp_path / "plain.mp4")
    if reason := why_not(plain, backend):
        pytest.skip(reason)
    with pytest.raises(VideoError, match="mirrored"):
        Video.open(write(tmp_path / "clip.mp4", hflip=True), backend)


@pytest.mark.parametrize("backend", ["pyav", "torchcodec", "opencv", "decord"])
@pytest.mark.parametrize(("rotation_deg", "aspect"), [(0, 16 / 11), (90, 11 / 16)])
def test_oblong_pixels_are_told_and_left(
    tmp_path: Path, backend, rotation_deg: int, aspect: float
) -> None:
    path = write(tmp_path / "clip.mp4", rotation_deg, pixel_aspect=Fraction(16, 11))
    if reason := why_not(path, backend):
        pytest.skip(reason)
    with Video.open(path, backend) as video:
        info = video.info
        assert info.pixel_aspect == pytest.approx(aspect)
        stored = clips.SIZE_PX[:: -1 if rotation_deg else 1]
        assert (info.width_px, info.height_px) == stored
        assert info.square_size_px == (round(stored[0] * aspect), stored[1])
        assert video.frames_at([0.0]).pixels.shape[1:3] == stored[::-1]
        square = video.frames_at([0.0], info.square_size_px)
    assert square.pixels.shape[1:3] == info.square_size_px[::-1]


def test_inspect_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "clip.mp4", 90, hflip=True, pixel_aspect=Fraction(2, 1))
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "96 x 160 pixels, rotated by 90 degrees, mirrored, each 0.5 times as wide as high" in out
    assert "delivered as stored, true to shape at 48 x 160" in out
    assert main(["inspect", str(path), str(path.parent)]) == 0
    assert "rotated by 90 mirrored" in capsys.readouterr().out


_UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("orientation", _UPRIGHT)
@pytest.mark.parametrize("suffix", ["jpg", "png", "avi"])
def test_exif_orientations_are_kept(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = clips.draw(NUMBER)
    picture, exif = Image.fromarray(stored), Image.Exif()
    exif[0x0112] = orientation
    still = tmp_path / ("still.png" if suffix == "png" else "still.jpg")
    picture.save(still, exif=exif, quality=95)
    path = still
    if suffix == "avi":  # a camera that films in JPEG pictures
        path = tmp_path / "clip.avi"
        with av.open(str(path), "w") as writer:
            stream = writer.add_stream("mjpeg", rate=30)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = clips.SIZE_PX
            stream.pix_fmt = "yuvj420p"
            for place in range(5):
                packet = av.Packet(still.read_bytes())
                packet.stream, packet.time_base = stream, Fraction(1, 30)
                packet.pts = packet.dts = place
                packet.is_keyframe = True
                writer.mux(packet)
    with Video.open(path) as video:
        shown = video.frames_at([0.0]).pixels[0]
        count = video.info.frame_count
    upright = _UPRIGHT[orientation](stored)
    assert shown.shape == upright.shape
    assert np.abs(shown.astype(int) - upright).mean() < 8
    assert count == (5 if suffix == "avi" else 1)


def test_a_tilt_that_is_no_quarter_turn_is_told(tmp_path: Path) -> None:
    with Video.open(write(tmp_path / "tilted.mp4", 45)) as video:
        assert any("only quarter turns are done" in note for note in video.info.notes)
    with Video.open(write(tmp_path / "turned.mp4", 90)) as video:
        assert not any("quarter turns" in note for note in video.info.notes)


def test_a_picture_with_a_named_colour_profile_is_read_again_and_again(tmp_path: Path) -> None:
    """PyAV frees the name of such a profile twice, which ends the process: hence one of its own."""
    path = tmp_path / "photo.png"
    profile, exif = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(path, icc_profile=profile.tobytes(), exif=exif)
    program = (
        "import gc, sys\n"
        "from mmreason.video import Video\n"
        "for _ in range(20):\n"
        "    with Video.open(sys.argv[1]) as video:\n"
        "        assert video.frames_at([0.0]).pixels.shape == (1, 8, 4, 3)\n"
        "    gc.collect()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
