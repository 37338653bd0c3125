"""Boxes and masks against the libraries that people compare with. `make parity` installs those that
are not our own; they stand in a folder that only this test sees."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.grounding import Box, Mask
from mmreason.grounding.metrics.arrays import paired_giou, pairwise_giou, pairwise_iou
from mmreason.grounding.metrics.box_sets import average_precision
from mmreason.grounding.metrics.segmentation import region_j

pytestmark = pytest.mark.full

MISSING = "make parity installs it"


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, 600, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 200, (count, 2))], axis=1)


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return random_boxes(rng, 300), random_boxes(rng, 200)


def test_iou_is_that_of_supervision(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    sv = pytest.importorskip("supervision", reason=MISSING)
    # It computes in float32.
    assert pairwise_iou(*pairs) == pytest.approx(sv.box_iou_batch(*pairs), abs=1e-5)


def test_iou_and_giou_are_those_of_torchvision(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    import torch
    from torchvision.ops import box_iou, generalized_box_iou

    first, second = (torch.from_numpy(boxes) for boxes in pairs)
    theirs = box_iou(first, second), generalized_box_iou(first, second)
    assert pairwise_iou(*pairs) == pytest.approx(theirs[0].numpy(), abs=1e-12)
    assert pairwise_giou(*pairs) == pytest.approx(theirs[1].numpy(), abs=1e-12)


def test_giou_is_that_of_torchmetrics(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    detection = pytest.importorskip("torchmetrics.functional.detection", reason=MISSING)
    import torch

    giou = detection.generalized_intersection_over_union
    first, second = pairs[0][:200], pairs[1]
    tensors = [torch.from_numpy(boxes) for boxes in (first, second)]
    matrix = giou(*tensors, aggregate=False).numpy()
    assert pairwise_giou(first, second) == pytest.approx(matrix, abs=1e-6)
    assert paired_giou(first, second).mean() == pytest.approx(float(giou(*tensors)), abs=1e-6)


def test_average_precision_is_that_of_pycocotools() -> None:
    coco_module = pytest.importorskip("pycocotools.coco", reason=MISSING)
    evaluation_module = pytest.importorskip("pycocotools.cocoeval", reason=MISSING)
    rng = np.random.default_rng(1)
    truths, predictions, scores = [], [], []
    for _ in range(60):
        true = random_boxes(rng, int(rng.integers(0, 5)))
        # Some near the truth, some anywhere, some twice.
        moved = np.sort((true + rng.normal(0, 12, true.shape)).reshape(-1, 2, 2), axis=1)
        boxes = np.concatenate([moved.reshape(-1, 4), random_boxes(rng, int(rng.integers(0, 3)))])
        truths.append(true)
        predictions.append(boxes)
        scores.append(rng.random(len(boxes)).round(2))
    coco = coco_module.COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(truths))],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": 10 * i + j + 1,
                "image_id": i,
                "category_id": 1,
                "iscrowd": 0,
                **{
                    "bbox": [*box[:2], *(box[2:] - box[:2])],
                    "area": float(np.prod(box[2:] - box[:2])),
                },
            }
            for i, boxes in enumerate(truths)
            for j, box in enumerate(boxes)
        ],
    }
    coco.createIndex()
    rows = [
        {"image_id": i, "category_id": 1, "bbox": [*box[:2], *(box[2:] - box[:2])], "score": score}
        for i, (boxes, of_row) in enumerate(zip(predictions, scores, strict=True))
        for box, score in zip(boxes, of_row, strict=True)
    ]
    evaluation = evaluation_module.COCOeval(coco, coco.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = average_precision(
        [[Box(*map(float, box)) for box in boxes] for boxes in predictions],
        scores,
        [[Box(*map(float, box)) for box in boxes] for boxes in truths],
    )
    assert ours == pytest.approx(float(evaluation.stats[0]), abs=1e-9)
    assert 0.05 < ours < 0.95


def test_masks_are_those_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason=MISSING)
    rng = np.random.default_rng(2)
    arrays = [rng.random((37, 53)) < share for share in (0.2, 0.5, 0.9)]
    encoded = [coco.encode(np.asfortranarray(array.astype(np.uint8))) for array in arrays]
    overlaps = coco.iou(encoded, encoded, [0] * 3)
    for i, first in enumerate(arrays):
        mask = Mask.from_array(first)
        # The same run lengths, down the columns.
        rle = coco.frPyObjects({"counts": list(mask.counts), "size": [37, 53]}, 37, 53)
        assert rle["counts"] == encoded[i]["counts"]
        assert mask.area_px2 == int(coco.area(encoded[i]))
        for j, second in enumerate(arrays):
            assert region_j(first, second) == pytest.approx(overlaps[i, j])
