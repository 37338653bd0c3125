"""Who it may be: candidates from the model's own boxes, from a detector, or from masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmreason.agent.grounding.grounders import (
    GrounderChoice,
    load_concept_tracker_of,
    load_detector_of,
    load_mask_tracker_of,
)
from mmreason.agent.grounding.task import GroundTask
from mmreason.grounding import Choice, Detection, Grounding, Issue, Tube, iou
from mmreason.grounding.recipes import (
    RecipeResult,
    concept_masks_choose,
    detect_track_choose,
    seed_and_propagate,
)
from mmreason.grounding.tracking.tracker import KalmanTracker
from mmreason.tools.ground import ask_boxes
from mmreason.tools.ground_chat import ChatDetector, ask_tubes
from mmreason.tools.ground_meter import MeteredDetector
from mmreason.video.types import FrameBatch

SAME_OBJECT_IOU = 0.5
LOOKS = 24
"""Frames in which a chat model is asked for boxes, over all parts of a video."""
NANO_LOOKS = 48
LEAST_LOOK_S = 0.5
"""A chat model is not asked more often than this."""
CHECKS_KEPT = 0.6
"""Of a budget of frames or calls, what looking for candidates may take; the rest is for choosing
and checking."""
BEST_FRAMES = 6
WRITTEN_SECONDS = 32
"""Of one call to a model that writes tubes: as many as such models were trained on."""
AT_S = 0.05
"""A time of a tube that is no further away is that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What was found, over all times that were looked at.

    Example:
        >>> Candidates(times_s=np.zeros(1)).tubes
        ()
    """

    times_s: np.ndarray
    """float64 (n,), rising."""
    tubes: tuple[Tube, ...] = ()
    """Each over all of `times_s`, with ids of their own."""
    choice: Choice | None = None
    """Whom the grounder itself says is meant; None where that is still to be chosen."""
    readings: tuple[tuple[float, Grounding], ...] = ()
    """What a chat model wrote, by the time of the frame."""
    failed: str = ""
    """Why nothing could be looked at."""

    @property
    def raw_text(self) -> str:
        """What the chat model wrote, of the first frame that holds a box, else of the first."""
        texts = [reading.raw_text for _, reading in self.readings if reading.boxes]
        return (texts or [reading.raw_text for _, reading in self.readings] or [""])[0]


def track_candidates(task: GroundTask, grounder: GrounderChoice, times_s: np.ndarray) -> Candidates:
    """Candidates as tubes over the frames at `times_s`."""
    if grounder.kind == "masks":
        return _propagate_masks(task, grounder, times_s)
    if grounder.kind == "concepts":
        result = concept_masks_choose(
            task.source,
            times_s,
            load_concept_tracker_of(grounder),
            None,
            task.phrase,
            task.request.expression,
        )
        task.settings["recipe"] = dict(result.settings)
        return _collect(task, result, ())
    if grounder.kind == "end_to_end":
        return _write_tubes(task, times_s)
    chat = None
    if grounder.kind == "detector":
        detector = MeteredDetector(load_detector_of(grounder), task.meter)
        most = _share_of(task.meter.frames_left)
        every_s = 0.0 if most is None else _plan_interval(times_s, most)
    else:
        detector = chat = ChatDetector(task.model)
        limits = [NANO_LOOKS if task.model.tier == "nano" else LOOKS]
        for budget_left in (task.meter.frames_left, task.meter.calls_left):
            most = _share_of(budget_left) if task.can_judge else budget_left
            limits += [] if most is None else [most]
        every_s = max(LEAST_LOOK_S, _plan_interval(times_s, min(limits)))
    result = detect_track_choose(
        task.source,
        times_s,
        detector,
        KalmanTracker(),
        None,
        task.phrase if chat is None else task.phrase_of_all,
        task.request.expression,
        redetect_s=every_s,
    )
    task.settings["recipe"] = dict(result.settings)
    readings = () if chat is None else tuple(chat.readings)
    return _collect(task, result, readings)


def _share_of(budget_left: int | None) -> int | None:
    """How many of the frames or calls that are left looking for candidates may take."""
    return None if budget_left is None else int(budget_left * CHECKS_KEPT)


def _plan_interval(times_s: np.ndarray, most: int) -> float:
    """Seconds between two of at most `most` looks at frames of `times_s`."""
    steps_s = np.diff(times_s)
    # Gaps between parts are not looked at.
    step_s = float(np.median(steps_s)) if len(steps_s) else 0.0
    # A little more than its share: looks begin anew in each part.
    return max(step_s, 1.02 * step_s * len(times_s) / max(1, most))


def _collect(
    task: GroundTask, result: RecipeResult, readings: tuple[tuple[float, Grounding], ...]
) -> Candidates:
    for note in result.notes:
        kind = "budget" if "the budget is spent" in note.text else note.kind
        task.tell(kind, note.text)
    everyone = Choice(ids=tuple(tube.id for tube in result.tubes))
    tubes = replace(result, choice=everyone).chosen
    looked = sorted({round(time_s, 3) for time_s, _ in readings})
    if looked and result.settings.get("redetect_s"):
        # Between two looks nobody saw anything, absence no more than presence.
        tubes = tuple(_mark_looks(tube, np.array(looked)) for tube in tubes)
    task.log(
        "track",
        recipe=result.settings.get("recipe", ""),
        frames=len(result.times_s),
        looked_at_s=looked,
        tubes=[
            {"id": t.id, "span_s": t.span.to_list(), "present": int(t.present.sum())}
            for t in tubes
            if t.span is not None
        ],
    )
    texts = [note.text for note in result.notes if note.kind == "failed"]
    is_blind = not len(result.times_s) or (not tubes and bool(texts) and not readings)
    return Candidates(
        times_s=result.times_s,
        tubes=tubes,
        choice=result.choice,
        readings=readings,
        failed=(texts or ["no frame could be read"])[0] if is_blind else "",
    )


def _mark_looks(tube: Tube, looked_s: np.ndarray) -> Tube:
    """The tube with `observed` only where a model looked, carried on to the end where the last look
    saw it: it goes on as it went between its last two boxes, but no further than one interval."""
    near = np.abs(tube.times_s[:, None] - looked_s[None]) <= AT_S
    looked = near.any(axis=1)
    boxes_px, present = tube.boxes_px.copy(), tube.present.copy()
    rows = np.flatnonzero(looked)
    if len(rows) > 1 and present[rows[-1]] and present[rows[-2]]:
        last, before = rows[-1], rows[-2]
        interval_s = tube.times_s[last] - tube.times_s[before]
        speed = (boxes_px[last] - boxes_px[before]) / interval_s
        for row in range(last + 1, len(tube)):
            ahead_s = tube.times_s[row] - tube.times_s[last]
            if ahead_s < interval_s:
                boxes_px[row], present[row] = boxes_px[last] + speed * ahead_s, True
    # What shrinks may not turn inside out.
    boxes_px[:, 2:] = np.maximum(boxes_px[:, 2:], boxes_px[:, :2])
    return replace(tube, boxes_px=boxes_px, present=present, observed=tube.observed & looked)


def _propagate_masks(task: GroundTask, grounder: GrounderChoice, times_s: np.ndarray) -> Candidates:
    """The model boxes the expression in a few frames; a mask tracker carries the best of them both
    ways."""
    tracker = load_mask_tracker_of(grounder)
    detector = ChatDetector(task.model)
    count = min(BEST_FRAMES, len(times_s))
    # From the middle outwards: most things are to be seen there.
    rows = np.unique(np.linspace(0, len(times_s) - 1, count + 2).round().astype(int))
    rows = sorted(rows.tolist(), key=lambda row: abs(row - len(times_s) // 2))
    phrase = task.request.expression if task.can_judge else task.phrase
    for row in rows:
        frames = task.source.frames_at([float(times_s[row])])
        (seeds,) = detector.detect(frames, phrase)
        if seeds:
            seeds = seeds[: task.request.max_targets]
            result = seed_and_propagate(
                task.source, times_s, tracker, seeds, float(frames.times_s[0])
            )
            task.settings["recipe"] = dict(result.settings)
            return _collect(task, result, tuple(detector.readings))
    return Candidates(times_s=times_s, readings=tuple(detector.readings))


def _write_tubes(task: GroundTask, times_s: np.ndarray) -> Candidates:
    """The model writes tubes itself, from a clip of `WRITTEN_SECONDS` a call."""
    clips = _plan_clips(task, times_s)
    written: list[list[Tube]] = []
    readings = []
    for clip_s in clips:
        frames = task.read_small(clip_s.tolist())
        reading = ask_tubes(task.model, frames, task.size_px, task.request.expression, task.prompts)
        readings.append((float(frames.times_s[0]), reading))
        written.append([target.tube for target in reading.targets if target.tube is not None])
    pieces = [tube for row in written for tube in row]
    all_s = np.unique(np.round(np.concatenate([times_s, *(t.times_s for t in pieces)]), 6))
    tubes = [
        replace(tube.resample(all_s, _longest_gap_s(tube)), id=str(number))
        for number, tube in enumerate(pieces, 1)
    ]
    if len(clips) > 1:
        tubes = _join_pieces(tubes)
    task.settings["recipe"] = {"recipe": "model end to end", "clips": len(clips)}
    task.tell(
        "skipped", "the model writes boxes at times of its own; between them they are filled in"
    )
    named_s = sorted({round(float(time_s), 3) for tube in pieces for time_s in tube.times_s})
    rows = [{"id": tube.id, "present": int(tube.present.sum())} for tube in tubes]
    task.log("write", calls=len(readings), named_s=named_s, tubes=rows)
    is_one = len(tubes) <= task.request.max_targets
    return Candidates(
        times_s=all_s,
        tubes=tuple(tubes),
        choice=Choice(ids=tuple(tube.id for tube in tubes)) if is_one else None,
        readings=tuple(readings),
    )


def _plan_clips(task: GroundTask, times_s: np.ndarray) -> list[np.ndarray]:
    """Times of the frames of each call: a frame a second, or as a model with words of its own for
    tubes watches a clip."""
    clips = []
    for start in np.arange(times_s[0], times_s[-1] + 1e-6, WRITTEN_SECONDS):
        inside_s = times_s[(times_s >= start) & (times_s < start + WRITTEN_SECONDS)]
        if not len(inside_s):
            continue
        if task.model.clip.prompts.track:
            count = min(task.model.clip.frames, len(inside_s))
            rows = np.floor((np.arange(count) + 0.5) * len(inside_s) / count).astype(int)
        else:
            _, rows = np.unique(np.floor(inside_s), return_index=True)
        clips.append(inside_s[rows])
    return clips


def _longest_gap_s(tube: Tube) -> float:
    """Between two times that the model names, which are filled in: none was left out there."""
    return 1.5 * float(np.median(np.diff(tube.times_s))) if len(tube) > 1 else 0.0


def _join_pieces(tubes: Sequence[Tube]) -> list[Tube]:
    """The pieces of one thing that were written in several calls, as one tube: a model that is
    asked for one thing writes the same in each call."""
    joined = tubes[0] if tubes else None
    for tube in tubes[1:]:
        assert joined is not None, "there is a first one"
        if (joined.present & tube.present).any():
            return list(tubes)  # two at once are not one
        joined = replace(
            joined,
            boxes_px=np.where(tube.present[:, None], tube.boxes_px, joined.boxes_px),
            present=joined.present | tube.present,
            observed=joined.observed | tube.observed,
        )
    return [] if joined is None else [joined]


def tubes_of_boxes(reading: Sequence[Detection], time_s: float, first_id: int = 1) -> list[Tube]:
    """Boxes of one frame as tubes of one time.

    Example:
        >>> from mmreason.grounding import Box
        >>> tubes_of_boxes([Detection(box=Box(0, 0, 8, 8), label="cup")], 1.0)[0].id
        '1'
    """
    tubes = []
    for number, detection in enumerate(reading, start=first_id):
        tube = Tube.from_boxes([time_s], [detection.box], id=str(number), label=detection.label)
        if detection.score is not None:
            tube = replace(tube, scores=np.array([detection.score]))
        tubes.append(tube)
    return tubes


def find_lookalikes(task: GroundTask, frames: FrameBatch, tubes: Sequence[Tube]) -> list[Tube]:
    """Everything else of the kind in a frame: what a target is compared with. Raises what models
    raise, and BudgetSpent."""
    (reading,) = ask_boxes(task.model, frames, task.phrase_of_all)
    time_s = float(frames.times_s[0])
    taken = [box for tube in tubes if (box := tube.at(time_s)) is not None]
    lookalikes = [
        Detection(box=target.box, label=target.label)
        for target in reading.targets
        if target.box is not None and all(iou(target.box, box) < SAME_OBJECT_IOU for box in taken)
    ]
    task.log("others", phrase=task.phrase_of_all, count=len(lookalikes))
    return tubes_of_boxes(lookalikes, time_s, first_id=len(tubes) + 1)


def describe_readings(readings: Sequence[tuple[float, Grounding]]) -> list[Issue]:
    """What was odd about what a chat model wrote, each kind of text once."""
    return list(dict.fromkeys(issue for _, reading in readings for issue in reading.issues))
