"""The screen of made videos, read by a reader that knows what stands there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.video import Span, Video, VideoError
from mmreason.video.screen_text import ReadLine, ScriptedReader, read_screen
from mmreason.video.stopping import stop_when

WIDTH, HEIGHT = 320, 180
LINES = {0: Span(0, 12), 1: Span(3.4, 8.2), 2: Span(5.1, 12), 3: Span(8.2, 11.0)}
"""Rows of the screen and when something is written there."""


def write_video(
    path: Path,
    duration_s: float = 12.0,
    *,
    fps_hz: int = 10,
    times_s: Sequence[float] | None = None,
    moving: bool = False,
) -> Path:
    rng = np.random.default_rng(0)
    grounds = rng.integers(120, 255, (8, HEIGHT // 6, WIDTH // 8, 1), np.uint8)
    pictures: list[tuple[float, np.ndarray]] = []
    shown_s = np.arange(round(duration_s * fps_hz)) / fps_hz if times_s is None else times_s
    for number, time_s in enumerate(shown_s):
        pixels = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
        if moving:
            pixels[:] = np.kron(grounds[number % 8], np.ones((6, 8, 1), np.uint8))
        for row, span in LINES.items():
            if span.contains(time_s + 1e-6):
                box = slice(20 + 40 * row, 36 + 40 * row), slice(40, 240)
                pixels[box] = 10
                pixels[box[0], 44:236:8] = 200
        pictures.append((float(time_s), pixels))
    return encode(path, pictures)


def encode(path: Path, pictures: Sequence[tuple[float, np.ndarray]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_s, pixels in pictures:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def see_rows(rgb: np.ndarray) -> list[ReadLine]:
    """The rows that are written."""
    scale = rgb.shape[0] / HEIGHT
    lines = []
    for row in LINES:
        y1, y2 = (round((edge + 40 * row) * scale) for edge in (20, 36))
        if rgb[y1:y2, round(40 * scale) : round(240 * scale)].mean() < 100:
            box_px = (40 * scale, float(y1), 240 * scale, float(y2))
            lines.append(ReadLine(text=f"line {'ABCD'[row]}", box_px=box_px, confidence=0.95))
    return lines


def spans(lines: Sequence) -> dict[str, list[float]]:
    return {line.text: [line.span.start_s, line.span.end_s] for line in lines}


EXPECTED = {"line A": [0, 12], "line B": [3.4, 8.2], "line C": [5.1, 12], "line D": [8.2, 11]}


def test_lines_have_the_frames_at_which_they_come_and_go(tmp_path: Path) -> None:
    reader = ScriptedReader(see_rows)
    seen_s: list[float] = []
    with Video.open(write_video(tmp_path / "v.mp4")) as video:
        text = read_screen(video, reader, on_progress=seen_s.append)
    found = spans(text.lines)
    assert found.keys() == EXPECTED.keys()
    for name, ends_s in EXPECTED.items():
        assert found[name] == pytest.approx(ends_s, abs=0.01), name
    assert reader.calls == text.reads <= 5 < text.looks == len(seen_s) == 12
    assert text.lines[0].box_px == (40, 20, 240, 36)
    assert text.notes == () and text.model == "scripted"


def test_frames_of_varying_length_give_their_own_times(tmp_path: Path) -> None:
    times_s = [0, 0.5, 3.4, 5.1, 5.15, 8.2, 11.0, 11.9]
    with Video.open(write_video(tmp_path / "v.mp4", times_s=times_s)) as video:
        found = spans(read_screen(video, ScriptedReader(see_rows)).lines)
    for name, (start_s, _) in EXPECTED.items():
        assert found[name][0] == pytest.approx(start_s, abs=0.01), name


def test_text_over_a_moving_picture_is_read_every_few_seconds_and_that_is_told(
    tmp_path: Path,
) -> None:
    with Video.open(write_video(tmp_path / "v.mp4", moving=True)) as video:
        text = read_screen(video, ScriptedReader(see_rows))
    found = spans(text.lines)
    assert found.keys() >= {"line A", "line B", "line C"}
    assert found["line B"] == pytest.approx([3.4, 8.2], abs=0.25)
    assert text.reads <= 6
    assert any("moving pictures were read every 3 to 6 s" in note for note in text.notes)


def test_a_part_is_read_alone_and_one_outside_is_refused(tmp_path: Path) -> None:
    with Video.open(write_video(tmp_path / "v.mp4")) as video:
        text = read_screen(video, ScriptedReader(see_rows), span=Span(4, 7))
        assert spans(text.lines) == {
            "line A": [4, 7],
            "line B": [4, 7],
            "line C": pytest.approx([5.1, 7], abs=0.01),
        }
        with pytest.raises(VideoError, match="nothing of the video lies there"):
            read_screen(video, ScriptedReader(see_rows), span=Span(40, 70))
        with pytest.raises(ValueError, match="limit_s must be above 0"):
            read_screen(video, ScriptedReader(see_rows), limit_s=0)


def test_a_limit_leaves_what_was_read_until_then(tmp_path: Path) -> None:
    with Video.open(write_video(tmp_path / "v.mp4")) as video:
        text = read_screen(video, ScriptedReader(see_rows), limit_s=1e-6)
    assert text.span.end_s < 12 and "the limit of 1e-06 s was over" in text.notes[-1]


def test_it_stops_where_its_caller_says_so(tmp_path: Path) -> None:
    def stop() -> None:
        raise TimeoutError("enough")

    with (
        Video.open(write_video(tmp_path / "v.mp4")) as video,
        stop_when(stop),
        pytest.raises(TimeoutError, match="enough"),
    ):
        read_screen(video, ScriptedReader(see_rows))


def test_unsure_readings_and_single_letters_on_a_busy_ground_are_dropped(tmp_path: Path) -> None:
    def see(rgb: np.ndarray) -> list[ReadLine]:
        return [
            ReadLine(text="B", box_px=(50, 22, 60, 34), confidence=0.85),
            ReadLine(text="unsure", box_px=(40, 60, 240, 76), confidence=0.6),
            ReadLine(text="---", box_px=(40, 100, 240, 116), confidence=0.99),
        ]

    with Video.open(write_video(tmp_path / "v.mp4")) as video:
        text = read_screen(video, ScriptedReader(see), span=Span(0, 3))
    assert text.lines == () and text.notes == ("3 unsure readings were dropped",)


def test_a_counter_is_read_more_and_more_seldom_and_that_is_told(tmp_path: Path) -> None:
    """Four strokes are the digits of a number that is another one every two seconds."""

    def pixels_at(time_s: float) -> np.ndarray:
        pixels = np.full((HEIGHT, WIDTH, 3), 235, np.uint8)
        pixels[20:36, 40:100] = 10
        for bit in range(4):
            if int(time_s / 2) >> bit & 1:
                pixels[20:36, 110 + 5 * bit : 113 + 5 * bit] = 10
        return pixels

    def see(rgb: np.ndarray) -> list[ReadLine]:
        bits = [rgb[20:36, 110 + 5 * bit : 113 + 5 * bit].mean() < 100 for bit in range(4)]
        number = sum(is_set << bit for bit, is_set in enumerate(bits))
        return [ReadLine(text=f"round {number}", box_px=(40, 20, 132, 36), confidence=0.95)]

    path = encode(tmp_path / "v.mp4", [(t, pixels_at(t)) for t in np.arange(300) / 10])
    with Video.open(path) as video:
        text = read_screen(video, ScriptedReader(see))
    assert 4 <= text.reads <= 10
    assert any("text that changes or moves all the time" in note for note in text.notes)
    # What is told is right: a number is there for its two seconds and not beyond.
    for line in text.lines:
        number = int(line.text.removeprefix("round "))
        assert line.span.start_s == pytest.approx(2 * number, abs=0.35), line
        assert line.span.end_s == pytest.approx(2 * number + 2, abs=0.35), line
