"""Eyes without pixels: captions and answers read from a world's script, in nano's own words.

Frames are blank; only their times count. Leaves out noise: what is there is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from mmreason.evaluation.needle.observers import PERFECT, Witness, covered
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.training.nano.examples import still_caption
from mmreason.video.types import FrameBatch, VideoInfo
from mmreason.video.world.script import World
from mmreason.video.world.truth import caption

CLIP = ClipRecipe(frames=8, size_px=(16, 9), leaf_s=3.0, overview="stills")
"""How nano watches, at a size that costs nothing."""


class Unseen:
    """A world as a video whose frames are blank. Meets `mmreason.calls.Watchable`."""

    def __init__(self, world: World) -> None:
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
        """Blank frames at exactly these times."""
        width, height = size_px or CLIP.size_px or (16, 9)
        count = len(times_s)
        return FrameBatch(
            pixels=np.zeros((count, height, width, 3), np.uint8),
            times_s=np.array(times_s, float),
            exact=np.ones(count, bool),
        )


def observer(world: World) -> ScriptedModel:
    """A `ChatModel` that captions and answers as a faultless nano would."""
    witness = Witness(world, PERFECT, CLIP.prompts.caption)

    def reply(text: str, frames: FrameBatch | None) -> str:
        if frames is None:
            raise ValueError("the observer is shown frames, but got text only")
        if text.strip() != CLIP.prompts.caption:
            return witness(text, frames).removesuffix(".")
        times_s = frames.times_s
        if len(times_s) == 1:
            return still_caption(world, float(times_s[0]))
        span = covered(times_s)
        return caption(world, span, least_s=1.2 * span.duration_s / len(times_s))

    return ScriptedModel(reply, clip=CLIP, name=f"script of {world.name}")
