"""Recipes that ground an expression in a video: plain functions over detectors, trackers, choosers.

    detect_track_choose    detect everything of a kind, track it, choose one by number
    seed_and_propagate     a box on the best frame, carried both ways
    concept_masks_choose   masks of everything of a kind from one model, choose one

All read frames in windows, so that memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from mmreason.grounding.boxes import iou
from mmreason.grounding.protocols import Choice, Chooser, Detection, Detector, Tracker
from mmreason.grounding.results import Issue
from mmreason.grounding.tracking.numbering import choose_key_frame
from mmreason.grounding.tracking.windows import (
    MOST_FRAMES,
    OVERLAP_S,
    Seeds,
    StartSeeds,
    TrackedVideo,
    describe_error,
    join_seeds,
    track_in_windows,
)
from mmreason.grounding.tubes import Tube
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch, FrameSource

MOST_CANDIDATES = 12
"""So many tubes a chooser is shown: those that are to be seen longest."""
KEY_FRAMES = 8
"""So many frames a chooser is shown."""


class ConceptTracker(Protocol):
    """Finds and follows everything that a short noun phrase names, through one window."""

    @property
    def name(self) -> str: ...

    def track_concept(self, frames: FrameBatch, phrase: str) -> tuple[Tube, ...]:
        """One tube an object, over all times of `frames`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeResult:
    """What a recipe came to.

    Example:
        >>> from mmreason.grounding import Box
        >>> tube = Tube.from_boxes([1.0], [Box(0, 0, 8, 8)], id="1")
        >>> result = RecipeResult(
        ...     tubes=(tube,),
        ...     choice=Choice(ids=("1",)),
        ...     times_s=np.array([0.0, 1.0]),
        ...     looked=np.ones(2, bool),
        ... )
        >>> result.chosen[0].present.tolist()
        [False, True]
    """

    tubes: tuple[Tube, ...]
    """All candidates, each from the first to the last frame in which it is to be seen."""
    choice: Choice | None = None
    """None where nobody was asked to choose."""
    times_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """float64 (n,): presentation times of all frames that were tracked over, rising."""
    looked: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """bool (n,): whether somebody looked for objects in that frame; see `TrackedVideo.looked`."""
    frames_used: int = 0
    """How many frames were read, those for the chooser included."""
    notes: tuple[Issue, ...] = ()
    """What failed or was left out."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe, who detected, tracked and chose, and everything that moves the result."""

    @property
    def chosen(self) -> tuple[Tube, ...]:
        """The chosen tubes, best first, over all of `times_s`: absence before and after is
        explicit, and observed where somebody looked."""
        if self.choice is None:
            return ()
        by_id = {tube.id: tube for tube in self.tubes}
        return tuple(
            _spread(by_id[id], self.times_s, self.looked) for id in self.choice.ids if id in by_id
        )


def detect_track_choose(
    video: FrameSource,
    times_s: Sequence[float] | np.ndarray,
    detector: Detector,
    tracker: Tracker,
    chooser: Chooser | None,
    phrase: str,
    expression: str,
    *,
    redetect_s: float = 0.0,
    most_candidates: int = MOST_CANDIDATES,
    key_frames: int = KEY_FRAMES,
    most_frames: int = MOST_FRAMES,
    overlap_s: float = OVERLAP_S,
) -> RecipeResult:
    """Detect everything that `phrase` (a head noun) names, track it over the frames displayed at
    `times_s` (seconds, rising), and let `chooser` say which tubes `expression` means.

    The detector looks every `redetect_s` seconds, at every frame with 0: what comes late is found
    by the next look. Raises ValueError for an empty phrase and for times that do not rise; what
    fails later is a note.

    Example: `detect_track_choose(video, plan.times_s, detector, KalmanTracker(), None, "dog", "")`.
    """
    looks = _Looks(detector, _checked_phrase(phrase), redetect_s)

    def track_window(frames: FrameBatch, carried: Seeds) -> Sequence[Tube]:
        rows = zip(carried, looks.detect(frames), strict=True)
        return tracker.track(frames, [join_seeds(*row) for row in rows])

    tracked = track_in_windows(
        video, times_s, track_window, most_frames=most_frames, overlap_s=overlap_s
    )
    # A tracker of boxes cannot tell a frame without any from one that nobody looked at.
    looked = tracked.looked | np.isin(tracked.times_s, list(looks.looked_s))
    tracked = replace(tracked, looked=looked)
    settings = {
        "recipe": "detect, track, choose",
        "detector": detector.name,
        "detector_settings": _settings_of(detector),
        "tracker": tracker.name,
        "tracker_settings": _settings_of(tracker),
        "phrase": phrase,
        "redetect_s": redetect_s,
        "overlap_s": overlap_s,
    }
    return _choose(video, tracked, chooser, expression, most_candidates, key_frames, settings)


def concept_masks_choose(
    video: FrameSource,
    times_s: Sequence[float] | np.ndarray,
    tracker: ConceptTracker,
    chooser: Chooser | None,
    phrase: str,
    expression: str,
    *,
    most_candidates: int = MOST_CANDIDATES,
    key_frames: int = KEY_FRAMES,
    most_frames: int = MOST_FRAMES,
    overlap_s: float = OVERLAP_S,
) -> RecipeResult:
    """As `detect_track_choose`, where one model (SAM 3) finds and follows everything that `phrase`
    names. An object keeps its id from window to window where its boxes agree over the frames that
    both share.

    Example: `concept_masks_choose(video, plan.times_s, sam3, chooser, "dog", "the last to leave")`.
    """
    checked = _checked_phrase(phrase)

    def track_window(frames: FrameBatch, carried: Seeds) -> Sequence[Tube]:
        return tracker.track_concept(frames, checked)

    tracked = track_in_windows(
        video, times_s, track_window, most_frames=most_frames, overlap_s=overlap_s
    )
    settings = {
        "recipe": "concept masks, choose",
        "tracker": tracker.name,
        "tracker_settings": _settings_of(tracker),
        "phrase": phrase,
        "overlap_s": overlap_s,
    }
    return _choose(video, tracked, chooser, expression, most_candidates, key_frames, settings)


def seed_and_propagate(
    video: FrameSource,
    times_s: Sequence[float] | np.ndarray,
    tracker: Tracker,
    seeds: Sequence[Detection],
    seed_time_s: float,
    *,
    most_frames: int = MOST_FRAMES,
    overlap_s: float = 0.0,
) -> RecipeResult:
    """Carry the boxes (or masks) `seeds` of the frame at `seed_time_s` to both ends of `times_s`
    (seconds, rising). `tracker` must be one that follows from a single frame: a mask tracker, or
    `TemplateTracker`. The tubes of the seeds are the choice, in the order of the seeds.

    Raises ValueError for no seeds and for times that do not rise. A seed that was lost at once is
    a note.

    Example: `seed_and_propagate(video, plan.times_s, TemplateTracker(), [seed], 12.4)`.
    """
    if not seeds:
        raise ValueError("propagation needs a box to start from, got no seeds")

    tracked = track_in_windows(
        video,
        times_s,
        tracker.track,
        start=StartSeeds(seed_time_s, tuple(seeds)),
        most_frames=most_frames,
        overlap_s=overlap_s,
    )
    ids, notes = _find_seeds(tracked, seeds, seed_time_s)
    settings = {
        "recipe": "seed and propagate",
        "tracker": tracker.name,
        "tracker_settings": _settings_of(tracker),
        "seed_time_s": seed_time_s,
        "seeds_px": [list(seed.box.xyxy) for seed in seeds],
        "overlap_s": overlap_s,
    }
    return RecipeResult(
        tubes=tracked.tubes,
        choice=Choice(ids=ids, reason="carried from the seed"),
        times_s=tracked.times_s,
        looked=tracked.looked,
        frames_used=len(tracked.times_s),
        notes=(*tracked.notes, *notes),
        settings=settings,
    )


@dataclass(frozen=True, slots=True)
class _Looks:
    """Looks with a detector every `every_s` seconds, and at the first frame of a window."""

    detector: Detector
    phrase: str
    every_s: float
    looked_s: set[float] = field(default_factory=set)
    """Times of the frames that were looked at so far."""

    def detect(self, frames: FrameBatch) -> list[tuple[Detection, ...]]:
        """One row a frame; empty where nobody looked."""
        if self.every_s <= 0:
            self.looked_s.update(frames.times_s.tolist())
            return self.detector.detect(frames, self.phrase)
        # By the clock of the video, so that windows look at the same frames.
        ticks = np.floor(frames.times_s / self.every_s + 1e-6)
        rows = np.flatnonzero(np.concatenate(([True], np.diff(ticks) > 0))[: len(frames)])
        looked = FrameBatch(
            pixels=frames.pixels[rows], times_s=frames.times_s[rows], exact=frames.exact[rows]
        )
        self.looked_s.update(looked.times_s.tolist())
        detections: list[tuple[Detection, ...]] = [()] * len(frames)
        for row, row_detections in zip(
            rows.tolist(), self.detector.detect(looked, self.phrase), strict=True
        ):
            detections[row] = row_detections
        return detections


def _choose(
    video: FrameSource,
    tracked: TrackedVideo,
    chooser: Chooser | None,
    expression: str,
    most_candidates: int,
    key_frames: int,
    settings: Mapping[str, Any],
) -> RecipeResult:
    """Show the chooser the candidates that are to be seen longest; keep all tubes."""
    notes = list(tracked.notes)
    settings = {
        **settings,
        "windows": tracked.windows,
        "chooser": None if chooser is None else chooser.name,
        "expression": expression,
    }
    result = RecipeResult(
        tubes=tracked.tubes,
        times_s=tracked.times_s,
        looked=tracked.looked,
        frames_used=len(tracked.times_s),
        notes=tuple(notes),
        settings=settings,
    )
    if chooser is None:
        return result
    if not tracked.tubes:
        return replace(result, choice=Choice(ids=(), reason="nothing of the kind was found"))
    candidates = sorted(tracked.tubes, key=lambda tube: -int(tube.present.sum()))[:most_candidates]
    candidates.sort(key=lambda tube: int(tube.id))
    if len(candidates) < len(tracked.tubes):
        left_out = len(tracked.tubes) - len(candidates)
        notes.append(Issue("skipped", f"{left_out} tubes that are seen shortest were not shown"))
    shown_s = choose_key_times(tracked.times_s, candidates, key_frames)
    try:
        choice = chooser.choose(video.frames_at(shown_s.tolist()), candidates, expression)
    except Exception as error:
        # Models of others may raise anything; the tubes are there all the same.
        check_stop()
        notes.append(Issue("failed", f"choosing failed ({describe_error(error)})"))
        return replace(result, notes=tuple(notes))
    candidate_ids = {tube.id for tube in candidates}
    if strange := [id for id in choice.ids if id not in candidate_ids]:
        notes.append(Issue("dropped_box", f"the chooser named {strange}, which is no candidate"))
        choice = replace(choice, ids=tuple(id for id in choice.ids if id in candidate_ids))
    frames_used = result.frames_used + len(shown_s)
    return replace(result, choice=choice, frames_used=frames_used, notes=tuple(notes))


def choose_key_times(times_s: np.ndarray, tubes: Sequence[Tube], count: int) -> np.ndarray:
    """At most `count` of `times_s`, rising: the one that shows most of `tubes`, for each tube that
    it does not show the middle of its own time, and the rest spread evenly.

    Example:
        >>> from mmreason.grounding import Box
        >>> tubes = [Tube.from_boxes([3.0], [Box(0, 0, 8, 8)])]
        >>> choose_key_times(np.arange(5.0), tubes, 3).tolist()
        [0.0, 1.0, 3.0]
    """
    chosen = [choose_key_frame(times_s, tubes)]
    for tube in tubes:
        seen_s = tube.times_s[tube.present]
        middle = int(np.abs(times_s - seen_s[len(seen_s) // 2]).argmin())
        is_shown = any(tube.at(float(times_s[index])) is not None for index in chosen)
        if not is_shown and len(chosen) < count:
            chosen.append(middle)
    # Then again and again the time that is furthest from those that are taken.
    while len(set(chosen)) < min(count, len(times_s)):
        away_s = np.abs(times_s[:, None] - times_s[chosen][None]).min(axis=1)
        chosen.append(int(away_s.argmax()))
    return times_s[sorted(set(chosen))]


def _find_seeds(
    tracked: TrackedVideo, seeds: Sequence[Detection], seed_time_s: float
) -> tuple[tuple[str, ...], list[Issue]]:
    """Ids of the tubes that began at the seeds, and what became of the others."""
    ids, notes = [], []
    for number, seed in enumerate(seeds, start=1):
        best, overlap = None, 0.0
        for tube in tracked.tubes:
            nearest_s = float(tube.times_s[np.abs(tube.times_s - seed_time_s).argmin()])
            box = tube.at(nearest_s)
            if box is not None and tube.id not in ids and iou(box, seed.box) > overlap:
                best, overlap = tube, iou(box, seed.box)
        if best is None:
            notes.append(Issue("no_box", f"seed {number} at {seed_time_s:.2f} s was lost at once"))
            continue
        ids.append(best.id)
        if best.present.sum() == 1 and len(tracked.times_s) > 1:
            notes.append(Issue("unsure", f"seed {number} was not followed beyond its own frame"))
    return tuple(ids), notes


def _spread(tube: Tube, times_s: np.ndarray, looked: np.ndarray) -> Tube:
    """`tube` over all of `times_s`; where it has no time the object is absent, which somebody saw
    where they `looked`."""
    rows = np.searchsorted(times_s, tube.times_s)
    count = len(times_s)
    boxes_px, present, observed = np.zeros((count, 4)), np.zeros(count, bool), looked.copy()
    boxes_px[rows], present[rows], observed[rows] = tube.boxes_px, tube.present, tube.observed
    scores = None
    if tube.scores is not None:
        scores = np.zeros(count)
        scores[rows] = tube.scores
    masks = None
    if tube.masks is not None:
        by_row = dict(zip(rows.tolist(), tube.masks, strict=True))
        masks = tuple(by_row.get(row) for row in range(count))
    return replace(
        tube, times_s=times_s, boxes_px=boxes_px, present=present, observed=observed,
        scores=scores, masks=masks,
    )  # fmt: skip


def _settings_of(component: object) -> dict[str, Any]:
    """Thresholds and the like, of parts that tell them."""
    return dict(getattr(component, "settings", {}))


def _checked_phrase(phrase: str) -> str:
    if not phrase.strip():
        raise ValueError("the phrase to look for is empty; give a noun such as 'dog'")
    return phrase.strip()
