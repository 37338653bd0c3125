"""What a supervised start is taught: prompts and the words that should follow.

Leaves out who demonstrates (`sums.py`, `routes.py`, `search.py`) and teaching (`start.py`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A text of words and which of them to learn."""

    turns: tuple[str, ...]
    """Read, written, read, written, ...; the end token follows each written turn."""
