"""Clips of scripted worlds as video files give them: encoded by several encoders, in several sizes
and qualities, in slightly different light, and decoded again.

They say how often the guard takes a world for something else.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmreason.models.base import ClipRecipe
from mmreason.video import plan
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate
from mmreason.video.world.script import World

SIZES_PX = ((640, 360), (320, 180), (160, 90), (854, 480), (320, 240), (144, 80), (240, 426))
ENCODERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"crf": "18", "preset": "veryfast"}),
    ("libx264", {"crf": "23", "preset": "veryfast"}),
    ("libx264", {"crf": "28", "preset": "veryfast"}),
    ("libx264", {"crf": "36", "preset": "veryfast"}),
    ("libx264", {"crf": "42", "preset": "veryfast"}),
    ("mpeg4", {"qscale": "8"}),
    ("libvpx-vp9", {"crf": "40", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
)
FPS_HZ = 8
DIMMED_SHARE = 0.3
"""Share of clips in another light than their own, `LIGHTS` of it."""
LIGHTS = (0.85, 1.1)


def coded_clips(count: int, clip: ClipRecipe, seed: str = "held-out") -> Iterator[FrameBatch]:
    """`count` clips as a model with this recipe would watch them, each of a world of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            # One generator a clip: clip 7 is the same whether 8 or 800 are asked for.
            rng = random.Random(f"coded/{seed}/{index}")
            yield _coded(rng, clip, Path(folder) / "world.mkv")


def _coded(rng: random.Random, clip: ClipRecipe, path: Path) -> FrameBatch:
    from mmreason.video.reader import Video

    world = _world(rng, rng.choice(SIZES_PX))
    # The guard measures light, so light is what may set it off by mistake.
    light = rng.uniform(*LIGHTS) if rng.random() < DIMMED_SHARE else 1.0
    _encode(world, light, path, *rng.choice(ENCODERS))
    with Video.open(path) as video:
        size_px = clip.frame_size_px(*world.size_px)
        return video.frames_at(plan.uniform(world.span, clip.frames).times_s, size_px)


def _world(rng: random.Random, size_px: tuple[int, int]) -> World:
    scenes, start_s = [], 0.0
    # Mostly one scene, as most clips of a video; sometimes a cut.
    for _ in range(rng.choice((1, 1, 1, 2))):
        actors = rng.choice((0, 1, 1, 2, 2, 3, 3, 4, 5))
        length_s = rng.uniform(2, 4)
        scenes.append(generate.scene(rng, start_s, length_s, actors=actors, text_share=0.3))
        start_s = scenes[-1].end_s
    return World(scenes=tuple(scenes), width_px=size_px[0], height_px=size_px[1], fps_hz=FPS_HZ)


def _encode(world: World, light: float, path: Path, encoder: str, options: dict[str, str]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=FPS_HZ, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = world.size_px
        stream.pix_fmt = "yuv420p"
        # What is measured must not depend on how many cores there are.
        stream.codec_context.thread_count = 1
        for index in range(world.frame_count):
            levels = world.frame(index / FPS_HZ) * np.float32(light)
            pixels = levels.clip(0, 255).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
