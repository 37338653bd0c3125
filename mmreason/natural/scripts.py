"""Draws scripts of natural videos from seeds, and the videos that show them.

`draw_script` keeps what questions rest on unique: no event is shown twice, some pairs of verb and
object belong to one person only, and every number is another one. `script_world` turns a script
into cards that are drawn on demand, one look a shot.
"""

from __future__ import annotations

import itertools
import math
import random
from typing import get_args

from mmreason.natural.records import Event, Shot, SpeechKind, SpeechLine, VideoScript
from mmreason.natural.texts import Genre, Language, read_genre, read_shared_texts
from mmreason.natural.wording import say_speech
from mmreason.types import UsageError
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span
from mmreason.video.world.script import (
    Actor,
    Background,
    Colour,
    Pattern,
    Scene,
    Shape,
    SubtitleLine,
    World,
)

SHORTEST_S, LONGEST_S = 5.0, 150.0
"""Least and most seconds of a shot."""
MOST_SHOTS = 130
SOLO_PAIRS = 4
"""Pairs of verb and object that only one person has: "who" has one answer."""
UNUSED_EVENTS = 3
"""Events that seem likely and are never shown."""
FRAMES_HZ = 1.0
CARD_PX = (64, 36)
"""(width, height)"""


def draw_script(genre_name: str, seed: int, duration_s: float) -> VideoScript:
    """A script from a seed, the same everywhere. Raises UsageError for a length that does not fit:
    below five minutes there is too little to ask about, above two hours nothing stays unique."""
    if not 300.0 <= duration_s <= 7200.0:
        raise UsageError(f"a natural video lasts from 5m to 2h, got {duration_s:g} s")
    genre = read_genre(genre_name)
    name = f"natural-{genre_name}-{duration_s:g}s-{seed}"
    rng = random.Random(name)
    spans = _draw_spans(rng, duration_s)
    events, unused = _draw_events(rng, genre, len(spans))
    theme = rng.randrange(len(genre.themes))
    shots = _draw_shots(rng, genre, spans, events, theme)
    return VideoScript(
        name=name,
        genre=genre,
        seed=seed,
        theme=theme,
        shots=shots,
        speech=_draw_speech(rng, genre, shots),
        unused=unused,
    )


def _draw_spans(rng: random.Random, duration_s: float) -> tuple[Span, ...]:
    """Shots that tile the video: a quarter of them short, the others as long as the video needs
    for its events to stay unique."""
    longest_s = min(LONGEST_S, max(45.0, duration_s / 24))
    lengths_s: list[float] = []
    while sum(lengths_s) < duration_s:
        is_short = rng.random() < 0.25
        low_s, high_s = (SHORTEST_S, 15.0) if is_short else (longest_s / 3, longest_s)
        # Even in the logarithm, so that short ones are as common as long ones in their range.
        lengths_s.append(math.exp(rng.uniform(math.log(low_s), math.log(high_s))))
    # More shots would run out of events that are shown once.
    lengths_s = lengths_s[:MOST_SHOTS]
    # Scaled to the length asked for, on the grid of frames, so that each card has its own frames.
    scale = duration_s / sum(lengths_s)
    edges_s = [0.0, *(round(scale * s) * 1.0 for s in itertools.accumulate(lengths_s))]
    # Rounding may have moved the end.
    edges_s[-1] = duration_s
    # Rounding may leave a shot without a frame of its own.
    return tuple(Span(a, b) for a, b in itertools.pairwise(edges_s) if b - a >= 1.0)


def _draw_events(
    rng: random.Random, genre: Genre, count: int
) -> tuple[list[Event], tuple[Event, ...]]:
    """Events of a video, each once, and some that never happen though each part of them does."""
    pairs = [(v, o) for v in range(len(genre.verbs)) for o in range(len(genre.objects))]
    rng.shuffle(pairs)
    people = range(len(genre.people))
    solo = [Event(rng.choice(people), v, o) for v, o in pairs[:SOLO_PAIRS]]
    shared = [Event(p, v, o) for v, o in pairs[SOLO_PAIRS:] for p in people]
    rng.shuffle(shared)
    unused, available = shared[:UNUSED_EVENTS], shared[UNUSED_EVENTS:]
    if count - len(solo) > len(available):
        raise UsageError(f"{count} shots are too many for one video of {genre.name}")
    events = solo + available[: count - len(solo)]
    rng.shuffle(events)
    return events, tuple(unused)


def _draw_shots(
    rng: random.Random, genre: Genre, spans: tuple[Span, ...], events: list[Event], theme: int
) -> tuple[Shot, ...]:
    count = len(spans)
    # Twice at least, else there is nothing to count and no last visit.
    visits = rng.sample(range(1, count), rng.randint(2, len(genre.doings)))
    doings = dict(zip(sorted(visits), rng.sample(range(len(genre.doings)), 4), strict=False))
    topics = rng.sample(range(len(genre.topics)), 3)
    numbers = rng.sample(range(1000, 9999), count)
    labels = dict(zip(rng.sample(range(1, count), 3), topics, strict=True))
    shared = read_shared_texts()
    return tuple(
        Shot(
            span=span,
            event=events[i],
            colour=rng.randrange(len(shared.colours)),
            place=rng.randrange(len(genre.places)),
            thing=rng.randrange(len(genre.things)),
            tally=rng.randint(2, 9),
            reason=rng.randrange(len(shared.reasons)),
            filler=rng.randrange(len(shared.fillers)),
            sign=_draw_sign(rng),
            doing=doings.get(i),
            label=(labels[i], numbers[i]) if i in labels else None,
            theme=theme if i == 0 else None,
        )
        for i, span in enumerate(spans)
    )


def _draw_sign(rng: random.Random) -> str | None:
    """A name as no language translates it, on every other shot."""
    if rng.random() < 0.5:
        return None
    syllables = [
        rng.choice("BDFGKLMNPRSTVZ") + rng.choice("AEIOU") for _ in range(rng.choice((2, 3)))
    ]
    return f"{''.join(syllables)} {rng.randint(10, 99)}"


def _draw_speech(
    rng: random.Random, genre: Genre, shots: tuple[Shot, ...]
) -> tuple[SpeechLine, ...]:
    """A line in most shots. Each fact is told once; the others are chatter."""
    kinds: tuple[SpeechKind, ...] = ("price", "weight", "origin")
    topics = range(len(genre.topics))
    facts: list[tuple[SpeechKind, int]] = [(kind, topic) for kind in kinds for topic in topics]
    chosen = rng.sample(facts, min(6, len(shots) // 2))
    # In random order: the first of them tell the facts, which so lie anywhere.
    speaking = rng.sample(range(len(shots)), max(len(chosen), 2 * len(shots) // 3))
    shared = read_shared_texts()
    lines = []
    for number, index in enumerate(speaking):
        span = shots[index].span
        start_s = span.start_s + 0.2 * span.duration_s
        line_span = Span(round(start_s, 2), round(min(span.end_s, start_s + 3.5), 2))
        if number >= len(chosen):
            topic = rng.randrange(len(shared.chatter))
            lines.append(SpeechLine(span=line_span, kind="chatter", topic=topic))
            continue
        kind, topic = chosen[number]
        value = rng.randrange(len(shared.cities)) if kind == "origin" else rng.randint(20, 980)
        lines.append(SpeechLine(span=line_span, kind=kind, topic=topic, number=value))
    return tuple(sorted(lines, key=lambda line: line.span.start_s))


def script_subtitles(script: VideoScript, language: Language) -> Subtitles:
    """What is said, as subtitles in one language.

    Example:
        >>> len(script_subtitles(draw_script("vlog", 0, 600.0), "zh").lines) > 5
        True
    """
    lines = [Line(line.span, say_speech(script.genre, line, language)) for line in script.speech]
    return Subtitles(lines=tuple(sorted(lines)), language=language)


def script_world(script: VideoScript, language: Language) -> World:
    """The script as cards that differ from shot to shot, with its speech as subtitles.

    Example:
        >>> world = script_world(draw_script("vlog", 0, 600.0), "de")
        >>> world.size_px, world.duration_s
        ((64, 36), 600.0)
    """
    # Every shot looks different, so that a scan without a model tells them apart.
    looks = list(
        itertools.product(
            get_args(Background), get_args(Colour), get_args(Shape), get_args(Pattern)
        )
    )
    random.Random(script.name).shuffle(looks)
    scenes = []
    for index, shot in enumerate(script.shots):
        background, colour, shape, pattern = looks[index]
        card = Actor(id="card", shape=shape, colour=colour, pattern=pattern, x=0.5, y=0.5)
        scenes.append(
            Scene(
                start_s=shot.span.start_s,
                end_s=shot.span.end_s,
                background=background,
                actors=(card,),
            )
        )
    lines = tuple(
        SubtitleLine(start_s=line.span.start_s, end_s=line.span.end_s, text=line.text)
        for line in script_subtitles(script, language)
    )
    width_px, height_px = CARD_PX
    return World(
        name=f"{script.name}-{language}",
        seed=script.seed,
        width_px=width_px,
        height_px=height_px,
        fps_hz=FRAMES_HZ,
        scenes=tuple(scenes),
        subtitles=lines,
    )
