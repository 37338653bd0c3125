"""From boxes a frame to tubes in seconds, for files whose clock counts frames."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import BadRow, FormError
from mmreason.grounding.masks import Mask
from mmreason.grounding.tubes import Tube

_OFF_FRAME = 0.05
"""Frames that a time may be beside one, for rounding."""


def build_tube(
    boxes: Mapping[int, Box],
    frames: Sequence[int],
    fps_hz: float,
    *,
    id: str,
    label: str = "",
    masks: Mapping[int, Mask] | None = None,
    filled_in: Collection[int] = (),
) -> Tube:
    """A tube over `frames` (from 0 on, rising), absent where `boxes` has none; a frame's time is
    its number over the declared rate. Boxes of the frames `filled_in` were not looked at.

    Example:
        >>> build_tube({5: Box(0, 0, 8, 8)}, [5, 6], 10.0, id="1").present.tolist()
        [True, False]
    """
    if not boxes:
        raise BadRow(f"the target {id!r} has no box in frames {frames[0]} to {frames[-1]}")
    times_s = [frame / fps_hz for frame in frames]
    tube = Tube.from_boxes(
        times_s,
        [boxes.get(frame) for frame in frames],
        observed=[frame not in filled_in for frame in frames],
        id=id,
        label=label,
    )
    if masks is None:
        return tube
    return Tube(
        times_s=tube.times_s,
        boxes_px=tube.boxes_px,
        present=tube.present,
        observed=tube.observed,
        id=id,
        label=label,
        masks=tuple(masks.get(frame) for frame in frames),
    )


def frames_of(tube: Tube, fps_hz: float) -> list[int]:
    """Numbers of the frames (from 0 on) that a tube's times are. Raises FormError where a time is
    none of the rate.

    Example:
        >>> frames_of(Tube.from_boxes([0.0, 0.2], [None, None]), 5.0)
        [0, 1]
    """
    frames = []
    for time_s in tube.times_s:
        frame = round(float(time_s) * fps_hz)
        if abs(float(time_s) * fps_hz - frame) > _OFF_FRAME or frame < 0:
            raise FormError(
                f"{float(time_s):g} s of tube {tube.id!r} is no frame at {fps_hz:g} a second; "
                "give the rate of the tube"
            )
        frames.append(frame)
    if len(set(frames)) != len(frames):
        raise FormError(f"two times of tube {tube.id!r} are one frame at {fps_hz:g} a second")
    return frames
