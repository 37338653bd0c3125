"""Tracks and masks through time against TrackEval, which defines HOTA, IDF1 and the rest.
`make parity` installs it, in a folder that only this test sees."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.grounding import Box, Mask, Tube
from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.metrics.segmentation import jf_of_track
from mmreason.grounding.metrics.tracking import score_tracks

pytestmark = pytest.mark.full

trackeval = pytest.importorskip("trackeval", reason="make parity installs it")

TIMES = [i / 10 for i in range(60)]


def made_up_video(seed: int) -> tuple[list[Tube], list[Tube]]:
    """Objects that drift and leave; tracks that follow them, miss, change hands, and see ghosts."""
    rng = np.random.default_rng(seed)
    objects = 5
    centres = rng.uniform(0, 100, (objects, 2))
    truth: list[list[Box | None]] = [[] for _ in range(objects)]
    tracks: list[list[Box | None]] = [[] for _ in range(objects + 2)]
    follows = list(range(objects))
    for _ in TIMES:
        centres += rng.normal(0, 3, centres.shape)
        if rng.random() < 0.15:
            a, b = rng.choice(objects, 2, replace=False)
            follows[a], follows[b] = follows[b], follows[a]
        for i, (x, y) in enumerate(centres):
            truth[i].append(None if rng.random() < 0.1 else Box(x, y, x + 30, y + 30))
        for track, row in enumerate(tracks):
            if track >= objects:
                x, y = rng.uniform(0, 100, 2)
                row.append(Box(x, y, x + 30, y + 30) if rng.random() < 0.2 else None)
                continue
            x, y = centres[follows[track]] + rng.normal(0, 4, 2)
            row.append(None if rng.random() < 0.15 else Box(x, y, x + 30, y + 30))
    return (
        [Tube.from_boxes(TIMES, row) for row in truth],
        [Tube.from_boxes(TIMES, row) for row in tracks],
    )


def trackeval_data(truth: list[Tube], tracks: list[Tube]) -> dict[str, object]:
    """What TrackEval's metrics take of one sequence."""
    ids = [
        [np.flatnonzero([t.present[i] for t in side]) for i in range(len(TIMES))]
        for side in (truth, tracks)
    ]
    overlaps = [
        pairwise_iou(
            np.array([truth[i].boxes_px[frame] for i in ids[0][frame]]).reshape(-1, 4),
            np.array([tracks[i].boxes_px[frame] for i in ids[1][frame]]).reshape(-1, 4),
        )
        for frame in range(len(TIMES))
    ]
    return {
        "num_timesteps": len(TIMES),
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(tracks),
        "num_gt_dets": sum(map(len, ids[0])),
        "num_tracker_dets": sum(map(len, ids[1])),
        "gt_ids": ids[0],
        "tracker_ids": ids[1],
        "similarity_scores": overlaps,
    }


@pytest.fixture(scope="module")
def videos() -> list[tuple[list[Tube], list[Tube]]]:
    return [made_up_video(seed) for seed in range(4)]


def test_hota_idf1_and_clear_are_those_of_trackeval(
    videos: list[tuple[list[Tube], list[Tube]]],
) -> None:
    quiet = {"PRINT_CONFIG": False}
    combined = {}
    for metric in (
        trackeval.metrics.HOTA(),
        trackeval.metrics.CLEAR({"THRESHOLD": 0.5, **quiet}),
        trackeval.metrics.Identity({"THRESHOLD": 0.5, **quiet}),
    ):
        each = {
            str(number): metric.eval_sequence(trackeval_data(*video))
            for number, video in enumerate(videos)
        }
        combined[metric.get_name()] = metric.combine_sequences(each)
    ours = score_tracks(videos)
    hota, clear, identity = combined["HOTA"], combined["CLEAR"], combined["Identity"]
    assert ours.hota_at == pytest.approx(hota["HOTA"], abs=1e-12)
    assert ours.hota == pytest.approx(hota["HOTA"].mean(), abs=1e-12)
    assert ours.det_a == pytest.approx(hota["DetA"].mean(), abs=1e-12)
    assert ours.ass_a == pytest.approx(hota["AssA"].mean(), abs=1e-12)
    assert ours.loc_a == pytest.approx(hota["LocA"].mean(), abs=1e-12)
    assert ours.idf1 == pytest.approx(identity["IDF1"], abs=1e-12)
    assert ours.mota == pytest.approx(clear["MOTA"], abs=1e-12)
    assert (ours.switches, ours.misses, ours.false_alarms) == (
        clear["IDSW"],
        clear["CLR_FN"],
        clear["CLR_FP"],
    )
    assert ours.switches > 10 and 0.2 < ours.hota < 0.9


def test_j_and_f_are_those_of_trackeval() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="make parity installs it")
    pytest.importorskip("skimage", reason="make parity installs it")
    rng = np.random.default_rng(3)
    grid = np.moveaxis(np.mgrid[:90, :120], 0, -1)

    def ellipse(x: float, y: float) -> np.ndarray:
        return (((grid - (y, x)) / (18, 26)) ** 2).sum(axis=-1) <= 1

    truth = [ellipse(20 + 8 * i, 40) if i != 5 else None for i in range(10)]
    found = [
        ellipse(20 + 8 * i + rng.normal(0, 5), 40 + rng.normal(0, 3)) if i not in (2, 5) else None
        for i in range(10)
    ]

    def encode(array: np.ndarray) -> dict[str, object]:
        return coco.encode(np.asfortranarray(array.astype(np.uint8)))

    present = [[i for i, mask in enumerate(side) if mask is not None] for side in (truth, found)]
    data = {
        "num_timesteps": 10,
        "num_gt_ids": 1,
        "num_tracker_ids": 1,
        "gt_ids": [np.array([0] if i in present[0] else [], int) for i in range(10)],
        "tracker_ids": [np.array([0] if i in present[1] else [], int) for i in range(10)],
        "gt_dets": [[] if mask is None else [encode(mask)] for mask in truth],
        "tracker_dets": [[] if mask is None else [encode(mask)] for mask in found],
    }
    theirs = trackeval.metrics.JAndF().eval_sequence(data)
    j, f = jf_of_track(
        [None if mask is None else Mask.from_array(mask) for mask in found],
        [None if mask is None else Mask.from_array(mask) for mask in truth],
    )
    assert (j, f) == pytest.approx((theirs["J-Mean"], theirs["F-Mean"]), abs=1e-12)
    assert 0.3 < f < 0.95
