"""How a file wants its stored pictures shown: turned, mirrored, with pixels of what shape.

Imported lazily (it imports av at the top). Leaves out doing so, which is for each back end.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What is done to a stored picture, in this order."""

    turns: int
    """Counter-clockwise quarter turns, 0..3."""
    mirrored: bool
    """Left and right change places."""
    pixel_aspect: float
    """Width over height of a pixel of the upright picture; 1 where the file does not tell."""


def display_of(frame: av.VideoFrame, stream: VideoStream) -> Display:
    """From the display matrix of a decoded frame and the sample aspect ratio of its stream."""
    across, down, mirrored = _turned(frame)
    turns = round(degrees(-atan2(down, across)) / 90) % 4
    ratio = float(stream.sample_aspect_ratio or 0) or 1.0
    aspect = 1 / ratio if turns % 2 else ratio
    return Display(turns=turns, mirrored=mirrored, pixel_aspect=aspect)


def _turned(frame: av.VideoFrame) -> tuple[float, float, bool]:
    """Where the matrix (a, b; c, d) turns the direction to the right, as (to the right, downwards),
    and whether it then mirrors, which a negative determinant tells."""
    data = frame.side_data.get(Type.DISPLAYMATRIX.name)
    if data is None:
        return 1.0, 0.0, False
    a, b, _, c, d = (np.frombuffer(bytes(data), "<i4")[:5] / 2**16).tolist()
    mirrored = a * d - b * c < 0
    return (-a if mirrored else a), b, mirrored
