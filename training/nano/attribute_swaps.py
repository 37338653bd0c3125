"""Names whose words are all true of something in a frame, but of no one thing in it.

"Striped circle" beside a striped square and a plain circle: the shortcut of looking for each word
by itself says that it is there.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmreason.video.world.truth import Sighting, name_sighting


def find_attribute_swap(sightings: Sequence[Sighting], rng: random.Random) -> str | None:
    """A name of two words that fits no one thing; None where the frame has none."""
    pairs = [(a, b) for a in sightings for b in sightings if a is not b]
    rng.shuffle(pairs)
    for shaped, other in pairs:
        shape = shaped.actor.shape
        attributes = [("colour", other.colour), ("size", other.actor.size)]
        if other.actor.pattern != "plain":
            attributes.append(("pattern", other.actor.pattern))
        rng.shuffle(attributes)
        for attribute, value in attributes:
            # A third thing may be just that: then the name is no swap.
            if all(s.actor.shape != shape or not _has(s, attribute, value) for s in sightings):
                return f"{value} {shape}"
    return None


def name_thing(thing: Sighting, rng: random.Random) -> str:
    """A name of the thing, mostly of two words."""
    actor = thing.actor
    options = [f"{thing.colour} {actor.shape}", f"{actor.size} {actor.shape}"]
    if actor.pattern != "plain":
        options.append(f"{actor.pattern} {actor.shape}")
    return rng.choice(options) if rng.random() < 0.8 else name_sighting(thing)


def _has(sighting: Sighting, attribute: str, value: str) -> bool:
    if attribute == "colour":
        return value in sighting.colours
    return getattr(sighting.actor, attribute) == value
