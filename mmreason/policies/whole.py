"""Questions about the whole of a long video, answered from the times in its overview.

Only where options say what to look for, and the question which of them: seen first, last, longest
or shortest. Leaves out everything that needs understanding, which is for a reasoning model.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.policies.base import Claim
from mmreason.types import Note
from mmreason.wording import Place, terms


def overview_claim(
    options: Sequence[str], place: Place, first: Sequence[Note], second: Sequence[Note]
) -> Claim | None:
    """The option at this `place` in two overviews of different frames taken together, checked where
    each by itself says so too, unchecked where they differ; None where nothing is seen or two
    options share the place."""
    both = _picked(options, place, [*first, *second])
    if both is None:
        return None
    alone = [_picked(options, place, notes) for notes in (first, second)]
    return Claim(text=options[both], choice=both, checked=True if alone == [both, both] else None)


def is_told(options: Sequence[str], notes: Sequence[Note]) -> bool:
    """Whether some line tells of one of the options."""
    return any(_holds(note.text, option) for note in notes for option in options)


def _picked(options: Sequence[str], place: Place, notes: Sequence[Note]) -> int | None:
    ranks: dict[int, float] = {}
    for index, option in enumerate(options):
        spans = [note.span for note in notes if _holds(note.text, option)]
        if spans and place in ("first", "last"):
            starts_s = [span.start_s for span in spans]
            ranks[index] = -min(starts_s) if place == "first" else max(starts_s)
        elif spans:
            seen_s = sum(span.duration_s for span in spans)
            ranks[index] = seen_s if place == "longest" else -seen_s
    best = max(ranks.values(), default=0.0)
    found = [index for index, rank in ranks.items() if rank == best]
    return found[0] if len(found) == 1 else None


def _holds(text: str, option: str) -> bool:
    asked = set(terms(option))
    return bool(asked) and asked <= set(terms(text))
