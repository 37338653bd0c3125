"""Scenes and programs for pictures, one function a family. Each builds a scene that has what its
guarantees need; the generator checks them afterwards, and draws again where chance spoilt one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from mmreason.grounding.refadv.drafts import (
    VALUES,
    Draft,
    Knobs,
    choose_attributes,
    choose_other,
    draw_look,
    draw_twins,
    fill_scene,
)
from mmreason.grounding.refadv.programs import ATTRIBUTES, Clause, ClauseKind, Pick, Program
from mmreason.grounding.refadv.things import Rectangle, Thing, change

_ZONE = 0.07
"""Half the width of a stretch, so that two lie a tenth of the frame apart."""


def draft_attribute(rng: random.Random, knobs: Knobs) -> Draft:
    """`the large red square`: every attribute has a witness that lacks it alone."""
    target = draw_look(rng)
    if knobs.k == 1:
        return _draft_single(rng, knobs, target)
    names = choose_attributes(rng, knobs.k, ATTRIBUTES)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    things = fill_scene(rng, target, twins, knobs.n, hardness=knobs.hardness, clauses=clauses)
    return Draft(program=Program(tuple(clauses)), things=things)


def _draft_single(rng: random.Random, knobs: Knobs, target: Thing) -> Draft:
    """One attribute: everything has a value of its own, or the odd one out would be the target."""
    name = rng.choice([a for a in ("colour", "shape") if len(VALUES[a]) >= knobs.n] or ["colour"])
    value = getattr(target, name)
    others = [other for other in VALUES[name] if other != value]
    rng.shuffle(others)
    values = [others[index % len(others)] for index in range(knobs.n - 1)]
    things = [target, *(change(target, name, other) for other in values)]
    # "Not red" would mean one only where all others are red, and the odd one out gives that away;
    # so the twin is named beside it.
    twin = values[0] if knobs.negation else ""
    clause = Clause(cast(ClauseKind, name), value, rather_than=twin)
    return Draft(program=Program((clause,)), things=things)


def draft_relation(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square left of the blue ring`: elsewhere a blue square is left of a red ring, so
    that the same words bound otherwise mean another; one more red square is right of the ring."""
    if knobs.hops == 2:
        return _draft_two_hops(rng, knobs)
    target = draw_look(rng)
    swapped, kept = rng.sample(("colour", "shape"), 2)
    others = [name for name in ATTRIBUTES if name != swapped]
    chosen = {swapped, *rng.sample(others, knobs.k - 2)}
    names = [name for name in ATTRIBUTES if name in chosen]
    landmark = replace(
        draw_look(rng),
        **{name: choose_other(rng, name, getattr(target, name)) for name in ("colour", "shape")},
    )
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    # What the landmark has must not come back elsewhere but in the twin that is meant to have it.
    twins = {n: choose_other(rng, n, *_values(n, target, landmark)) if n == kept else v
             for n, v in twins.items()}  # fmt: skip
    twins[swapped] = getattr(landmark, swapped)
    clauses = [_retwin(clause, twins) for clause in clauses]
    relation = rng.choice(("left", "right", "above", "below"))
    twin_landmark = replace(landmark, **{swapped: getattr(target, swapped)})
    witnesses = [change(target, name, twins[name]) for name in names]
    near, middle, far, end = (_zone(relation, index) for index in range(4))
    things = [
        replace(target, within=near),
        *(replace(witness, within=near) for witness in witnesses),
        replace(landmark, within=middle),
        replace(target, within=far),
        replace(twin_landmark, within=end),
    ]
    fillers = [replace(target, within=zone) for zone in (far, end)]
    fillers += [
        replace(change(target, name, twins[name]), within=zone)
        for name in names
        if name != swapped
        for zone in (near, far, end)
    ]
    things += rng.choices(fillers, k=knobs.n - len(things))
    said = tuple(_say(landmark, name) for name in ("colour", "shape"))
    clause = Clause("relation", relation, landmark=Program(said))
    # With one attribute the landmark itself is left of its twin, and fits the swapped words too.
    return Draft(program=Program((*clauses, clause)), things=things, needs_swap=len(names) > 1)


def _draft_two_hops(rng: random.Random, knobs: Knobs) -> Draft:
    """`the red square left of the ring that is above the yellow thing`: a second ring is below it,
    with another red square to its left that is not left of the first."""
    target = draw_look(rng)
    names = choose_attributes(rng, knobs.k - 1, ATTRIBUTES)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    shape = choose_other(rng, "shape", target.shape, twins.get("shape", target.shape))
    landmark = replace(draw_look(rng), shape=shape)
    used = {target.colour, twins.get("colour", target.colour), landmark.colour}
    farthest = replace(target, colour=choose_other(rng, "colour", *used))
    relation, inner = rng.choice(("left", "right")), rng.choice(("above", "below"))
    if rng.random() < 0.5:
        relation, inner = inner, relation
    near, middle, far, end = (_zone(relation, index) for index in range(4))
    upper, lower = _half(inner, 0), _half(inner, 1)
    things = [
        replace(target, within=_cut(near, rng.choice((upper, lower)))),
        *(
            replace(change(target, name, twins[name]), within=_cut(near, half))
            for name, half in zip(names, _alternate(rng, upper, lower, len(names)), strict=True)
        ),
        replace(landmark, within=_cut(middle, upper)),
        replace(target, within=_cut(far, rng.choice((upper, lower)))),
        replace(landmark, within=_cut(end, lower)),
        replace(farthest, within=_cut(far, _half(inner, 2))),
    ]
    while len(things) < knobs.n:
        half = rng.choice((upper, lower))
        things.append(replace(target, within=_cut(far, half)))
    deepest = Program((_say(farthest, "colour"),))
    inner_clause = Clause("relation", inner, landmark=deepest)
    middle_program = Program((Clause("shape", shape), inner_clause))
    clause = Clause("relation", relation, landmark=middle_program)
    return Draft(program=Program((*clauses, clause)), things=things)


def draft_ordinal(rng: random.Random, knobs: Knobs) -> Draft:
    """`of the red squares, the second from the left`: things of other looks stand between, so that
    without any one word another thing is second."""
    target = draw_look(rng)
    names = choose_attributes(rng, knobs.k - 1, ATTRIBUTES)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    group = rng.randint(2, max(2, min(4, knobs.n - len(names))))
    looks = fill_scene(
        rng, target, twins, knobs.n - group + 1, hardness=knobs.hardness, clauses=clauses
    )
    things = [*looks, *[target] * (knobs.n - len(looks))]
    group = len(things) - len(looks) + 1
    # Rows are lower than they are wide: many stand side by side only.
    by = rng.choice(("left", "right", "top", "bottom") if knobs.n <= 5 else ("left", "right"))
    slots = rng.sample(range(knobs.n), knobs.n)
    placed = [
        replace(thing, within=_slot(by, slot, knobs.n))
        for thing, slot in zip(things, slots, strict=True)
    ]
    rank = rng.randint(1, min(group, 4))
    # Whoever of the group has that rank is the target.
    alike = sorted((0, *range(len(looks), knobs.n)), key=lambda index: slots[index])
    chosen = alike[rank - 1] if by in ("left", "top") else alike[-rank]
    placed[0], placed[chosen] = placed[chosen], placed[0]
    return Draft(program=Program(tuple(clauses), Pick(by, rank)), things=placed)


def draft_same(rng: random.Random, knobs: Knobs) -> Draft:
    """`the square of the same colour as the star`: other squares have other colours, and other
    things that colour."""
    target = draw_look(rng)
    attribute = rng.choice(("colour", "pattern"))
    options = [name for name in ATTRIBUTES if name != attribute]
    names = choose_attributes(rng, knobs.k - 1, options)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    shape = choose_other(rng, "shape", target.shape, twins.get("shape", target.shape))
    landmark = replace(draw_look(rng), shape=shape)
    landmark = replace(landmark, **{attribute: getattr(target, attribute)})
    twins[attribute] = choose_other(rng, attribute, getattr(target, attribute))
    things = [
        *fill_scene(rng, target, twins, knobs.n - 1, hardness=knobs.hardness, clauses=clauses),
        landmark,
    ]
    clause = Clause("same", attribute, landmark=Program((Clause("shape", shape),)))
    return Draft(program=Program((*clauses, clause)), things=things)


def draft_count(rng: random.Random, knobs: Knobs) -> Draft:
    """`the square that is one of exactly three things of the same colour`: others like it are of
    colours that more or fewer have."""
    target = draw_look(rng)
    attribute = rng.choice(
        [name for name in ("colour", "shape") if knobs.k < 4 or name == "colour"]
    )
    options = [name for name in ATTRIBUTES if name != attribute]
    names = choose_attributes(rng, knobs.k - 1, options)
    twins, clauses = draw_twins(rng, target, names, knobs.negation)
    most = min(5, knobs.n - 1)
    size = rng.randint(min(most, len(names) + 1), most)
    members = fill_scene(rng, target, twins, size, hardness=knobs.hardness, clauses=clauses)
    things = list(members)
    # Groups of other sizes, each of a value of its own, whose things look like the target else.
    free = [value for value in VALUES[attribute] if value != getattr(target, attribute)]
    rng.shuffle(free)
    missing = knobs.n - size
    while missing and free:
        length = rng.choice([n for n in range(1, missing + 1) if n != size] or [missing])
        things += [change(target, attribute, free.pop())] * length
        missing -= length
    clause = Clause("count", f"{attribute} {size}")
    return Draft(program=Program((*clauses, clause)), things=things)


def _say(thing: Thing, name: str) -> Clause:
    return Clause(cast(ClauseKind, name), getattr(thing, name))


def _values(name: str, *things: Thing) -> list[str]:
    return [getattr(thing, name) for thing in things]


def _retwin(clause: Clause, twins: dict[str, str]) -> Clause:
    """The clause as it reads with other twins."""
    if clause.negated:
        return replace(clause, value=twins[clause.kind])
    return replace(clause, rather_than=twins[clause.kind]) if clause.rather_than else clause


def _zone(relation: str, index: int) -> Rectangle:
    """The stretch of the frame that is `index` steps from the end that `relation` points to."""
    middle = 0.125 + 0.25 * index
    middle = middle if relation in ("left", "above") else 1 - middle
    low, high = middle - _ZONE, middle + _ZONE
    return (low, 0.0, high, 1.0) if relation in ("left", "right") else (0.0, low, 1.0, high)


def _half(relation: str, index: int) -> Rectangle:
    """Before (0), after (1) or in the middle (2) of the frame, as `relation` points."""
    low, high = ((0.0, 0.37), (0.63, 1.0), (0.49, 0.51))[index]
    if relation in ("right", "below"):
        low, high = 1 - high, 1 - low
    return (low, 0.0, high, 1.0) if relation in ("left", "right") else (0.0, low, 1.0, high)


def _cut(a: Rectangle, b: Rectangle) -> Rectangle:
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def _alternate(rng: random.Random, a: Rectangle, b: Rectangle, count: int) -> list[Rectangle]:
    """`count` of the two, each about as often."""
    halves = [a, b] if rng.random() < 0.5 else [b, a]
    return [halves[index % 2] for index in range(count)]


def _slot(by: str, index: int, count: int) -> Rectangle:
    """One of `count` stretches, from the left or the top, with room between any two."""
    edge = 0.09 if by in ("left", "right") else 0.17
    step = (1 - 2 * edge) / (count - 1)
    middle, slack = edge + step * index, max(0.0, (step - 0.102) / 2)
    low, high = middle - slack, middle + slack
    return (low, 0.0, high, 1.0) if by in ("left", "right") else (0.0, low, 1.0, high)


IMAGE_DRAFTS: dict[str, Callable[[random.Random, Knobs], Draft]] = {
    "attribute": draft_attribute,
    "relation": draft_relation,
    "ordinal": draft_ordinal,
    "same": draft_same,
    "count": draft_count,
}
