"""When to look: all of a short stretch, else the parts of it that may show what is meant.

The parts come from the memory of the video, which `ask` searches too; where it knows nothing, from
one look at frames that are spread over the whole stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.agent.grounding.task import GroundTask
from mmreason.grounding.spans import merge_spans
from mmreason.memory.records import MemoryQuery
from mmreason.memory.video_memory import VideoMemory
from mmreason.tools.calls import FAILURES, first_line
from mmreason.tools.ground_chat import ChatDetector, ask_survey
from mmreason.tools.ground_meter import BudgetSpent
from mmreason.video.types import FrameSource, Span

MemoryOf = Callable[[FrameSource], VideoMemory]
"""Opens what is known of a video. Only long ones are asked for."""
WINDOW_FRAMES = 200
"""A stretch of no more frames is taken whole, and no part of a longer one has more."""
MOST_WHOLE_FRAMES = 1_000
"""A span that the caller named is taken whole up to so many."""
MOST_PARTS = 3
SURVEY_FRAMES = 16
LEAST_PART_S = 8.0
"""What is known of a moment is looked at no shorter than this."""
HITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """Which parts of a stretch are looked at.

    Example:
        >>> Shortlist(whole=Span(0, 60), parts=(Span(10, 20),), method="memory").left_out
        (Span(start_s=0.0, end_s=10.0), Span(start_s=20.0, end_s=60.0))
    """

    whole: Span
    parts: tuple[Span, ...]
    """In order of time, apart from each other; empty where nothing is worth a look."""
    method: str
    """"whole", "memory", "survey"."""

    @property
    def left_out(self) -> tuple[Span, ...]:
        """What of the stretch is not looked at."""
        edges_s = [float(self.whole.start_s)]
        for stretch in self.parts:
            edges_s += [float(stretch.start_s), float(stretch.end_s)]
        edges_s.append(float(self.whole.end_s))
        pairs = zip(edges_s[::2], edges_s[1::2], strict=True)
        return tuple(Span(start_s, end_s) for start_s, end_s in pairs if end_s > start_s)

    def times_s(self, fps_hz: float) -> np.ndarray:
        """float64 (n,), rising: frames to look at, `fps_hz` a second in each part.

        Example:
            >>> Shortlist(whole=Span(0, 9), parts=(Span(0, 1),), method="whole").times_s(2).tolist()
            [0.0, 0.5]
        """
        times = [
            stretch.start_s
            + np.arange(max(1, int(np.ceil(stretch.duration_s * fps_hz - 1e-6)))) / fps_hz
            for stretch in self.parts
        ]
        return np.concatenate(times) if times else np.zeros(0)


def shortlist_parts(task: GroundTask, memory_of: MemoryOf, whole: Span, fps_hz: float) -> Shortlist:
    """The parts to look at, told in the trace of the task and in its settings."""
    most = MOST_WHOLE_FRAMES if task.request.span is not None else WINDOW_FRAMES
    if whole.duration_s * fps_hz <= most:
        shortlist = Shortlist(whole=whole, parts=(whole,), method="whole")
    else:
        longest_s = WINDOW_FRAMES / fps_hz
        moments, method = _ask_memory(task, memory_of, whole), "memory"
        if not moments:
            moments, method = _survey(task, whole), "survey"
        parts = _join_moments(moments, whole, longest_s)
        shortlist = Shortlist(whole=whole, parts=parts, method=method)
    looked = [span.to_list() for span in shortlist.parts]
    left_out = [span.to_list() for span in shortlist.left_out]
    task.settings |= {"when": shortlist.method, "looked_at_s": looked, "not_looked_at_s": left_out}
    task.log("when", method=shortlist.method, looked_at_s=looked, not_looked_at_s=left_out)
    if left_out:
        left_s = sum(span.duration_s for span in shortlist.left_out)
        task.tell("skipped", f"{left_s:.0f} of {whole.duration_s:.0f} s were not looked at closely")
    return shortlist


def _ask_memory(task: GroundTask, memory_of: MemoryOf, whole: Span) -> list[Span]:
    """What is known to show it, best first."""
    query = MemoryQuery(task.request.expression, span=whole, limit=HITS)
    hits = memory_of(task.source).search(query).hits
    task.log(
        "search",
        hits=[{"id": hit.record.id, "span_s": hit.record.span.to_list()} for hit in hits],
    )
    return [hit.record.span for hit in hits]


def _survey(task: GroundTask, whole: Span) -> list[Span]:
    """Moments at which the model could imagine it, from frames spread over the stretch."""
    count = SURVEY_FRAMES if task.meter.frames_left is None else task.meter.frames_left // 2
    count = max(1, min(SURVEY_FRAMES, count))
    step_s = whole.duration_s / count
    times_s = [whole.start_s + (i + 0.5) * step_s for i in range(count)]
    try:
        frames = task.read_small(times_s)
        if task.can_judge:
            indices = ask_survey(task.judge, frames, task.request.expression, task.prompts)
        else:
            rows = ChatDetector(task.model).detect(frames, task.phrase)
            indices = tuple(i for i, row in enumerate(rows) if row)
    except BudgetSpent as error:
        task.tell("budget", f"the video was not surveyed: {error}")
        indices = ()
    except FAILURES as error:
        task.tell("failed", f"the survey of the video failed: {first_line(error)}")
        indices = ()
    task.log("survey", times_s=[round(t, 3) for t in times_s], may_show=list(indices))
    return [Span(times_s[i], times_s[i]) for i in indices]


def _join_moments(moments: Sequence[Span], whole: Span, longest_s: float) -> tuple[Span, ...]:
    """Up to `MOST_PARTS` stretches around the first moments, no longer than `longest_s` each and
    apart from each other, in order of time."""
    length_s = min(longest_s, whole.duration_s)
    parts: list[Span] = []
    for moment in moments:
        if any(
            stretch.overlap_s(moment) > 0 or stretch.contains(moment.middle_s) for stretch in parts
        ):
            continue
        half_s = min(max(moment.duration_s, LEAST_PART_S, length_s / 2), length_s) / 2
        middle_s = moment.middle_s
        stretch = Span(middle_s - half_s, middle_s + half_s).clip(whole)
        overlapping = [p for p in parts if p.overlap_s(stretch) > 0]
        for other in overlapping:
            # Each frame belongs to one part.
            stretch = (
                Span(other.end_s, max(other.end_s, stretch.end_s))
                if other.start_s <= stretch.start_s
                else Span(stretch.start_s, max(stretch.start_s, min(stretch.end_s, other.start_s)))
            )
        if stretch.duration_s > 0:
            parts.append(stretch)
        if len(parts) == MOST_PARTS:
            break
    return merge_spans(parts)
