"""Names that people use for what a record tells of: speech, screen, labels, visual, any."""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.memory.records import CHANNELS, Channel
from mmreason.types import UsageError

SEARCHED: tuple[Channel, ...] = ("event", "entity", "screen_text", "speech", "label")
"""What a search of a library goes through; shots and stills hold no words of their own."""
CHANNEL_GROUPS: dict[str, tuple[Channel, ...]] = {
    "any": SEARCHED,
    "speech": ("speech",),
    "screen": ("screen_text",),
    "labels": ("label",),
    "visual": ("event", "entity"),
}
CHANNEL_WORDS: dict[Channel, str] = {
    "event": "event",
    "entity": "entity",
    "screen_text": "screen",
    "speech": "speech",
    "label": "label",
    "shot": "shot",
    "still": "still",
}
"""How a channel is called where people read it."""


def read_channel_names(names: Sequence[str]) -> tuple[Channel, ...]:
    """The channels of these names, each once, in the order of `CHANNELS`; without names those of
    "any". A name is a group or a channel itself. UsageError for a name that is neither.

    Example:
        >>> read_channel_names(["screen", "visual"])
        ('event', 'entity', 'screen_text')
    """
    channels: set[Channel] = set()
    for name in names or ("any",):
        if name in CHANNEL_GROUPS:
            channels |= set(CHANNEL_GROUPS[name])
        elif name in SEARCHED:
            channels |= {channel for channel in SEARCHED if channel == name}
        else:
            known = ", ".join(dict.fromkeys([*CHANNEL_GROUPS, *SEARCHED]))
            raise UsageError(f"channels are {known}; got {str(name)[:100]}")
    return tuple(channel for channel in CHANNELS if channel in channels)
