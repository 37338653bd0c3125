"""Questions about the whole of a long video, answered by counting lines of its overview.

Only where options say what to count: each line speaks for the options whose words it holds. Leaves
out everything that needs understanding, which is for a reasoning model.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.policies.base import Claim, Inquiry
from mmreason.types import Note
from mmreason.wording import terms


def overview_claim(inquiry: Inquiry, first: Sequence[Note], second: Sequence[Note]) -> Claim | None:
    """The option seen for the longest time in both of two overviews; None where they differ, where
    nothing is seen, or without options."""
    picked = [_longest(inquiry.options, notes) for notes in (first, second)]
    if picked[0] is None:
        return None
    text = inquiry.options[picked[0]]
    return Claim(text=text, choice=picked[0], checked=picked[0] == picked[1])


def _longest(options: tuple[str, ...], notes: Sequence[Note]) -> int | None:
    seen_s = [
        sum(note.span.duration_s for note in notes if _holds(note.text, option))
        for option in options
    ]
    longest = max(seen_s, default=0.0)
    return seen_s.index(longest) if longest > 0 and seen_s.count(longest) == 1 else None


def _holds(text: str, option: str) -> bool:
    asked = set(terms(option))
    return bool(asked) and asked <= set(terms(text))
