"""Scenes and programs for pictures, one function a family. Each builds a scene that has what its
guarantees need; the generator checks them afterwards, and draws again where chance spoilt one."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from mmreason.grounding.refadv.drafts import (
    VALUES,
    Draft,
    Knobs,
    add_negation,
    choose_attributes,
    choose_other,
    draw_look,
    fill_scene,
)
from mmreason.grounding.refadv.programs import ATTRIBUTES, Clause, Program
from mmreason.grounding.refadv.things import Thing, change


def draft_attribute(rng: random.Random, knobs: Knobs) -> Draft:
    """`the large red square`: every attribute has a witness that lacks it alone."""
    target = draw_look(rng)
    if knobs.k == 1:
        return _draft_single(rng, knobs, target)
    names = choose_attributes(rng, knobs.k, ATTRIBUTES)
    twins = {name: choose_other(rng, name, getattr(target, name)) for name in names}
    clauses = [Clause(name, getattr(target, name)) for name in names]  # type: ignore[arg-type]
    if knobs.negation:
        clauses = add_negation(rng, clauses, twins)
    things = fill_scene(rng, target, twins, knobs.n, knobs.hardness)
    return Draft(program=Program(tuple(clauses)), things=things)


def _draft_single(rng: random.Random, knobs: Knobs, target: Thing) -> Draft:
    """One attribute: everything has a value of its own, or the odd one out would be the target."""
    name = rng.choice([a for a in ("colour", "shape") if len(VALUES[a]) >= knobs.n] or ["colour"])
    value = getattr(target, name)
    others = [other for other in VALUES[name] if other != value]
    rng.shuffle(others)
    values = [others[index % len(others)] for index in range(knobs.n - 1)]
    things = [target, *(change(target, name, other) for other in values)]
    clauses = [Clause(name, value)]  # type: ignore[arg-type]
    if knobs.negation:
        # "Not red" means one only where all others are red, which the odd one out gives away; so
        # the twin is named beside it.
        clauses = [Clause(name, value, rather_than=values[0])]  # type: ignore[arg-type]
    return Draft(program=Program(tuple(clauses)), things=things)


IMAGE_DRAFTS: dict[str, Callable[[random.Random, Knobs], Draft]] = {"attribute": draft_attribute}
