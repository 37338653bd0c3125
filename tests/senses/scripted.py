"""A video without pictures and senses without libraries, for tests of what stands around them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mmreason.memory.records import MemoryRecord
from mmreason.memory.sense_ledger import SENSE_CHANNELS
from mmreason.senses import Findings, SenseName, SensePlan
from mmreason.video.types import FrameBatch, FrameSource, Span, VideoInfo


@dataclass(frozen=True)
class BlankVideo:
    """A grey picture for as long as it takes."""

    duration_s: float = 90.0
    content_hash: str = "blank"
    path: str = "blank.mp4"

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(
            path=self.path,
            duration_s=self.duration_s,
            start_s=0.0,
            width_px=64,
            height_px=36,
            codec="none",
            mean_fps_hz=1.0,
            frame_count=None,
            rotation_deg=0,
            has_audio=True,
            backend="scripted",
            size_bytes=0,
        )

    def frames_at(self, times_s, size_px=None) -> FrameBatch:
        width, height = size_px or (64, 36)
        return FrameBatch(
            pixels=np.full((len(times_s), height, width, 3), 128, np.uint8),
            times_s=np.asarray(times_s, np.float64),
            exact=np.ones(len(times_s), bool),
        )


@dataclass
class ScriptedSense:
    """Finds one record a stretch of 30 s: the sense's name and when."""

    name: SenseName = "speech"
    part: str = "scripted"
    recipe: int = 1
    fails_at_s: tuple[float, ...] = ()
    finds: list[Span] = field(default_factory=list)
    """Stretches that it was asked for."""

    def plan(self, video: FrameSource) -> SensePlan:
        end_s = video.info.span.end_s
        starts_s = np.arange(0.0, end_s, 30.0).tolist()
        stretches = tuple(Span(s, min(s + 30.0, end_s)) for s in starts_s)
        return SensePlan(part=self.part, recipe=self.recipe, stretches=stretches)

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        self.finds.append(span)
        if span.start_s in self.fails_at_s:
            raise ValueError(f"nothing to be had at {span.start_s:g} s")
        text = f"{self.name} from {span.start_s:g}"
        record = MemoryRecord(
            SENSE_CHANNELS[self.name], span, text, "scripted", self.part, confidence=0.5
        )
        return Findings(records=(record,), repeated=1)
