"""Small pictures of moments of videos, decoded when somebody looks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from mmreason.video import Video
from mmreason.video.sheet import cell_size_px, jpeg_bytes
from mmreason.video.types import VideoError

THUMBNAIL_PX = 240
"""Width; tall pictures are narrower."""
_QUALITY = 70
_DECODED_AT_ONCE = 16


@lru_cache(maxsize=256)
def read_thumbnail(path: Path, time_s: float, width_px: int = THUMBNAIL_PX) -> bytes:
    """JPEG of the frame that is shown at a time; empty where the file cannot be read (any more):
    a picture beside a result is not worth an error."""
    try:
        with Video.open(path) as video:
            return read_thumbnails(video, [time_s], width_px)[0]
    except (VideoError, OSError):
        return b""


def read_thumbnails(
    video: Video, times_s: Sequence[float], width_px: int = THUMBNAIL_PX
) -> list[bytes]:
    """JPEGs of the frames that are shown at ascending times, one each. VideoError."""
    size_px = cell_size_px(video.info.square_size_px, width_px)
    pictures: list[bytes] = []
    # A few at a time, so that the memory does not grow with the video.
    for first in range(0, len(times_s), _DECODED_AT_ONCE):
        batch = video.frames_at(times_s[first : first + _DECODED_AT_ONCE], size_px)
        pictures += [jpeg_bytes(pixels, _QUALITY) for pixels in batch.pixels]
    return pictures


def to_data_url(jpeg: bytes) -> str:
    """For `src` of an image in a page; empty for no picture.

    Example:
        >>> to_data_url(b"abc")
        'data:image/jpeg;base64,YWJj'
    """
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}" if jpeg else ""
