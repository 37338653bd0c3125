"""A policy that plays back given wishes, for tests and replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmreason.agent.protocol import Inquiry, Play, Wish


@dataclass(frozen=True)
class Scripted:
    """Make `wishes` one after the other; what was sent for each is kept in `received`."""

    wishes: Sequence[Wish]
    name: str = "scripted"
    received: list[Any] = field(default_factory=list)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        for wish in self.wishes:
            self.received.append((yield wish))
