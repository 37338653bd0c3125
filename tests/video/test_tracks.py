"""Containers with several video streams: the film is shown, by every back end or not at all."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from mmreason.cli import main
from mmreason.video import Video, VideoError
from mmreason.video.backends.choose import BACKENDS, why_not
from tests.video import clips

STILL_PX, SMALL_PX, LARGE_PX = (96, 56), (160, 96), (320, 192)


def write(path: Path, tracks: list[tuple[int, int, tuple[int, int], bool]]) -> Path:
    """A stream for each of (frames, number of the first, size, whether it is the default one)."""
    with av.open(str(path), "w") as container:
        streams: list[av.VideoStream] = []
        for _, _, size_px, is_default in tracks:
            stream = container.add_stream("mpeg4", rate=clips.FPS_HZ)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = size_px
            stream.pix_fmt = "yuv420p"
            stream.disposition = Disposition.default if is_default else Disposition(0)
            streams.append(stream)
        for stream, (frames, first, size_px, _) in zip(streams, tracks, strict=True):
            for place in range(frames):
                picture = clips.draw(first + place, size_px)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = place
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


STILL, FILM, OTHER = (1, 500, STILL_PX, False), (40, 0, SMALL_PX, True), (40, 600, LARGE_PX, False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".nut"])
@pytest.mark.parametrize(
    ("tracks", "best"),
    [
        ([STILL, FILM], 1),
        ([FILM, STILL], 0),
        ([(1, 500, LARGE_PX, True), FILM], 1),
        ([(1, 500, LARGE_PX, True), (*FILM[:3], False)], 1),
        ([OTHER, FILM], 1),
        ([(*FILM[:3], False), OTHER], 1),
        ([(20, 700, SMALL_PX, True), FILM], 1),
    ],
)
def test_the_film_is_chosen(
    tmp_path: Path, suffix: str, tracks: list[tuple[int, int, tuple[int, int], bool]], best: int
) -> None:
    if suffix != ".mkv" and not any(is_default for *_, is_default in tracks):
        pytest.skip("its writer marks a track where nobody does")
    if suffix == ".nut" and tracks[0][0] == 20:
        pytest.skip("tells no lengths")
    path = write(tmp_path / f"clip{suffix}", tracks)
    frames, first, size_px, _ = tracks[best]
    with Video.open(path) as video:
        info = video.info
        assert (info.track, (info.width_px, info.height_px)) == (best, size_px)
        assert [(track.index, track.codec) for track in info.tracks] == [(0, "mpeg4"), (1, "mpeg4")]
        assert [n for b in video.stream() for n in clips.numbers(b.pixels)] == list(
            range(first, first + frames)
        )
        assert len(video.frame_times_s) == frames
        assert max(video.keyframe_times_s) <= info.span.end_s


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_track_by_its_index(tmp_path: Path, backend: str) -> None:
    path = write(tmp_path / "clip.mkv", [FILM, OTHER])
    plain = clips.write(tmp_path / "plain.mp4")
    if reason := why_not(plain, backend):  # type: ignore[arg-type]
        pytest.skip(reason)
    for track, first in ((0, 0), (1, 600)):
        try:
            video = Video.open(path, backend, track=track)  # type: ignore[arg-type]
        except VideoError as error:
            assert "several video tracks" in str(error)
            assert backend in ("opencv", "decord")
            continue
        with video:
            assert clips.numbers(video.frames_at([0.0, 1.0]).pixels) == [first, first + 30]
            assert len(video.frame_times_s) == 40
            assert video.info.track == track


def test_a_track_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", [STILL, FILM])
    with pytest.raises(VideoError, match=r"has no video track 7; its video tracks are 0, 1"):
        Video.open(path, track=7)


def test_inspect_lists_all_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "clip.mp4", [STILL, FILM])
    assert main(["inspect", str(path), "--json"]) == 0
    assert '"tracks"' in capsys.readouterr().out


def test_an_avif_sequence_is_read_whole(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "sequence.avif"
    pictures = [Image.fromarray(clips.draw(number)) for number in range(4)]
    try:
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[500] * 4)
    except (KeyError, ValueError, OSError) as error:
        pytest.skip(f"this Pillow writes no AVIF: {error}")
    with Video.open(path) as video:
        frames = np.concatenate([batch.pixels for batch in video.stream()])
        assert clips.numbers(frames) == [0, 1, 2, 3]
        assert video.info.duration_s == pytest.approx(2.0)
