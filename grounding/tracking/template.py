"""A tracker that carries a box from one frame to the others by its picture: no weights needed.

The picture of the box in its seed frame is looked for near where it was last, a little smaller and
larger, by normalised correlation. It follows rigid things with some texture; for what turns, bends
or is hidden for long, take a mask tracker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.boxes import Box, iou
from mmreason.grounding.protocols import Detection
from mmreason.grounding.tubes import Tube
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch

SCALES = (1.0, 0.95, 1.05)
"""From one frame to the next the object may grow so much; the first wins a tie."""
SEARCH_SIZES = 1.0
"""How far from its last place it is looked for, in its own sizes; further for each frame in which
it was not found."""
MOST_TEMPLATE_PX = 48
"""A larger picture is matched at this size."""
LEAST_TEMPLATE_PX = 3
KNOWN_IOU = 0.5
"""A seed that overlaps so much with an object that is followed already is that object."""
_LEAST_CONTRAST = 2.0
"""Standard deviation of grey levels below which a picture has nothing to be known by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateTracker:
    """Meets `Tracker`; seeds in one frame are enough. Deterministic.

    Example: `seed_and_propagate(video, times_s, TemplateTracker(), [seed], 12.4)`.
    """

    least_score: float = 0.6
    """Correlation, 0..1, below which the object counts as absent in a frame."""

    @property
    def name(self) -> str:
        return "template"

    @property
    def settings(self) -> dict[str, float]:
        """Everything that moves its boxes."""
        return {"least_score": self.least_score, "search_sizes": SEARCH_SIZES}

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        """See `Tracker.track`. The scores of a tube are correlations. Raises ValueError where seeds
        and frames do not go together."""
        if len(seeds) != len(frames):
            raise ValueError(
                f"a tracker needs one row of seeds a frame: got {len(seeds)} rows for "
                f"{len(frames)} frames"
            )
        tubes: list[Tube] = []
        for row, detections in enumerate(seeds):
            for seed in detections:
                time_s = float(frames.times_s[row])
                followed = [box for tube in tubes if (box := tube.at(time_s)) is not None]
                if all(iou(seed.box, box) < KNOWN_IOU for box in followed):
                    tubes.append(self._follow(frames, row, seed))
        return tuple(tubes)

    def _follow(self, frames: FrameBatch, row: int, seed: Detection) -> Tube:
        boxes: list[Box | None] = [None] * len(frames)
        scores = np.zeros(len(frames))
        boxes[row], scores[row] = seed.box, 1.0
        template = _cut(frames.pixels[row], seed.box)
        if template is not None:
            for order in (range(row + 1, len(frames)), range(row - 1, -1, -1)):
                last, waited = seed.box, 0
                for frame in order:
                    check_stop()
                    box, score = _find(frames.pixels[frame], template, last, 1 + waited)
                    if score < self.least_score:
                        waited += 1
                        continue
                    last, waited = box, 0
                    boxes[frame], scores[frame] = box, score
        tube = Tube.from_boxes(frames.times_s.tolist(), boxes, label=seed.label)
        return Tube(
            times_s=tube.times_s,
            boxes_px=tube.boxes_px,
            present=tube.present,
            # A picture without contrast is not looked for anywhere.
            observed=tube.observed if template is not None else tube.present.copy(),
            label=seed.label,
            scores=scores,
        )


def _cut(pixels: np.ndarray, box: Box) -> np.ndarray | None:
    """The grey picture of a box, at most `MOST_TEMPLATE_PX` a side; None where there is nothing to
    know it by."""
    height, width = pixels.shape[:2]
    inside = box.clip(width, height)
    x1, y1, x2, y2 = (round(value) for value in inside.xyxy)
    if min(x2 - x1, y2 - y1) < LEAST_TEMPLATE_PX:
        return None
    grey = _grey(pixels[y1:y2, x1:x2])
    return None if grey.std() < _LEAST_CONTRAST else _resize(grey, _template_scale(inside))


def _find(pixels: np.ndarray, template: np.ndarray, last: Box, reach: float) -> tuple[Box, float]:
    """The best place of `template` near `last`, and its correlation, 0..1."""
    import cv2

    height, width = pixels.shape[:2]
    w, h = last.x2_px - last.x1_px, last.y2_px - last.y1_px
    margin = SEARCH_SIZES * reach * max(w, h)
    area = Box(
        last.x1_px - margin, last.y1_px - margin, last.x2_px + margin, last.y2_px + margin
    ).clip(width, height)
    x1, y1, x2, y2 = (round(value) for value in area.xyxy)
    if x2 <= x1 or y2 <= y1:
        return last, 0.0
    grey = _grey(pixels[y1:y2, x1:x2])
    best, best_score = last, 0.0
    for scale in SCALES:
        # The part of the frame is brought to where the object has the size of the template.
        fx, fy = template.shape[1] / (w * scale), template.shape[0] / (h * scale)
        scaled = cv2.resize(grey, None, fx=fx, fy=fy, interpolation=cv2.INTER_AREA)
        if scaled.shape[0] < template.shape[0] or scaled.shape[1] < template.shape[1]:
            continue
        scores = cv2.matchTemplate(scaled, template, cv2.TM_CCOEFF_NORMED)
        # Parts without any contrast have no correlation.
        scores = np.where(np.isfinite(scores), scores, 0.0)
        y, x = np.unravel_index(int(scores.argmax()), scores.shape)
        score = float(min(scores[y, x], 1.0))
        if score > best_score + 1e-6:
            left_px, top_px = x1 + float(x) / fx, y1 + float(y) / fy
            best, best_score = Box(left_px, top_px, left_px + w * scale, top_px + h * scale), score
    return best, best_score


def _grey(pixels: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)


def _template_scale(box: Box) -> float:
    return min(1.0, MOST_TEMPLATE_PX / max(box.x2_px - box.x1_px, box.y2_px - box.y1_px))


def _resize(grey: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    if scale == 1.0:
        return grey
    size = tuple(max(LEAST_TEMPLATE_PX, round(side * scale)) for side in grey.shape[::-1])
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
