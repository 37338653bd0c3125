"""A policy that plays back given actions, for tests and replays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmreason.agent.protocol import Action, CaptionNeeds, Inquiry, Play


@dataclass(frozen=True)
class Scripted:
    """Make `actions` one after the other; what was sent for each is kept in `received`.

    Example:
        >>> from mmreason.agent.protocol import Stopped
        >>> from mmreason.types import StopReason
        >>> policy = Scripted([Stopped(StopReason.BUDGET_ROUNDS)])
        >>> policy.received
        []
    """

    actions: Sequence[Action]
    name: str = "scripted"
    received: list[Any] = field(default_factory=list)

    @property
    def caption_needs(self) -> CaptionNeeds:
        """See `Policy`."""
        return CaptionNeeds()

    def play(self, inquiry: Inquiry) -> Play:
        """See `Policy`."""
        for action in self.actions:
            self.received.append((yield action))
