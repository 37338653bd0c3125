"""A tube on the frames of a video: boxes between two looks are filled in, absence is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.grounding.tubes import Tube

SAME_FRAME_S = 6e-4
"""A look no further from a frame was at that frame: files round times to the millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeFrames:
    """Boxes of one tube at given times.

    Example:
        >>> from mmreason.grounding.boxes import Box
        >>> tube = Tube.from_boxes([0.0, 0.2], [Box(0, 0, 8, 8), Box(4, 0, 12, 8)])
        >>> frames = fill_tube(tube, np.array([0.0, 0.1, 0.3]), most_gap_s=1.0)
        >>> frames.present.tolist(), frames.observed.tolist(), frames.boxes_px[1].tolist()
        ([True, True, False], [True, False, False], [2.0, 0.0, 10.0, 8.0])
    """

    boxes_px: np.ndarray
    """float64 (n, 4)."""
    present: np.ndarray
    """bool (n,)."""
    observed: np.ndarray
    """bool (n,): whether somebody looked at that very frame."""


def fill_tube(tube: Tube, times_s: np.ndarray, *, most_gap_s: float) -> TubeFrames:
    """The boxes of `tube` at `times_s` (rising): straight lines between two boxes that are at most
    `most_gap_s` apart with no absence between them; nothing before the first, after the last."""
    n = len(times_s)
    if not len(tube):
        return TubeFrames(
            boxes_px=np.zeros((n, 4)), present=np.zeros(n, bool), observed=np.zeros(n, bool)
        )
    last = len(tube) - 1
    # The look before each time and the one after it.
    after = np.clip(np.searchsorted(tube.times_s, times_s, side="left"), 0, last)
    before = np.maximum(after - 1, 0)
    is_before_nearer = np.abs(tube.times_s[before] - times_s) < np.abs(
        tube.times_s[after] - times_s
    )
    nearest = np.where(is_before_nearer, before, after)
    is_look = np.abs(tube.times_s[nearest] - times_s) <= SAME_FRAME_S
    gap_s = tube.times_s[after] - tube.times_s[before]
    is_between = (tube.times_s[before] < times_s) & (times_s < tube.times_s[after])
    is_filled = (
        ~is_look & is_between & (gap_s <= most_gap_s) & tube.present[before] & tube.present[after]
    )
    passed = np.divide(times_s - tube.times_s[before], gap_s, out=np.zeros(n), where=gap_s > 0)[
        :, None
    ]
    filled_px = tube.boxes_px[before] * (1 - passed) + tube.boxes_px[after] * passed
    return TubeFrames(
        boxes_px=np.where(is_look[:, None], tube.boxes_px[nearest], filled_px),
        present=np.where(is_look, tube.present[nearest], is_filled),
        observed=is_look & tube.observed[nearest],
    )
