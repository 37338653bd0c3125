"""The tracker that is always there: identities, gaps, false detections, odd input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from mmreason.grounding import Box, Detection, Tube
from mmreason.grounding.detectors.scripted import ScriptedDetector, tubes_of_world
from mmreason.grounding.tracking.association import (
    match_pairs,
    score_directions,
)
from mmreason.grounding.tracking.tracker import KalmanTracker
from mmreason.grounding.tracking.tracklets import Tracklet, link_tracklets
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate

STEP_S = 0.1


def box_around(x: float, y: float, half: float = 10.0) -> Box:
    return Box(x - half, y - half, x + half, y + half)


def see(*boxes: Box | None, score: float | None = 0.9) -> tuple[Detection, ...]:
    return tuple(Detection(box=box, score=score) for box in boxes if box is not None)


def track(
    rows: Sequence[Sequence[Detection]], tracker: KalmanTracker | None = None
) -> tuple[Tube, ...]:
    return (tracker or KalmanTracker()).track_boxes(np.arange(len(rows)) * STEP_S, rows)


def blank_frames(count: int, size_px: tuple[int, int] = (64, 36)) -> FrameBatch:
    width, height = size_px
    return FrameBatch(
        pixels=np.zeros((count, height, width, 3), np.uint8),
        times_s=np.arange(count) * STEP_S,
        exact=np.ones(count, bool),
    )


def test_two_that_cross_keep_their_identities():
    ways = [[box_around(20 + 6 * i, 50), box_around(200 - 6 * i, 56)] for i in range(30)]
    tubes = track([see(*row) for row in ways])
    assert len(tubes) == 2
    for tube, place in zip(tubes, (0, 1), strict=True):
        assert tube.at(2.9) == ways[29][place] and tube.at(0.0) == ways[0][place]


def test_a_short_miss_is_filled_and_said_to_be():
    rows = [see(box_around(20 + 5 * i, 50)) for i in range(12)]
    rows[5] = rows[6] = see(box_around(300, 200), score=0.2)
    (tube,) = track(rows)
    assert tube.present.all()
    assert np.flatnonzero(~tube.observed).tolist() == [5, 6]
    assert tube.at(0.5) == box_around(45, 50)


def test_a_long_absence_stays_absence_and_the_id_stays_too():
    still = box_around(200, 100)
    rows = [see(box_around(20 + 3 * i, 50) if not 10 <= i < 30 else None, still) for i in range(40)]
    tubes = track(rows)
    assert len(tubes) == 2
    hidden = tubes[0]
    assert not hidden.present[10:30].any() and hidden.observed[10:30].all()
    assert hidden.present[:10].all() and hidden.present[30:].all()


def test_false_detections_of_single_frames_are_no_objects():
    rows = [
        see(box_around(20 + 3 * i, 50), box_around(37 * i % 300, 91 * i % 200)) for i in range(30)
    ]
    tubes = track(rows)
    assert len(tubes) == 1


def test_what_comes_late_is_found_from_its_first_frame():
    rows = [
        see(box_around(20, 20), box_around(200, 50 + i) if i >= 12 else None) for i in range(20)
    ]
    tubes = track(rows)
    assert [int(np.flatnonzero(tube.present)[0]) for tube in tubes] == [0, 12]


def test_unsure_detections_go_on_with_a_track_but_start_none():
    rows = [see(box_around(20 + 4 * i, 50), score=0.9 if i < 5 else 0.3) for i in range(10)]
    (tube,) = track(rows)
    assert tube.observed.all() and tube.present.all()
    assert track([see(box_around(20, 50), score=0.3)] * 10) == ()


def test_looking_once_a_second_fills_what_is_between_two_looks():
    rows = [see(box_around(20 + 2 * i, 50)) if i % 10 == 0 else () for i in range(41)]
    (tube,) = track(rows)
    assert tube.present.all()
    assert np.flatnonzero(tube.observed).tolist() == [0, 10, 20, 30, 40]
    assert tube.at(1.5) == box_around(50, 50)


def test_one_frame_gives_a_tube_for_each_detection():
    assert len(track([see(box_around(20, 20), box_around(90, 20))])) == 2
    assert track([(), ()]) == ()
    assert track([]) == ()


def test_detections_without_scores_are_sure_and_the_tube_has_none():
    (tube,) = track([see(box_around(20, 20), score=None)] * 4)
    assert tube.scores is None


def test_the_same_input_gives_the_same_tubes():
    world = generate.world(5, duration_s=6.0, scene_s=6.0, most_actors=4)
    frames = blank_frames(60, world.size_px)
    truth = tubes_of_world(world, frames.times_s)
    detector = ScriptedDetector(truth=truth, miss_rate=0.1, false_rate=0.05, jitter=0.03, seed=2)
    first, second = (
        KalmanTracker().track(frames, detector.detect(frames, "shape")) for _ in range(2)
    )
    assert [tube.to_dict() for tube in first] == [tube.to_dict() for tube in second]
    assert len(first) >= 1


def test_rows_that_do_not_match_the_frames_are_refused():
    with pytest.raises(ValueError, match="2 rows for 3 frames"):
        KalmanTracker().track(blank_frames(3), [(), ()])


def test_times_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise"):
        KalmanTracker().track_boxes(np.array([0.0, 0.0]), [(), ()])


def test_a_score_that_is_no_number_is_refused_with_its_time():
    with pytest.raises(ValueError, match=r"0\.10 s has the score nan"):
        track([(), see(box_around(20, 20), score=float("nan"))])


class BrightnessEncoder:
    """Tells light crops from dark ones."""

    def encode(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        light = np.array([crop.mean() / 255 for crop in crops])
        return np.stack((light, 1 - light), axis=1) / np.hypot(light, 1 - light)[:, None]


def test_looks_tell_apart_what_boxes_cannot():
    # Two of one size change places behind something, within a step of each other.
    frames = blank_frames(30, (320, 180))
    rows = []
    for i in range(30):
        light, dark = (box_around(100, 50), box_around(118, 50))
        if i >= 20:
            light, dark = dark, light
        for box, value in ((light, 250), (dark, 5)):
            x, y = int(box.x1_px), int(box.y1_px)
            frames.pixels[i, y : y + 20, x : x + 18] = value
        rows.append(see(light, dark) if not 10 <= i < 20 else see(box_around(250, 150), score=0.2))
    tubes = KalmanTracker(encoder=BrightnessEncoder()).track(frames, rows)
    assert [tube.at(2.5) for tube in tubes] == [box_around(118, 50), box_around(100, 50)]


def test_crops_outside_of_a_frame_of_one_pixel_are_still_crops():
    frames = blank_frames(3, (1, 1))
    rows = [see(Box(-5, -5, -1, -1), Box(0, 0, 1, 1))] * 3
    assert len(KalmanTracker(encoder=BrightnessEncoder()).track(frames, rows)) == 2


def test_matching_equals_trying_all_assignments():
    rng = np.random.default_rng(4)
    for _ in range(20):
        gain, allowed = rng.uniform(0, 1, (4, 3)), rng.uniform(size=(4, 3)) < 0.6
        rows, columns = match_pairs(gain, allowed)
        best = max(
            sum(gain[r, c] for c, r in enumerate(order) if allowed[r, c])
            for order in itertools.permutations(range(4), 3)
        )
        assert gain[rows, columns].sum() == pytest.approx(best)
        assert allowed[rows, columns].all()


def test_directions_equal_the_angle_of_each_pair():
    rng = np.random.default_rng(5)
    earlier, latest, boxes = (rng.uniform(0, 200, (4, 2)) for _ in range(3))
    as_boxes = [np.concatenate((xy - 5, xy + 5), axis=1) for xy in (earlier, latest, boxes)]
    scores = score_directions(*as_boxes)
    for i, j in itertools.product(range(4), range(4)):
        went, goes = latest[i] - earlier[i], boxes[j] - latest[i]
        cosine = went @ goes / (np.linalg.norm(went) * np.linalg.norm(goes))
        assert scores[i, j] == pytest.approx(0.5 - np.arccos(np.clip(cosine, -1, 1)) / np.pi)


def test_linking_takes_the_piece_that_continues_the_way():
    times_s = np.arange(30) * STEP_S

    def piece(frames: range, x: float, speed: float, y: float) -> Tracklet:
        boxes = [np.array(box_around(x + speed * i, y).xyxy) for i in frames]
        return Tracklet(list(frames), boxes, [0] * len(boxes))

    pieces = [
        piece(range(0, 10), 20, 5, 50),
        piece(range(0, 10), 20, 0, 80),
        piece(range(20, 30), 20, 5, 50),
        piece(range(20, 30), 20, 0, 80),
    ]
    assert link_tracklets(pieces, times_s, 3.0) == [[0, 2], [1, 3]]
    assert link_tracklets(pieces, times_s, 0.5) == [[0], [1], [2], [3]]
