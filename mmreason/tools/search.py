"""Finds words in timed notes: captions read so far, subtitles, answers. No index file, and no model
but an embedder where one is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmreason.language.text import extract_terms
from mmreason.memory.vector_index import Embed
from mmreason.types import Note, UsageError

MOST_FOUND = 8


def search_notes(
    text: str, notes: Sequence[Note], most: int = MOST_FOUND, *, embed: Embed | None = None
) -> tuple[Note, ...]:
    """The notes that hold most of the words of `text`, rare words counting more; best first, then
    by time. Notes without any of them are left out.

    With `embed`, those whose embeddings point most the way of the text's, by cosine; notes at a
    right angle or more are left out. Raises UsageError for embeddings of another shape.

    Example:
        >>> from mmreason.video.types import Span
        >>> notes = [Note(Span(0, 4), "a dog runs."), Note(Span(4, 8), "a red car.")]
        >>> [note.text for note in search_notes("the car", notes)]
        ['a red car.']
    """
    # A caption that was read twice is one hit.
    notes = list(dict.fromkeys(notes))
    scores = _by_words(text, notes) if embed is None else _by_meaning(text, notes, embed)
    scored = [pair for pair in zip(scores, notes, strict=True) if pair[0] > 0]
    scored.sort(key=lambda pair: (-pair[0], pair[1].span.start_s))
    return tuple(note for _, note in scored[:most])


def _by_words(text: str, notes: Sequence[Note]) -> list[float]:
    query_terms = set(extract_terms(text))
    matches = [query_terms & set(extract_terms(note.text)) for note in notes]
    # Rarity among these notes; the 1 keeps a word that all of them hold above 0.
    weights = {
        term: math.log(1 + len(notes) / max(1, sum(term in match for match in matches)))
        for term in query_terms
    }
    return [sum(weights[term] for term in match) for match in matches]


def _by_meaning(text: str, notes: Sequence[Note], embed: Embed) -> list[float]:
    if not notes:
        return []
    table = np.asarray(embed([text, *(note.text for note in notes)]), np.float64)
    if table.ndim != 2 or len(table) != len(notes) + 1:
        raise UsageError(
            f"embed must give an array of {len(notes) + 1} rows for as many texts, "
            f"got shape {table.shape}"
        )
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    # A vector of zeros, such as that of an empty text, points nowhere: its cosine is 0.
    unit = table / np.where(norms > 0, norms, 1.0)
    return (unit[1:] @ unit[0]).tolist()
