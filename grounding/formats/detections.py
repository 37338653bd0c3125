"""What was grounded as `supervision.Detections`, for its annotators, zones and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmreason.grounding.formats.rows import FormError
from mmreason.grounding.results import Grounding
from mmreason.grounding.tubes import Tube

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(grounding: Grounding) -> Detections:
    """The targets that have a box. `data` holds "class_name", `metadata` the status, expression and
    issues, so that no target, no box and no answer stay apart. Raises FormError without the extra.

    Example:
        >>> to_detections(grounding).xyxy.shape  # doctest: +SKIP
        (1, 4)
    """
    targets = [target for target in grounding.targets if target.box is not None]
    scores = [target.score for target in targets]
    return _build(
        [target.box.xyxy for target in targets if target.box is not None],
        [target.label for target in targets],
        # A column of scores has one a row: where one target has none, there is no column.
        None if None in scores else [float(score) for score in scores if score is not None],
        None,
        {
            "status": str(grounding.status),
            "expression": grounding.expression,
            "issues": [str(issue) for issue in grounding.issues],
        },
    )


def tubes_to_detections(
    tubes: Sequence[Tube], time_s: float, tolerance_s: float = 0.05
) -> Detections:
    """The boxes of tubes at one time; `tracker_id` is the tube's place (from 1 on), `data` holds
    its own id under "tube_id". Absent ones have no row. Raises FormError without the extra.

    Example:
        >>> tubes_to_detections([tube], 2.0).tracker_id  # doctest: +SKIP
        array([1])
    """
    indices, boxes, scores = [], [], []
    for index, tube in enumerate(tubes):
        box = tube.at(time_s, tolerance_s)
        if box is not None:
            nearest = int(np.abs(tube.times_s - time_s).argmin())
            indices.append(index)
            boxes.append(box.xyxy)
            scores.append(None if tube.scores is None else float(tube.scores[nearest]))
    detections = _build(
        boxes,
        [tubes[index].label for index in indices],
        None if None in scores else [score for score in scores if score is not None],
        [index + 1 for index in indices],
        {"time_s": time_s},
    )
    detections.data["tube_id"] = np.array([tubes[index].id for index in indices], str)
    return detections


def _build(
    boxes: Sequence[tuple[float, float, float, float]],
    labels: Sequence[str],
    scores: Sequence[float] | None,
    tracks: Sequence[int] | None,
    metadata: dict[str, object],
) -> Detections:
    try:
        from supervision import Detections
    except ImportError as error:
        raise FormError(
            "supervision is not installed; in the clone of mmreason: pip install '.[supervision]'"
        ) from error
    return Detections(
        xyxy=np.asarray(boxes, np.float64).reshape(-1, 4),
        confidence=None if scores is None else np.asarray(scores, np.float64),
        tracker_id=None if tracks is None else np.asarray(tracks, np.int64),
        data={"class_name": np.array(labels, str)},
        metadata=metadata,
    )
