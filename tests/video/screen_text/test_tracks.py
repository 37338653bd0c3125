"""Readings of single pictures joined to lines that last."""

from __future__ import annotations

import pytest

from mmreason.video.screen_text import ReadLine, ScreenLine
from mmreason.video.screen_text.tracks import LineTracker, Reading
from mmreason.video.screen_text.types import BoxPx

BOX: BoxPx = (100, 100, 300, 130)


def line(text: str, box_px: BoxPx = BOX, confidence: float = 0.95) -> ReadLine:
    return ReadLine(text=text, box_px=box_px, confidence=confidence)


def track(*readings: tuple[float, list[ReadLine]], moving: bool = False) -> list[ScreenLine]:
    """Lines of readings at times; a place is the same picture where its text was read alike."""
    tracker = LineTracker((1280, 720))
    for time_s, lines in readings:
        tracker.add(
            Reading(
                time_s=time_s,
                bracket_s=(max(0.0, time_s - 1), time_s),
                lines=tuple(lines),
                is_moving=lambda box: moving,
            )
        )
    return list(tracker.finish(end_s=60))


def spans(lines: list[ScreenLine]) -> list[tuple[float, float, str]]:
    return [(found.span.start_s, found.span.end_s, found.text) for found in lines]


def test_a_line_lasts_from_its_first_reading_to_where_it_is_gone() -> None:
    lines = track(
        (0, [line("Agenda")]),
        (10, [line("Agenda"), line("Budget", (100, 200, 200, 230))]),
        (20, [line("Budget", (100, 200, 200, 230))]),
    )
    assert spans(lines) == [(0, 20, "Agenda"), (10, 60, "Budget")]
    assert lines[0].readings == 2


def test_some_pixels_away_it_is_the_same_line_and_the_surest_reading_wins() -> None:
    moved = (103, 98, 304, 129)
    lines = track((0, [line("Agenda,", confidence=0.82)]), (5, [line("Agenda", moved, 0.99)]))
    assert spans(lines) == [(0, 60, "Agenda")]
    assert lines[0].box_px == moved and lines[0].confidence == 0.99 and not lines[0].is_moving


def test_one_letter_read_otherwise_over_a_moving_picture_is_the_same_line() -> None:
    readings = (0.0, [line("Quarterly review")]), (3.0, [line("Quarterly revlew", confidence=0.85)])
    assert spans(track(*readings, moving=True)) == [(0, 60, "Quarterly review")]
    # Where the picture stands still and yet changed, it is what was written that changed.
    assert len(track(*readings, moving=False)) == 2


@pytest.mark.parametrize("moving", [True, False])
def test_another_number_is_another_line(moving: bool) -> None:
    lines = track((0, [line("Slide number 3")]), (5, [line("Slide number 4")]), moving=moving)
    assert spans(lines) == [(0, 5, "Slide number 3"), (5, 60, "Slide number 4")]


def test_a_line_that_was_not_read_where_nothing_changed_is_still_there() -> None:
    tracker = LineTracker((1280, 720))
    for time_s, lines in ((0.0, (line("Agenda"),)), (5.0, ()), (9.0, (line("Agenda"),))):
        tracker.add(
            Reading(
                time_s=time_s,
                bracket_s=(time_s, time_s),
                lines=lines,
                stays_same=lambda box: True,
            )
        )
    assert spans(list(tracker.finish(end_s=20))) == [(0, 20, "Agenda")]


def test_another_reading_of_the_same_picture_is_no_other_line() -> None:
    tracker = LineTracker((1280, 720))
    for time_s, text, confidence in ((0.0, "Bill 1OO", 0.85), (5.0, "Bill 100", 0.97)):
        tracker.add(
            Reading(
                time_s=time_s,
                bracket_s=(time_s, time_s),
                lines=(line(text, confidence=confidence),),
                stays_same=lambda box: True,
            )
        )
    assert spans(list(tracker.finish(end_s=9))) == [(0, 9, "Bill 100")]


def test_a_line_that_is_typed_is_one_line_from_its_first_letter_on() -> None:
    lines = track(
        (1, [line("Hel", (100, 100, 140, 130))]),
        (2, [line("Hello wor", (100, 100, 220, 130))]),
        (3, [line("Hello world", (100, 100, 250, 130))]),
    )
    assert spans(lines) == [(1, 60, "Hello world")]


def test_credits_that_roll_are_lines_that_move_until_they_leave_the_picture() -> None:
    texts = ("Directed by Ann", "Written by Bob")

    def read(time_s: float) -> list[ReadLine]:
        # 100 px a second upwards, in the picture from 0.2 s to 7.2 s and 3 s later.
        tops = (720 - 100 * (time_s - 0.2), 720 - 100 * (time_s - 3.2))
        return [
            line(text, (400, top, 700, top + 30))
            for text, top in zip(texts, tops, strict=True)
            if 0 <= top <= 690
        ]

    lines = track(*((float(t), read(t)) for t in range(0, 15, 2)), moving=True)
    assert [found.text for found in lines] == list(texts)
    assert all(found.is_moving for found in lines)
    assert lines[0].span.start_s == pytest.approx(0.2, abs=0.9)
    assert lines[0].span.end_s == pytest.approx(7.2, abs=0.9)


def test_what_is_back_at_once_had_never_gone() -> None:
    lines = track(
        (0, [line("Agenda")]), (5, []), (6, [line("Agenda")]), (20, []), (40, [line("Agenda")])
    )
    assert spans(lines) == [(0, 20, "Agenda"), (40, 60, "Agenda")]


def test_two_lines_of_one_text_are_two_lines() -> None:
    lower = (100, 300, 300, 330)
    lines = track((0, [line("Yes"), line("Yes", lower)]), (5, [line("Yes", lower)]))
    assert [(found.box_px, found.span.end_s) for found in lines] == [(BOX, 5), (lower, 60)]
