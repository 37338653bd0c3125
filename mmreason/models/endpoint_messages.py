"""Conversations as the JSON of an OpenAI-compatible chat server: text, images, clips.

Messages without frames are plain strings, which every chat template takes. Frames travel inside
the request, as data URLs. They are sent by `endpoint_http.py`.
"""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmreason.language.control_words import break_control_words
from mmreason.models.base import Conversation, FramesPart, Part, TextPart, time_label, times_line

if TYPE_CHECKING:
    from mmreason.video.types import FrameBatch

FramesAs = Literal["images", "video"]
ImageFormat = Literal["jpeg", "png"]

JPEG_QUALITY = 92
VIDEO_QUALITY = 12
"""Constant rate factor of H.264: 0 loses nothing, 18 is hard to tell from the original."""
CLOCK_HZ = 1000
"""Times of a clip are whole milliseconds."""


def as_messages(
    conversation: Conversation, frames_as: FramesAs, image_format: ImageFormat
) -> list[dict[str, Any]]:
    """The `messages` of a chat request.

    Each frame of a clip is an image behind its time, or the clip is one MP4 behind the times of
    its frames: servers count the time of a video from 0 and may take it from a mean frame rate.
    The server's tokenizer is not known: words that any family has for control are broken.
    """
    messages = []
    for message in conversation:
        content: str | list[dict[str, Any]]
        if all(isinstance(item, TextPart) for item in message.parts):
            text = "".join(item.text for item in message.parts if isinstance(item, TextPart))
            content = break_control_words(text)
        else:
            content = [
                piece for item in message.parts for piece in _pieces(item, frames_as, image_format)
            ]
        messages.append({"role": message.role, "content": content})
    return messages


def _pieces(item: Part, frames_as: FramesAs, image_format: ImageFormat) -> list[dict[str, Any]]:
    if isinstance(item, TextPart):
        return [_text(break_control_words(item.text))]
    if item.kind == "video" and frames_as == "video":
        url = _data_url("video/mp4", encode_mp4(item.frames))
        return [
            _text(times_line(item.frames.times_s)),
            {"type": "video_url", "video_url": {"url": url}},
        ]
    return _images(item, image_format)


def _images(item: FramesPart, image_format: ImageFormat) -> list[dict[str, Any]]:
    pieces = []
    for pixels, time_s in zip(item.frames.pixels, item.frames.times_s, strict=True):
        if item.kind == "video":
            pieces.append(_text(time_label(float(time_s))))
        url = _data_url(f"image/{image_format}", encode_image(pixels, image_format))
        pieces.append({"type": "image_url", "image_url": {"url": url}})
    return pieces


def encode_image(pixels: np.ndarray, image_format: ImageFormat) -> bytes:
    """A uint8 (H, W, 3) RGB frame as a PNG, which is exact, or a JPEG with whole colours."""
    from PIL import Image

    file = io.BytesIO()
    settings = {"quality": JPEG_QUALITY, "subsampling": 0} if image_format == "jpeg" else {}
    Image.fromarray(pixels).save(file, image_format, **settings)
    return file.getvalue()


def encode_mp4(frames: FrameBatch) -> bytes:
    """Frames of even sides as H.264 in MP4, with their distances in time; the first is at 0."""
    import av

    stamps = [round(float(t - frames.times_s[0]) * CLOCK_HZ) for t in frames.times_s]
    # Presentation stamps must rise; frames that share a time stand a millisecond apart.
    for i in range(1, len(stamps)):
        stamps[i] = max(stamps[i], stamps[i - 1] + 1)
    step = round(stamps[-1] / (len(stamps) - 1)) if len(stamps) > 1 else CLOCK_HZ
    clock = Fraction(1, CLOCK_HZ)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        # Without B-frames the first stamp stays 0.
        options = {"crf": str(VIDEO_QUALITY), "bf": "0", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=CLOCK_HZ, options=options)
        stream.height, stream.width = frames.pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = clock
        packets = []
        for pixels, stamp in zip(frames.pixels, stamps, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            picture.pts, picture.time_base = stamp, clock
            packets += stream.encode(picture)
        packets += stream.encode(None)
        packets[-1].duration = step
        for packet in packets:
            container.mux(packet)
    return file.getvalue()


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
