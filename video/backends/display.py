"""How a file wants its stored pictures shown: turned, mirrored, with pixels of what shape.

Imported lazily (it imports av at the top).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from math import atan2, degrees

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from mmreason.video.backends.base import MAX_PICTURE_PX

_EXIF_ORIENTATION = 0x0112
_EXIF_TURNS = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True)}
_EXIF_TURNS |= {5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}
"""Counter-clockwise quarter turns of an EXIF orientation, and whether it then mirrors."""
_EXIF_FORMATS = ("JPEG", "PNG", "WEBP")
_MAX_TILT_DEG = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What is done to a stored picture, in this order.

    Example:
        >>> Display(turns=1, mirrored=False, pixel_aspect=1.0).by_picture
        False
    """

    turns: int
    """Counter-clockwise quarter turns, 0..3."""
    mirrored: bool
    """Left and right change places."""
    pixel_aspect: float
    """Width over height of a pixel of the upright picture; 1 where the file does not tell."""
    by_picture: bool = False
    """Whether the pictures themselves say so (EXIF), which few readers look at."""
    notes: tuple[str, ...] = ()


def display_of(frame: av.VideoFrame, stream: VideoStream, packet: av.Packet | None) -> Display:
    """From the display matrix of a decoded frame and the sample aspect ratio of its stream.

    `packet` is the one that brought the frame out: the EXIF of a stored picture is read where PyAV
    cannot tell the matrix.
    """
    by_picture, notes = False, ()
    matrix = None if _has_colour_profile(stream, packet) else _matrix_turn(frame)
    if matrix is None:
        turns, mirrored = _exif_turns(b"" if packet is None else bytes(packet)) or (
            frame.rotation / 90,
            False,
        )
        by_picture, turn_deg = bool(turns or mirrored), 90.0 * turns
    else:
        turn_deg, mirrored = matrix
    # To the nearest quarter; what is left over is told where one could see it.
    turns = round(turn_deg / 90) % 4
    tilt_deg = turn_deg - 90 * round(turn_deg / 90)
    if abs(tilt_deg) > _MAX_TILT_DEG:
        notes = (
            f"is to be shown turned by {turn_deg % 360:.0f} degrees; only quarter turns are done",
        )
    # 0 says that the ratio is not known: pixels are square then, as players have it.
    ratio = float(stream.sample_aspect_ratio or 0) or 1.0
    # Pixels turn with the picture.
    aspect = 1 / ratio if turns % 2 else ratio
    return Display(
        turns=turns, mirrored=mirrored, pixel_aspect=aspect, by_picture=by_picture, notes=notes
    )


def _exif_turns(data: bytes) -> tuple[int, bool] | None:
    """What the EXIF of a JPEG, PNG or WebP picture asks for; None where there is none."""
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=_EXIF_FORMATS) as picture:
            if picture.width * picture.height > MAX_PICTURE_PX:
                return None  # a PNG is decoded before its EXIF is known
            return _EXIF_TURNS.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # no picture that Pillow reads, or damaged EXIF of whatever kind
        return None


def _has_colour_profile(stream: VideoStream, packet: av.Packet | None) -> bool:
    """Whether a PNG picture may bring a colour profile. FFmpeg names such a profile, and PyAV frees
    the name twice once the side data of the frame was looked at."""
    if stream.codec_context.codec.canonical_name not in ("png", "apng"):
        return False
    head = stream.codec_context.extradata or b""  # of an APNG; a plain PNG has all in its packet
    return packet is None or b"iCCP" in head or b"iCCP" in bytes(packet)


def _matrix_turn(frame: av.VideoFrame) -> tuple[float, bool] | None:
    """By how many degrees counter-clockwise the display matrix (a, b; c, d) of `frame` turns it,
    and whether it then mirrors, which a negative determinant tells; None where PyAV cannot tell."""
    try:
        data = frame.side_data.get(Type.DISPLAYMATRIX.name)
    except ValueError:  # side data of a kind that PyAV does not know hides all of it (PyAV #2392)
        return None
    if data is None:
        return 0.0, False
    a, b, _, c, d = (np.frombuffer(bytes(data), "<i4")[:5] / 2**16).tolist()
    mirrored = a * d - b * c < 0
    return degrees(-atan2(b, -a if mirrored else a)), mirrored
