"""When a picture became another one and stayed, on made pictures and small videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.made_screens import SlideVideo, VideoKind, made_assets, make_slides
from mmreason.video import Span, Video, VideoError
from mmreason.video.content.changes import (
    MOST_CHANGES_A_MINUTE,
    ChangeScan,
    ScannedLook,
    find_change_time,
    find_changes,
    locate_slides,
)
from tests.video import clips

HEIGHT, WIDTH = 90, 160


def scan(greys: np.ndarray) -> list[ScannedLook]:
    """Looks at pictures (N, H, W), one a second."""
    judged = ChangeScan()
    return [
        *judged.push(greys.astype(np.int16), np.arange(len(greys), dtype=float)),
        *judged.finish(),
    ]


def change_times_s(greys: np.ndarray) -> list[float]:
    return [look.change.time_s for look in scan(greys) if look.change is not None]


def blank(seconds: int = 60) -> np.ndarray:
    return np.full((seconds, HEIGHT, WIDTH), 240, np.int16)


def write_line(greys: np.ndarray, row: int, seconds: slice) -> None:
    """Dashes as a line of text is in a small picture."""
    greys[seconds, 10 * row + 4 : 10 * row + 7, 12:120:2] = 40


def test_a_line_that_comes_and_stays_is_one_change() -> None:
    greys = blank()
    write_line(greys, 2, slice(17, None))
    assert change_times_s(greys) == [0, 17]
    change = scan(greys)[17].change
    assert change is not None and (change.before_s, change.still_s) == (16, 17)


def test_what_is_there_for_one_look_is_no_change() -> None:
    greys = blank()
    write_line(greys, 2, slice(17, 18))
    assert change_times_s(greys) == [0]


def test_a_cursor_on_its_way_is_no_change() -> None:
    greys = blank()
    for second in range(55):
        x, y = 5 + 2 * second, 10 + second
        greys[second, y : y + 3, x : x + 2] = 0
    write_line(greys, 5, slice(30, None))
    assert change_times_s(greys) == [0, 30]


def test_something_that_moves_all_the_time_hides_nothing_beside_it() -> None:
    rng = np.random.default_rng(0)
    greys = blank()
    greys[:, 60:85, 115:155] = rng.integers(0, 255, (60, 25, 40))
    write_line(greys, 3, slice(30, None))
    assert change_times_s(greys) == [0, 30]
    looks = scan(greys)
    assert looks[30].moving.sum() == 15 and not looks[30].is_moving


def test_another_slide_is_told_from_a_line_that_is_added() -> None:
    greys = blank()
    write_line(greys, 2, slice(0, 40))
    write_line(greys, 4, slice(20, 40))
    greys[40:, 30:60, 80:140] = 90
    changes = {look.time_s: look.change for look in scan(greys) if look.change}
    assert {time_s: change.is_slide for time_s, change in changes.items()} == {
        0: True,
        20: False,
        40: True,
    }


def test_a_change_waits_until_the_picture_is_still() -> None:
    greys = blank().astype(float)
    target = greys[0].copy()
    target[20:70, 20:140] = 30
    for step, second in enumerate(range(20, 23), 1):
        greys[second] = greys[0] + (target - greys[0]) * step / 4
    greys[23:] = target
    change = next(look.change for look in scan(greys) if look.change and look.time_s > 5)
    assert change.before_s == 19 and change.time_s == 20 and change.still_s >= 22


def test_pictures_that_never_rest_give_no_more_changes_than_the_cap() -> None:
    rng = np.random.default_rng(1)
    greys = blank(240)
    # Each cell changes now and then, so that none moves all the time.
    for second in range(1, 240):
        greys[second] = greys[second - 1]
        for _ in range(4):
            y, x = rng.integers(0, 9), rng.integers(0, 16)
            greys[second, 10 * y : 10 * y + 10, 10 * x : 10 * x + 10] = rng.integers(0, 255)
    times_s = change_times_s(greys)
    assert 20 < len(times_s) <= 4 * MOST_CHANGES_A_MINUTE + 5


def test_the_middle_of_a_fade_is_when_it_changes() -> None:
    black, white = np.zeros((4, 4)), np.full((4, 4), 200.0)
    fade = np.stack([black + (white - black) * weight for weight in (0, 0.2, 0.4, 0.6, 0.8, 1)])
    assert find_change_time(black, white, fade) == 3
    assert find_change_time(black, black, np.stack((black, black))) is None


def make(tmp_path: Path, kind: VideoKind, duration_s: float = 45) -> tuple[Path, SlideVideo]:
    path = tmp_path / "slides.mp4"
    size_px = (320, 180)
    made = make_slides(
        path, kind, made_assets(), duration_s=duration_s, fps_hz=5, size_px=size_px, line_s=(3, 5)
    )
    return path, made


@pytest.mark.parametrize("kind", ["cursor", "webcam"])
def test_lines_of_a_recording_are_caught_and_its_slides_to_the_frame(
    tmp_path: Path, kind: VideoKind
) -> None:
    path, made = make(tmp_path, kind)
    with Video.open(path) as video:
        changes = find_changes(video)
        slides_s = locate_slides(video, changes)
    for line in made.lines:
        assert any(0 <= c.still_s - line.start_s <= 3 for c in changes.changes), line
    assert len(changes.changes) <= len(made.lines) + 3
    assert made.slide_times_s and slides_s[1:] == pytest.approx(made.slide_times_s, abs=0.01)
    assert changes.moving_spans == ()


def test_a_panned_picture_moves_as_a_whole(tmp_path: Path) -> None:
    path, _ = make(tmp_path, "panned photographs", duration_s=20)
    with Video.open(path) as video:
        changes = find_changes(video, Span(4, 20))
    assert sum(span.duration_s for span in changes.moving_spans) >= 15
    assert changes.slide_times_s == ()


def test_frames_that_stay_long_are_changes_when_they_come(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "long.mp4", pts_ms=[0, 7_300, 21_800, 21_900, 30_000], frames=5)
    with Video.open(path) as video:
        changes = find_changes(video)
    before_s = [change.before_s for change in changes.changes]
    assert before_s == sorted(before_s) and {7.0, 21.0} <= set(before_s)


def test_a_short_clip_is_looked_at_more_often_and_a_span_outside_is_refused(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "short.mp4", frames=15)
    with Video.open(path) as video:
        changes = find_changes(video)
        assert changes.times_s[0] == 0 and changes.rate_hz == 4
        with pytest.raises(VideoError, match="nothing of the video lies there"):
            find_changes(video, Span(90, 95))


def test_a_slide_right_before_a_film_is_no_part_of_it() -> None:
    draw = np.random.default_rng(0)
    slides = np.zeros((12, 90, 160), np.int16)
    slides[:6, 20:40, 20:140] = 200
    slides[6:, 50:80, 10:150] = 180
    film = draw.integers(0, 255, (6, 90, 160)).astype(np.int16)
    scan = ChangeScan()
    looks = [*scan.push(np.concatenate((slides, film)), np.arange(18.0)), *scan.finish()]
    assert [look.change.time_s for look in looks if look.change][:2] == [0.0, 6.0]
    assert not looks[8].is_moving and looks[15].is_moving
