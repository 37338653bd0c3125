"""Windows: stretches of speech put one behind the other for a recogniser, and its times put back.

A recogniser takes as long for a word as for half a minute, so that short stretches share a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.speech.activity import RATE_HZ, Stretch
from mmreason.video.speech.transcript import Segment, Word
from mmreason.video.types import Span

_PAUSE_S = 3.0
"""Longer than a pause inside a stretch, with the room on its sides."""
_HEARD_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """What is recognised at once: one stretch or more, in order."""

    stretches: tuple[Stretch, ...]

    @property
    def span(self) -> Span:
        return Span(self.stretches[0].span.start_s, self.stretches[-1].span.end_s)

    @property
    def key(self) -> str:
        """Names the stretches, to a thousandth of a second."""
        spans = (stretch.span for stretch in self.stretches)
        return ",".join(f"{span.start_s:.3f}-{span.end_s:.3f}" for span in spans)

    def join(self) -> AudioSamples:
        """The sound, with what is between the stretches left out."""
        samples = np.concatenate([stretch.samples for stretch in self.stretches])
        return AudioSamples(samples=samples, rate_hz=RATE_HZ, start_s=self.span.start_s)

    def place(self, segments: Iterable[Segment]) -> tuple[Segment, ...]:
        """Segments as recognised in `join()`, on the clock of the video. Words are taken by the
        stretch that their middle counts in; a segment is parted where its words are."""
        placed: list[Segment] = []
        for segment in segments:
            if not segment.words:
                stretch, shift_s = self._stretch_at(segment.span.middle_s)
                span = _shifted(segment.span, shift_s).clip(stretch.span)
                if stretch.counted.contains(span.middle_s) or len(self.stretches) == 1:
                    placed.append(replace(segment, span=span))
                continue
            groups: dict[int, list[Word]] = {}
            for word in segment.words:
                stretch, shift_s = self._stretch_at(word.span.middle_s)
                span = _shifted(word.span, shift_s).clip(stretch.span)
                # Of two stretches that overlap each counts the words of its own side.
                if stretch.counted.start_s <= span.middle_s <= stretch.counted.end_s:
                    words = groups.setdefault(self.stretches.index(stretch), [])
                    words.append(replace(word, span=span))
            is_whole = len(groups) == 1 and sum(map(len, groups.values())) == len(segment.words)
            for words in groups.values():
                text = segment.text if is_whole else " ".join(word.text for word in words)
                end_s = max(word.span.end_s for word in words)
                span = Span(words[0].span.start_s, max(words[0].span.start_s, end_s))
                placed.append(replace(segment, span=span, text=text, words=tuple(words)))
        return tuple(placed)

    def activity_over(self, span: Span) -> float:
        """The detector's mean score over `span` of the video."""
        stretch = max(self.stretches, key=lambda s: s.span.overlap_s(span))
        return stretch.score_over(span)

    def list_unheard(self, segments: Sequence[Segment]) -> list[Span]:
        """Where the detector hears speech for a while and no segment says anything: whole
        stretches, and parts of them that are longer than a pause."""
        unheard: list[Span] = []
        for stretch in self.stretches:
            spans = sorted(s.span for s in segments if s.span.overlap_s(stretch.span) > 0)
            if not spans:
                unheard.append(stretch.span)
                continue
            ends_s = [stretch.span.start_s, *(span.end_s for span in spans)]
            starts_s = [*(span.start_s for span in spans), stretch.span.end_s]
            for end_s, start_s in zip(ends_s, starts_s, strict=True):
                if start_s - end_s > _PAUSE_S:
                    gap = Span(end_s, start_s)
                    unheard += [gap] if stretch.score_over(gap) >= _HEARD_SCORE else []
        return unheard

    def _stretch_at(self, time_s: float) -> tuple[Stretch, float]:
        """The stretch at a time of `join()`, and what is to be added to that time."""
        start_s = self.span.start_s
        for stretch in self.stretches:
            if time_s < start_s + stretch.duration_s:
                return stretch, stretch.start_s - start_s
            start_s += stretch.duration_s
        last = self.stretches[-1]
        return last, last.start_s - (start_s - last.duration_s)


def pack_windows(stretches: Iterable[Stretch], most_s: float, *, joins: bool) -> Iterator[Window]:
    """Windows of `most_s` seconds of sound at most, in order; without `joins` one a stretch."""
    waiting: list[Stretch] = []
    for stretch in stretches:
        total_s = sum(s.duration_s for s in waiting) + stretch.duration_s
        # Stretches that overlap would say the same words twice in one window.
        overlaps = bool(waiting) and stretch.span.start_s < waiting[-1].span.end_s - 1e-6
        if waiting and (total_s > most_s or overlaps or not joins):
            yield Window(tuple(waiting))
            waiting = []
        waiting.append(stretch)
    if waiting:
        yield Window(tuple(waiting))


def _shifted(span: Span, shift_s: float) -> Span:
    return Span(span.start_s + shift_s, span.end_s + shift_s)
