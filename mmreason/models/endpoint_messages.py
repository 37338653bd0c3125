"""Conversations as the JSON of an OpenAI-compatible chat server: text, images, clips.

Messages without frames are plain strings, which every chat template takes. Frames travel inside
the request, as data URLs. They are sent by `endpoint_http.py`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.language.control_words import break_control_words
from mmreason.models.base import (
    Conversation,
    FramesPart,
    Message,
    Part,
    TextPart,
    time_label,
    times_line,
)
from mmreason.models.options import FramesAs, ImageFormat
from mmreason.models.written_calls import write_calls

if TYPE_CHECKING:
    from mmreason.video.types import FrameBatch

IMAGE_QUALITY = 92
"""Of JPEG and WebP, 1 to 100."""
VIDEO_QUALITY = 12
"""Constant rate factor of H.264: 0 loses nothing, 18 is hard to tell from the original."""
CLOCK_HZ = 1000
"""Times of a clip are whole milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStyle:
    """How conversations are written for one server.

    Example:
        >>> WireStyle(frames_as="images", image_format="png").calls_as_text
        False
    """

    frames_as: FramesAs = "images"
    """Each frame of a clip is an image behind its time, or the clip is one MP4 behind the times of
    its frames: servers count the time of a video from 0 and may take it from a mean frame rate."""
    image_format: ImageFormat = "jpeg"
    image_quality: int = IMAGE_QUALITY
    calls_as_text: bool = False
    """Tool calls and what came of them are text, for servers without fields for them."""


def as_messages(conversation: Conversation, style: WireStyle) -> list[dict[str, Any]]:
    """The `messages` of a chat request.

    The server's tokenizer is not known: words that any family has for control are broken.
    """
    messages: list[dict[str, Any]] = []
    # Tools answer in text alone: frames that they give follow as the user's, once all have spoken.
    shown: list[Part] = []
    for message in conversation:
        if shown and message.role != "tool":
            messages.append({"role": "user", "content": _content(shown, style)})
            shown = []
        if message.role == "tool":
            messages.append(_tool_message(message, style))
            shown += [part for part in message.parts if isinstance(part, FramesPart)]
        elif message.calls:
            messages.append(_calling_message(message, style))
        else:
            messages.append({"role": message.role, "content": _content(message.parts, style)})
    if shown:
        messages.append({"role": "user", "content": _content(shown, style)})
    return messages


def _tool_message(message: Message, style: WireStyle) -> dict[str, Any]:
    text = _plain_text(message.parts)
    if style.calls_as_text:
        return {"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"}
    return {"role": "tool", "tool_call_id": message.call_id, "content": text}


def _calling_message(message: Message, style: WireStyle) -> dict[str, Any]:
    text = _plain_text(message.parts)
    if style.calls_as_text:
        written = break_control_words(write_calls(message.calls))
        return {"role": message.role, "content": f"{text}\n{written}".strip()}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": break_control_words(call.arguments),
            },
        }
        for call in message.calls
    ]
    # Null is what a server writes itself beside calls; some refuse an empty text here.
    return {"role": message.role, "content": text or None, "tool_calls": calls}


def _content(parts: Sequence[Part], style: WireStyle) -> str | list[dict[str, Any]]:
    # A plain text where there are no frames, since any server takes that.
    if all(isinstance(item, TextPart) for item in parts):
        return _plain_text(parts)
    return [piece for item in parts for piece in _pieces(item, style)]


def _plain_text(parts: Sequence[Part]) -> str:
    text = "".join(item.text for item in parts if isinstance(item, TextPart))
    return break_control_words(text)


def _pieces(item: Part, style: WireStyle) -> list[dict[str, Any]]:
    if isinstance(item, TextPart):
        return [_text(break_control_words(item.text))]
    if item.kind == "video" and style.frames_as == "video":
        url = _data_url("video/mp4", encode_mp4(item.frames))
        return [
            _text(times_line(item.frames.times_s)),
            {"type": "video_url", "video_url": {"url": url}},
        ]
    return _images(item, style)


def _images(item: FramesPart, style: WireStyle) -> list[dict[str, Any]]:
    pieces = []
    for pixels, time_s in zip(item.frames.pixels, item.frames.times_s, strict=True):
        if item.kind == "video":
            pieces.append(_text(time_label(float(time_s))))
        content = encode_image(pixels, style.image_format, style.image_quality)
        url = _data_url(f"image/{style.image_format}", content)
        pieces.append({"type": "image_url", "image_url": {"url": url}})
    return pieces


def encode_image(
    pixels: np.ndarray, image_format: ImageFormat, quality: int = IMAGE_QUALITY
) -> bytes:
    """A uint8 (H, W, 3) RGB frame as a PNG, which is exact, a JPEG of whole colours, or a WebP."""
    from PIL import Image

    settings: dict[str, Any] = {"quality": quality}
    # Colours at half the size would smear thin coloured lines.
    if image_format == "jpeg":
        settings["subsampling"] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format, **({} if image_format == "png" else settings))
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
        # The last frame has no next one that could end it.
        packets[-1].duration = step
        for packet in packets:
            container.mux(packet)
    return file.getvalue()


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
