"""Rolling captions, as YouTube makes them: each row is shown again above the next one. Folding
leaves every row that was said once, over the time in which it was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmreason.video.subtitles.cues import Cue

_TOUCHING_US = 50_000
_MIN_CUES = 4
_HELD_US = 500_000
"""A row that is only held on the screen is held no longer than this: YouTube does for 10 ms."""


def is_rolling(cues: Sequence[Cue]) -> bool:
    """Whether at least half of the cues begin with the last row of the cue before, at once after
    it: too many for people who said a thing twice."""
    if len(cues) < _MIN_CUES:
        return False
    repeats = sum(_shared_rows(before, after) > 0 for before, after in pairwise(cues))
    return 2 * repeats >= len(cues) - 1


def fold_rolling(cues: Sequence[Cue]) -> tuple[list[Cue], int]:
    """The cues without the rows that repeat the end of the cue before, and how many rows that
    were. A long cue that brings nothing new is a row that was said again, and stays."""
    folded, repeats = [], 0
    before: Cue | None = None
    for cue in cues:
        shared = _shared_rows(before, cue) if before is not None else 0
        # Nothing new for long: the row was said again, not held on the screen.
        if shared == len(cue.rows) and cue.end_us - cue.start_us > _HELD_US:
            shared = 0
        repeats += shared
        if len(cue.rows) > shared:
            folded.append(Cue(cue.start_us, cue.end_us, cue.rows[shared:]))
        if cue.rows:
            before = cue
    return folded, repeats


def _shared_rows(before: Cue, after: Cue) -> int:
    """How many rows end `before` and begin `after`, which follows at once."""
    if abs(after.start_us - before.end_us) > _TOUCHING_US:
        return 0
    # The longest run of rows that one ends with and the other begins with.
    for count in range(min(len(before.rows), len(after.rows), 8), 0, -1):
        if before.rows[-count:] == after.rows[:count]:
            return count
    return 0
