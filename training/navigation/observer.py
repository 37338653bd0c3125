"""Eyes without pixels: captions and answers read from a world's script, in nano's own words.

Frames that are shown are blank; only their times count. What is there is told, without noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.needle.observers import PERFECT, ScriptReader, span_of_frames
from mmreason.training.nano.examples import describe_still
from mmreason.video.types import FrameBatch, VideoInfo
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import World
from mmreason.video.world.truth import write_caption

SIZE_PX = (16, 9)
CLIP = ClipRecipe(frames=8, size_px=SIZE_PX, leaf_s=3.0, overview="stills")
"""How nano watches, at a size that costs nothing."""


class BlankVideo:
    """A world as a video whose clips are blank. Meets `mmreason.video.types.FrameSource`.

    Frames of other sizes, which scans compare, are drawn, each as the first that showed the same:
    things that only move change no colours.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pictures: dict[tuple[str, tuple[int, int]], np.ndarray] = {}
        self.content_hash = hashlib.sha256(world.to_json().encode()).hexdigest()
        self.info = VideoInfo(
            path=f"{world.name}.json",
            duration_s=world.duration_s,
            start_s=0.0,
            width_px=world.width_px,
            height_px=world.height_px,
            codec="unseen",
            mean_fps_hz=world.fps_hz,
            frame_count=world.frame_count,
            rotation_deg=0,
            has_audio=False,
            backend="unseen",
            size_bytes=0,
        )

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        """Frames at exactly these times."""
        size_px, count = size_px or SIZE_PX, len(times_s)
        # Blank frames cost nothing; the observer goes by their times.
        pixels = np.zeros((count, size_px[1], size_px[0], 3), np.uint8)
        if size_px != SIZE_PX:
            for i, time_s in enumerate(times_s):
                pixels[i] = self._picture(time_s, size_px)
        times = np.array(times_s, float)
        return FrameBatch(pixels=pixels, times_s=times, exact=np.ones(count, bool))

    def _picture(self, time_s: float, size_px: tuple[int, int]) -> np.ndarray:
        key = describe_still(self._world, time_s), size_px
        if key not in self._pictures:
            self._pictures[key] = draw_frame(self._world, time_s, size_px).pixels
        return self._pictures[key]


def make_observer(world: World) -> ScriptedModel:
    """A `ChatModel` that captions and answers as a faultless nano would."""
    witness = ScriptReader(world, PERFECT, CLIP.prompts.caption)

    def reply(text: str, frames: FrameBatch | None) -> str:
        if frames is None:
            raise ValueError("the observer is shown frames, but got text only")
        if text.strip() != CLIP.prompts.caption:
            return witness(text, frames).removesuffix(".")
        times_s = frames.times_s
        # A single frame shows no motion.
        if len(times_s) == 1:
            return describe_still(world, float(times_s[0]))
        span = span_of_frames(times_s)
        return write_caption(world, span, least_s=1.2 * span.duration_s / len(times_s))

    return ScriptedModel(reply, clip=CLIP, name=f"script of {world.name}")
