"""Solves a saved item again and proves what is said of it.

Nothing of the generator is used: the scene's JSON is read, positions are computed from it, and the
program is evaluated over what is measured there (`facts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations, pairwise
from operator import attrgetter
from typing import Any

from mmreason.grounding.refadv.facts import Facts, measure, reverse_facts
from mmreason.grounding.refadv.items import Certificate, Item, Variant
from mmreason.grounding.refadv.programs import (
    ATTRIBUTES,
    EVENTS,
    Clause,
    Program,
    delete_descriptor,
    find_clause,
    list_descriptors,
    list_needed,
    strip_negation,
    swap_bindings,
)
from mmreason.video.plain_text import show_line
from mmreason.video.world.truth import boxes_at

LEAST_GAP_S = 0.5
"""Between the beginnings of what is compared in time."""
LEAST_APART = 0.1
"""Of the frame's width or height, between what is compared in place."""
LEAST_VISIBLE = 0.6
_ROUNDING = 1e-3


class CertificateError(ValueError):
    """An item that is not what it says. The message names the item and everything that fails."""

    only_margins = False
    """Whether all is true, but something lies too close together to tell."""


def certify(item: dict[str, Any]) -> Certificate:
    """Solve an item from its JSON alone, and compare with what it says of itself.

    Raises `CertificateError` where a target, a variant, a margin or the stored certificate does not
    hold, ValueError where the JSON is not an item.

    Example:
        >>> from mmreason.grounding import refadv
        >>> item = next(refadv.generate(kind="image", seed=0, count=1)).to_dict()
        >>> certify(item).unique
        True
        >>> item["target_ids"] = sorted({*item["candidate_ids"]} - {*item["target_ids"]})[:1]
        >>> certify(item)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        mmreason.grounding.refadv.certifier.CertificateError: ...
    """
    parsed = Item.from_dict(item)
    certificate = prove(parsed)
    if certificate != parsed.certificate:
        fields = [
            f"{name} is {getattr(certificate, name)!r}, not {getattr(parsed.certificate, name)!r}"
            for name in Certificate.__dataclass_fields__
            if getattr(certificate, name) != getattr(parsed.certificate, name)
        ]
        raise CertificateError(f"{show_line(parsed.id)}: {show_line('; '.join(fields))}")
    return certificate


def prove(item: Item) -> Certificate:
    """The certificate of an item, whatever it says of its own. Raises `CertificateError`."""
    try:
        facts = measure(item.world, item.frame_time_s if item.kind == "image" else None)
    except ValueError as error:
        raise CertificateError(f"{show_line(item.id)}: {show_line(str(error))}") from error
    unknown = sorted({*item.target_ids} - {fact.id for fact in facts})
    if unknown:
        raise CertificateError(show_line(f"{item.id}: targets {unknown[:3]} are not in the scene"))
    solver, backwards = Solver(facts), None
    if item.kind == "video":
        last_s = (item.world.frame_count - 1) / item.world.fps_hz
        backwards = Solver(reverse_facts(facts, last_s))
    failures = [
        *_check_scene(item, facts),
        *_check_targets(item, solver),
        *_check_variants(item, solver, backwards),
    ]
    certificate = _write_certificate(item, solver, backwards)
    # Of everything that any wording of the item compares, the margins are recorded while solving.
    narrow = sorted(solver.narrow | (backwards.narrow if backwards else set()))
    failures += [] if certificate.unique else ["its program does not mean its targets"]
    failures += [] if certificate.irredundant else ["a descriptor can go without a change"]
    if failures or narrow:
        shown = "; ".join(dict.fromkeys([*failures, *narrow]))
        error = CertificateError(f"{show_line(item.id)}: {show_line(shown)}")
        error.only_margins = not failures
        raise error
    return certificate


class Solver:
    """What programs mean over measured facts, and which comparisons were too close to tell."""

    def __init__(self, facts: list[Facts]) -> None:
        self.facts = facts
        self.by_id = {fact.id: fact for fact in facts}
        self.narrow: set[str] = set()
        self._solved: dict[Program, tuple[str, ...]] = {}

    def solve(self, program: Program) -> tuple[str, ...]:
        """Ids of what a program means, in the order of the scene. "The ring", where there is not
        exactly one ring, makes all that is said of it untrue."""
        if program not in self._solved:
            members = [f for f in self.facts if all(self.holds(c, f) for c in program.clauses)]
            if program.pick is not None:
                members = self._rank(program, members)
            self._solved[program] = tuple(fact.id for fact in members)
        return self._solved[program]

    def holds(self, clause: Clause, fact: Facts) -> bool:
        """Whether one clause is true of one object."""
        if clause.landmark is None:
            return self._holds_alone(clause, fact) is not clause.negated
        landmarks = self.solve(clause.landmark)
        if len(landmarks) != 1 or landmarks[0] == fact.id:
            return False
        return self._holds_with(clause, fact, self.by_id[landmarks[0]]) is not clause.negated

    def _holds_alone(self, clause: Clause, fact: Facts) -> bool:
        if clause.kind in (*ATTRIBUTES, *EVENTS):
            return getattr(fact, clause.kind) == clause.value
        attribute, number = clause.value.split()
        return len([f for f in self.facts if _look(f, attribute) == _look(fact, attribute)]) == int(
            number
        )

    def _holds_with(self, clause: Clause, fact: Facts, landmark: Facts) -> bool:
        if clause.kind == "same":
            return _look(fact, clause.value) == _look(landmark, clause.value)
        if clause.kind in ("touches", "passes"):
            return landmark.id in getattr(fact, clause.kind)
        if clause.kind == "relation":
            ahead = {
                "left": landmark.x - fact.x,
                "right": fact.x - landmark.x,
                "above": landmark.y - fact.y,
                "below": fact.y - landmark.y,
            }[clause.value]
            self._note(
                abs(ahead) >= LEAST_APART - _ROUNDING, f"{fact.id} and {landmark.id} in place"
            )
            return ahead > 0
        if clause.kind not in ("before", "after") or clause.value not in ("moves", "turns"):
            raise CertificateError(f"unknown clause {clause.kind} {clause.value}")
        if not (fact.moves and getattr(landmark, clause.value)):
            return False
        later_s = fact.begins_s - landmark.begins_s
        self._note(abs(later_s) >= LEAST_GAP_S - _ROUNDING, f"{fact.id} and {landmark.id} in time")
        return later_s > 0 if clause.kind == "after" else later_s < 0

    def _rank(self, program: Program, members: list[Facts]) -> list[Facts]:
        pick = program.pick
        assert pick is not None
        if pick.by in ("first", "last"):
            members = [fact for fact in members if math.isfinite(fact.begins_s)]
            key, least = attrgetter("begins_s"), LEAST_GAP_S
        else:
            key, least = attrgetter("x" if pick.by in ("left", "right") else "y"), LEAST_APART
        ranked = sorted(members, key=key, reverse=pick.by in ("last", "right", "bottom"))
        for fact, following in pairwise(ranked):
            apart = abs(key(fact) - key(following))
            self._note(apart >= least - _ROUNDING, f"{fact.id} and {following.id} in rank")
        return ranked[pick.rank - 1 : pick.rank]

    def _note(self, wide: bool, what: str) -> None:
        if not wide:
            self.narrow.add(f"{what}: too close to tell")


def _look(fact: Facts, attribute: str) -> str:
    if attribute not in ATTRIBUTES:
        raise CertificateError(f"unknown attribute {attribute}")
    return getattr(fact, attribute)


def _check_scene(item: Item, facts: list[Facts]) -> Iterable[str]:
    """Ids, and that everything can be seen."""
    if item.candidate_ids != tuple(fact.id for fact in facts):
        yield "candidate_ids are not the objects of the scene"
    if item.world.playback != "forward":
        yield "its world must play forward"
    if len(item.expression.split()) != len(item.word_descriptors):
        yield "word_descriptors must name one descriptor a word"
    described = [find_clause(item.program, name) for name in list_descriptors(item.program)]
    of_colour = [c for c in described if isinstance(c, Clause) and _speaks_of_colour(c)]
    if of_colour and any(fact.turns for fact in facts):
        # "The red one" would depend on the moment.
        yield "speaks of colours while something changes its colour"
    if item.kind == "image":
        times_s = [item.frame_time_s or 0.0]
    else:
        last_s = (item.world.frame_count - 1) / item.world.fps_hz
        times_s = [last_s * index / 4 for index in range(5)]
    # Those that meet come near each other, and nobody else.
    meetings = {(f.id, other) for f in facts for other in f.touches | f.passes}
    for time_s in times_s:
        boxes = boxes_at(item.world, time_s)
        for (name, box), (other_name, other) in combinations(boxes.items(), 2):
            meet = {(name, other_name), (other_name, name)} & meetings
            if not meet and _overlap(box, other) > 1 - LEAST_VISIBLE:
                yield f"{name} and {other_name} hide each other"


def _speaks_of_colour(clause: Clause) -> bool:
    return clause.kind == "colour" or (
        clause.kind in ("same", "count") and clause.value.startswith("colour")
    )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Share of the smaller box that lies in the other."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def _check_targets(item: Item, solver: Solver) -> Iterable[str]:
    meant = solver.solve(item.program)
    if meant != item.target_ids:
        yield f"its program means {list(meant)}, its targets are {list(item.target_ids)}"
    many = item.program.quantifier == "every"
    if many != (len(item.target_ids) > 1):
        yield f"{item.program.quantifier} with {len(item.target_ids)} targets"


def _check_variants(item: Item, solver: Solver, backwards: Solver | None) -> Iterable[str]:
    """Every variant means what it says."""
    names = set(list_descriptors(item.program))
    for variant in item.variants:
        if variant.kind == "delete" and variant.descriptor not in names:
            yield f"variant delete names {variant.descriptor!r}"
            continue
        expected = _solve_variant(item, variant, solver, backwards)
        if variant.target_ids not in expected:
            yield f"variant {variant.kind} means {expected}, not {list(variant.target_ids)}"


def _solve_variant(
    item: Item, variant: Variant, solver: Solver, backwards: Solver | None
) -> list[tuple[str, ...]]:
    """What a variant can mean (a swap may be one of several)."""
    if variant.kind == "delete":
        return [solver.solve(delete_descriptor(item.program, variant.descriptor))]
    if variant.kind == "strip_negation":
        stripped = strip_negation(item.program)
        return [] if stripped is None else [solver.solve(stripped)]
    if variant.kind == "swap":
        return [solver.solve(swapped) for swapped in swap_bindings(item.program)]
    if variant.kind == "reverse":
        return [] if backwards is None else [backwards.solve(item.program)]
    return [item.target_ids]


def _write_certificate(item: Item, solver: Solver, backwards: Solver | None) -> Certificate:
    program, targets = item.program, item.target_ids
    descriptors = list(list_descriptors(program))
    without = {name: solver.solve(delete_descriptor(program, name)) for name in descriptors}
    deleted = {name: [i for i in ids if i not in targets] for name, ids in without.items()}
    fits = {
        fact.id: sum(solver.holds(clause, fact) for clause in program.clauses)
        for fact in solver.facts
        if fact.id not in targets
    }
    hardest_id = max(fits, key=lambda name: fits[name], default="")
    twins = [solver.solve(swapped) for swapped in swap_bindings(program)]
    stripped = strip_negation(program)
    return Certificate(
        answer="one" if len(targets) == 1 else ("many" if targets else "none"),
        unique=solver.solve(program) == targets,
        irredundant=all(
            without[name] != targets for name in list_needed(program, any_fits=bool(targets))
        ),
        global_min=_fewest_attributes(solver, targets),
        witnesses=tuple((name, ids[0] if ids else "") for name, ids in deleted.items()),
        hardest_id=hardest_id,
        shared_k=fits.get(hardest_id, 0),
        k=len(program.clauses) + (program.pick is not None),
        order_critical=any(_is_other(ids, targets) for ids in twins),
        negation_matters=stripped is not None and _is_other(solver.solve(stripped), targets),
        reversal_ids=None if backwards is None else backwards.solve(program),
        single_frame_bound=_bound_single_frame(solver, targets),
    )


def _is_other(ids: tuple[str, ...], targets: tuple[str, ...]) -> bool:
    return len(ids) == 1 and ids != targets


def _fewest_attributes(solver: Solver, targets: tuple[str, ...]) -> int | None:
    """The least hitting set: a negated attribute never says more than the attribute itself."""
    if len(targets) != 1:
        return None
    target = solver.by_id[targets[0]]
    distractors = [fact for fact in solver.facts if fact.id != target.id]
    for size in range(len(ATTRIBUTES) + 1):
        for names in combinations(ATTRIBUTES, size):
            if all(any(getattr(d, a) != getattr(target, a) for a in names) for d in distractors):
                return size
    return None


def _bound_single_frame(solver: Solver, targets: tuple[str, ...]) -> float:
    """One over the fewest objects that look like the target in any frame in which it is seen."""
    if len(targets) != 1 or len(solver.by_id[targets[0]].shown) == 1:
        return 1.0
    target = solver.by_id[targets[0]]
    if target.touches or target.passes:
        # Where it is says what it does.
        return 1.0
    alike = [
        sum(fact.shown[index] == look for fact in solver.facts)
        for index, look in enumerate(target.shown)
        if look is not None
    ]
    return round(1 / min(alike), 6)
