"""Where needles and look-alikes go, and what may be where so that every question has one answer.

A claim says that in its scope (a chapter, or the whole world) certain attributes belong to its
owners alone; nothing is planted, and no resident chosen, against a claim.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mmreason.memory.tree import Tree
from mmreason.needle.items import POSITIONS, Border
from mmreason.needle.layout import EDGE_S, Chapter, HiddenEvent, Section
from mmreason.needle.words import ATTRIBUTES, VALUES, Attribute, Figure
from mmreason.video.types import Span

GAP_S = 1.5
"""Between two events."""
_TRIES = 60


@dataclass(frozen=True, slots=True)
class UniqueLook:
    """A claim: what looks like `figure` as far as `attributes` go belongs to `owners`, within a
    chapter (None: in the whole world).

    Example:
        >>> star = Figure("star", "red", "small", "plain")
        >>> claim = UniqueLook(star, ("colour", "shape"), None, frozenset({"item0.0"}))
        >>> claim.allows("double0.0", star.with_value("size", "large"), chapter=4)
        False
    """

    figure: Figure
    attributes: tuple[Attribute, ...]
    chapter: int | None
    owners: frozenset[str]

    def allows(self, event_id: str, figure: Figure, chapter: int) -> bool:
        """Whether `event_id` may look like `figure` in `chapter`."""
        if event_id in self.owners or self.chapter not in (None, chapter):
            return True
        # Alike in what the question names is alike to its reader, whatever else differs.
        return not self.figure.shares(figure, self.attributes)


@dataclass
class PlacementPlan:
    """What has been planted so far."""

    tree: Tree
    chapters: tuple[Chapter, ...]
    events: list[HiddenEvent] = field(default_factory=list)
    claims: list[UniqueLook] = field(default_factory=list)

    def chapter_of(self, span: Span) -> int | None:
        """The chapter that holds `span` with a second to spare; None where it crosses a border."""
        for index, chapter in enumerate(self.chapters):
            inner = chapter.span
            if inner.start_s + EDGE_S <= span.start_s and span.end_s <= inner.end_s - EDGE_S:
                return index
        return None

    def is_free(self, span: Span) -> bool:
        wide = Span(max(0.0, span.start_s - GAP_S), span.end_s + GAP_S)
        return all(event.span.overlap_s(wide) == 0 for event in self.events)

    def allows(self, event: HiddenEvent) -> bool:
        """Whether its place is free and no claim is broken."""
        return self.is_free(event.span) and all(
            claim.allows(event.id, event.figure, event.chapter) for claim in self.claims
        )

    def add(self, events: Iterable[HiddenEvent], claims: Iterable[UniqueLook]) -> bool:
        """Plant all of `events` under `claims`, or nothing where anything stands against it."""
        new, new_claims = list(events), list(claims)
        for index, event in enumerate(new):
            wide = Span(max(0.0, event.span.start_s - GAP_S), event.span.end_s + GAP_S)
            if not self.allows(event) or any(o.span.overlap_s(wide) > 0 for o in new[:index]):
                return False
        # New claims bind what was planted before, as old ones bind what is new.
        everyone = [*self.events, *new]
        if not all(c.allows(p.id, p.figure, p.chapter) for c in new_claims for p in everyone):
            return False
        self.events += new
        self.claims += new_claims
        return True


def border_span(
    rng: random.Random, tree: Tree, position: int, length_s: float, border: Border
) -> Span | None:
    """A stretch of `length_s` that lies to the tree's borders as asked, begins or is centred in
    the tenth `position` of the video; None where there is no such border."""
    duration_s = tree.span.duration_s
    low_s, high_s = (duration_s * (position + i) / POSITIONS for i in (0, 1))
    leaf_s = tree.leaf_s
    # 1. Within a leaf, with a tenth of a second to its borders; a needle longer than a leaf lies
    # anywhere.
    if border == "inside":
        # A tenth of a second to either border.
        slack_s = leaf_s - length_s - 0.2
        if slack_s <= 0:
            start_s = rng.uniform(low_s, high_s)
        else:
            leaf = tree.leaf_at(rng.uniform(low_s, high_s)).span
            start_s = leaf.start_s + 0.1 + rng.uniform(0.25, 0.75) * slack_s
    else:
        # 2. At a border of some level: across it, or just after or before it.
        at_s = _border_in(rng, tree, low_s, high_s)
        if at_s is None:
            return None
        if border == "across":
            start_s = at_s - rng.uniform(0.3, 0.7) * length_s
        elif rng.random() < 0.5:
            start_s = at_s + rng.uniform(0.02, 0.1) * leaf_s
        else:
            start_s = at_s - length_s - rng.uniform(0.02, 0.1) * leaf_s
    # 3. To the millisecond, as scripts hold times.
    start_s = round(start_s, 3)
    if start_s < 0 or start_s + length_s > duration_s:
        return None
    return Span(start_s, round(start_s + length_s, 3))


def _border_in(rng: random.Random, tree: Tree, low_s: float, high_s: float) -> float | None:
    """A border between nodes inside (low_s, high_s), of a random level that has one there."""
    # Levels in random order: most borders are of the lowest, which would always be taken.
    for level in rng.sample(range(1, tree.depth + 1), tree.depth):
        count = tree.branching**level
        borders_s = [tree.span.duration_s * i / count for i in range(1, count)]
        inside = [b for b in borders_s if low_s < b < high_s]
        if inside:
            return rng.choice(inside)
    return None


def classify_border(tree: Tree, span: Span) -> Border:
    """How a stretch lies to the leaves: `near` is within a tenth of a leaf of a border."""
    # Half-open: an end on a border is still in the leaf before it.
    first, last = tree.leaf_at(span.start_s), tree.leaf_at(span.end_s - 1e-6)
    if first.id != last.id:
        return "across"
    leaf = first.span
    nearest_s = min(span.start_s - leaf.start_s, leaf.end_s - span.end_s)
    return "near" if nearest_s <= 0.1 * tree.leaf_s + 1e-3 else "inside"


def plant_look_alikes(
    rng: random.Random,
    placement: PlacementPlan,
    needle: HiddenEvent,
    attributes: tuple[Attribute, ...],
    prefix: str,
) -> int:
    """Plant near duplicates of `needle` that differ in one of `attributes`: in a sibling leaf, a
    cousin leaf and a far branch, where there is room. Returns how many."""
    count = 0
    for index, leaf_span in enumerate(_other_leaves(rng, placement.tree, needle.span)):
        for _ in range(12):
            start_s = round(rng.uniform(leaf_span.start_s, leaf_span.end_s), 3)
            span = Span(start_s, round(start_s + needle.span.duration_s, 3))
            chapter = placement.chapter_of(span)
            changed = alter_figure(rng, needle.figure, rng.choice(attributes))
            if chapter is None or span.end_s > placement.tree.span.end_s:
                continue
            look_alike = HiddenEvent(
                id=f"{prefix}.{index}",
                figure=changed,
                motion=needle.motion,
                span=span,
                chapter=chapter,
            )
            if placement.add([look_alike], ()):
                count += 1
                break
    return count


def _other_leaves(rng: random.Random, tree: Tree, span: Span) -> list[Span]:
    """Spans of a sibling leaf, a cousin leaf and a leaf of another top branch."""
    # A search that goes wrong at one level is misled by the look-alike of that level.
    home = tree.leaf_at(span.middle_s).id
    spans = []
    for level in range(tree.depth - 1, -1, -1):
        digits = list(home)
        digits[level] = rng.choice([i for i in range(1, tree.branching + 1) if i != home[level]])
        for deeper in range(level + 1, tree.depth):
            digits[deeper] = rng.randint(1, tree.branching)
        spans.append(tree.node(tuple(digits)).span)
    return spans


def alter_figure(rng: random.Random, figure: Figure, attribute: Attribute) -> Figure:
    """The same figure but for one attribute."""
    values = [v for v in VALUES[attribute] if v != figure.value(attribute)]
    return figure.with_value(attribute, rng.choice(values))


def random_figure(rng: random.Random) -> Figure:
    values: dict[str, Any] = {name: rng.choice(VALUES[name]) for name in ATTRIBUTES}
    return Figure(**values)


def choose_residents(
    rng: random.Random, placement: PlacementPlan, sections: tuple[Section, ...]
) -> tuple[Figure, ...] | None:
    """A resident for each section: no two of a chapter alike, none like an event beside it in
    colour and shape, none against a claim. None where no such figure is found."""
    figures: list[Figure] = []
    taken: dict[int, set[Figure]] = {}
    for section in sections:
        beside = {
            (p.figure.colour, p.figure.shape)
            for p in placement.events
            if p.span.overlap_s(section.span) > 0
        }
        used = taken.setdefault(section.chapter, set())
        # Drawn until one fits: near many claims few figures do.
        for _ in range(_TRIES * 5):
            figure = random_figure(rng)
            if (
                figure not in used
                and (figure.colour, figure.shape) not in beside
                and all(c.allows("", figure, section.chapter) for c in placement.claims)
            ):
                break
        else:
            return None
        used.add(figure)
        figures.append(figure)
    return tuple(figures)
