"""Finds words in timed notes: captions read so far, subtitles, answers. No model, no index file.

Leaves out where notes come from (`tools.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmreason.types import Note
from mmreason.wording import terms

MOST_FOUND = 8


def search_notes(text: str, notes: Sequence[Note], most: int = MOST_FOUND) -> tuple[Note, ...]:
    """The notes that hold most of the words of `text`, rare words counting more; best first, then
    by time. Notes without any of them are left out."""
    asked, notes = set(terms(text)), list(dict.fromkeys(notes))
    held = [asked & set(terms(note.text)) for note in notes]
    weights = {
        term: math.log(1 + len(notes) / max(1, sum(term in found for found in held)))
        for term in asked
    }
    scored = [
        (sum(weights[term] for term in found), note)
        for found, note in zip(held, notes, strict=True)
        if found
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].span.start_s))
    return tuple(note for _, note in scored[:most])
