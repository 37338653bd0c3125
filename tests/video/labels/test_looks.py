"""Colours, light and movement of made pictures are told as they were made."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.senses_labels import MOVES, move_camera
from mmreason.video.labels.colours import COLOURS, count_colours, name_brightness, name_colours
from mmreason.video.labels.movement import MovementScan


@pytest.mark.parametrize(
    ("rgb", "colour"),
    [
        ((220, 20, 20), "red"),
        ((250, 130, 20), "orange"),
        ((110, 70, 30), "brown"),
        ((245, 230, 40), "yellow"),
        ((30, 160, 50), "green"),
        ((30, 200, 220), "cyan"),
        ((30, 60, 200), "blue"),
        ((130, 40, 190), "purple"),
        ((240, 130, 190), "pink"),
        ((5, 5, 10), "black"),
        ((128, 130, 127), "grey"),
        ((252, 252, 250), "white"),
    ],
)
def test_a_plain_picture_has_its_colour(rgb: tuple[int, int, int], colour: str) -> None:
    pixels = np.full((4, 6, 3), rgb, np.uint8)
    (share,) = name_colours(count_colours(pixels))
    assert (share.colour, share.share) == (colour, 1.0)


def test_every_pixel_is_counted_once() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    counts = count_colours(pixels)
    assert counts.shape == (len(COLOURS),) and counts.sum() == 2000 and (counts > 0).all()


def test_brightness_has_words_for_the_ends_alone() -> None:
    words = [name_brightness(luma) for luma in (0.02, 0.12, 0.5, 0.8)]
    assert words == ["dark", "dim", None, "bright"]


def photograph() -> np.ndarray:
    """uint8 (216, 384, 3): blobs of all sizes, as in a picture of something."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:216, :384]
    picture = np.full((216, 384), 90.0)
    for _ in range(150):
        y, x, size = rng.uniform((0, 0, 4), (216, 384, 30))
        inside = (rows - y) ** 2 + (columns - x) ** 2 < size**2
        picture[inside] = rng.uniform(20, 235)
    return picture[..., None].repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("kind", MOVES)
def test_a_moved_camera_is_told_as_it_was_moved(kind: str) -> None:
    scan = MovementScan()
    frames = move_camera(photograph(), kind)
    for row in range(0, 20, 6):
        scan.push(frames[row : row + 6], np.arange(20)[row : row + 6] / 5)
    movements = scan.finish((), (1280, 720))
    longest = {item.kind: item.span.duration_s for item in movements}
    assert longest.pop(kind) > 2.5
    assert set(longest) <= ({"still"} if kind == "something moves" else set())
    boxes = [item.box_px for item in movements if item.kind == "something moves"]
    for box in boxes:
        assert box is not None and box[1] == pytest.approx(240, abs=40)
        assert box[3] == pytest.approx(400, abs=40)


def test_a_cut_is_no_movement_and_parts_what_moves() -> None:
    frames = move_camera(photograph(), "pan left")
    times_s = np.arange(20) / 5
    scan = MovementScan()
    scan.push(frames, times_s)
    movements = scan.finish((2.0,), (1280, 720))
    assert [item.kind for item in movements] == ["pan left", "pan left"]
    assert all(not item.span.contains(1.95) or item.span.end_s <= 2 for item in movements)
