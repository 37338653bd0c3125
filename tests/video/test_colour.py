"""Pictures of known colours, written as files mark them, come out as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Video, VideoError
from mmreason.video.backends.base import BackendError
from mmreason.video.backends.colour import Marks as StoredMarks
from mmreason.video.backends.colour import read_colour
from mmreason.video.backends.colour_maths import compress_highlights, sdr_conversion
from mmreason.video.types import VideoInfo
from mmreason.video.world import World, encode
from mmreason.video.world.script import Actor, Motion, Scene
from tests.video import colour_clips as clips
from tests.video.colour_clips import BT709, BT2020, HLG, P3, PQ, Marks, error, frame_of

PATCHES = clips.patches()
LARGE = clips.patches((256, 192))
"""With less edge: where colours are stored at half the size, edges are blurred."""


def shown(path: Path, **options) -> tuple[np.ndarray, VideoInfo]:
    """The first picture and the info of a file."""
    with Video.open(path, "pyav", **options) as video:
        return video.frames_at([0.0]).pixels[0], video.info


def hdr_frame(pixels: np.ndarray, transfer: int, range_: int, stored: str) -> av.VideoFrame:
    nits = clips.linear(pixels, BT2020) * 203
    signal = clips.pq(nits) if transfer == PQ else clips.hlg(nits)
    return frame_of(signal, 9, range_, stored)


HDR_MARKS = Marks(matrix=9, transfer=PQ, primaries=9)


@pytest.mark.parametrize("stored", ["yuv420p10le", "yuv420p", "yuv444p12le"])
@pytest.mark.parametrize("range_", [1, 2])
@pytest.mark.parametrize(("transfer", "name"), [(PQ, "smpte2084"), (HLG, "arib-std-b67")])
def test_standard_pictures_put_into_hdr_come_back(
    tmp_path: Path, transfer: int, name: str, range_: int, stored: str
) -> None:
    marks = replace(HDR_MARKS, transfer=transfer, range=range_)
    path = clips.write(tmp_path / "hdr.mkv", [hdr_frame(LARGE, transfer, range_, stored)], marks)
    picture, info = shown(path)
    assert error(picture, LARGE) <= 6
    assert (info.colour.transfer, info.colour.primaries) == (name, "bt2020")
    assert info.colour.matrix == "bt2020nc" and info.colour.assumed == ()
    assert info.colour.range == ("tv" if range_ == 1 else "pc")
    assert info.colour.tone_map == "soft-clip"
    assert any(note.startswith("HDR (") and "soft-clip" in note for note in info.notes)


def test_hevc_in_mp4_is_tone_mapped_at_any_size(tmp_path: Path) -> None:
    frame = hdr_frame(LARGE, PQ, 1, "yuv420p10le")
    path = clips.write(tmp_path / "hdr.mp4", [frame], HDR_MARKS, codec="libx265")
    with Video.open(path) as video:
        small = video.frames_at([0.0], (64, 48)).pixels[0]
        streamed = next(video.stream()).pixels[0]
        assert (streamed == video.frames_at([0.0]).pixels[0]).all()
    assert error(small, PATCHES) <= 6


def test_tone_map_none_delivers_as_stored_and_says_so(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mkv", [hdr_frame(PATCHES, PQ, 1, "yuv444p12le")], HDR_MARKS)
    picture, info = shown(path, tone_map="none")
    stored = np.round(clips.pq(clips.linear(PATCHES, BT2020) * 203) * 255)
    assert error(picture, stored) <= 1
    assert info.colour.tone_map == "none" and info.colour.primaries == "bt2020"
    assert any("delivered as stored" in note for note in info.notes)


def test_hdr_without_primaries_is_taken_as_bt2020(tmp_path: Path) -> None:
    marks = replace(HDR_MARKS, primaries=2)
    path = clips.write(tmp_path / "a.mkv", [hdr_frame(PATCHES, PQ, 1, "yuv444p12le")], marks)
    picture, info = shown(path)
    assert error(picture, PATCHES) <= 6
    assert info.colour.primaries == "bt2020" and info.colour.assumed == ("primaries",)


def test_hdr_of_other_primaries_and_pixels(tmp_path: Path) -> None:
    signal = clips.pq(clips.linear(PATCHES, P3) * 203)
    marks = Marks(matrix=1, transfer=PQ, primaries=P3)
    path = clips.write(tmp_path / "p3.mkv", [frame_of(signal, 1, 1, "yuv444p10le")], marks)
    assert error(shown(path)[0], PATCHES) <= 6
    rgb = np.round(clips.pq(clips.linear(PATCHES, BT2020) * 203) * 1023).astype(np.uint16)
    marks = Marks(matrix=0, range=2, transfer=PQ, primaries=9)
    frame = av.VideoFrame.from_ndarray(rgb, format="gbrp10le")
    assert error(shown(clips.write(tmp_path / "rgb.mkv", [frame], marks))[0], PATCHES) <= 6
    grey = clips.pq(203 * clips.ramp() ** 2.4)
    marks = replace(HDR_MARKS, matrix=2)
    path = clips.write(tmp_path / "grey.mkv", [frame_of(grey, 1, 1, "gray12le")], marks)
    assert error(shown(path)[0], clips.ramp()[..., None] * 255) <= 6


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_rise_and_keep_their_hue(tmp_path: Path, transfer: int) -> None:
    top_nits = 10_000 if transfer == PQ else 1000
    level = np.geomspace(1, top_nits, 256)[None, :, None].repeat(16, 0)
    for tint in ((1.0, 1.0, 1.0), (1.0, 0.5, 0.25)):
        nits = level * np.array(tint)
        signal = clips.pq(nits) if transfer == PQ else clips.hlg(nits)
        marks = replace(HDR_MARKS, transfer=transfer)
        path = clips.write(tmp_path / "a.mkv", [frame_of(signal, 9, 1, "yuv444p12le")], marks)
        row = shown(path)[0][8].astype(int)
        assert (np.diff(row, axis=0) >= -1).all(), "brighter light is shown darker"
        assert row[-1, 0] >= 253
        if tint[1] < 1:
            bright = row[level[0, :, 0] > 250]
            assert (bright[:, 0] > bright[:, 1] + 40).all() and (bright[:, 1] > bright[:, 2]).all()
            assert np.ptp(bright[:, 1]) < 12, "an orange light turns white or yellow"


def test_the_curve_of_highlights_never_falls_and_leaves_the_rest() -> None:
    light = np.linspace(0, 50, 100_001)
    curve = compress_highlights(light)
    assert (np.diff(curve) > 0).all() and curve[-1] < 1
    assert (curve[light < 0.95] == light[light < 0.95]).all()
    assert 255 * curve[light == 1] ** (1 / 2.4) > 252


def test_every_signal_has_a_level() -> None:
    for transfer in ("smpte2084", "arib-std-b67", "bt709"):
        signals = np.arange(4096, dtype=np.uint16)[None, :, None].repeat(3, -1)
        levels = sdr_conversion(transfer, "bt2020").convert(signals)
        assert levels.dtype == np.uint8 and levels.shape == signals.shape
        assert (np.diff(levels[0].astype(int), axis=0) >= 0).all()
        assert levels[0, 0].tolist() == [0, 0, 0] and levels[0, -1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("transfer", [1, 2, 14, 15])
@pytest.mark.parametrize("primaries", [BT2020, 2])
def test_bt2020_is_brought_to_bt709(tmp_path: Path, transfer: int, primaries: int) -> None:
    signal = clips.linear(PATCHES, BT2020) ** (1 / 2.4)
    marks = Marks(matrix=9, transfer=transfer, primaries=primaries)
    path = clips.write(tmp_path / "a.mkv", [frame_of(signal, 9, 1, "yuv444p10le")], marks)
    picture, info = shown(path)
    assert error(picture, PATCHES) <= 2
    assert info.colour.tone_map == "none" and info.colour.primaries == "bt2020"
    assert any(note.startswith("BT.2020 colours brought to BT.709") for note in info.notes)


def test_display_p3_is_brought_to_bt709(tmp_path: Path) -> None:
    signal = clips.linear(PATCHES, P3) ** (1 / 2.4)
    marks = Marks(matrix=1, transfer=13, primaries=P3)
    path = clips.write(tmp_path / "a.mkv", [frame_of(signal, 1, 1, "yuv444p10le")], marks)
    picture, info = shown(path)
    assert error(picture, PATCHES) <= 2
    assert any(note.startswith("Display P3 colours brought to BT.709") for note in info.notes)


MATRICES = {
    1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
}  # fmt: skip


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("range_", [1, 2])
@pytest.mark.parametrize("stored", ["yuv444p", "yuv444p10le"])
def test_marked_matrices_and_ranges(tmp_path: Path, matrix: int, range_: int, stored: str) -> None:
    marks = Marks(matrix=matrix, range=range_, transfer=1, primaries=BT709)
    frame = frame_of(PATCHES / 255, matrix, range_, stored)
    codec = "libx264" if stored == "yuv444p" else "libx265"
    picture, info = shown(clips.write(tmp_path / "a.mp4", [frame], marks, codec=codec))
    assert error(picture, PATCHES) <= 1
    assert (info.colour.matrix, info.colour.range) == (MATRICES[matrix], ["tv", "pc"][range_ - 1])
    assert info.colour.assumed == () and info.notes == ()


@pytest.mark.parametrize(("lines", "matrix"), [(48, 6), (718, 6), (720, 1), (1080, 1)])
def test_untagged_pictures_go_by_their_size(tmp_path: Path, lines: int, matrix: int) -> None:
    truth = clips.patches((64, lines))
    frame = frame_of(truth / 255, matrix, 1, "yuv444p")
    picture, info = shown(clips.write(tmp_path / "a.mp4", [frame], Marks(range=0), codec="libx264"))
    assert error(picture, truth) <= 1
    assert info.colour.matrix == MATRICES[matrix] and info.colour.assumed == ("matrix", "range")
    taken = "BT.709" if matrix == 1 else "BT.601"
    assert info.notes == (f"colours are untagged: taken as {taken} by its size",)


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx-vp9", ".webm"), ("libvpx", ".webm")])
def test_what_only_the_container_tells_is_followed(tmp_path: Path, codec: str, suffix: str) -> None:
    frame = frame_of(PATCHES / 255, 1, 1, "yuv420p")
    bare = clips.write(tmp_path / f"bare{suffix}", [frame], Marks(range=0), codec=codec)
    marks = Marks(matrix=1, transfer=1, primaries=BT709)
    picture, info = shown(clips.remark(tmp_path / "marked.mkv", bare, marks))
    assert error(picture, PATCHES) <= 2
    assert info.colour.matrix == "bt709" and info.colour.by_container == ("matrix",)
    assert info.colour.transfer == info.colour.primaries == "bt709"
    with pytest.raises(BackendError, match="no tag of its matrix"):
        Video.open(tmp_path / "marked.mkv", "opencv")


@pytest.mark.parametrize("transfer", [PQ, 14])
def test_bt2020_without_a_matrix_has_that_of_bt2020(tmp_path: Path, transfer: int) -> None:
    light = clips.linear(PATCHES, BT2020)
    signal = clips.pq(light * 203) if transfer == PQ else light ** (1 / 2.4)
    marks = Marks(matrix=2, transfer=transfer, primaries=BT2020)
    path = clips.write(tmp_path / "a.mkv", [frame_of(signal, 9, 1, "yuv444p12le")], marks)
    picture, info = shown(path)
    assert error(picture, PATCHES) <= 6
    assert info.colour.matrix == "bt2020nc" and info.colour.assumed == ("matrix",)
    assert any(note.endswith("taken as BT.2020 by what else is told") for note in info.notes)


@pytest.mark.parametrize("matrix", [0, 10, 11, 12, 13, 14, 15, 16, 17])
def test_a_matrix_that_is_not_converted_is_named_in_one_line(tmp_path: Path, matrix: int) -> None:
    names = {0: "gbr", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc"}
    names |= {13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro"}
    frame = frame_of(PATCHES / 255, 1, 1, "yuv444p")
    path = clips.write(tmp_path / "a.mkv", [frame], Marks(matrix=matrix))
    for backend in ("auto", "pyav", "opencv"):
        with pytest.raises(
            VideoError, match=rf"a\.mkv: .*matrix {names[matrix]},.*conver"
        ) as caught:
            Video.open(path, backend)
        assert "\n" not in str(caught.value)


def test_dolby_vision_without_a_plain_picture_is_refused(tmp_path: Path) -> None:
    frame = frame_of(PATCHES / 255, 1, 2, "yuv420p10le")
    path = clips.write(tmp_path / "a.mp4", [frame], Marks(range=2), codec="libx265", tag="dvh1")
    with pytest.raises(VideoError, match="Dolby Vision"):
        Video.open(path)


GREY = np.round(clips.ramp()[..., None] * 255)


@pytest.mark.parametrize(
    ("codec", "stored"),
    [("libx264", "gray"), ("libx265", "gray"), ("libx265", "gray10le"), ("libx265", "gray12le"),
     ("ffv1", "gray"), ("ffv1", "gray10le"), ("ffv1", "gray16le")],
)  # fmt: skip
@pytest.mark.parametrize("range_", [1, 2])
def test_grey_of_limited_range_is_stretched_and_of_full_range_not(
    tmp_path: Path, codec: str, stored: str, range_: int
) -> None:
    frame = frame_of(clips.ramp(), 1, range_, stored)
    path = clips.write(tmp_path / "a.mkv", [frame], Marks(range=range_), codec=codec)
    picture, info = shown(path)
    assert error(picture, GREY) <= 1
    assert info.colour.range == ("tv" if range_ == 1 else "pc")
    with Video.open(path) as video:
        assert error(video.frames_at([0.0], (32, 24)).pixels[0], GREY[::2, ::2]) <= 3


def test_grey_of_untagged_range_goes_by_its_codec(tmp_path: Path) -> None:
    frame = frame_of(clips.ramp(), 1, 2, "gray10le")
    path = clips.write(tmp_path / "a.mkv", [frame], Marks(range=0))
    picture, info = shown(path)
    assert error(picture, GREY) <= 1
    assert info.colour.range == "pc" and info.colour.assumed == ("range",)
    assert "grey of untagged range: taken as 0..255 by its codec" in info.notes
    hevc = clips.write(tmp_path / "b.mkv", [frame], codec="libx265")
    with av.open(str(hevc)) as container:
        frame.color_range = 0
        colour = read_colour(hevc, frame, container.streams.video[0], StoredMarks())
    assert colour.range == "tv" and colour.assumed == ("range",)


def test_transfers_and_primaries_that_are_left_are_told(tmp_path: Path) -> None:
    frame = frame_of(PATCHES / 255, 1, 1, "yuv444p")
    marks = Marks(matrix=1, transfer=8, primaries=4)
    picture, info = shown(clips.write(tmp_path / "a.mp4", [frame], marks, codec="libx264"))
    assert error(picture, PATCHES) <= 1
    assert info.notes == (
        "its transfer (linear) is not converted: brightness is not true",
        "its primaries (bt470m) are shown as if they were BT.709",
    )


def transparent() -> np.ndarray:
    """uint8 (48, 64, 4): red on the left; on the right green that is not to be seen."""
    rgba = np.zeros((48, 64, 4), np.uint8)
    rgba[:, :32], rgba[:, 32:] = (200, 30, 30, 255), (30, 200, 30, 0)
    rgba[:8, :32, 3] = 128
    return rgba


ALPHA = [
    ("png", "rgba", ".mov"), ("png", "rgba64be", ".mov"), ("qtrle", "argb", ".mov"),
    ("ffv1", "bgra", ".mkv"), ("ffv1", "yuva420p", ".mkv"), ("ffv1", "yuva444p10le", ".mkv"),
    ("ffv1", "gbrap10le", ".mkv"), ("prores_ks", "yuva444p10le", ".mov"), ("apng", "rgba", ".apng"),
    ("rawvideo", "bgra", ".avi"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "stored", "suffix"), ALPHA)
def test_transparent_parts_are_black(tmp_path: Path, codec: str, stored: str, suffix: str) -> None:
    rgba = transparent()
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=stored)
    options = {"profile": "4"} if codec == "prores_ks" else {}
    marks = Marks(range=1 if "yuv" in stored else 0)
    path = clips.write(tmp_path / f"a{suffix}", [frame], marks, codec=codec, options=options)
    picture, info = shown(path)
    assert error(picture, rgba[..., :3] * (rgba[..., 3:] / 255)) <= 2
    with Video.open(path) as video:
        small = video.frames_at([0.0], (20, 15)).pixels[0]
    assert small[..., 1].max() < 60, "the hidden green bleeds into the edge"
    assert info.colour.alpha == "on black"
    assert "has an alpha channel: transparent parts are shown on black" in info.notes


def test_opaque_pictures_with_an_alpha_channel_are_left_as_they_are(tmp_path: Path) -> None:
    rgba = np.dstack((PATCHES, np.full(PATCHES.shape[:2], 255, np.uint8)))
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    path = clips.write(tmp_path / "a.mov", [frame], Marks(range=0), codec="png")
    assert error(shown(path)[0], PATCHES) == 0


def test_alpha_that_is_not_decoded_is_told(tmp_path: Path) -> None:
    frame = av.VideoFrame.from_ndarray(transparent(), format="rgba").reformat(format="yuva420p")
    path = clips.write(tmp_path / "a.webm", [frame], codec="libvpx-vp9")
    _, info = shown(path)
    assert info.colour.alpha == "not decoded"
    assert any("alpha channel that is not decoded" in note for note in info.notes)


def test_a_scripted_world_of_many_lines_keeps_its_colours(tmp_path: Path) -> None:
    actor = Actor(id="a", shape="circle", colour="red", x=0.5, motion=Motion())
    scene = Scene(start_s=0.0, end_s=0.2, actors=(actor,))
    world = World(width_px=1280, height_px=720, fps_hz=10.0, scenes=(scene,))
    with Video.open(encode.write_video(world, tmp_path / "world.mp4")) as video:
        picture = video.frames_at([0.0]).pixels[0]
        assert video.info.colour.assumed == ()
    red = (world.frame(0.0) == world.frame(0.0)[360, 640]).all(axis=-1)
    assert red.sum() > 1000
    assert error(picture[red], world.frame(0.0)[red]) <= 3
