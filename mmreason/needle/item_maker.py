"""Makes one planted item after another: figures, claims, question and options by kind.

Every try is random; one that breaks a claim, or finds no room, is thrown away and the next is a
little less particular about length, place and borders. `worlds.py` makes the world around them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from mmreason.needle.items import POSITIONS, Border, Kind
from mmreason.needle.layout import HiddenEvent
from mmreason.needle.placement import (
    PlacementPlan,
    UniqueLook,
    alter_figure,
    border_span,
    random_figure,
)
from mmreason.needle.words import (
    ATTRIBUTES,
    NEEDLE_MOTIONS,
    QUESTION_FORMS,
    VALUES,
    Attribute,
    Figure,
    motion_answer,
    motion_options,
    shuffle_texts,
    to_plural,
    value_options,
    with_context,
)
from mmreason.video.types import Span
from mmreason.video.world.script import MotionKind

Phrase = tuple[Attribute, ...]
_CHAPTER_PHRASES: tuple[Phrase, ...] = (
    ("shape",),
    ("colour", "shape"),
    ("size", "shape"),
    ("pattern", "shape"),
)
_WORLD_PHRASES: tuple[Phrase, ...] = (
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
    """What the next item should be like.

    Example:
        >>> spec = ItemSpec(
        ...     index=0, kind="order", length_s=4.0, position=3, border="near", needles=2
        ... )
        >>> spec.kind, spec.needles
        ('order', 2)
    """

    index: int
    kind: Kind
    length_s: float
    position: int
    border: Border
    needles: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedleDraft:
    """An item as it was planted."""

    spec: ItemSpec
    question: str
    options: tuple[str, ...]
    answer: str | None
    """None where nothing supports an answer; `events` are then look-alikes."""
    events: tuple[HiddenEvent, ...]
    vary: Phrase
    """Attributes in which look-alikes may differ."""
    context: str | None


def plant_item(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """Plant what `spec` asks for, or something as near to it as there is room for; None if that
    does not go either."""
    make: Callable[[random.Random, PlacementPlan, ItemSpec], NeedleDraft | None] = {
        "attribute": _attribute,
        "motion": _motion,
        "order": _order,
        "count": _count,
        "absent": _absent,
    }[spec.kind]
    # A try that fails has changed nothing: events are added to the plan all together or not at all.
    for attempt in range(_TRIES):
        draft = make(rng, placement, _relax_spec(rng, spec, attempt))
        if draft is not None:
            return draft
    return None


def _relax_spec(rng: random.Random, spec: ItemSpec, attempt: int) -> ItemSpec:
    """After a third of the tries any border serves, after two thirds a needle of a quarter of the
    length at any place."""
    if attempt < _TRIES // 3:
        return spec
    spec = replace(spec, border=rng.choice(("inside", "near", "across")))
    if attempt < 2 * _TRIES // 3:
        return spec
    # Every other of the last tries is short; the rest keep their length and look for another place.
    least_s = _LEAST_MOTION_S if spec.kind == "motion" else 1.0
    return replace(
        spec,
        length_s=max(least_s, spec.length_s / 4) if attempt % 2 else spec.length_s,
        position=rng.randrange(POSITIONS),
    )


def _free_stretch(
    rng: random.Random, placement: PlacementPlan, spec: ItemSpec
) -> tuple[Span, int] | None:
    """A free stretch as `spec` asks for, and its chapter."""
    span = border_span(rng, placement.tree, spec.position, spec.length_s, spec.border)
    chapter = None if span is None else placement.chapter_of(span)
    if span is None or chapter is None or not placement.is_free(span):
        return None
    return span, chapter


def _figure(rng: random.Random, phrase: Phrase) -> Figure:
    """A random figure that `phrase` can name: plain patterns have no word."""
    figure = random_figure(rng)
    if "pattern" in phrase and figure.pattern == "plain":
        figure = replace(figure, pattern=rng.choice(("striped", "dotted")))
    return figure


def _phrase(rng: random.Random, *, avoid: str, in_chapter: bool) -> Phrase:
    if avoid == "shape":
        # "the red object": the shape is what is asked for.
        return ("colour",)
    choices = _CHAPTER_PHRASES if in_chapter else _WORLD_PHRASES
    return rng.choice([p for p in choices if avoid not in p])


def _event(
    spec: ItemSpec, number: int, figure: Figure, span: Span, chapter: int, motion: MotionKind
) -> HiddenEvent:
    return HiddenEvent(
        id=f"item{spec.index}.{number}",
        figure=figure,
        motion=motion,
        span=span,
        chapter=chapter,
        asks_motion=spec.kind == "motion",
    )


def _attribute(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """ "What colour is the small star?": one attribute of one needle."""
    attribute = rng.choice(ATTRIBUTES)
    # Without its shape a thing is "the red object", of which a whole world has too many.
    in_chapter = attribute == "shape" or rng.random() < 0.5
    phrase = _phrase(rng, avoid=attribute, in_chapter=in_chapter)
    figure = _figure(rng, phrase)
    return _single(
        rng,
        placement,
        spec,
        figure,
        phrase,
        rng.choice(NEEDLE_MOTIONS),
        in_chapter,
        text=QUESTION_FORMS[attribute].format(figure.phrase(phrase)),
        options=value_options(rng, attribute, figure.value(attribute)),
        answer=figure.value(attribute),
        vary=(attribute, *phrase),
    )


def _motion(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """ "How does the red star move?"."""
    in_chapter = rng.random() < 0.5
    phrase = _phrase(rng, avoid="", in_chapter=in_chapter)
    figure, motion = _figure(rng, phrase), rng.choice(NEEDLE_MOTIONS)
    return _single(
        rng,
        placement,
        spec,
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
    placement: PlacementPlan,
    spec: ItemSpec,
    figure: Figure,
    phrase: Phrase,
    motion: MotionKind,
    in_chapter: bool,
    *,
    text: str,
    options: tuple[str, ...],
    answer: str,
    vary: Phrase,
) -> NeedleDraft | None:
    """One needle that its phrase names alone in its chapter, or in the whole world."""
    spot = _free_stretch(rng, placement, spec)
    if spot is None:
        return None
    span, chapter = spot
    event = _event(spec, 0, figure, span, chapter, motion)
    # The claim is what the question rests on: nothing else may be called by this phrase.
    claim = UniqueLook(figure, phrase, chapter if in_chapter else None, frozenset({event.id}))
    if not placement.add([event], [claim]):
        return None
    word = placement.chapters[chapter].word if in_chapter else None
    return NeedleDraft(
        spec=spec,
        question=with_context(text, word),
        options=options,
        answer=answer,
        events=(event,),
        vary=vary,
        context=word,
    )


def _order(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """ "Which comes first, the small red star or the large blue ring?": two or three needles."""
    in_chapter = rng.random() < 0.3
    phrase: Phrase = ("colour", "shape") if in_chapter else ("size", "colour", "shape")
    spots = _free_stretches(rng, placement, spec, spec.needles, in_chapter)
    if spots is None:
        return None
    events = tuple(
        _event(spec, i, random_figure(rng), span, chapter, rng.choice(NEEDLE_MOTIONS))
        for i, (span, chapter) in enumerate(spots)
    )
    names = [f"the {p.figure.phrase(phrase)}" for p in events]
    # Options that are there no time: one that nearly is a needle, the others anything.
    absent_name = f"the {alter_figure(rng, events[0].figure, rng.choice(phrase)).phrase(phrase)}"
    fillers = [f"the {random_figure(rng).phrase(phrase)}" for _ in range(3 - len(events))]
    # Two figures may be drawn alike: options must differ.
    if len({*names, absent_name, *fillers}) < 4:
        return None
    scope = spots[0][1] if in_chapter else None
    claims = [UniqueLook(p.figure, phrase, scope, frozenset({p.id})) for p in events]
    if not placement.add(events, claims):
        return None
    end = rng.choice(("first", "last")) if len(events) > 2 else "first"
    # "First" and "last" are of the start: events may overlap in a reader's mind, starts do not.
    ordered = sorted(events, key=lambda p: p.span.start_s)
    answer = ordered[0 if end == "first" else -1]
    listed = shuffle_texts(rng, names)
    text = f"Which comes {end}, {', '.join(listed[:-1])} or {listed[-1]}?"
    word = placement.chapters[spots[0][1]].word if in_chapter else None
    return NeedleDraft(
        spec=spec,
        question=with_context(text, word),
        options=shuffle_texts(rng, [*names, absent_name, *fillers]),
        answer=f"the {answer.figure.phrase(phrase)}",
        events=events,
        vary=phrase,
        context=word,
    )


def _free_stretches(
    rng: random.Random, placement: PlacementPlan, spec: ItemSpec, count: int, in_chapter: bool
) -> list[tuple[Span, int]] | None:
    """`count` free stretches well apart, the first where `spec` has it; all of them in its chapter
    with `in_chapter`."""
    first = _free_stretch(rng, placement, spec)
    if first is None:
        return None
    stretches = [first]
    # Well apart, so that "first" is not a matter of a frame.
    room = placement.chapters[first[1]].span if in_chapter else placement.tree.span
    apart_s = min(30.0, 0.1 * room.duration_s)
    for _ in range(40):
        if len(stretches) == count:
            return stretches
        start_s = round(rng.uniform(room.start_s, room.end_s), 3)
        span = Span(start_s, round(start_s + spec.length_s, 3))
        chapter = placement.chapter_of(span)
        wide = Span(max(0.0, span.start_s - apart_s), span.end_s + apart_s)
        clear = all(other.overlap_s(wide) == 0 for other, _ in stretches)
        if chapter is not None and clear and placement.is_free(span):
            stretches.append((span, chapter))
    return None


def _count(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """ "How many stars are there?" of a chapter: two to four that differ, one after another."""
    count = rng.randint(2, 4)
    spots = _free_stretches(rng, placement, spec, count, in_chapter=True)
    if spots is None:
        return None
    # Alike in what is counted, different in what is not: each is a thing of its own.
    base = random_figure(rng)
    shared: Attribute = rng.choice(("shape", "colour"))
    varied: Attribute = "colour" if shared == "shape" else "shape"
    events = tuple(
        _event(
            spec,
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
    chapter = events[0].chapter
    claim = UniqueLook(base, (shared,), chapter, frozenset(p.id for p in events))
    if not placement.add(events, [claim]):
        return None
    what = to_plural(base.shape) if shared == "shape" else f"{base.colour} objects"
    word = placement.chapters[chapter].word
    return NeedleDraft(
        spec=spec,
        question=with_context(f"How many {what} are there?", word),
        # All counts there can be, so that no option is more likely than another.
        options=shuffle_texts(rng, ["1", "2", "3", "4"]),
        answer=str(count),
        events=events,
        vary=(shared,),
        context=word,
    )


def _absent(rng: random.Random, placement: PlacementPlan, spec: ItemSpec) -> NeedleDraft | None:
    """A half-truth: the thing is there with one attribute changed, or in another chapter only."""
    spot = _free_stretch(rng, placement, spec)
    if spot is None:
        return None
    span, chapter = spot
    # Half of them are there, in another chapter: right thing, wrong place.
    elsewhere = rng.random() < 0.5
    attribute = rng.choice(("colour", "pattern", "size"))
    phrase = rng.choice([p for p in _WORLD_PHRASES[:3] if attribute not in p])
    figure = _figure(rng, phrase)
    # Changed in what the question names: whoever overlooks that finds an answer.
    decoy = figure if elsewhere else alter_figure(rng, figure, rng.choice(phrase))
    event = _event(spec, 0, decoy, span, chapter, rng.choice(NEEDLE_MOTIONS))
    # The claim has no owner: nothing in its scope may look like what is asked for.
    # In another chapter, in this one, or in the whole world.
    scope: int | None = None
    if elsewhere:
        scope = rng.choice([i for i in range(len(placement.chapters)) if i != chapter])
    elif rng.random() < 0.5:
        scope = chapter
    if not placement.add([event], [UniqueLook(figure, phrase, scope, frozenset())]):
        return None
    word = None if scope is None else placement.chapters[scope].word
    return NeedleDraft(
        spec=spec,
        question=with_context(QUESTION_FORMS[attribute].format(figure.phrase(phrase)), word),
        options=value_options(rng, attribute, decoy.value(attribute)),
        answer=None,
        events=(event,),
        vary=phrase,
        context=word,
    )
