"""The frames of a piece of evidence, and PNG files of them.

Files are replaced as a whole: one that was begun and not finished is never left.
"""

from __future__ import annotations

import re
from contextlib import closing, nullcontext
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mmreason.types import Evidence, UsageError
from mmreason.video.files import write_atomic
from mmreason.video.reader import Video

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np

    from mmreason.video.inputs import VideoInput
    from mmreason.video.types import FrameBatch

_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""What names of files cannot hold on every system; a video of bytes is called `<bytes>`."""
_DECODED_AT_ONCE = 8
"""Frames of full size that are held while files are written."""


def read_frames(evidence: Evidence, video: VideoInput | Video | None = None) -> FrameBatch:
    """The frames that `evidence` rests on, at full size; of evidence without frames (a line of
    subtitles) the one in the middle of its span.

    `video` is an open `Video`, which stays open, or a path; by default the file that was asked.
    Raises UsageError where that is no file here, VideoError where it cannot be read.
    """
    with _opened(evidence, video) as source:
        return source.frames_at(_times_s(evidence))


def save_frames(
    evidence: Evidence, folder: str | Path, video: VideoInput | Video | None = None
) -> list[Path]:
    """Write the frames of `read_frames` as PNG files to `folder`, which is made where it is
    missing; returns their paths in order of time, each once.

    A file is named by the video and the time at which its frame is shown, with leading zeros so
    that names sort by time: `talk_00012.340s.png`. A file of that name is replaced as a whole.

    Example:
        >>> save_frames(answer.evidence[0], "proof")  # doctest: +SKIP
        [PosixPath('proof/talk_00012.340s.png')]
    """
    folder = Path(folder).expanduser()
    # Before anything is decoded.
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder to save the frames in")
    times_s = _times_s(evidence)
    paths: dict[Path, None] = {}
    with _opened(evidence, video) as source:
        # A few frames at a time: evidence of a long scene in 4K would not fit into memory.
        stem = _NOT_IN_NAMES.sub("", Path(source.info.path).stem) or "video"
        for first in range(0, len(times_s), _DECODED_AT_ONCE):
            batch = source.frames_at(times_s[first : first + _DECODED_AT_ONCE])
            for pixels, time_s in zip(batch.pixels, batch.times_s, strict=True):
                name = f"{stem}_{float(time_s):09.3f}s.png"
                paths[write_atomic(folder / name, _png_bytes(pixels))] = None
    return list(paths)


def _times_s(evidence: Evidence) -> list[float]:
    # A line of subtitles was heard, not seen: one frame shows where.
    return sorted(evidence.frame_times_s) or [evidence.span.middle_s]


def _opened(evidence: Evidence, video: VideoInput | Video | None) -> AbstractContextManager[Video]:
    if isinstance(video, Video):
        return nullcontext(video)
    if video is not None:
        return closing(Video.open(video))
    # An answer may be read back elsewhere, where its video is not.
    if not evidence.video or not Path(evidence.video).is_file():
        raise UsageError(
            f"the video of this evidence, {evidence.video or 'unnamed'}, is no file here; pass it: "
            "evidence.frames(video), evidence.save(folder, video)"
        )
    return closing(Video.open(evidence.video))


def _png_bytes(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
