"""Where an object is through time: tubes against tubes, over the union of their seconds.

OneThinker's release pays half the temporal IoU and half the mean IoU over *shared* seconds, so that
one sure second earns more than a whole tube that is a little off. Here seconds that were not said,
and seconds at which the object is not to be seen, count as misses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from mmreason.grounding import iou
from mmreason.training.rewards.boxes import frame_share
from mmreason.training.rewards.types import WHOLE_LIMIT, Mark, Trajectory, Truth, above_whole


def tube_viou(trajectory: Trajectory, truth: Truth) -> float | None:
    """Temporal IoU times the mean IoU over shared times, 0..1: the mean IoU over the union of the
    times said and the true ones, each less what a box round the whole frame would score.

    A box counts for the annotated time nearest to it, within half the least gap between two of
    them; farther away it is a time of its own, and a miss. Of several boxes at one time the worst
    counts. Where the target is absent, 1 for saying so, else 0. None without truth, and where the
    target fills so much of the frame that a box says nothing; single times at which it does are
    left out.

    Example: one of two true times, and both:

        >>> from mmreason.grounding import Box
        >>> from mmreason.training.rewards.types import Frame
        >>> marks = (Mark(0.0, Box(0, 0, 10, 10)), Mark(1.0, Box(2, 0, 12, 10)))
        >>> truth = Truth(tube=marks, tube_times_s=(0.0, 1.0), frame=Frame(size_px=(100, 100)))
        >>> [tube_viou(Trajectory(answer="", tube=said), truth) for said in (marks[:1], marks)]
        [0.5, 1.0]
    """
    if truth.tube is None or truth.frame is None:
        return None
    # Only a tube that was said to be empty is right; saying nothing is not.
    if not truth.tube:
        return float(trajectory.tube == ())
    true_marks = {mark.time_s: mark for mark in truth.tube}
    whole = {time_s: frame_share(mark.box, truth.frame) for time_s, mark in true_marks.items()}
    too_large = {time_s for time_s, share in whole.items() if share > WHOLE_LIMIT}
    if len(too_large) == len(true_marks):
        return None
    said = _by_annotated_time(trajectory.tube or (), truth.tube_times_s)
    union = (true_marks.keys() | said.keys()) - too_large
    # Nothing is earned at a time that only one of them has.
    shared = (true_marks.keys() & said.keys()) - too_large
    earned = math.fsum(
        above_whole(min(iou(mark.box, true_marks[t].box) for mark in said[t]), whole[t])
        for t in shared
    )
    return earned / len(union)


def _by_annotated_time(
    marks: Iterable[Mark], times_s: tuple[float, ...]
) -> dict[float, list[Mark]]:
    """Marks by the annotated time that each counts for, or by its own where it counts for none."""
    # A time said once too often must not reach over to the next annotated one.
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    reach_s = min(gaps_s, default=1.0) / 2
    said: dict[float, list[Mark]] = {}
    for mark in marks:
        nearest_s = min(times_s, key=lambda time_s: abs(time_s - mark.time_s))
        is_near = abs(nearest_s - mark.time_s) <= reach_s
        said.setdefault(nearest_s if is_near else mark.time_s, []).append(mark)
    return said
