"""What a recogniser hears, in place of subtitles that are not there: for models that look."""

from __future__ import annotations

import time
from collections.abc import Generator

from mmreason.agent.senses_reader import SensesReader
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import perceive
from mmreason.tool_calls import Perceive
from mmreason.types import Cost, Observation, Step
from mmreason.video.speech.transcript import HEARD
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import FrameSource


def hear_speech(
    source: FrameSource, memory: VideoMemory, reader: SensesReader, limit_s: float | None
) -> Generator[Step, None, Subtitles | None]:
    """Have the recogniser hear what is not known yet, within `limit_s` seconds; returns all that
    was heard, None where nothing was or nobody can hear."""
    # Without sound there is nothing to load a recogniser for.
    if source.info.has_audio and not reader.load("speech").missing:
        started = time.perf_counter()
        for item in perceive(source, memory, reader.load("speech"), ("speech",), limit_s=limit_s):
            if item.is_new:
                seconds = time.perf_counter() - started
                observation = Observation(
                    text="" if item.error else f"{item.records:,} records by {item.part}",
                    span=item.span,
                    error=item.error or None,
                    cost=Cost(seconds=seconds),
                )
                call = Perceive(span=item.span, sense="speech")
                yield Step(
                    thought="there are no subtitles: hear what is said",
                    call=call,
                    observation=observation,
                )
            started = time.perf_counter()
    return read_heard(memory)


def read_heard(memory: VideoMemory) -> Subtitles | None:
    """What a recogniser heard, as lines; None where nothing is known.

    Example:
        >>> read_heard(VideoMemory()) is None
        True
    """
    records = [r for r in memory.select_leaves("speech") if r.source == HEARD]
    if not records:
        return None
    lines = sorted(Line(record.span, record.text) for record in records)
    model = records[0].model
    note = f"no subtitles: what {model or 'a recogniser'} heard, which mishears words"
    return Subtitles(lines=tuple(lines), path=HEARD, format=HEARD, notes=(note,))
