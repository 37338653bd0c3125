"""The tracker that is always there: identities, gaps, false detections, odd input."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from mmreason.grounding import Box, Detection, Tube, iou
from mmreason.grounding.detectors.scripted import ScriptedDetector, tubes_of_world
from mmreason.grounding.metrics.tracking import score_tracks
from mmreason.grounding.recipes import seed_and_propagate
from mmreason.grounding.tracking.appearance import ColourEncoder
from mmreason.grounding.tracking.association import (
    match_pairs,
    score_directions,
)
from mmreason.grounding.tracking.template import TemplateTracker
from mmreason.grounding.tracking.tracker import KalmanTracker
from mmreason.grounding.tracking.tracklets import Tracklet, _link_costs, link_tracklets
from mmreason.video.reader import Video
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
    assert (
        len(
            track(
                [
                    see(box_around(20, 50), box_around(150, 50)),
                    *[
                        (*see(box_around(20, 50)), *see(box_around(80, 50), score=0.3))
                        for _ in range(9)
                    ],
                ]
            )
        )
        == 1
    )


def test_a_detector_that_is_never_sure_still_has_its_objects_tracked():
    rows = [see(box_around(20 + 4 * i, 50), score=0.2 + 0.01 * (i % 3)) for i in range(10)]
    (tube,) = track(rows)
    assert tube.present.all()
    assert track(rows, KalmanTracker(sure_score=0.5)) == ()


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


def test_link_costs_equal_one_pair_at_a_time():
    rng = np.random.default_rng(6)
    count, longest_gap_s = 12, 3.0
    edges = rng.uniform(0, 1, (2, count, 7)) * [6, 120, 120, 20, 20, 60, 60] + [
        0,
        0,
        0,
        20,
        20,
        -30,
        -30,
    ]
    costs = _link_costs(edges[0], edges[1], longest_gap_s)
    assert np.isfinite(costs).any() and np.isinf(costs).any()
    for i, j in itertools.product(range(count), range(count)):
        time_s, x, y, w, h, vx, vy = edges[0, i]
        time_2_s, x2, y2, w2, h2, vx2, vy2 = edges[1, j]
        gap_s, size = time_2_s - time_s, (w * h * w2 * h2) ** 0.25
        forward = math.hypot(x + vx * gap_s - x2, y + vy * gap_s - y2) / size
        back = math.hypot(x2 - vx2 * gap_s - x, y2 - vy2 * gap_s - y) / size
        near = math.hypot(x2 - x, y2 - y) / size
        jump = min((forward + back) / 2, near + 0.3)
        growth = max(abs(math.log(w / w2)), abs(math.log(h / h2)))
        if 0 < gap_s <= longest_gap_s and jump <= 1.0 and growth <= math.log(1.5):
            assert costs[i, j] == pytest.approx(jump + growth + 0.1 * gap_s / longest_gap_s)
        else:
            assert costs[i, j] == np.inf


def test_a_sure_false_box_nearby_does_not_take_a_track_away():
    rows = [see(box_around(20 + 4 * i, 50)) for i in range(20)]
    # In one frame the object is unsure and a false box beside it is sure.
    far = box_around(20 + 40 + 9, 50 + 9)
    rows[10] = (*see(far, score=0.9), *see(box_around(60, 50), score=0.3))
    (tube,) = track(rows)
    assert tube.at(1.0) == box_around(60, 50) and tube.observed.all()


def test_colours_keep_apart_two_that_meet_and_turn_back():
    frames = blank_frames(40, (320, 60))
    rows = []
    for i in range(40):
        shift = 4 * min(i, 39 - i)
        for x, colour in ((40 + shift, (250, 0, 0)), (200 - shift, (0, 0, 250))):
            frames.pixels[i, 20:40, x - 10 : x + 10] = colour
        rows.append(see(box_around(40 + shift, 30), box_around(200 - shift, 30)))
    apart = [box_around(40, 30), box_around(200, 30)]
    tubes = KalmanTracker(encoder=ColourEncoder()).track(frames, rows)
    assert [tube.at(3.9) for tube in tubes] == apart
    # Boxes alone say that they pass through each other.
    assert [tube.at(3.9) for tube in KalmanTracker().track(frames, rows)] == apart[::-1]


@pytest.mark.parametrize("start", [0, 8, 19])
def test_a_picture_is_followed_both_ways_and_is_absent_where_it_is_not(start):
    rng = np.random.default_rng(0)
    patch = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    frames = blank_frames(20, (160, 90))
    frames.pixels[:] = rng.integers(90, 110, frames.pixels.shape, dtype=np.uint8)
    for i in range(20):
        if not 11 <= i < 14:
            frames.pixels[i, 30:46, 10 + 5 * i : 26 + 5 * i] = patch
    seeds = [see(Box(10 + 5 * i, 30, 26 + 5 * i, 46)) if i == start else () for i in range(20)]
    (tube,) = TemplateTracker().track(frames, seeds)
    assert np.flatnonzero(~tube.present).tolist() == [11, 12, 13]
    expected = np.array([[10 + 5 * i, 30, 26 + 5 * i, 46] for i in range(20)], float)
    np.testing.assert_allclose(tube.boxes_px[tube.present], expected[tube.present], atol=1.5)


def test_a_picture_without_contrast_or_size_is_not_followed_and_says_so():
    frames = blank_frames(4, (64, 36))
    for box in (Box(5, 5, 20, 20), Box(5, 5, 6, 6), Box(-20, -20, -5, -5)):
        (tube,) = TemplateTracker().track(frames, [(), (Detection(box=box),), (), ()])
        assert tube.observed.tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="1 rows for 4 frames"):
        TemplateTracker().track(frames, [()])


def test_a_picture_is_followed_through_windows_of_a_real_world(tmp_path):
    world = generate.world(4, duration_s=4.0, scene_s=4.0, most_actors=2)
    video = Video.open(world.save(tmp_path / "world.json"))
    times_s = np.arange(20) / 5
    truth = tubes_of_world(world, times_s)[0]
    start = int(np.flatnonzero(truth.present)[len(np.flatnonzero(truth.present)) // 2])
    box = truth.at(float(times_s[start]))
    assert box is not None
    result = seed_and_propagate(
        video, times_s, TemplateTracker(), [Detection(box=box)], float(times_s[start]),
        most_frames=8,
    )  # fmt: skip
    (tube,) = result.chosen
    both = tube.present & truth.present
    overlaps = [
        iou(Box(*a), Box(*b))
        for a, b in zip(tube.boxes_px[both], truth.boxes_px[both], strict=True)
    ]
    assert both.sum() >= 0.8 * truth.present.sum() and np.mean(overlaps) > 0.7


@pytest.mark.parametrize("seed", [2, 6])
def test_a_world_with_misses_and_false_boxes_keeps_every_identity(seed):
    world = generate.world(seed, duration_s=6.0, scene_s=6.0, most_actors=4)
    frames = blank_frames(60, world.size_px)
    truth = tubes_of_world(world, frames.times_s)
    detector = ScriptedDetector(
        truth=truth, miss_rate=0.1, false_rate=0.05, unsure_rate=0.1, jitter=0.02, seed=seed
    )
    scores = score_tracks(
        [(truth, KalmanTracker().track(frames, detector.detect(frames, "shape")))]
    )
    assert scores.switches == 0 and scores.hota > 0.85
