"""The sense that reads screens: lines of text with their times and places, as records."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.memory.records import MOST_TEXT_CHARACTERS, MemoryRecord
from mmreason.memory.terms import fold_text
from mmreason.senses.parts import Findings, SenseName, SensePlan, open_as_video, plan_stretches
from mmreason.video.screen_text import ScreenReader, ScreenText, read_screen
from mmreason.video.types import FrameSource, Span

RECIPE = 1
SOURCE = "screen reading"


@dataclass(frozen=True, slots=True)
class ScreenSense:
    """Reads what stands on the screen with a reader.

    Example:
        >>> from mmreason.video.screen_text import ScriptedReader
        >>> ScreenSense(ScriptedReader([()])).name
        'screen'
    """

    reader: ScreenReader
    name: SenseName = "screen"

    def plan(self, video: FrameSource) -> SensePlan:
        """Stretches of some minutes. A line that stands across a bound is two records."""
        return SensePlan(
            part=self.reader.name, recipe=RECIPE, stretches=plan_stretches(video.info.span)
        )

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        """The lines of a stretch."""
        return make_screen_findings(read_screen(open_as_video(video), self.reader, span=span))


def make_screen_findings(text: ScreenText) -> Findings:
    """Records of the lines that were read; the same line at the same time counts as repeated, and
    is kept once."""
    records: list[MemoryRecord] = []
    ends_s: dict[str, float] = {}
    repeated = 0
    for line in text.lines:
        folded = fold_text(line.text)
        # Some slides say the same twice, and some readers read a line twice.
        if line.span.start_s < ends_s.get(folded, -1.0):
            repeated += 1
            continue
        ends_s[folded] = line.span.end_s
        records.append(
            MemoryRecord(
                "screen_text",
                line.span,
                line.text[:MOST_TEXT_CHARACTERS],
                SOURCE,
                text.model,
                confidence=float(line.confidence),
                box_px=line.box_px,
            )
        )
    return Findings(records=tuple(records), repeated=repeated, notes=text.notes)
