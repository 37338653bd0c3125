"""Questions about a stretch of a world, with their answers and the spans that prove them.

Ten families: attribute, count, motion, order, before_after, change, text, location, comparison,
absence.
A question is asked only where the script has exactly one right answer and shows it long enough to
be seen.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from mmreason.video.types import Span
from mmreason.video.world.motion import actor_position
from mmreason.video.world.script import Colour, Pattern, Shape, World
from mmreason.video.world.truth import (
    Sighting,
    add_article,
    find_sightings,
    motion_phrase,
    name_sighting,
)

FAMILIES = (
    "attribute",
    "count",
    "motion",
    "order",
    "before_after",
    "change",
    "text",
    "location",
    "comparison",
    "absence",
)
ONSET_GAP_S = 0.5
"""Two onsets closer than this are not asked for their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    text: str
    answer: str
    family: str
    spans: tuple[Span, ...]
    """Where the proof can be seen; the whole stretch for counts and absences."""
    options: tuple[str, ...] = ()


def make_questions(
    world: World, span: Span | None = None, *, seed: int = 0, least_s: float = 0.25
) -> list[Question]:
    """All questions with one right answer about `span` (default: the whole world), in seeded
    order.

    Example:
        >>> from mmreason.video.world import generate
        >>> question = make_questions(generate.demo(0))[0]
        >>> question.text, question.answer
        ('Which comes first, the square or the large triangle?', 'the square')
    """
    span = span or world.span
    sightings = find_sightings(world, span, least_s=least_s)
    # Seeded by what is asked about, so that a span has its questions whatever else is asked.
    rng = random.Random(f"questions/{seed}/{span.start_s}/{span.end_s}")
    questions = [
        *_attribute(sightings),
        *_count(sightings, span),
        *_motion(sightings),
        *_order(sightings, rng),
        *_before_after(sightings),
        *_change(sightings),
        *_text(world, span),
        *_location(world, sightings),
        *_comparison(sightings),
        *_absence(sightings, find_sightings(world, span, least_s=0.0), span, rng),
    ]
    rng.shuffle(questions)
    return questions


def with_options(question: Question, rng: random.Random) -> Question:
    """The same question as multiple choice (four options at most), where its answer is one of a
    known kind."""
    kinds = (get_args(Colour), get_args(Shape), get_args(Pattern), ("0", "1", "2", "3", "4"))
    for kind in kinds:
        if question.answer in kind:
            # Wrong options are of the answer's own kind: others would give it away.
            wrong_words = [word for word in kind if word != question.answer]
            options = [question.answer, *rng.sample(wrong_words, min(3, len(wrong_words)))]
            rng.shuffle(options)
            return replace(question, options=tuple(options))
    return question


def refer_to(target: Sighting, sightings: list[Sighting], avoid: str = "") -> str | None:
    """The shortest phrase that names `target` alone among `sightings`, without the attribute
    `avoid`."""
    choices = (
        ("shape",),
        ("colour", "shape"),
        ("size", "shape"),
        ("pattern", "shape"),
        ("colour",),
        ("size", "colour", "shape"),
        ("colour", "pattern", "shape"),
    )
    for attributes in choices:
        # What is asked must not stand in the question, and an actor that changes has no one colour.
        if avoid in attributes or (len(target.colours) > 1 and "colour" in attributes):
            continue
        # "plain" is said of nothing: captions leave it out.
        if "pattern" in attributes and target.actor.pattern == "plain":
            continue
        # From the shortest phrase up: the first that fits the target alone.
        fits = [s for s in sightings if all(_shares(s, target, a) for a in attributes)]
        if len(fits) == 1:
            terms = [str(_value(target, a)) for a in attributes]
            return " ".join(terms if "shape" in attributes else [*terms, "object"])
    return None


def _value(sighting: Sighting, attribute: str) -> str:
    return sighting.colour if attribute == "colour" else getattr(sighting.actor, attribute)


def _shares(other: Sighting, target: Sighting, attribute: str) -> bool:
    if attribute == "colour":
        # Any colour that the other ever has: a phrase that fits it for a moment is not its
        # target's.
        return target.colour in other.colours
    return _value(other, attribute) == _value(target, attribute)


def _attribute(sightings: list[Sighting]) -> Iterator[Question]:
    # An attribute is asked where the rest of the actor still names it alone.
    texts = {
        "colour": "What colour is the {}?",
        "shape": "What shape is the {}?",
        "pattern": "What pattern does the {} have?",
        "size": "Is the {} small or large?",
    }
    for s in sightings:
        for attribute, text in texts.items():
            name = refer_to(s, sightings, avoid=attribute)
            if name is None or (attribute == "colour" and len(s.colours) > 1):
                continue
            yield Question(
                text=text.format(name),
                answer=_value(s, attribute),
                family="attribute",
                spans=(s.span,),
            )


def _count(sightings: list[Sighting], span: Span) -> Iterator[Question]:
    def ask(what: str, fits: list[Sighting]) -> Question:
        # Where nothing fits, the evidence of "0" is the whole stretch.
        spans = tuple(dict.fromkeys(s.span for s in fits)) or (span,)
        return Question(
            text=f"How many {what} are there?", answer=str(len(fits)), family="count", spans=spans
        )

    yield ask("objects", sightings)
    for shape in dict.fromkeys(s.actor.shape for s in sightings):
        plural = "crosses" if shape == "cross" else f"{shape}s"
        yield ask(plural, [s for s in sightings if s.actor.shape == shape])
    # Whether an actor that turned red is a red object is open, so such counts are not asked.
    for colour in dict.fromkeys(s.colour for s in sightings if len(s.colours) == 1):
        fits = [s for s in sightings if colour in s.colours]
        if all(len(s.colours) == 1 for s in fits):
            yield ask(f"{colour} objects", fits)


def _motion(sightings: list[Sighting]) -> Iterator[Question]:
    for s in sightings:
        name, phrase = refer_to(s, sightings), motion_phrase(s)
        if name and phrase:
            yield Question(
                text=f"How does the {name} move?",
                answer=f"it {phrase}",
                family="motion",
                spans=(s.span,),
            )


def _order(sightings: list[Sighting], rng: random.Random) -> Iterator[Question]:
    for i, a in enumerate(sightings):
        for b in sightings[i + 1 :]:
            names = refer_to(a, sightings), refer_to(b, sightings)
            # Sightings come by first sight; two that begin almost together have no order to be
            # seen.
            if None in names or b.span.start_s - a.span.start_s < ONSET_GAP_S:
                continue
            # Else the first one named would always be right.
            pair = names if rng.random() < 0.5 else names[::-1]
            yield Question(
                text=f"Which comes first, the {pair[0]} or the {pair[1]}?",
                answer=f"the {names[0]}",
                family="order",
                spans=(a.span, b.span),
            )


def _before_after(sightings: list[Sighting]) -> Iterator[Question]:
    """Asked between neighbours that are each alone in their scene."""
    alone = [s for s in sightings if len(s.scene.actors) == 1]
    for a, b in itertools.pairwise(alone):
        # Only of scenes that touch: something else may be shown in a gap.
        if abs(a.scene.end_s - b.scene.start_s) > 1e-6:
            continue
        for target, other, word in ((a, b, "after"), (b, a, "before")):
            name = refer_to(target, sightings)
            # The answer names the neighbour by its colour.
            if name and len(other.colours) == 1:
                yield Question(
                    text=f"What comes right {word} the {name}?",
                    answer=add_article(name_sighting(other)),
                    family="before_after",
                    spans=(target.span, other.span),
                )


def _change(sightings: list[Sighting]) -> Iterator[Question]:
    for s in sightings:
        name = refer_to(s, sightings, avoid="colour")
        changes_colour = any(event.kind == "change_colour" for event in s.events)
        # After two changes "becomes" has two answers; a change too short to see is no event here.
        if name and changes_colour and len(s.colours) == 2:
            yield Question(
                text=f"What colour does the {name} become?",
                answer=s.colours[1],
                family="change",
                spans=(s.span,),
            )


def _text(world: World, span: Span) -> Iterator[Question]:
    text_scenes = [scene for scene in world.scenes_in(span) if scene.text]
    # With two words on the screen the question would have two answers.
    if len(text_scenes) == 1 and text_scenes[0].span.overlap_s(span) >= ONSET_GAP_S:
        yield Question(
            text="What word is on the screen?",
            answer=str(text_scenes[0].text),
            family="text",
            spans=(text_scenes[0].span.clip(span),),
        )


def _location(world: World, sightings: list[Sighting]) -> Iterator[Question]:
    for s in sightings:
        name = refer_to(s, sightings)
        if name is None or s.motion != "still":
            continue
        x = actor_position(world, s.scene, s.actor, s.span.middle_s)[0] / world.aspect
        # Nothing is asked between the ranges, where two answers could be defended.
        sides = {
            "on the left": x < 0.36,
            "in the middle": 0.44 < x < 0.56,
            "on the right": x > 0.64,
        }
        for side, holds in sides.items():
            if holds:
                yield Question(
                    text=f"Where is the {name}?", answer=side, family="location", spans=(s.span,)
                )


def _comparison(sightings: list[Sighting]) -> Iterator[Question]:
    for i, a in enumerate(sightings):
        for b in sightings[i + 1 :]:
            # A name with a size in it would give the answer away.
            names = refer_to(a, sightings, avoid="size"), refer_to(b, sightings, avoid="size")
            if None in names or a.actor.size == b.actor.size:
                continue
            larger = names[0] if a.actor.size == "large" else names[1]
            yield Question(
                text=f"Which is larger, the {names[0]} or the {names[1]}?",
                answer=f"the {larger}",
                family="comparison",
                spans=(a.span, b.span),
            )


def _absence(
    sightings: list[Sighting], glimpsed: list[Sighting], span: Span, rng: random.Random
) -> Iterator[Question]:
    """Questions about what is not there even for a moment (`glimpsed` holds all that is), among
    them
    half-truths: the right shape in a wrong colour."""
    # 1. Shapes that are nowhere.
    # 2. Half-truths: a shape that is there, in a colour that is nowhere.
    missing = [shape for shape in get_args(Shape) if all(s.actor.shape != shape for s in glimpsed)]
    names = rng.sample(missing, min(2, len(missing)))
    for s in sightings[:3]:
        unused = [c for c in get_args(Colour) if all(c not in o.colours for o in glimpsed)]
        if unused:
            names.append(f"{rng.choice(unused)} {s.actor.shape}")
    texts = ("What colour is the {}?", "How does the {} move?", "Where is the {}?")
    for name in names:
        # The colour of a thing that is named by its colour is not asked.
        text = rng.choice(texts[1:] if " " in name else texts)
        yield Question(
            text=text.format(name), answer=f"there is no {name}", family="absence", spans=(span,)
        )
        yield Question(
            text=f"Is there {add_article(name)}?", answer="no", family="absence", spans=(span,)
        )
    # As many that are there, so that "yes" and "no" are about as frequent.
    for s in sightings[:3]:
        name = refer_to(s, sightings) or name_sighting(s)
        if len(s.colours) == 1:
            yield Question(
                text=f"Is there {add_article(name)}?",
                answer="yes",
                family="absence",
                spans=(s.span,),
            )
