"""Fakes shared by the reasoner's tests: a video whose content is a list of timed facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.video.types import FrameBatch, Span, VideoError, VideoInfo


@dataclass
class FakeVideo:
    """Shows frame k at k / fps_hz; the red channel tells the scene by its number."""

    scenes: tuple[tuple[float, str], ...]
    """(end in seconds, what is seen) in order."""
    fps_hz: float = 10.0
    broken: Span | None = None
    """Reading here raises VideoError."""
    content_hash: str = "fake"
    reads: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(
            path="fake.mp4",
            duration_s=self.scenes[-1][0],
            start_s=0.0,
            width_px=320,
            height_px=180,
            codec="none",
            mean_fps_hz=self.fps_hz,
            frame_count=None,
            rotation_deg=0,
            has_audio=False,
            backend="fake",
            size_bytes=0,
        )

    def frames_at(
        self, times_s: Sequence[float], size_px: tuple[int, int] | None = None
    ) -> FrameBatch:
        self.reads.append(tuple(times_s))
        if self.broken and any(self.broken.contains(t) for t in times_s):
            raise VideoError("fake.mp4: packet is damaged")
        width, height = size_px or (320, 180)
        shown = np.floor(np.asarray(times_s, np.float64) * self.fps_hz + 1e-9) / self.fps_hz
        pixels = np.zeros((len(shown), height, width, 3), np.uint8)
        for i, time_s in enumerate(shown):
            pixels[i, ..., 0] = self.scene_at(float(time_s))
        return FrameBatch(pixels=pixels, times_s=shown, exact=np.ones(len(shown), np.bool_))

    def scene_at(self, time_s: float) -> int:
        ends = [end_s for end_s, _ in self.scenes]
        return next((i for i, end_s in enumerate(ends) if time_s < end_s), len(ends) - 1)

    def seen_in(self, batch: FrameBatch) -> list[str]:
        """What is seen in a batch, in order, without repeats."""
        numbers = batch.pixels[:, 0, 0, 0].tolist()
        return list(dict.fromkeys(self.scenes[n][1] for n in numbers))


@pytest.fixture
def fake_video() -> Callable[..., FakeVideo]:
    """`fake_video((10, "a red star moves left."), ...)`; keywords as in `FakeVideo`."""

    def make(*scenes: tuple[float, str], **settings) -> FakeVideo:
        return FakeVideo(scenes=scenes, **settings)

    return make


@pytest.fixture
def watcher() -> Callable[..., ScriptedModel]:
    """A model that captions what is shown and answers by a function of (question, things seen)."""

    def make(video: FakeVideo, answer: Callable[[str, list[str]], str], **settings):
        def script(text: str, batch: FrameBatch | None) -> str:
            assert batch is not None
            seen = video.seen_in(batch)
            return " ".join(seen) if text == "Describe the clip." else answer(text, seen)

        clip = settings.pop("clip", ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0))
        return ScriptedModel(script, clip=clip, **settings)

    return make
