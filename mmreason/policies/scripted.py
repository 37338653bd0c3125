"""A policy that plays back given actions, for tests and replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmreason.agent.protocol import Action, Inquiry, Play


@dataclass(frozen=True)
class Scripted:
    """Make `actions` one after the other; what was sent for each is kept in `received`."""

    actions: Sequence[Action]
    name: str = "scripted"
    received: list[Any] = field(default_factory=list)

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        for action in self.actions:
            self.received.append((yield action))
