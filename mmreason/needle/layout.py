"""The lie of a needle world: chapters with a word, sections with a resident, scenes.

Films have places; so has this: a chapter (a tenth to a fifth of the video) shows its own word all
the time, a section (one to two minutes of it) has its own background and one resident actor, a
scene (8 to 20 s) has the resident at its own place with its own motion. Chapters and scenes do not
know the tree. Leaves out what is planted (`planting.py`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from mmreason.needle.words import NEEDLE_MOTIONS, Figure
from mmreason.video.types import Span
from mmreason.video.world.generate import TEXT_FLOOR, WORDS
from mmreason.video.world.script import (
    RADIUS,
    Actor,
    Background,
    Motion,
    MotionKind,
    Scene,
)

SECTION_S = 90.0
SCENE_S = 14.0
MARGIN = 1.15
"""The longest chapter is this much longer than any other, the shortest as much shorter."""
EDGE_S = 1.0
"""Nothing planted begins or ends closer than this to the border of a chapter or section."""
ASPECT = 16 / 9
_MOTION_SCENE_S = 5.0
"""Scenes that show a motion that is asked for are no longer, so that it can be told from a clip."""
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Chapter:
    word: str
    span: Span


@dataclass(frozen=True, slots=True)
class Section:
    chapter: int
    span: Span
    background: Background


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenEvent:
    """A second actor that is there for exactly `span`."""

    id: str
    figure: Figure
    motion: MotionKind
    span: Span
    chapter: int
    asks_motion: bool = False


def chapters(rng: random.Random, duration_s: float) -> tuple[Chapter, ...]:
    """Six to nine chapters, each a tenth to a fifth of the video, no two with the same word."""
    count = rng.randint(6, 9)
    while True:
        shares = [rng.uniform(0.1, 0.2) for _ in range(count)]
        shares = [share / sum(shares) for share in shares]
        ranked = sorted(shares)
        clear = ranked[-1] >= MARGIN * ranked[-2] and ranked[1] >= MARGIN * ranked[0]
        if clear and ranked[0] >= 0.1 - 0.015 and ranked[-1] <= 0.2 + 0.015:
            break
    ends_s = [round(duration_s * share, 3) for share in itertools.accumulate(shares)]
    bounds_s = [0.0, *ends_s[:-1], duration_s]
    words = rng.sample(WORDS, count)
    return tuple(
        Chapter(word, Span(a, b))
        for word, (a, b) in zip(words, itertools.pairwise(bounds_s), strict=True)
    )


def sections(
    rng: random.Random, parts: Sequence[Chapter], plants: Sequence[HiddenEvent]
) -> tuple[Section, ...]:
    """Sections of about 90 s; where one would begin beside the edge of a plant, it is left out."""
    edges_s = sorted(edge for p in plants for edge in (p.span.start_s, p.span.end_s))
    found = []
    for index, chapter in enumerate(parts):
        cuts_s = [
            cut_s
            for cut_s in _uneven(rng, chapter.span, SECTION_S)
            if all(abs(cut_s - edge_s) >= EDGE_S for edge_s in edges_s)
        ]
        bounds_s = [chapter.span.start_s, *cuts_s, chapter.span.end_s]
        last: Background | None = None
        for start_s, end_s in itertools.pairwise(bounds_s):
            others: list[Background] = [b for b in get_args(Background) if b != last]
            last = background = rng.choice(others)
            found.append(Section(index, Span(start_s, end_s), background))
    return tuple(found)


def scenes(
    rng: random.Random,
    parts: Sequence[Chapter],
    places: Sequence[Section],
    residents: Sequence[Figure],
    plants: Sequence[HiddenEvent],
) -> tuple[Scene, ...]:
    """All scenes of the world: cut anew wherever a plant comes or goes."""
    found = []
    waiting = sorted(plants, key=lambda p: p.span.start_s)
    for number, (place, resident) in enumerate(zip(places, residents, strict=True)):
        here = [p for p in waiting if p.span.overlap_s(place.span) > 0]
        for span in _cut(rng, place.span, here):
            plant = next((p for p in here if p.span.overlap_s(span) > 0), None)
            found.append(
                Scene(
                    start_s=span.start_s,
                    end_s=span.end_s,
                    background=place.background,
                    text=parts[place.chapter].word,
                    actors=_placed(rng, f"resident{number}", resident, plant),
                )
            )
    return tuple(found)


def _uneven(rng: random.Random, span: Span, length_s: float) -> list[float]:
    """Inner borders that cut `span` into pieces of about `length_s`, a quarter up or down."""
    count = max(1, round(span.duration_s / length_s))
    sizes = [rng.uniform(0.8, 1.2) for _ in range(count)]
    steps = itertools.accumulate(sizes[:-1])
    return [round(span.start_s + span.duration_s * s / sum(sizes), 3) for s in steps]


def _cut(rng: random.Random, span: Span, plants: Sequence[HiddenEvent]) -> list[Span]:
    """Scenes of a section: edges of plants are kept to the millisecond, others stay 2 s away."""
    hard_s = {span.start_s, span.end_s}
    for plant in plants:
        hard_s |= {t for t in (plant.span.start_s, plant.span.end_s) if span.contains(t)}
    bounds_s = set(hard_s)
    for cut_s in _uneven(rng, span, SCENE_S):
        if all(abs(cut_s - edge_s) >= 2.0 for edge_s in hard_s):
            bounds_s.add(cut_s)
    for plant in plants:
        if plant.asks_motion:
            inside = plant.span.clip(span)
            bounds_s = {b for b in bounds_s if not inside.start_s < b < inside.end_s}
            count = max(1, round(inside.duration_s / _MOTION_SCENE_S))
            step_s = inside.duration_s / count
            bounds_s |= {round(inside.start_s + i * step_s, 3) for i in range(1, count)}
    return [Span(a, b) for a, b in itertools.pairwise(sorted(bounds_s))]


def _placed(
    rng: random.Random, resident_id: str, resident: Figure, plant: HiddenEvent | None
) -> tuple[Actor, ...]:
    """The resident and the plant, clear of each other, of the edges and of the word."""
    for attempt in range(_TRIES):
        calm = attempt >= _TRIES // 2
        first = _actor(rng, resident_id, resident, "still" if calm else rng.choice(NEEDLE_MOTIONS))
        if plant is None:
            return (first[0],)
        second = _actor(rng, plant.id, plant.figure, plant.motion)
        if _apart(first[1], second[1]):
            return (first[0], second[0])
    # A corner is always free: movers take at most two thirds of the width.
    assert plant is not None
    second = _actor(rng, plant.id, plant.figure, plant.motion)
    for side in (RADIUS[resident.size], ASPECT - RADIUS[resident.size]):
        first = _still(resident_id, resident, side, RADIUS[resident.size] * 1.02)
        if _apart(first[1], second[1]):
            return (first[0], second[0])
    second = _actor(rng, plant.id, plant.figure, plant.motion, right=True)
    return (_still(resident_id, resident, RADIUS[resident.size], 0.3)[0], second[0])


_Path = tuple[float, float, float, float]
"""Left, right, top and bottom of all an actor covers during its scene, in frame heights."""


def _actor(
    rng: random.Random, actor_id: str, figure: Figure, kind: MotionKind, *, right: bool = False
) -> tuple[Actor, _Path]:
    """An actor at a random place where its whole path is in the picture and above the word."""
    radius = RADIUS[figure.size]
    height = TEXT_FLOOR - 2 * radius
    travel = round(rng.uniform(0.5, 0.7), 3)
    if kind in ("up", "down"):
        travel = round(min(height, rng.uniform(0.35, 0.48)) - 0.002, 3)
    reach = {
        "left": (-travel, 0.0, 0.0, 0.0),
        "right": (0.0, travel, 0.0, 0.0),
        "up": (0.0, 0.0, -travel, 0.0),
        "down": (0.0, 0.0, 0.0, travel),
        "circle": (-0.16, 0.16, -0.16, 0.16),
        "bounce": (0.0, 0.0, -0.3, 0.0),
    }.get(kind, (0.0, 0.0, 0.0, 0.0))
    lowest, highest = radius - reach[0], ASPECT - radius - reach[1]
    x = highest if right else rng.uniform(lowest, highest)
    y = rng.uniform(radius - reach[2], TEXT_FLOOR - radius - reach[3])
    path = (
        x + reach[0] - radius,
        x + reach[1] + radius,
        y + reach[2] - radius,
        y + reach[3] + radius,
    )
    motion = Motion(kind=kind, travel=travel)
    return _made(actor_id, figure, x, y, motion), path


def _still(actor_id: str, figure: Figure, x: float, y: float) -> tuple[Actor, _Path]:
    radius = RADIUS[figure.size]
    path = (x - radius, x + radius, y - radius, y + radius)
    return _made(actor_id, figure, x, y, Motion()), path


def _made(actor_id: str, figure: Figure, x: float, y: float, motion: Motion) -> Actor:
    return Actor(
        id=actor_id,
        shape=figure.shape,
        colour=figure.colour,
        size=figure.size,
        pattern=figure.pattern,
        x=round(x / ASPECT, 5),
        y=round(y, 5),
        motion=motion,
    )


def _apart(one: _Path, other: _Path) -> bool:
    gap = 0.02
    return (
        one[1] + gap <= other[0]
        or other[1] + gap <= one[0]
        or one[3] + gap <= other[2]
        or other[3] + gap <= one[2]
    )
