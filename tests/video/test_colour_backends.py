"""All back ends show the same colours, or refuse and say which colours they cannot show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Video
from mmreason.video.backends.base import BackendError
from mmreason.video.backends.choose import Backend, why_not
from mmreason.video.backends.colour import refuse_colour
from mmreason.video.types import Colour
from tests.video import clips as numbered
from tests.video import colour_clips as clips
from tests.video.colour_clips import BT2020, Marks, error, frame_of

PATCHES = clips.patches((256, 192))
SIGNAL = PATCHES / 255
HDR = Marks(matrix=9, transfer=clips.PQ, primaries=9)
HEVC, FFV1 = ("libx265", ".mp4"), ("ffv1", ".mkv")


def _plain(matrix: int, range_: int = 1, stored: str = "yuv420p") -> Callable[[], av.VideoFrame]:
    return lambda: frame_of(SIGNAL, matrix, range_, stored)


def _hd(matrix: int) -> Callable[[], av.VideoFrame]:
    return lambda: frame_of(clips.patches((256, 720)) / 255, matrix, 1, "yuv420p")


def _wide(signal: Callable[[np.ndarray], np.ndarray]) -> Callable[[], av.VideoFrame]:
    return lambda: frame_of(signal(clips.linear(PATCHES, BT2020)), 9, 1, "yuv420p10le")


def _transparent() -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.dstack((PATCHES, PATCHES[..., :1])), format="rgba")


Case = tuple[Callable[[], av.VideoFrame], Marks, tuple[str, str]]
H264 = ("libx264", ".mp4")
CASES: dict[str, Case] = {
    "BT.709": (_plain(1), Marks(matrix=1, transfer=1, primaries=1), H264),
    "BT.601": (_plain(6), Marks(matrix=6, transfer=6, primaries=6), H264),
    "BT.709 full": (_plain(1, 2), Marks(matrix=1, range=2), H264),
    "BT.601 full": (_plain(6, 2), Marks(matrix=6, range=2), H264),
    "FCC": (_plain(4), Marks(matrix=4), H264),
    "SMPTE 240M": (_plain(7), Marks(matrix=7), H264),
    "BT.2020 matrix": (_plain(9), Marks(matrix=9, transfer=1, primaries=1), H264),
    "4:4:4": (_plain(1, stored="yuv444p"), Marks(matrix=1), H264),
    "ten bits": (_plain(1, stored="yuv420p10le"), Marks(matrix=1), HEVC),
    "untagged": (_plain(6), Marks(range=0), H264),
    "untagged HD": (_hd(1), Marks(range=0), H264),
    "tagged HD": (_hd(1), Marks(matrix=1), H264),
    "PQ": (_wide(lambda light: clips.pq(light * 203)), HDR, HEVC),
    "HLG": (_wide(lambda light: clips.hlg(light * 203)), replace(HDR, transfer=clips.HLG), HEVC),
    "BT.2020": (_wide(lambda light: light ** (1 / 2.4)), replace(HDR, transfer=14), HEVC),
    "Display P3": (_plain(1), Marks(matrix=1, transfer=13, primaries=clips.P3), H264),
    "DCI-P3": (_plain(1), Marks(matrix=1, transfer=1, primaries=11), H264),
    "linear": (_plain(1), Marks(matrix=1, transfer=8, primaries=1), H264),
    "log": (_plain(1), Marks(matrix=1, transfer=9, primaries=1), H264),
    "YCgCo": (_plain(8, stored="yuv444p"), Marks(matrix=8), H264),
    "grey": (lambda: frame_of(clips.ramp((256, 192)), 1, 1, "gray"), Marks(), HEVC),
    "grey full": (lambda: frame_of(clips.ramp((256, 192)), 1, 2, "gray"), Marks(range=2), HEVC),
    "alpha": (_transparent, Marks(range=0), ("png", ".mov")),
}
REFUSED = {"untagged HD", "PQ", "HLG", "BT.2020", "Display P3", "YCgCo", "grey", "alpha"}


@pytest.fixture(scope="module")
def usable(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Backend], None]:
    plain = numbered.write(tmp_path_factory.mktemp("plain") / "plain.mp4")

    def skip_where_missing(backend: Backend) -> None:
        if reason := why_not(plain, backend):
            pytest.skip(reason)

    return skip_where_missing


@pytest.mark.parametrize("backend", ["opencv", "decord", "torchcodec", "torchcodec-cuda"])
@pytest.mark.parametrize(
    ("name", "tone_map"), [*((name, "auto") for name in CASES), ("PQ", "none"), ("HLG", "none")]
)
def test_back_ends_agree_or_refuse(
    tmp_path: Path, usable: Callable[[Backend], None], name: str, backend: Backend, tone_map
) -> None:
    usable(backend)
    frame, marks, (codec, suffix) = CASES[name]
    path = clips.write(tmp_path / f"clip{suffix}", [frame()] * 3, marks, codec=codec)
    with Video.open(path, "pyav", tone_map=tone_map) as video:
        expected, colour = video.frames_at([0.1]).pixels[0], video.info.colour
    try:
        with Video.open(path, backend, tone_map=tone_map) as video:
            assert error(video.frames_at([0.1]).pixels[0], expected) <= 3
            assert video.info.colour == colour
    except BackendError as refusal:
        assert f"which {backend} does not" in str(refusal) or backend == "decord", refusal
        return
    assert name not in REFUSED or (tone_map == "none" and name in ("PQ", "HLG"))


def test_a_back_end_that_knows_one_matrix_is_held_to_it() -> None:
    path, bt709 = Path("clip.mp4"), Colour(matrix="bt709", range="tv")
    bt601, full = replace(bt709, matrix="smpte170m"), replace(bt709, matrix="smpte170m", range="pc")
    refuse_colour(path, bt601, "opencv", "auto", takes_all_as_bt601=True)
    with pytest.raises(BackendError, match=r"clip\.mp4: has the matrix bt709 \(tv\), which opencv"):
        refuse_colour(path, bt709, "opencv", "auto", takes_all_as_bt601=True)
    for shown in (bt709, replace(bt709, range="pc"), bt601):
        refuse_colour(path, shown, "torchcodec-cuda", "auto")
    for hidden in (full, replace(bt709, matrix="bt2020nc"), replace(bt709, matrix="smpte240m")):
        with pytest.raises(BackendError, match="which torchcodec-cuda does not show correctly"):
            refuse_colour(path, hidden, "torchcodec-cuda", "auto")
