"""Runs in an environment of its own: the trackers of `trackers`, and trackeval's own figures.

    python -m venv build/trackers
    build/trackers/bin/pip install trackers==2.6.1 trackeval==1.3.0
    build/trackers/bin/python benchmarks/tracking_rivals.py track < detections.json > tracks.json
    build/trackers/bin/python benchmarks/tracking_rivals.py score < pairs.json > scores.json

`trackers` and `trackeval` bring an OpenCV that overwrites ours, so that they never enter the
environment of mmreason, of which nothing is imported here. `benchmarks/tracking.py` calls this file
and says what the JSON holds.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

import numpy as np

LONG_BUFFER = 90
"""Frames at 30 Hz: three seconds, as long as ours waits for an object."""


def track(worlds: list[dict[str, Any]]) -> dict[str, list[list[list[list[float]]]]]:
    """By name of the tracker, world and frame: rows of id and xyxy."""
    sv, trackers = import_module("supervision"), import_module("trackers")
    kinds = {
        "SORT": trackers.SORTTracker,
        "ByteTrack": trackers.ByteTrackTracker,
        "OC-SORT": trackers.OCSORTTracker,
    }
    results: dict[str, list[list[list[list[float]]]]] = {}
    for name, kind in kinds.items():
        for label, settings in (
            (name, {}),
            (f"{name}, 3 s", {"lost_track_buffer": LONG_BUFFER}),
        ):
            results[label] = []
            for world in worlds:
                tracker = kind(frame_rate=world["fps_hz"], **settings)
                frames = []
                for rows in world["frames"]:
                    array = np.array(rows, np.float64).reshape(-1, 5)
                    detections = sv.Detections(
                        xyxy=array[:, :4].astype(np.float32),
                        confidence=array[:, 4].astype(np.float32),
                        class_id=np.zeros(len(array), int),
                    )
                    tracked = tracker.update(detections)
                    ids = tracked.tracker_id
                    ids = np.full(len(tracked), -1) if ids is None else ids
                    frames.append(
                        [
                            [int(number), *map(float, box)]
                            for number, box in zip(ids, tracked.xyxy, strict=True)
                            # An object that is not confirmed yet has the id -1.
                            if number >= 0
                        ]
                    )
                results[label].append(frames)
    return results


def score(pairs: list[dict[str, Any]]) -> list[dict[str, float]]:
    """trackeval's HOTA, IDF1 and switches of each pair of true and tracked frames."""
    metrics = import_module("trackeval.metrics")
    return [
        _score_pair(pair, (metrics.HOTA(), metrics.Identity(), metrics.CLEAR())) for pair in pairs
    ]


def _score_pair(pair: dict[str, Any], metrics: tuple[Any, Any, Any]) -> dict[str, float]:
    numbers: dict[str, dict[Any, int]] = {"truth": {}, "tracks": {}}
    ids: dict[str, list[np.ndarray]] = {"truth": [], "tracks": []}
    similarity = []
    for truth, tracks in zip(pair["truth"], pair["tracks"], strict=True):
        for side, rows in (("truth", truth), ("tracks", tracks)):
            number_of = numbers[side]
            ids[side].append(
                np.array([number_of.setdefault(r[0], len(number_of)) for r in rows], int)
            )
        similarity.append(_iou([row[1:] for row in truth], [row[1:] for row in tracks]))
    data = {
        "num_timesteps": len(similarity),
        "num_gt_ids": len(numbers["truth"]),
        "num_tracker_ids": len(numbers["tracks"]),
        "num_gt_dets": sum(len(row) for row in ids["truth"]),
        "num_tracker_dets": sum(len(row) for row in ids["tracks"]),
        "gt_ids": ids["truth"],
        "tracker_ids": ids["tracks"],
        "similarity_scores": similarity,
    }
    hota, identity, clear = (metric.eval_sequence(data) for metric in metrics)
    return {
        "hota": float(np.mean(hota["HOTA"])),
        "idf1": float(identity["IDF1"]),
        "switches": float(clear["IDSW"]),
    }


def _iou(a: list[list[float]], b: list[list[float]]) -> np.ndarray:
    first, second = np.array(a, float).reshape(-1, 4), np.array(b, float).reshape(-1, 4)
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    return common / (areas[0][:, None] + areas[1][None] - common)


if __name__ == "__main__":
    action = {"track": track, "score": score}[sys.argv[1]]
    # trackeval prints its settings.
    with redirect_stdout(sys.stderr):
        result = action(json.load(sys.stdin))
    json.dump(result, sys.stdout)
