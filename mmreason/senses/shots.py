"""The sense of where shots, slides and screens begin, as records."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.memory.records import MemoryRecord
from mmreason.senses.parts import Findings, SenseName, SensePlan, open_as_video
from mmreason.video.content.shot_list import list_shots
from mmreason.video.types import FrameSource, Span, format_time

RECIPE = 1
PART = "auto"
SOURCE = "shots"


@dataclass(frozen=True, slots=True)
class ShotSense:
    """Finds cuts, dissolves, fades and new slides without a model.

    Example:
        >>> ShotSense().name
        'shots'
    """

    name: SenseName = "shots"

    def plan(self, video: FrameSource) -> SensePlan:
        """The whole video in one stretch: a bound of one would be taken for a cut."""
        return SensePlan(part=PART, recipe=RECIPE, stretches=(video.info.span,))

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        """One record a shot."""
        found = list_shots(open_as_video(video))
        records = tuple(
            MemoryRecord("shot", shot, f"shot {number}, from {format_time(shot.start_s)}", SOURCE)
            for number, shot in enumerate(found.spans, start=1)
        )
        return Findings(records=records)
