"""The lie of a needle world: chapters with a word, sections with a resident, scenes.

Films have places; so has this: a chapter (a tenth to a fifth of the video) shows its own word all
the time, a section (one to two minutes of it) has its own background and one resident actor, a
scene (8 to 20 s) has the resident at its own place with its own motion. Chapters and scenes do not
know the tree. `placement.py` says what is planted where.
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
    """A second actor that is there for exactly `span`.

    Example:
        >>> star = Figure("star", "red", "small", "plain")
        >>> event = HiddenEvent(
        ...     id="item0.0", figure=star, motion="left", span=Span(61.0, 65.0), chapter=2
        ... )
        >>> event.figure.phrase(("colour", "shape"))
        'red star'
    """

    id: str
    figure: Figure
    motion: MotionKind
    span: Span
    chapter: int
    asks_motion: bool = False


def draw_chapters(rng: random.Random, duration_s: float) -> tuple[Chapter, ...]:
    """Six to nine chapters, each a tenth to a fifth of the video, no two with the same word."""
    count = rng.randint(6, 9)
    # Drawn again until the longest and the shortest chapter stand out: questions ask for them.
    while True:
        fractions = [rng.uniform(0.1, 0.2) for _ in range(count)]
        fractions = [fraction / sum(fractions) for fraction in fractions]
        ranked = sorted(fractions)
        clear = ranked[-1] >= MARGIN * ranked[-2] and ranked[1] >= MARGIN * ranked[0]
        if clear and ranked[0] >= 0.1 - 0.015 and ranked[-1] <= 0.2 + 0.015:
            break
    ends_s = [round(duration_s * fraction, 3) for fraction in itertools.accumulate(fractions)]
    # The last border is the exact length: shares add up to 1 but for rounding.
    bounds_s = [0.0, *ends_s[:-1], duration_s]
    screen_words = rng.sample(WORDS, count)
    return tuple(
        Chapter(word, Span(a, b))
        for word, (a, b) in zip(screen_words, itertools.pairwise(bounds_s), strict=True)
    )


def draw_sections(
    rng: random.Random, chapters: Sequence[Chapter], events: Sequence[HiddenEvent]
) -> tuple[Section, ...]:
    """Sections of about 90 s; where one would begin beside the edge of an event, it is left out."""
    # A background that changes as an event begins would give the event away.
    edges_s = sorted(edge for p in events for edge in (p.span.start_s, p.span.end_s))
    drawn_sections = []
    for index, chapter in enumerate(chapters):
        cuts_s = [
            cut_s
            for cut_s in _uneven_cuts_s(rng, chapter.span, SECTION_S)
            if all(abs(cut_s - edge_s) >= EDGE_S for edge_s in edges_s)
        ]
        bounds_s = [chapter.span.start_s, *cuts_s, chapter.span.end_s]
        last: Background | None = None
        for start_s, end_s in itertools.pairwise(bounds_s):
            backgrounds: list[Background] = [b for b in get_args(Background) if b != last]
            last = background = rng.choice(backgrounds)
            drawn_sections.append(Section(index, Span(start_s, end_s), background))
    return tuple(drawn_sections)


def draw_scenes(
    rng: random.Random,
    chapters: Sequence[Chapter],
    sections: Sequence[Section],
    residents: Sequence[Figure],
    events: Sequence[HiddenEvent],
) -> tuple[Scene, ...]:
    """All scenes of the world: cut anew wherever an event comes or goes."""
    drawn_scenes = []
    in_order = sorted(events, key=lambda p: p.span.start_s)
    for number, (section, resident) in enumerate(zip(sections, residents, strict=True)):
        # A scene never shows two events: they were planted apart, and scenes are cut at their
        # edges.
        inside = [p for p in in_order if p.span.overlap_s(section.span) > 0]
        for span in _cut(rng, section.span, inside):
            event = next((p for p in inside if p.span.overlap_s(span) > 0), None)
            drawn_scenes.append(
                Scene(
                    start_s=span.start_s,
                    end_s=span.end_s,
                    background=section.background,
                    text=chapters[section.chapter].word,
                    actors=_place_actors(rng, f"resident{number}", resident, event),
                )
            )
    return tuple(drawn_scenes)


def _uneven_cuts_s(rng: random.Random, span: Span, length_s: float) -> list[float]:
    """Inner borders that cut `span` into pieces of about `length_s`, a quarter up or down."""
    count = max(1, round(span.duration_s / length_s))
    sizes = [rng.uniform(0.8, 1.2) for _ in range(count)]
    steps = itertools.accumulate(sizes[:-1])
    return [round(span.start_s + span.duration_s * s / sum(sizes), 3) for s in steps]


def _cut(rng: random.Random, span: Span, events: Sequence[HiddenEvent]) -> list[Span]:
    """Scenes of a section: edges of events are kept to the millisecond, others stay 2 s away."""
    hard_s = {span.start_s, span.end_s}
    for event in events:
        hard_s |= {t for t in (event.span.start_s, event.span.end_s) if span.contains(t)}
    bounds_s = set(hard_s)
    # Ordinary cuts give way to the edges of events ...
    for cut_s in _uneven_cuts_s(rng, span, SCENE_S):
        if all(abs(cut_s - edge_s) >= 2.0 for edge_s in hard_s):
            bounds_s.add(cut_s)
    # ... and are replaced by even ones where a motion is asked for, which a cut would hide.
    for event in events:
        if event.asks_motion:
            inside = event.span.clip(span)
            bounds_s = {b for b in bounds_s if not inside.start_s < b < inside.end_s}
            count = max(1, round(inside.duration_s / _MOTION_SCENE_S))
            step_s = inside.duration_s / count
            bounds_s |= {round(inside.start_s + i * step_s, 3) for i in range(1, count)}
    return [Span(a, b) for a, b in itertools.pairwise(sorted(bounds_s))]


def _place_actors(
    rng: random.Random, resident_id: str, resident: Figure, event: HiddenEvent | None
) -> tuple[Actor, ...]:
    """The resident and the event's actor, clear of each other, of the edges and of the word."""
    # Two moving paths seldom fit: after half of the tries the resident stands still.
    for attempt in range(_TRIES):
        calm = attempt >= _TRIES // 2
        first = _actor(rng, resident_id, resident, "still" if calm else rng.choice(NEEDLE_MOTIONS))
        if event is None:
            return (first[0],)
        second = _actor(rng, event.id, event.figure, event.motion)
        if _apart(first[1], second[1]):
            return (first[0], second[0])
    # A corner is always free: movers take at most two thirds of the width.
    assert event is not None
    second = _actor(rng, event.id, event.figure, event.motion)
    for side in (RADIUS[resident.size], ASPECT - RADIUS[resident.size]):
        first = _still(resident_id, resident, side, RADIUS[resident.size] * 1.02)
        if _apart(first[1], second[1]):
            return (first[0], second[0])
    second = _actor(rng, event.id, event.figure, event.motion, right=True)
    return (_still(resident_id, resident, RADIUS[resident.size], 0.3)[0], second[0])


_Path = tuple[float, float, float, float]
"""Left, right, top and bottom of all an actor covers during its scene, in frame heights."""


def _actor(
    rng: random.Random, actor_id: str, figure: Figure, kind: MotionKind, *, right: bool = False
) -> tuple[Actor, _Path]:
    """An actor at a random place where its whole path is in the picture and above the word."""
    radius = RADIUS[figure.size]
    height = TEXT_FLOOR - 2 * radius
    # In frame heights. Vertical room is scarcer, above the word.
    travel = round(rng.uniform(0.5, 0.7), 3)
    if kind in ("up", "down"):
        travel = round(min(height, rng.uniform(0.35, 0.48)) - 0.002, 3)
    # How far the centre goes from its start: left, right, up, down.
    reach = {
        "left": (-travel, 0.0, 0.0, 0.0),
        "right": (0.0, travel, 0.0, 0.0),
        "up": (0.0, 0.0, -travel, 0.0),
        "down": (0.0, 0.0, 0.0, travel),
        "circle": (-0.16, 0.16, -0.16, 0.16),
        "bounce": (0.0, 0.0, -0.3, 0.0),
    }.get(kind, (0.0, 0.0, 0.0, 0.0))
    # The start is drawn so that the whole path stays in the picture.
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
    return _build_actor(actor_id, figure, x, y, motion), path


def _still(actor_id: str, figure: Figure, x: float, y: float) -> tuple[Actor, _Path]:
    radius = RADIUS[figure.size]
    path = (x - radius, x + radius, y - radius, y + radius)
    return _build_actor(actor_id, figure, x, y, Motion()), path


def _build_actor(actor_id: str, figure: Figure, x: float, y: float, motion: Motion) -> Actor:
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


def _apart(first: _Path, second: _Path) -> bool:
    # Boxes around whole paths: two that are apart can never touch, whatever the time.
    gap = 0.02
    return (
        first[1] + gap <= second[0]
        or second[1] + gap <= first[0]
        or first[3] + gap <= second[2]
        or second[3] + gap <= first[2]
    )
