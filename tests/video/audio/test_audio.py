"""Sound stands on the clock of the pictures, whatever container it is in."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Span, Video, VideoError
from mmreason.video.audio import NoAudioError, list_audio_tracks, read_audio, stream_audio
from mmreason.video.backends.base import ReadOptions
from mmreason.video.world import generate
from tests.video.audio.sounds import CLICKS_S, clicks, find_clicks, write_clip

WITH_PICTURES = {
    "mp4 aac": ("a.mp4", "libx264", "aac"),
    "mp4 mp3": ("a.mp4", "libx264", "libmp3lame"),
    "mov pcm": ("a.mov", "libx264", "pcm_s16le"),
    "mkv opus": ("a.mkv", "libx264", "libopus"),
    "mkv aac": ("a.mkv", "libx264", "aac"),
    "webm opus": ("a.webm", "libvpx", "libopus"),
    "ts aac": ("a.ts", "libx264", "aac"),
    "avi pcm": ("a.avi", "mpeg4", "pcm_s16le"),
}
ALONE = {
    "wav": ("a.wav", "pcm_s16le"),
    "flac": ("a.flac", "flac"),
    "mp3": ("a.mp3", "libmp3lame"),
    "m4a": ("a.m4a", "aac"),
    "ogg opus": ("a.ogg", "libopus"),
}


def assert_clicks(path: Path, shift_s: float, span: Span | None, rate_hz: int = 16_000) -> None:
    sound = read_audio(path, span, rate_hz=rate_hz)
    inside = [c for c in CLICKS_S if span is None or span.contains(c + shift_s)]
    expected = [c + shift_s for c in inside]
    found = find_clicks(sound.samples, rate_hz, sound.start_s, expected)
    assert np.allclose(found, expected, atol=0.001), (found, expected)


@pytest.mark.parametrize("name", WITH_PICTURES)
def test_clicks_stand_where_the_pictures_say(tmp_path: Path, name: str) -> None:
    file, video_codec, codec = WITH_PICTURES[name]
    path = write_clip(tmp_path / file, codec, video_codec=video_codec)
    with Video.open(path) as video:
        start_s = video.info.start_s
    assert_clicks(path, start_s, None)
    assert_clicks(path, start_s, Span(start_s + 1.0, start_s + 2.0), rate_hz=44_100)


@pytest.mark.parametrize("name", ALONE)
def test_sound_without_pictures_begins_at_its_first_sample(tmp_path: Path, name: str) -> None:
    file, codec = ALONE[name]
    path = write_clip(tmp_path / file, codec, video_codec=None)
    assert read_audio(path).start_s == 0.0
    assert_clicks(path, 0.0, None)
    assert_clicks(path, 0.0, Span(1.0, 2.2))


def test_avi_with_mp3_tells_that_its_delay_is_unknown(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", "libmp3lame", video_codec="mpeg4")
    assert "AVI does not tell the delay" in read_audio(path, Span(0, 1)).notes[0]


def test_a_span_gives_exactly_its_samples_with_silence_where_nothing_is(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "aac", samples=clicks(48_000, 1.4, (0.5,)))
    sound = read_audio(path, Span(-1.0, 4.0))
    assert len(sound) == 5 * 16_000 and sound.start_s == -1.0
    assert not sound.samples[:16_000].any() and not sound.samples[-16_000:].any()
    assert any("begins at" in note for note in sound.notes), sound.notes
    assert any("ends at" in note for note in sound.notes), sound.notes
    beyond = read_audio(path, Span(100, 101))
    assert not beyond.samples.any() and "no sound in this part" in beyond.notes[0]


def test_sound_longer_than_the_picture_is_read_to_its_end(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "aac", samples=clicks(48_000, 5.0, (4.5,)))
    sound = read_audio(path)
    assert sound.span.end_s == pytest.approx(5.0, abs=0.05)
    assert find_clicks(sound.samples, 16_000, 0.0, (4.5,))[0] == pytest.approx(4.5, abs=0.001)


@pytest.mark.parametrize(
    ("layout", "rate_hz"), [("5.1", 48_000), ("stereo", 44_100), ("mono", 8_000)]
)
def test_any_layout_and_rate_becomes_one_channel(tmp_path: Path, layout: str, rate_hz: int) -> None:
    path = write_clip(tmp_path / "a.mkv", "pcm_s16le", layout=layout, rate_hz=rate_hz)
    sound = read_audio(path)
    assert sound.samples.ndim == 1 and sound.samples.dtype == np.float32
    assert_clicks(path, 0.0, None)


def test_lost_packets_are_told_and_silence_stands_in_their_place(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", "pcm_s16le", skipped=[range(35, 45)])
    sound = read_audio(path)
    assert any("a gap of 0.21 s" in note for note in sound.notes), sound.notes
    assert_clicks(path, 0.0, None)


def test_damaged_packets_are_told_and_the_rest_stays_in_place(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", "flac", video_codec=None)
    data = bytearray(path.read_bytes())
    middle = int(len(data) * 0.45)
    # The header of a FLAC frame begins with these bits: a frame without it cannot be decoded.
    first = data.find(b"\xff\xf8", middle)
    data[first : first + 6] = bytes(6)
    path.write_bytes(data)
    sound = read_audio(path)
    assert any("damaged" in note or "gap" in note for note in sound.notes), sound.notes
    expected = [CLICKS_S[0], CLICKS_S[-1]]
    assert np.allclose(find_clicks(sound.samples, 16_000, 0, expected), expected, atol=0.001)


def test_times_that_jump_by_days_end_the_reading(tmp_path: Path) -> None:
    """Silence would be made for all of them."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        for start_s in (0, 2, 100 * 3600):
            ones = np.full((1, 16_000), 1000, np.int16)
            frame = av.AudioFrame.from_ndarray(ones, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start_s * 16_000
            frame.time_base = Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound = read_audio(path)
    assert len(sound) == 48_000 and not sound.samples[16_100:31_900].any()
    jump, gap = sound.notes
    assert "jump by hours: what follows 0:03.00 was not read" in jump and "a gap of 1.00 s" in gap


def test_a_file_cut_short_is_read_to_the_cut(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", "aac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = read_audio(path)
    assert 0 < sound.span.duration_s < 2.3


def test_blocks_follow_each_other_and_hold_what_one_read_gives(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "aac")
    whole = read_audio(path)
    blocks = list(stream_audio(path, block_s=0.7))
    assert [len(block) for block in blocks[:-1]] == [11_200] * (len(blocks) - 1)
    assert all(a.span.end_s == pytest.approx(b.start_s) for a, b in pairwise(blocks))
    assert np.array_equal(np.concatenate([block.samples for block in blocks]), whole.samples)


def test_tracks_are_listed_and_chosen(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.mkv",
        "pcm_s16le",
        tracks=[("ger", "Kommentar", False), ("eng", "Film", True)],
    )
    first, second = list_audio_tracks(path)
    assert (first.language, first.title, first.is_default) == ("ger", "Kommentar", False)
    assert (second.language, second.codec, second.rate_hz) == ("eng", "pcm_s16le", 48_000)
    assert len(read_audio(path, Span(0, 1), track=first.index)) == 16_000
    with pytest.raises(NoAudioError, match="track 9 is no sound that can be read; has track 1"):
        read_audio(path, track=9)


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "aac", tracks=())
    with Video.open(path) as video:
        assert video.audio_tracks == ()
        with pytest.raises(NoAudioError, match=r"a\.mp4: has no sound$"):
            video.audio(Span(0, 1))


def test_a_scripted_world_has_no_sound(tmp_path: Path) -> None:
    script = tmp_path / "world.json"
    script.write_text(generate.demo(1).to_json(), encoding="utf-8")
    assert list_audio_tracks(script) == ()
    with pytest.raises(NoAudioError, match="scripted world"):
        read_audio(script)


def test_a_video_with_limits_reads_its_sound_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", "aac")
    silent = write_clip(tmp_path / "b.mp4", "aac", tracks=())
    limits = ReadOptions(memory_limit_mb=300, time_limit_s=30)
    with Video.open(path) as video:
        expected = video.audio(Span(0.25, 1.5))
    with Video.open(path, memory_limit_mb=300, time_limit_s=30) as video:
        sound = video.audio(Span(0.25, 1.5))
        assert [track.codec for track in video.audio_tracks] == ["aac"]
    assert np.array_equal(sound.samples, expected.samples) and sound.start_s == expected.start_s
    with pytest.raises(NoAudioError, match=r"b\.mp4: has no sound$"):
        read_audio(silent, options=limits)


def test_what_cannot_be_asked_is_refused_in_a_line(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav", "pcm_s16le", video_codec=None)
    with pytest.raises(VideoError, match="rate_hz must be 1,000 to 768,000"):
        read_audio(path, rate_hz=10)
    with pytest.raises(VideoError, match="block_s must be"):
        list(stream_audio(path, block_s=0))
    with pytest.raises(VideoError, match="use stream_audio"):
        read_audio(path, Span(0, 1e6))
    with pytest.raises(VideoError, match="no such file"):
        read_audio(tmp_path / "none.wav")


def test_a_rate_that_no_sound_has_is_not_read(tmp_path: Path) -> None:
    """A header of one sample a second would have each become 16,000."""
    path = write_clip(tmp_path / "a.wav", "pcm_s16le", video_codec=None)
    data = bytearray(path.read_bytes())
    data[24:28] = (1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(NoAudioError, match="says 1 samples a second"):
        read_audio(path)


def test_the_sound_of_an_opened_file_goes_on_after_the_video_is_forgotten(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.wav.mp4", "aac")
    with path.open("rb") as file, Video.open(file, name="upload") as video:
        assert len(video.audio(Span(0, 1))) == 16_000
