"""Files of referring data as their authors publish them, a few hundred bytes each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmreason.grounding.formats import Reading, ReferringRow, RowError

INSTANCES: dict[str, Any] = {
    "images": [
        {"id": 7, "file_name": "COCO_train2014_000000000007.jpg", "width": 100, "height": 80},
        {"id": 8, "file_name": "COCO_train2014_000000000008.jpg", "width": 64, "height": 64},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 20, 30, 40], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 18, "bbox": [50, 20, 30, 40], "iscrowd": 0},
        {"id": 3, "image_id": 8, "category_id": 17, "bbox": [0, 0, 0, 9], "iscrowd": 0},
        {"id": 4, "image_id": 8, "category_id": 17, "bbox": [60, 60, 30, 30], "iscrowd": 0},
    ],
    "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
}

REFERENCES: list[dict[str, Any]] = [
    {
        **{"ref_id": 5, "ann_id": 1, "category_id": 18, "image_id": 7, "split": "train"},
        **{"file_name": "COCO_train2014_000000000007_1.jpg", "sent_ids": [10, 11]},
        "sentences": [
            {"raw": "Left dog", "sent": "left dog", "tokens": ["left", "dog"], "sent_id": 10},
            {"raw": "dog lying", "sent": "dog lying", "tokens": ["dog", "lying"], "sent_id": 11},
        ],
    },
    {
        **{"ref_id": 6, "ann_id": 4, "category_id": 17, "image_id": 8, "split": "val"},
        **{"file_name": "COCO_train2014_000000000008_4.jpg", "sent_ids": [12]},
        "sentences": [{"raw": "a cat", "sent": "a cat", "tokens": ["a", "cat"], "sent_id": 12}],
    },
]

REF_ADV_ROW: dict[str, Any] = {
    **{"file_name": "000000000007.jpg", "normal_caption": "the dog that is not lying"},
    **{"solution": [10, 20, 40, 60], "width": 100, "height": 80, "image_source": "coco_val2017"},
    **{"human_authored": True, "use_negation": True, "distractors": "[2, 3]"},
}

ODVG_ROW: dict[str, Any] = {
    **{"filename": "a.jpg", "height": 80, "width": 100},
    "grounding": {
        "caption": "a dog beside two cats",
        "regions": [
            {"bbox": [10, 20, 40, 60], "phrase": "a dog"},
            {"bbox": [[50, 20, 60, 30], [70, 20, 80, 30]], "phrase": "two cats"},
        ],
    },
}

VIDSTG: list[dict[str, Any]] = [
    {
        **{"vid": "44", "frame_count": 6, "fps": 2, "width": 64, "height": 48},
        "subject/objects": [{"tid": 0, "category": "dog"}, {"tid": 1, "category": "cat"}],
        "used_segment": {"begin_fid": 0, "end_fid": 6},
        "temporal_gt": {"begin_fid": 1, "end_fid": 4},
        "captions": [{"description": "a dog chases a cat", "type": "subject", "target_id": 0}],
        "questions": [{"description": "what is chased?", "type": "object", "target_id": 1}],
    }
]


def vidor_box(tid: int, x: float, generated: int = 0) -> dict[str, Any]:
    corners = {"xmin": x, "ymin": 4, "xmax": x + 8, "ymax": 12}
    return {"tid": tid, "bbox": corners, "generated": generated, "tracker": "none"}


VIDOR: dict[str, Any] = {
    **{"video_id": "44", "video_path": "10/44.mp4", "frame_count": 6, "fps": 2},
    "trajectories": [
        [vidor_box(0, 0)],
        [vidor_box(0, 2), vidor_box(1, 20)],
        [vidor_box(1, 22)],
        [vidor_box(0, 6, generated=1)],
        [vidor_box(0, 8)],
        [],
    ],
}

HCSTVG_CLIP: dict[str, Any] = {
    **{"bbox": [[0, 0, 10, 20], [2, 0, 10, 20]], "st_time": 4.0, "ed_time": 8.0, "st_frame": 3},
    **{"img_num": 10, "caption": "the man who stands up", "width": 64, "height": 48},
}

MEVIS: dict[str, Any] = {
    "videos": {
        "v1": {
            "expressions": {
                "0": {"exp": "the bird flying away", "obj_id": [1], "anno_id": [11]},
                "1": {"exp": "both birds", "obj_id": [1, 2], "anno_id": [11, 12]},
                "2": {"exp": "a fish", "obj_id": [], "anno_id": []},
            },
            "frames": ["00000", "00001"],
        }
    }
}
# 3 x 2 pixels, down the columns: the middle one, and all.
MEVIS_MASKS: dict[str, Any] = {
    "11": [{"size": [2, 3], "counts": [2, 2, 2]}, None],
    "12": [None, {"size": [2, 3], "counts": "06"}],
}


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, values: Sequence[Any]) -> Path:
    lines = (value if isinstance(value, str) else json.dumps(value) for value in values)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_mask(path: Path, pixels: np.ndarray) -> Path:
    """A picture whose pixels (uint8 (H, W)) are numbers of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels, mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(path)
    return path


def good(readings: Sequence[Reading]) -> list[ReferringRow]:
    """Rows, none of which may be an error."""
    assert not [str(reading) for reading in readings if isinstance(reading, RowError)]
    return [reading for reading in readings if isinstance(reading, ReferringRow)]


def reasons(readings: Sequence[object]) -> list[str]:
    return [reading.reason for reading in readings if isinstance(reading, RowError)]
