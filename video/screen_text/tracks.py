"""Lines of single pictures joined to lines that last: appears, stays, disappears. Pure.

One `LineTracker` takes the readings in order of time. A line that is still in the picture is the
same one although a letter was read otherwise or it moved by some pixels; the surest reading wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmreason.video.screen_text.matching import (
    is_similar_text,
    overlap_share,
    simplify_text,
)
from mmreason.video.screen_text.types import BoxPx, ReadLine, ScreenLine
from mmreason.video.types import Span

_SAME_PLACE = 0.5
_GROWS_S = 4.0
"""A line that is typed letter by letter is one line as long as its beginning was this short."""
_FOLD_GAP_S = 2.0
"""A line that is back this soon had never gone."""
_LEAST_LETTERS_MOVED = 4
_LEAST_SPAN_S = 0.04
"""Of a line whose ends fall on the same frame."""


@dataclass(kw_only=True)
class _Track:
    """A line that was in the picture at the last reading."""

    start_s: float
    bracket_s: tuple[float, float]
    """Between which times it appeared."""
    first: tuple[float, BoxPx]
    last: tuple[float, BoxPx]
    """Time and place of the first and the last reading."""
    sureness: dict[str, float] = field(default_factory=dict)
    """Sum of the confidences of every text that was read."""
    best: dict[str, ReadLine] = field(default_factory=dict)
    readings: int = 0

    @property
    def text(self) -> str:
        return max(self.sureness, key=self.sureness.__getitem__)

    def add(self, line: ReadLine, time_s: float) -> None:
        self.sureness[line.text] = self.sureness.get(line.text, 0.0) + line.confidence
        if line.text not in self.best or line.confidence > self.best[line.text].confidence:
            self.best[line.text] = line
        self.last = (time_s, line.box_px)
        self.readings += 1

    @property
    def moved_px(self) -> tuple[float, float]:
        (x1, y1, _, _), (x2, y2, _, _) = self.first[1], self.last[1]
        return x2 - x1, y2 - y1

    @property
    def is_moving(self) -> bool:
        box = self.first[1]
        return max(map(abs, self.moved_px)) > (box[3] - box[1]) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The lines of one picture, and what is known of the time since the reading before.

    Example:
        >>> Reading(time_s=12.0, bracket_s=(10.0, 11.0), lines=()).lines
        ()
    """

    time_s: float
    bracket_s: tuple[float, float]
    """When whatever is new or gone changed: after the first, at the second at the latest."""
    lines: tuple[ReadLine, ...]
    stays_same: Callable[[BoxPx], bool] = lambda box_px: False
    """Whether the picture in a box is what it was at the reading before."""
    is_moving: Callable[[BoxPx], bool] = lambda box_px: False
    """Whether the picture in a box moves all the time, so that it says nothing."""
    find_start: Callable[[BoxPx], float | None] = lambda box_px: None
    """When within the bracket the picture in a box became the new one; None where it did not."""
    find_end: Callable[[BoxPx], float | None] = lambda box_px: None
    """When within the bracket the picture in a box was first another; None where it never was."""


class LineTracker:
    """Joins readings to lines.

    Example:
        >>> tracker = LineTracker((160, 90))
        >>> line = ReadLine(text="Agenda", box_px=(4, 4, 60, 20), confidence=0.9)
        >>> tracker.add(Reading(time_s=1.0, bracket_s=(0.0, 1.0), lines=(line,)))
        >>> tracker.add(Reading(time_s=5.0, bracket_s=(4.0, 5.0), lines=()))
        >>> [str(line.span) for line in tracker.finish(end_s=9.0)]
        ['0:01.00-0:05.00']
    """

    def __init__(self, size_px: tuple[int, int]) -> None:
        """`size_px`: (width, height) of the picture, which moving lines leave at its sides."""
        self._size_px = size_px
        self._tracks: list[_Track] = []
        self._lines: list[ScreenLine] = []
        self._last_edge_s: float | None = None
        """When what the reading before saw had come, at the latest."""

    @property
    def open_boxes_px(self) -> tuple[BoxPx, ...]:
        """Where the lines of the last reading are."""
        return tuple(track.last[1] for track in self._tracks)

    def add(self, reading: Reading) -> None:
        """Take the next reading."""
        same_picture = {id(track): reading.stays_same(track.last[1]) for track in self._tracks}
        pairs = self._match(reading, same_picture)
        matched = {id(track) for track, _ in pairs}
        # 1. Lines that go on; a line that was typed further takes its new text.
        for track, line in pairs:
            if _grew(track.text, line.text):
                track.sureness.clear()
                track.best.clear()
            track.add(line, reading.time_s)
        # 2. A line that was not read, though nothing changed there, is still in the picture.
        stays = [t for t in self._tracks if id(t) in matched or same_picture[id(t)]]
        for track in self._tracks:
            if track not in stays:
                self._close(track, reading)
        # 3. New lines. One whose place did not change was there at the reading before already.
        fresh = [line for line in reading.lines if all(line is not known for _, known in pairs)]
        self._tracks = stays
        for line in fresh:
            self._tracks.append(self._open(line, reading))
        self._last_edge_s = reading.bracket_s[1]

    def finish(self, end_s: float) -> tuple[ScreenLine, ...]:
        """All lines, those still in the picture until `end_s`, in order of their starts."""
        for track in self._tracks:
            self._lines.append(_to_line(track, track.start_s, end_s))
        self._tracks = []
        return fold_repeats(self._lines)

    def _match(
        self, reading: Reading, same_picture: dict[int, bool]
    ) -> list[tuple[_Track, ReadLine]]:
        """Which track each line goes on, the surest pairs first."""
        candidates: list[tuple[float, int, int]] = []
        for i, track in enumerate(self._tracks):
            for k, line in enumerate(reading.lines):
                score = self._score(track, line, reading, same_picture[id(track)])
                if score > 0:
                    candidates.append((score, i, k))
        pairs: list[tuple[_Track, ReadLine]] = []
        used_tracks: set[int] = set()
        used_lines: set[int] = set()
        for _, i, k in sorted(candidates, reverse=True):
            if i not in used_tracks and k not in used_lines:
                used_tracks.add(i)
                used_lines.add(k)
                pairs.append((self._tracks[i], reading.lines[k]))
        return pairs

    def _score(self, track: _Track, line: ReadLine, reading: Reading, same_picture: bool) -> float:
        """How well `line` goes on `track`; 0 for not at all."""
        overlap = overlap_share(track.last[1], line.box_px)
        is_equal = any(simplify_text(text) == simplify_text(line.text) for text in track.sureness)
        if overlap >= _SAME_PLACE:
            if same_picture:
                return 3 + overlap + is_equal
            if is_equal:
                return 2 + overlap
            # Where the picture moves anyway, a letter may be read otherwise; where it stands still
            # and changed, another letter is another text.
            if reading.is_moving(line.box_px) and is_similar_text(track.text, line.text):
                return 1 + overlap
            short_s = reading.time_s - track.start_s
            return 1.0 if _grew(track.text, line.text) and short_s <= _GROWS_S else 0.0
        # Elsewhere: a page that was scrolled, credits.
        if is_equal and len(simplify_text(line.text)) >= _LEAST_LETTERS_MOVED:
            apart = sum(abs(a - b) for a, b in zip(track.last[1][:2], line.box_px[:2], strict=True))
            return 0.9 / (1 + apart / sum(self._size_px))
        return 0.0

    def _open(self, line: ReadLine, reading: Reading) -> _Track:
        edge_s = reading.find_start(line.box_px)
        if edge_s is None and self._last_edge_s is not None and reading.stays_same(line.box_px):
            edge_s = self._last_edge_s
        start_s = reading.bracket_s[1] if edge_s is None else edge_s
        track = _Track(
            start_s=start_s,
            bracket_s=(reading.bracket_s[0], reading.time_s),
            first=(reading.time_s, line.box_px),
            last=(reading.time_s, line.box_px),
        )
        track.add(line, reading.time_s)
        return track

    def _close(self, track: _Track, reading: Reading) -> None:
        edge_s = reading.find_end(track.last[1])
        end_s = reading.bracket_s[1] if edge_s is None else edge_s
        start_s = track.start_s
        if track.is_moving and track.last[0] > track.first[0]:
            start_s, end_s = self._edges_of_moving(track, reading.time_s)
        self._lines.append(_to_line(track, start_s, max(end_s, track.last[0])))

    def _edges_of_moving(self, track: _Track, most_s: float) -> tuple[float, float]:
        """When a line that moves evenly came into the picture and left it."""
        (first_s, first), (last_s, last) = track.first, track.last
        moved = track.moved_px
        axis = 0 if abs(moved[0]) > abs(moved[1]) else 1
        px_a_s = moved[axis] / (last_s - first_s)
        side_px = self._size_px[axis]
        # Towards lower numbers it comes from the far side and leaves at 0; else the other way.
        before_px = side_px - first[axis + 2] if px_a_s < 0 else first[axis]
        after_px = last[axis] if px_a_s < 0 else side_px - last[axis + 2]
        start_s = max(track.bracket_s[0], first_s - before_px / abs(px_a_s))
        return start_s, min(most_s, last_s + after_px / abs(px_a_s))


def fold_repeats(lines: Sequence[ScreenLine]) -> tuple[ScreenLine, ...]:
    """`lines` in order of their starts, those that are back at their place after a moment joined.

    Example:
        >>> box = (4, 4, 60, 20)
        >>> spans = Span(0, 4), Span(5, 9)
        >>> lines = [ScreenLine(span=s, text="Agenda", box_px=box, confidence=0.9) for s in spans]
        >>> [str(line.span) for line in fold_repeats(lines)]
        ['0:00.00-0:09.00']
    """
    folded: list[ScreenLine] = []
    for line in sorted(lines, key=lambda line: (line.span.start_s, line.box_px[1], line.box_px[0])):
        for i in range(len(folded) - 1, max(-1, len(folded) - 60), -1):
            if _is_back(folded[i], line):
                surest = max(folded[i], line, key=lambda known: known.confidence)
                end_s = max(folded[i].span.end_s, line.span.end_s)
                folded[i] = ScreenLine(
                    span=Span(folded[i].span.start_s, end_s),
                    text=surest.text,
                    box_px=surest.box_px,
                    confidence=surest.confidence,
                    readings=folded[i].readings + line.readings,
                    is_moving=folded[i].is_moving or line.is_moving,
                )
                break
        else:
            folded.append(line)
    return tuple(folded)


def _is_back(earlier: ScreenLine, later: ScreenLine) -> bool:
    return (
        later.span.start_s - earlier.span.end_s <= _FOLD_GAP_S
        and simplify_text(earlier.text) == simplify_text(later.text)
        and overlap_share(earlier.box_px, later.box_px) >= _SAME_PLACE
    )


def _grew(before: str, after: str) -> bool:
    """Whether `after` is `before` with more typed to its end."""
    before, after = simplify_text(before), simplify_text(after)
    return len(after) > len(before) and after.startswith(before)


def _to_line(track: _Track, start_s: float, end_s: float) -> ScreenLine:
    best = track.best[track.text]
    return ScreenLine(
        span=Span(start_s, max(end_s, start_s + _LEAST_SPAN_S)),
        text=best.text,
        box_px=best.box_px,
        confidence=best.confidence,
        readings=track.readings,
        is_moving=track.is_moving,
    )
