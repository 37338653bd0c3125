"""What one look said: the answer, the times that show it, or that nothing tells it. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.language.refusals import says_absent
from mmreason.language.values import read_reply
from mmreason.tool_calls import LookAtSpans
from mmreason.types import Observation
from mmreason.video.types import Span

LEAST_WINDOW_S = 4.0
"""Evidence around one frame is at least this long."""
MOST_WINDOWS = 4

# On a line of its own or behind the answer; some models repeat the words "line 1" and "line 2".
_SEEN_AT = re.compile(r"[\W_]*(?:line\s*2\W*)?\bseen\s+at\W*:\W*(?P<times>.*)", re.IGNORECASE)
_LINE_1 = re.compile(r"^\W*line\s*1\W*:\s*", re.IGNORECASE)
_TIME = re.compile(r"(?<![\d.:])(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,6}(?:\.\d+)?)(?![\d:])")
_MOST_TIMES = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """An answer as one look gave it.

    Example:
        >>> options = ("a", "b")
        >>> look = LookAtSpans(spans=(Span(0, 60),), question="Which?", options=options, frames=4)
        >>> reading = read_look(look, Observation(text="B\\nseen at: 12.5", span=Span(0, 60)))
        >>> reading.choice, reading.seen_at_s, reading.answers
        (1, (12.5,), True)
    """

    call: LookAtSpans
    observation: Observation
    text: str
    choice: int | None
    """Index into the options."""
    seen_at_s: tuple[float, ...]
    """Times that the model names, of those that it was shown."""
    answers: bool
    """False where it declines, or says nothing that can be read."""
    told_at: tuple[Span, ...] = ()
    """Where the answer stands in the subtitles, if it was read there."""

    @property
    def windows(self) -> tuple[Span, ...]:
        """Where the answer is to be seen: around the times named, else all that was looked at."""
        if self.told_at:
            return self.told_at
        if not self.seen_at_s:
            return self.call.spans
        return frame_windows(self.seen_at_s, self.observation.frame_times_s, self.call.spans)

    def agrees_in_choice(self, other: Reading) -> bool | None:
        """Whether both pick the same option; None where one picks none."""
        if self.choice is None or other.choice is None:
            return None
        return self.choice == other.choice


def read_look(call: LookAtSpans, observation: Observation) -> Reading:
    """Read the reply to a look. A model that names no times, or names them in another form, is
    read all the same."""
    written = observation.text
    cited = _SEEN_AT.search(written)
    answer = _LINE_1.sub("", written if cited is None else written[: cited.start()]).strip()
    text, choice = read_reply(answer, call.options, call.question)
    is_answer = choice is not None
    if not call.options:
        is_answer = bool(text) and not says_absent(answer, call.question)
    times_s = () if cited is None else _read_times(cited["times"], call.spans)
    return Reading(call, observation, text, choice, times_s if is_answer else (), is_answer)


def frame_windows(
    times_s: Sequence[float], frames_s: Sequence[float], spans: Sequence[Span]
) -> tuple[Span, ...]:
    """Stretches around `times_s`, each half-way to the neighbours among the frames shown and inside
    the stretch that was looked at; those that touch are one; the first four.

    Example:
        >>> frame_windows((20.0,), (0.0, 10.0, 20.0, 30.0), (Span(0, 40),))
        (Span(start_s=15.0, end_s=25.0),)
    """
    windows: list[Span] = []
    for time_s in sorted(times_s):
        span = next((span for span in spans if span.start_s <= time_s <= span.end_s), None)
        if span is None:
            continue
        near = [t for t in frames_s if span.start_s <= t <= span.end_s]
        # The smallest step: a wider window would take in frames that were not named.
        gap_s = min((b - a for a, b in itertools.pairwise(near)), default=span.duration_s)
        half_s = max(gap_s, LEAST_WINDOW_S) / 2
        window = Span(max(0.0, time_s - half_s), time_s + half_s).clip(span)
        if windows and window.start_s <= windows[-1].end_s:
            window = Span(windows.pop().start_s, window.end_s)
        if window.duration_s > 0:
            windows.append(window)
    return tuple(windows[:MOST_WINDOWS]) or tuple(spans)


def _read_times(text: str, spans: Sequence[Span]) -> tuple[float, ...]:
    """Seconds or clock times, as far as they lie in what was shown."""
    times_s: list[float] = []
    for hours, minutes, seconds in _TIME.findall(text[:400])[:_MOST_TIMES]:
        time_s = int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
        # A second of tolerance: models round the times that they were shown.
        if any(span.start_s - 1 <= time_s <= span.end_s + 1 for span in spans):
            times_s.append(time_s)
    return tuple(dict.fromkeys(times_s))
