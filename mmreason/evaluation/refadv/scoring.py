"""Scores one answer. What is chosen and how well it is drawn are told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from mmreason.evaluation.refadv.cases import RefAdvCase
from mmreason.evaluation.refadv.outcomes import CaseOutcome, Pick, TubeScores
from mmreason.grounding import Box, Grounding, GroundingStatus, Tube, iou
from mmreason.grounding.metrics.video import absent_frame_score, siou, tube_tiou, viou

Place = TypeVar("Place", Box, Tube)

PICK_IOU = 0.1
"""An answer that overlaps no candidate by more than this lies on the background (InstanceBench's
least overlap)."""


def score_answer(
    case: RefAdvCase, subject: str, grounding: Grounding, *, ceiling: float | None, seconds: float
) -> CaseOutcome:
    """The outcome of what a subject answered. Of several boxes the first counts: it is the one that
    a reader of the answer would take. Answers without a box score 0 and stay in every mean."""
    target = grounding.targets[0] if grounding.targets else None
    time_s = grounding.frame_time_s
    if time_s is None:
        time_s = case.footage.moment_s
    box = None if target is None else target.box
    tube = None if target is None or case.kind == "image" else target.tube
    # 1. How much the answer overlaps each candidate.
    boxes = _candidates(case.footage.boxes(time_s), case)
    tube_scores = None
    if tube is not None:
        times_s = case.footage.tube_times_s
        truth = _candidates(case.footage.tubes(times_s), case)
        # Others look at other times: between two of them the object is on the line.
        tube = tube.resample(times_s)
        overlaps = {name: viou(other, tube) for name, other in truth.items()}
        best = max(case.target_ids, key=lambda name: overlaps.get(name, 0.0), default="")
        tube_scores = score_tube(truth[best], tube) if best in truth else None
    else:
        overlaps = {name: iou(other, box) for name, other in boxes.items()} if box else {}
    picked = max(overlaps, key=lambda name: overlaps[name], default="")
    if not picked or overlaps[picked] < PICK_IOU:
        picked = ""
    # 2. What that is, by the item's own expression and by the one that was asked.
    pick = _pick(case, picked, is_given=target is not None)
    sizes = {name: other.area_px2 for name, other in boxes.items()}
    return CaseOutcome(
        subject=subject,
        item=case.item,
        change=case.change,
        number=case.number,
        kind=case.kind,
        cluster=case.cluster,
        facts=case.facts,
        expression=case.expression,
        changed=case.changed,
        targets=len(case.target_ids),
        status=str(grounding.status),
        error=_error(grounding),
        note=str(grounding.issues[0])[:300] if grounding.issues else "",
        box_px=None if box is None else box.xyxy,
        boxes=len(grounding.targets),
        time_s=time_s,
        has_tube=tube is not None,
        iou=min(1.0, max((overlaps.get(name, 0.0) for name in case.target_ids), default=0.0)),
        pick=pick,
        picked=picked,
        missed=_missed(case, picked) if pick in ("hard", "other") else (),
        follows=_follows(case, picked, is_given=target is not None),
        exact=_is_exact(case, grounding, boxes),
        tube=tube_scores,
        largest=_is_extreme(picked, sizes),
        largest_of=sum(size >= 0.99 * max(sizes.values()) for size in sizes.values()),
        central=_is_extreme(picked, _nearness(boxes, case.footage.size_px)),
        first=_is_extreme(picked, {name: -i for i, name in enumerate(boxes)}),
        ceiling=ceiling,
        seconds=seconds,
    )


def score_tube(truth: Tube, tube: Tube) -> TubeScores:
    """How a tube fits the truth; both at the same times."""
    where, absent = siou(tube, truth), absent_frame_score(tube, truth)
    return TubeScores(
        viou=viou(tube, truth),
        tiou=tube_tiou(tube, truth),
        siou=0.0 if math.isnan(where) else where,
        absent=None if math.isnan(absent) else absent,
    )


def _candidates(places: Mapping[str, Place], case: RefAdvCase) -> dict[str, Place]:
    """Of everything in the footage what could be meant."""
    if not case.candidate_ids:
        return dict(places)
    return {name: place for name, place in places.items() if name in case.candidate_ids}


def _pick(case: RefAdvCase, picked: str, *, is_given: bool) -> Pick:
    if not is_given:
        return "none"
    if not picked:
        return "background"
    if picked in case.target_ids:
        return "target"
    return "hard" if picked in case.hard_ids else "other"


def _missed(case: RefAdvCase, picked: str) -> tuple[str, ...]:
    names = case.lacking.get(picked, ())
    return tuple(dict.fromkeys(case.descriptor_words.get(name, name) for name in names))


def _follows(case: RefAdvCase, picked: str, *, is_given: bool) -> bool | None:
    """Whether the answer is what the case as it was asked refers to."""
    if case.denoted_ids is None or len(case.denoted_ids) > 1:
        return None
    if not case.denoted_ids:
        return not is_given
    return picked == case.denoted_ids[0]


def _is_exact(case: RefAdvCase, grounding: Grounding, boxes: Mapping[str, Box]) -> bool:
    """Whether exactly the targets are given: none where there is none, else one box an object at
    IoU >= 0.5 and no other (GREC's F1 = 1)."""
    if grounding.status is GroundingStatus.ERROR or grounding.status is GroundingStatus.UNPARSED:
        return False
    if not case.target_ids:
        return not grounding.targets
    if len(grounding.targets) != len(case.target_ids):
        return False
    # As many boxes as targets: right where each target has one of its own.
    unused = list(grounding.boxes)
    for name in case.target_ids:
        fits = [box for box in unused if name in boxes and iou(boxes[name], box) >= 0.5]
        if not fits:
            return False
        unused.remove(fits[0])
    return True


def _is_extreme(picked: str, values: Mapping[str, float]) -> bool | None:
    """Whether the picked candidate has the largest value."""
    if picked not in values:
        return None
    largest = max(values.values())
    # Boxes are measured on pixels: equal sizes differ a little.
    return values[picked] >= largest - 0.01 * abs(largest)


def _nearness(boxes: Mapping[str, Box], size_px: tuple[int, int]) -> dict[str, float]:
    """How near the centre of each box is to the frame's: larger is nearer."""
    width_px, height_px = size_px
    return {
        name: -float(
            np.hypot(
                (box.x1_px + box.x2_px - width_px) / 2, (box.y1_px + box.y2_px - height_px) / 2
            )
        )
        for name, box in boxes.items()
    }


def _error(grounding: Grounding) -> str | None:
    if grounding.status is not GroundingStatus.ERROR:
        return None
    return "; ".join(map(str, grounding.issues))[:500] or "no reason was given"
