"""What a worker reads of one file: its header, its first frame, or small pictures of its frames.

Runs in a process of its own, which a bad file may end. Problems of the file are values, so that
they are kept; only what ends or holds up the process is an error.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.engines import Job
from mmreason.training.data.doctor.findings import FindingKind
from mmreason.training.data.sample import MediaKind
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line
from mmreason.video.reader import Video
from mmreason.video.types import VideoError

THUMBNAIL_PX = 16
"""Side of the small grey pictures by which files are compared."""
SPREAD = (0.1, 0.37, 0.63, 0.9)
"""Where in a video such pictures are taken, of its length."""
_READ_PX = 64
"""Side at which frames are decoded for them: the mean over blocks of it keeps what is small."""
_FLAT_LEVELS = 2.0
"""A picture whose grey levels spread less says nothing of what it is of."""
_MOST_REASON_LETTERS = 300
_AUDIO_ENDINGS = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".opus")


def read_media_file(job: Job) -> dict[str, Any]:
    """The fields of `MediaFacts` of one file, as JSON."""
    path, settings = job.address, job.settings
    facts: dict[str, Any] = {"path": path}
    expected = MediaKind(settings["kind"])
    try:
        if expected is MediaKind.IMAGE:
            facts |= _read_image(path, frames=settings["frames"])
        elif expected is MediaKind.AUDIO:
            facts |= _read_audio(path)
        else:
            facts |= _read_video(path, frames=settings["frames"])
    except (VideoError, UsageError, OSError) as error:
        facts |= _explain(path, expected, str(error))
    return facts


def read_thumbnails(job: Job) -> list[str]:
    """Small grey pictures from all over one file, each as hex digits: one of an image, several of a
    video; none for a file that cannot be read."""
    path = job.address
    try:
        if job.settings["kind"] == "image":
            return [_picture_of_image(path).tobytes().hex()]
        with Video.open(path, workers=1) as video:
            span = video.info.span
            times_s = [span.start_s + fraction * span.duration_s for fraction in SPREAD]
            pixels = video.frames_at(times_s, (_READ_PX, _READ_PX)).pixels
        return [_shrink(frame).tobytes().hex() for frame in pixels]
    except (VideoError, UsageError, OSError):
        return []


def _read_video(path: str, *, frames: bool) -> dict[str, Any]:
    with Video.open(path, workers=1) as video:
        info = video.info
        facts: dict[str, Any] = {
            "kind": "video",
            "duration_s": info.duration_s,
            "start_s": info.start_s,
            "fps_hz": info.mean_fps_hz,
            "width_px": info.width_px,
            "height_px": info.height_px,
            "rotation_deg": info.rotation_deg,
            "codec": info.codec,
        }
        if frames:
            first = video.frames_at([info.start_s], (_READ_PX, _READ_PX)).pixels[0]
            facts["frame_hash"] = _hash_picture(_shrink(first))
    return facts


def _read_image(path: str, *, frames: bool) -> dict[str, Any]:
    from PIL import Image

    from mmreason.tools.ground import IMAGE_FORMATS, frame_of_image
    from mmreason.video.backends.base import MAX_PICTURE_PX, MAX_SIDE_PX

    if frames:
        # Whole pictures: a header may be right and what follows cut short.
        height_px, width_px, _ = frame_of_image(path).pixels.shape
        codec, frame_hash = "", _hash_picture(_picture_of_image(path))
    else:
        codec, frame_hash = "", ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path, formats=IMAGE_FORMATS) as picture:
                    width_px, height_px = picture.size
                    codec = str(picture.format or "").lower()
                    # Cameras store pictures lying down.
                    if picture.getexif().get(0x0112) in (5, 6, 7, 8):
                        width_px, height_px = height_px, width_px
        except (ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UsageError(f"{path}: {show_line(str(error))}") from error
        if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_PICTURE_PX:
            raise UsageError(f"{path}: {width_px:,} x {height_px:,} pixels are too many")
    return {
        "kind": "image",
        "width_px": width_px,
        "height_px": height_px,
        "codec": codec,
        "frame_hash": frame_hash,
    }


def _read_audio(path: str) -> dict[str, Any]:
    from mmreason.video.audio import list_audio_tracks

    tracks = list_audio_tracks(Path(path))
    if not tracks:
        raise UsageError(f"{path}: holds no sound")
    return {"kind": "audio", "duration_s": tracks[0].duration_s}


def _explain(path: str, expected: MediaKind, reason: str) -> dict[str, Any]:
    """A problem, told by what the file is instead where another reader takes it."""
    short = show_line(reason.removeprefix(f"{path}: "))[:_MOST_REASON_LETTERS]
    if expected is MediaKind.IMAGE:
        try:
            facts = _read_video(path, frames=False)
        except (VideoError, OSError):
            return {"problem": FindingKind.UNREADABLE.value, "reason": short}
        reason = "is shown as an image, and is a video"
        return facts | {"problem": FindingKind.WRONG_MEDIUM.value, "reason": reason}
    if expected is MediaKind.VIDEO:
        try:
            facts = _read_audio(path)
        except (VideoError, UsageError, OSError):
            return {"problem": FindingKind.UNREADABLE.value, "reason": short}
        reason = "holds sound and no pictures"
        return facts | {"problem": FindingKind.NO_PICTURES.value, "reason": reason}
    return {"problem": FindingKind.UNREADABLE.value, "reason": short}


def _picture_of_image(path: str) -> np.ndarray:
    from PIL import Image

    from mmreason.tools.ground import frame_of_image

    pixels = frame_of_image(path).pixels
    small = Image.fromarray(pixels).resize((_READ_PX, _READ_PX), Image.Resampling.BOX)
    return _shrink(np.asarray(small))


def _shrink(frame: np.ndarray) -> np.ndarray:
    """A frame of `_READ_PX` a side as grey levels, uint8 (16, 16)."""
    grey = frame.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    block = _READ_PX // THUMBNAIL_PX
    blocks = grey.reshape(THUMBNAIL_PX, block, THUMBNAIL_PX, block).mean(axis=(1, 3))
    return blocks.round().astype(np.uint8)


def _hash_picture(grey: np.ndarray) -> str:
    """64 bits: whether each of 8 x 8 areas is lighter than the one beside it (a difference hash).
    Empty for a flat picture, which is like every other flat one."""
    if grey.std() < _FLAT_LEVELS:
        return ""
    rows = grey.astype(np.float32).reshape(8, 2, THUMBNAIL_PX).mean(axis=1)
    # Nine columns of the sixteen, evenly: eight neighbouring pairs.
    columns = rows[:, np.linspace(0, THUMBNAIL_PX - 1, 9).round().astype(int)]
    bits = np.packbits(columns[:, 1:] > columns[:, :-1])
    return bits.tobytes().hex()
