"""Clips of spans: what they show and play is what the video shows and plays there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.library.exports import save_clips
from mmreason.types import Answer, Evidence, StopReason, UsageError
from mmreason.video import Span, Video, VideoError
from mmreason.video.world import generate
from tests.video import clips

RATE_HZ = 48_000


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s at 30 Hz, a key frame every half second, a click at 2.5 s."""
    silent = clips.write(tmp_path_factory.mktemp("clips") / "silent.mp4", frames=120)
    path = silent.with_name("talk.mp4")
    samples = np.zeros((1, 4 * RATE_HZ), np.float32)
    samples[0, int(2.5 * RATE_HZ) : int(2.5 * RATE_HZ) + 480] = 0.8
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        picture = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=RATE_HZ, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                target.mux(packet)
        for start in range(0, samples.shape[1], 1024):
            frame = av.AudioFrame.from_ndarray(
                samples[:, start : start + 1024].copy(), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            target.mux(sound.encode(frame))
        target.mux(sound.encode())
    return path


def click_s(path: Path) -> float:
    """When the first loud sample of a file is played."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.3)
            if len(loud):
                return float(frame.time or 0) + loud[0] / frame.sample_rate
    raise AssertionError("no click")


@pytest.mark.parametrize(
    ("span", "method"), [(Span(2.0, 3.0), "copied"), (Span(2.1, 3.1), "encoded")]
)
def test_a_clip_shows_the_frames_of_its_span_with_their_sound(
    talk: Path, tmp_path: Path, span: Span, method: str
) -> None:
    (clip,) = save_clips([span], tmp_path, talk)

    assert clip.method == method
    with Video.open(clip.path) as video:
        times_s = video.frame_times_s
        numbers = clips.numbers(video.frames_at(times_s).pixels)
    first = round(span.start_s * clips.FPS_HZ)
    # A copy may end with some frames more, which others before its end need.
    assert numbers[:30] == list(range(first, first + 30))
    assert len(numbers) <= 33
    assert np.allclose(times_s[:30] - times_s[0], np.arange(30) / 30, atol=2e-3)
    assert click_s(clip.path) == pytest.approx(2.5 - span.start_s, abs=0.03)


def test_an_answer_leaves_clips_and_the_frames_that_it_rests_on(talk: Path, tmp_path: Path) -> None:
    evidence = Evidence(span=Span(1.0, 2.5), frame_times_s=(1.5,), video=str(talk))
    answer = Answer(
        question="?", text="yes", evidence=(evidence, evidence), stop_reason=StopReason.ANSWERED
    )

    saved = save_clips(answer, tmp_path / "proof")

    assert [clip.path.name for clip in saved] == ["talk_00001.000s-00002.500s.mp4"]
    names = sorted(path.name for path in (tmp_path / "proof").iterdir())
    assert names == ["talk_00001.000s-00002.500s.mp4", "talk_00001.500s.png"]


def test_a_moment_is_widened_and_what_lies_outside_is_refused(talk: Path, tmp_path: Path) -> None:
    (clip,) = save_clips([Span(3.9, 3.9)], tmp_path / "proof", talk)
    assert clip.span == Span(3.4, 4.0)
    with pytest.raises(UsageError, match="nothing of the video lies in"):
        save_clips([Span(50, 60)], tmp_path / "other", talk)
    with pytest.raises(UsageError, match="need the video"):
        save_clips([Span(0, 1)], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="give a folder"):
        save_clips([Span(0, 1)], tmp_path / "file", talk)
    with pytest.raises(VideoError):
        save_clips([Span(0, 1)], tmp_path, tmp_path / "file")


def test_a_scripted_world_is_cut_too(tmp_path: Path) -> None:
    path = generate.demo().save(tmp_path / "world.json")
    (clip,) = save_clips([Span(1, 2)], tmp_path, path)
    with Video.open(clip.path) as video:
        assert video.info.duration_s == pytest.approx(1.0, abs=0.1)
