"""Small videos of a made library, and what is known of them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from mmreason.memory.records import MemoryRecord
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.video import Video
from mmreason.video.types import Span

KNOWN = {
    "cook.mp4": [
        MemoryRecord("speech", Span(0, 1), "Now chop two onions", "speech recognition", "tiny"),
        MemoryRecord("speech", Span(1, 2), "and fry the onions in butter.", "speech", "tiny"),
        MemoryRecord("label", Span(0, 2), "frying pan, kitchenware", "labels", "b0", 0, 0.8),
        MemoryRecord("shot", Span(0, 2), "shot", "shots", "cuts"),
        MemoryRecord("shot", Span(2, 4), "shot", "shots", "cuts"),
    ],
    "review.mp4": [
        MemoryRecord("speech", Span(0, 2), "The budget is two million.", "speech", "tiny"),
        MemoryRecord("screen_text", Span(1, 3), "Budget 2027", "screen reading", "ocr"),
        MemoryRecord("event", Span(0, 4), "A woman points at a chart.", "frames", "eye"),
        MemoryRecord("speech", Span(3, 4), "Any questions?", "speech", "tiny"),
    ],
}
"""Of the third, `walk.mp4`, nothing is known."""


def make_video(path: Path, shade: int) -> Path:
    """Four seconds at 5 Hz in one shade."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            pixels = np.full((48, 64, 3), (shade + 4 * number) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def add_known(folder: Path, store: Store, known: dict[str, list[MemoryRecord]]) -> None:
    """Put records into the memories of the videos in a folder."""
    for name, records in known.items():
        with Video.open(folder / name) as video:
            VideoMemory.of_video(video, store).add(records)
