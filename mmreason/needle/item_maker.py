"""Makes one planted item after another: figures, claims, question and options by kind.

Every try is random; one that breaks a claim, or finds no room, is thrown away and the next is a
little less particular about length, place and borders. Leaves out the world around (`worlds.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmreason.needle.items import POSITIONS, Border, Kind
from mmreason.needle.layout import HiddenEvent
from mmreason.needle.placement import (
    PlacementPlan,
    TakenSpan,
    altered,
    border_span,
    random_figure,
)
from mmreason.needle.words import (
    ASKED,
    ATTRIBUTES,
    NEEDLE_MOTIONS,
    VALUES,
    Attribute,
    Figure,
    motion_answer,
    motion_options,
    plural,
    shuffled,
    value_options,
    with_context,
)
from mmreason.video.types import Span
from mmreason.video.world.script import MotionKind

_Phrase = tuple[Attribute, ...]
_CHAPTER_PHRASES: tuple[_Phrase, ...] = (
    ("shape",),
    ("colour", "shape"),
    ("size", "shape"),
    ("pattern", "shape"),
)
_WORLD_PHRASES: tuple[_Phrase, ...] = (
    ("colour", "shape"),
    ("size", "shape"),
    ("pattern", "shape"),
    ("size", "colour", "shape"),
    ("colour", "pattern", "shape"),
)
_LEAST_MOTION_S = 4.0
"""A motion is asked for only where it is shown this long."""
_TRIES = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSpec:
    """What the next item should be like."""

    index: int
    kind: Kind
    length_s: float
    position: int
    border: Border
    places: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDraft:
    """An item as it was planted."""

    action: ItemSpec
    question: str
    options: tuple[str, ...]
    answer: str | None
    """None where nothing supports an answer; `plants` are then look-alikes."""
    plants: tuple[HiddenEvent, ...]
    vary: _Phrase
    """Attributes in which look-alikes may differ."""
    context: str | None


def planted(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """Plant what `action` asks for, or something as near to it as there is room for; None if that
    does not go either."""
    make: Callable[[random.Random, PlacementPlan, ItemSpec], ItemDraft | None] = {
        "attribute": _attribute,
        "motion": _motion,
        "order": _order,
        "count": _count,
        "absent": _absent,
    }[action.kind]
    for attempt in range(_TRIES):
        draft = make(rng, garden, _relaxed(rng, action, attempt))
        if draft is not None:
            return draft
    return None


def _relaxed(rng: random.Random, action: ItemSpec, attempt: int) -> ItemSpec:
    """After a third of the tries any border serves, after two thirds a needle of a quarter of the
    length at any place."""
    if attempt < _TRIES // 3:
        return action
    action = replace(action, border=rng.choice(("inside", "near", "across")))
    if attempt < 2 * _TRIES // 3:
        return action
    least_s = _LEAST_MOTION_S if action.kind == "motion" else 1.0
    return replace(
        action,
        length_s=max(least_s, action.length_s / 4) if attempt % 2 else action.length_s,
        position=rng.randrange(POSITIONS),
    )


def _spot(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> tuple[Span, int] | None:
    """A free stretch as wished, and its chapter."""
    span = border_span(rng, garden.tree, action.position, action.length_s, action.border)
    chapter = None if span is None else garden.chapter_of(span)
    if span is None or chapter is None or not garden.is_free(span):
        return None
    return span, chapter


def _figure(rng: random.Random, phrase: _Phrase) -> Figure:
    """A random figure that `phrase` can name: plain patterns have no word."""
    figure = random_figure(rng)
    if "pattern" in phrase and figure.pattern == "plain":
        figure = replace(figure, pattern=rng.choice(("striped", "dotted")))
    return figure


def _phrase(rng: random.Random, *, avoid: str, in_chapter: bool) -> _Phrase:
    if avoid == "shape":
        return ("colour",)
    choices = _CHAPTER_PHRASES if in_chapter else _WORLD_PHRASES
    return rng.choice([p for p in choices if avoid not in p])


def _plant(
    action: ItemSpec, number: int, figure: Figure, span: Span, chapter: int, motion: MotionKind
) -> HiddenEvent:
    return HiddenEvent(
        id=f"item{action.index}.{number}",
        figure=figure,
        motion=motion,
        span=span,
        chapter=chapter,
        asks_motion=action.kind == "motion",
    )


def _attribute(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """ "What colour is the small star?": one attribute of one needle."""
    asked = rng.choice(ATTRIBUTES)
    in_chapter = asked == "shape" or rng.random() < 0.5
    phrase = _phrase(rng, avoid=asked, in_chapter=in_chapter)
    figure = _figure(rng, phrase)
    return _single(
        rng,
        garden,
        action,
        figure,
        phrase,
        rng.choice(NEEDLE_MOTIONS),
        in_chapter,
        text=ASKED[asked].format(figure.phrase(phrase)),
        options=value_options(rng, asked, figure.value(asked)),
        answer=figure.value(asked),
        vary=(asked, *phrase),
    )


def _motion(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """ "How does the red star move?"."""
    in_chapter = rng.random() < 0.5
    phrase = _phrase(rng, avoid="", in_chapter=in_chapter)
    figure, motion = _figure(rng, phrase), rng.choice(NEEDLE_MOTIONS)
    return _single(
        rng,
        garden,
        action,
        figure,
        phrase,
        motion,
        in_chapter,
        text=f"How does the {figure.phrase(phrase)} move?",
        options=motion_options(rng, motion),
        answer=motion_answer(motion),
        vary=phrase,
    )


def _single(
    rng: random.Random,
    garden: PlacementPlan,
    action: ItemSpec,
    figure: Figure,
    phrase: _Phrase,
    motion: MotionKind,
    in_chapter: bool,
    *,
    text: str,
    options: tuple[str, ...],
    answer: str,
    vary: _Phrase,
) -> ItemDraft | None:
    """One needle that its phrase names alone in its chapter, or in the whole world."""
    spot = _spot(rng, garden, action)
    if spot is None:
        return None
    span, chapter = spot
    plant = _plant(action, 0, figure, span, chapter, motion)
    claim = TakenSpan(figure, phrase, chapter if in_chapter else None, frozenset({plant.id}))
    if not garden.add([plant], [claim]):
        return None
    word = garden.chapters[chapter].word if in_chapter else None
    return ItemDraft(
        action=action,
        question=with_context(text, word),
        options=options,
        answer=answer,
        plants=(plant,),
        vary=vary,
        context=word,
    )


def _order(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """ "Which comes first, the small red star or the large blue ring?": two or three needles."""
    in_chapter = rng.random() < 0.3
    phrase: _Phrase = ("colour", "shape") if in_chapter else ("size", "colour", "shape")
    spots = _spots(rng, garden, action, action.places, in_chapter)
    if spots is None:
        return None
    plants = tuple(
        _plant(action, i, random_figure(rng), span, chapter, rng.choice(NEEDLE_MOTIONS))
        for i, (span, chapter) in enumerate(spots)
    )
    names = [f"the {p.figure.phrase(phrase)}" for p in plants]
    wrong = f"the {altered(rng, plants[0].figure, rng.choice(phrase)).phrase(phrase)}"
    others = [f"the {random_figure(rng).phrase(phrase)}" for _ in range(3 - len(plants))]
    if len({*names, wrong, *others}) < 4:
        return None
    scope = spots[0][1] if in_chapter else None
    claims = [TakenSpan(p.figure, phrase, scope, frozenset({p.id})) for p in plants]
    if not garden.add(plants, claims):
        return None
    place = rng.choice(("first", "last")) if len(plants) > 2 else "first"
    ordered = sorted(plants, key=lambda p: p.span.start_s)
    right = ordered[0 if place == "first" else -1]
    told = shuffled(rng, names)
    text = f"Which comes {place}, {', '.join(told[:-1])} or {told[-1]}?"
    word = garden.chapters[spots[0][1]].word if in_chapter else None
    return ItemDraft(
        action=action,
        question=with_context(text, word),
        options=shuffled(rng, [*names, wrong, *others]),
        answer=f"the {right.figure.phrase(phrase)}",
        plants=plants,
        vary=phrase,
        context=word,
    )


def _spots(
    rng: random.Random, garden: PlacementPlan, action: ItemSpec, count: int, in_chapter: bool
) -> list[tuple[Span, int]] | None:
    """`count` free stretches well apart, the first where it is wished, all in its chapter if so
    asked."""
    first = _spot(rng, garden, action)
    if first is None:
        return None
    found = [first]
    room = garden.chapters[first[1]].span if in_chapter else garden.tree.span
    apart_s = min(30.0, 0.1 * room.duration_s)
    for _ in range(40):
        if len(found) == count:
            return found
        start_s = round(rng.uniform(room.start_s, room.end_s), 3)
        span = Span(start_s, round(start_s + action.length_s, 3))
        chapter = garden.chapter_of(span)
        wide = Span(max(0.0, span.start_s - apart_s), span.end_s + apart_s)
        clear = all(other.overlap_s(wide) == 0 for other, _ in found)
        if chapter is not None and clear and garden.is_free(span):
            found.append((span, chapter))
    return None


def _count(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """ "How many stars are there?" of a chapter: two to four that differ, one after another."""
    count = rng.randint(2, 4)
    spots = _spots(rng, garden, action, count, in_chapter=True)
    if spots is None:
        return None
    base = random_figure(rng)
    shared: Attribute = rng.choice(("shape", "colour"))
    varied: Attribute = "colour" if shared == "shape" else "shape"
    plants = tuple(
        _plant(
            action,
            i,
            random_figure(rng).with_value(shared, base.value(shared)).with_value(varied, value),
            span,
            chapter,
            rng.choice(NEEDLE_MOTIONS),
        )
        for i, ((span, chapter), value) in enumerate(
            zip(spots, rng.sample(VALUES[varied], count), strict=True)
        )
    )
    chapter = plants[0].chapter
    claim = TakenSpan(base, (shared,), chapter, frozenset(p.id for p in plants))
    if not garden.add(plants, [claim]):
        return None
    what = plural(base.shape) if shared == "shape" else f"{base.colour} objects"
    word = garden.chapters[chapter].word
    return ItemDraft(
        action=action,
        question=with_context(f"How many {what} are there?", word),
        options=shuffled(rng, ["1", "2", "3", "4"]),
        answer=str(count),
        plants=plants,
        vary=(shared,),
        context=word,
    )


def _absent(rng: random.Random, garden: PlacementPlan, action: ItemSpec) -> ItemDraft | None:
    """A half-truth: the thing is there with one attribute changed, or in another chapter only."""
    spot = _spot(rng, garden, action)
    if spot is None:
        return None
    span, chapter = spot
    elsewhere = rng.random() < 0.5
    asked = rng.choice(("colour", "pattern", "size"))
    phrase = rng.choice([p for p in _WORLD_PHRASES[:3] if asked not in p])
    figure = _figure(rng, phrase)
    decoy = figure if elsewhere else altered(rng, figure, rng.choice(phrase))
    plant = _plant(action, 0, decoy, span, chapter, rng.choice(NEEDLE_MOTIONS))
    scope: int | None = None
    if elsewhere:
        scope = rng.choice([i for i in range(len(garden.chapters)) if i != chapter])
    elif rng.random() < 0.5:
        scope = chapter
    if not garden.add([plant], [TakenSpan(figure, phrase, scope, frozenset())]):
        return None
    word = None if scope is None else garden.chapters[scope].word
    return ItemDraft(
        action=action,
        question=with_context(ASKED[asked].format(figure.phrase(phrase)), word),
        options=value_options(rng, asked, decoy.value(asked)),
        answer=None,
        plants=(plant,),
        vary=phrase,
        context=word,
    )
