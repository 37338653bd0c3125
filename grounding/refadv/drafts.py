"""What builds a scene: the knobs, a draft, and the draws that all families have in common."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, cast, get_args

from mmreason.grounding.refadv.programs import ATTRIBUTES, Clause, ClauseKind, Program
from mmreason.grounding.refadv.things import Thing, change
from mmreason.video.world.script import Colour, Pattern, Shape, Size

ImageFamily = Literal["attribute", "relation", "ordinal", "same", "count"]
VideoFamily = Literal["motion", "order", "sequence", "touch", "pass", "enter", "leave", "turn"]
GroundKind = Literal["plain", "texture", "photo"]
LookKind = Literal["shapes", "cutouts"]
Answer = Literal["one", "none", "many"]
IMAGE_FAMILIES: tuple[str, ...] = get_args(ImageFamily)
VIDEO_FAMILIES: tuple[str, ...] = get_args(VideoFamily)
VALUES: dict[str, tuple[str, ...]] = {
    "colour": get_args(Colour),
    "shape": get_args(Shape),
    "size": get_args(Size),
    "pattern": get_args(Pattern),
}
MAX_K = 5
MAX_N = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """How hard items are. Raises ValueError where a knob is out of range.

    Example:
        >>> Knobs(k=3, n=8).n
        8
    """

    k: int = 2
    """Descriptors of an expression, those of its landmarks not counted: 1 to 5."""
    n: int = 6
    """Objects in a scene: 3 to 20."""
    hardness: int = 0
    """Of `k` descriptors, how many every object beside the target fits at least."""
    negation: int = 0
    """1: one descriptor is negated or contrasted ("not striped", "red rather than blue")."""
    hops: int = 1
    """Landmarks that a relation leads over: 1 or 2."""
    none_rate: float = 0.0
    """Share of items in which nothing fits."""
    multi_rate: float = 0.0
    """Share of items in which several fit, and the text says "every"."""
    families: tuple[str, ...] = ()
    """Of which families; () takes all that `k` and `n` allow."""
    ground: GroundKind = "plain"
    look: LookKind = "shapes"
    wording: Literal["varied", "first"] = "varied"
    """`first` takes the first template and the first synonym everywhere."""

    def __post_init__(self) -> None:
        limits = {"k": (1, MAX_K), "n": (3, MAX_N), "hardness": (0, MAX_K - 1), "negation": (0, 1)}
        limits["hops"] = (1, 2)
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(
                    f"{name} must be a whole number from {low} to {high}, got {value!r}"
                )
        rates = (self.none_rate, self.multi_rate)
        if not (min(rates) >= 0.0 and sum(rates) <= 1.0):
            raise ValueError(f"none_rate and multi_rate must be shares of one whole, got {rates}")
        unknown = set(self.families) - {*IMAGE_FAMILIES, *VIDEO_FAMILIES}
        if unknown:
            raise ValueError(
                f"families must be of {(*IMAGE_FAMILIES, *VIDEO_FAMILIES)}, got {sorted(unknown)}"
            )


@dataclass(frozen=True, slots=True)
class FamilyLimit:
    """What a family needs."""

    least_k: int
    most_k: int
    more_n: int
    """Objects needed beyond `k`."""
    largest_n: int = MAX_N

    def most_n(self, k: int) -> int:
        """Most objects with `k` descriptors: a single one is a colour, of which there are nine."""
        return min(self.largest_n, len(VALUES["colour"])) if k == 1 else self.largest_n


FAMILY_LIMITS: dict[str, FamilyLimit] = {
    "attribute": FamilyLimit(1, 4, 1),
    "relation": FamilyLimit(2, 5, 3),
    "ordinal": FamilyLimit(2, 5, 1, 8),
    "same": FamilyLimit(2, 3, 2),
    "count": FamilyLimit(2, 4, 2, 14),
    "motion": FamilyLimit(1, 5, 2, 10),
    "order": FamilyLimit(2, 5, 2, 10),
    "sequence": FamilyLimit(1, 5, 3, 12),
    "touch": FamilyLimit(1, 3, 3, 8),
    "pass": FamilyLimit(1, 2, 3, 6),
    "enter": FamilyLimit(1, 3, 2, 8),
    "leave": FamilyLimit(1, 3, 2, 8),
    "turn": FamilyLimit(1, 4, 3, 12),
}


TWO_HOPS_LIMIT = FamilyLimit(2, 5, 4, 14)
"""Of relations over two landmarks."""


def find_limit(family: str, knobs: Knobs) -> FamilyLimit:
    """What a family needs with these knobs."""
    return TWO_HOPS_LIMIT if family == "relation" and knobs.hops == 2 else FAMILY_LIMITS[family]


def allows_knobs(family: str, knobs: Knobs) -> bool:
    """Whether a family makes items of these knobs.

    Example:
        >>> allows_knobs("order", Knobs(k=1)), allows_knobs("order", Knobs(k=2))
        (False, True)
    """
    limit = find_limit(family, knobs)
    fits_k = limit.least_k <= knobs.k <= limit.most_k
    return fits_k and knobs.k + limit.more_n <= knobs.n <= limit.most_n(knobs.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A scene to be: the first thing is the target."""

    program: Program
    things: list[Thing]
    """Without places, until they are found."""
    needs_swap: bool = False
    """Whether the same words, bound otherwise, must mean another object."""


def draw_look(rng: random.Random) -> Thing:
    """A thing of any look."""
    return Thing(
        colour=rng.choice(VALUES["colour"]),
        shape=rng.choice(VALUES["shape"]),
        size=rng.choice(VALUES["size"]),
        pattern=rng.choice(VALUES["pattern"]),
    )


def choose_other(rng: random.Random, attribute: str, *values: str) -> str:
    """Another value of an attribute than any of `values`."""
    return rng.choice([value for value in VALUES[attribute] if value not in values])


def choose_attributes(rng: random.Random, count: int, options: Sequence[str]) -> list[str]:
    """`count` of the attributes, the shape more often than not, in the order of speech."""
    names = list(options)
    if count < len(names) and "shape" in names and rng.random() < 0.6:
        names.remove("shape")
        chosen = {"shape", *rng.sample(names, count - 1)} if count else set()
    else:
        chosen = set(rng.sample(names, count))
    return [attribute for attribute in ATTRIBUTES if attribute in chosen]


def draw_twins(
    rng: random.Random, target: Thing, names: Sequence[str], negation: int
) -> tuple[dict[str, str], list[Clause]]:
    """For every attribute the one other value that occurs, and what is said of the target."""
    twins = {name: choose_other(rng, name, getattr(target, name)) for name in names}
    clauses = [Clause(cast(ClauseKind, name), getattr(target, name)) for name in names]
    return twins, add_negation(rng, clauses, twins) if negation else clauses


def fill_scene(
    rng: random.Random,
    target: Thing,
    twins: dict[str, str],
    count: int,
    *,
    hardness: int,
    clauses: Sequence[Clause],
) -> list[Thing]:
    """The target, one private witness per descriptor, and fillers: `count` things in all.

    `twins` gives for every descriptor the one other value that occurs in the scene. Fillers are
    corners of the cube that these values span, those that differ most from the witnesses first: in
    a whole cube every thing is as central as the target is. The witness of what `clauses` negate
    stands there once: without "not" the words mean it alone.
    """
    names = list(twins)
    most_flips = max(1, len(names) - hardness)
    corners = [
        flips
        for flips in product((False, True), repeat=len(names))
        if 1 <= sum(flips) <= most_flips
    ]
    witnesses = [flips for flips in corners if sum(flips) == 1]
    others = [flips for flips in corners if sum(flips) > 1]
    rng.shuffle(others)
    fillers = list(others)
    negated = {clause.kind for clause in clauses if clause.negated or clause.rather_than}
    common = [
        f for f in corners if {n for n, flip in zip(names, f, strict=True) if flip} != negated
    ]
    # Fewer than `count` where nothing may stand there twice; the draft is then drawn again.
    while common and len(fillers) < count:
        fillers += rng.sample(common, len(common))
    chosen = [*witnesses, *fillers][: count - 1]
    things = [target]
    for flips in chosen:
        thing = target
        for name, flip in zip(names, flips, strict=True):
            thing = change(thing, name, twins[name]) if flip else thing
        things.append(thing)
    return things


def add_negation(rng: random.Random, clauses: list[Clause], twins: dict[str, str]) -> list[Clause]:
    """One clause said by what its twin is: "not striped", or "red rather than blue"."""
    options = [i for i, clause in enumerate(clauses) if clause.kind in twins]
    if not options:
        return clauses
    index = rng.choice(options)
    clause = clauses[index]
    twin = twins[clause.kind]
    if rng.random() < 0.5:
        turned = Clause(clause.kind, twin, negated=True)
    else:
        turned = Clause(clause.kind, clause.value, rather_than=twin)
    return [*clauses[:index], turned, *clauses[index + 1 :]]
