"""Which objects of an annotated image look alike, and what tells each from the others.

Everything follows from the attributes that people gave: a descriptor is true of an object, false,
or not known, and what is not known excludes nothing. A description is sufficient when each other
object violates one of its descriptors: a hitting set, of which the smallest is found exactly for
up to 20 objects (`MOST_EXACT`), and greedily beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmreason.grounding.boxes import Box

MOST_EXACT = 20
"""Objects of an image up to which the smallest description is proved to be it."""
_MOST_STEPS = 200_000
"""Comparisons of the search in larger images; then the greedy description stands."""
CATEGORY = "category"


@dataclass(frozen=True, slots=True, order=True)
class AttributeValue:
    """An attribute and its value, such as colour: red.

    Example:
        >>> str(AttributeValue("colour", "red"))
        'colour: red'
    """

    attribute: str
    value: str

    def __str__(self) -> str:
        return f"{self.attribute}: {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedObject:
    """One object of an image with what people said of it.

    Example:
        >>> star = AnnotatedObject(id="1", category="star", attributes={"colour": ("red",)})
        >>> star.says(AttributeValue("colour", "red")), star.says(AttributeValue("size", "big"))
        (True, None)
    """

    id: str
    category: str
    attributes: Mapping[str, tuple[str, ...]]
    """Each attribute's values; an attribute that is not there is not known."""
    box: Box | None = None

    def says(self, descriptor: AttributeValue) -> bool | None:
        """Whether the descriptor is true of it; None where nobody said."""
        if descriptor.attribute == CATEGORY:
            return self.category == descriptor.value
        values = self.attributes.get(descriptor.attribute)
        return None if values is None else descriptor.value in values

    @property
    def descriptors(self) -> tuple[AttributeValue, ...]:
        """All that is true of it, its category first, then by name."""
        pairs = sorted((name, value) for name, vs in self.attributes.items() for value in vs)
        return (AttributeValue(CATEGORY, self.category), *(AttributeValue(*pair) for pair in pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlikes:
    """Two objects of one category, the more alike the fewer attributes differ.

    Example:
        >>> pair.differ  # doctest: +SKIP
        ('colour',)
    """

    first: str
    """Id."""
    second: str
    category: str
    shared: tuple[AttributeValue, ...]
    """True of both, the category not counted."""
    differ: tuple[str, ...]
    """Attributes that are known of both and differ; none means that nothing tells them apart."""
    unknown: tuple[str, ...]
    """Attributes that are known of one alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The fewest descriptors that are true of one object and of no other.

    Example:
        >>> description.descriptors  # doctest: +SKIP
        (AttributeValue(attribute='colour', value='red'),)
    """

    target: str
    descriptors: tuple[AttributeValue, ...]
    """Empty where nothing tells it apart, or nothing has to: see `twins`."""
    twins: tuple[str, ...]
    """Others that violate nothing that is true of the target: no description is sufficient."""
    is_smallest: bool
    """Whether the search was exact."""

    @property
    def is_sufficient(self) -> bool:
        return not self.twins


def find_look_alikes(
    objects: Sequence[AnnotatedObject], most_different: int = 1
) -> tuple[LookAlikes, ...]:
    """Pairs of one category in which at most `most_different` attributes differ, the most alike
    first.

    Example:
        >>> red = AnnotatedObject(id="1", category="star", attributes={"colour": ("red",)})
        >>> blue = AnnotatedObject(id="2", category="star", attributes={"colour": ("blue",)})
        >>> [(pair.first, pair.second, pair.differ) for pair in find_look_alikes([red, blue])]
        [('1', '2', ('colour',))]
    """
    pairs = []
    for index, first in enumerate(objects):
        for second in objects[index + 1 :]:
            if first.category != second.category:
                continue
            both = sorted(set(first.attributes) & set(second.attributes))
            differ = tuple(
                name for name in both if set(first.attributes[name]) != set(second.attributes[name])
            )
            if len(differ) <= most_different:
                shared = [d for d in first.descriptors[1:] if second.says(d)]
                unknown = sorted(set(first.attributes) ^ set(second.attributes))
                pairs.append(
                    LookAlikes(
                        first=first.id,
                        second=second.id,
                        category=first.category,
                        shared=tuple(shared),
                        differ=differ,
                        unknown=tuple(unknown),
                    )
                )
    return tuple(sorted(pairs, key=lambda pair: (len(pair.differ), -len(pair.shared))))


def describe_minimally(objects: Sequence[AnnotatedObject], target_id: str) -> Description:
    """The smallest sufficient description of one object among `objects`; of two that are as small,
    the one whose descriptors come first. Raises ValueError for an id that is none of them.

    Example:
        >>> stars = [AnnotatedObject(id=c + s, category="star", attributes={"colour": (c,),
        ...     "size": (s,)}) for c in ("red", "blue") for s in ("big", "small")]
        >>> [str(d) for d in describe_minimally(stars, "redbig").descriptors]
        ['colour: red', 'size: big']
    """
    target = next((item for item in objects if item.id == target_id), None)
    if target is None:
        raise ValueError(f"no object has the id {target_id!r}")
    distractors = [item for item in objects if item.id != target_id]
    # A bit an other object; what a descriptor excludes is a mask of them.
    excluded = {
        descriptor: sum(
            1 << bit for bit, item in enumerate(distractors) if item.says(descriptor) is False
        )
        for descriptor in target.descriptors
    }
    reachable = 0
    for mask in excluded.values():
        reachable |= mask
    twins = tuple(item.id for bit, item in enumerate(distractors) if not reachable >> bit & 1)
    if twins:
        return Description(target=target_id, descriptors=(), twins=twins, is_smallest=True)
    chosen, is_smallest = _cover(excluded, reachable, len(objects) <= MOST_EXACT)
    return Description(target=target_id, descriptors=chosen, twins=(), is_smallest=is_smallest)


class _TooLong(Exception):
    """The search of a large image has used its steps up."""


def _cover(
    excluded: Mapping[AttributeValue, int], goal: int, exact: bool
) -> tuple[tuple[AttributeValue, ...], bool]:
    """The fewest descriptors whose masks together are `goal`, and whether that is proved."""
    masks = list(excluded.items())
    # What excludes no more than another is never needed.
    useful = [
        (descriptor, mask)
        for index, (descriptor, mask) in enumerate(masks)
        if mask
        and not any(
            mask | other == other and (mask != other or position < index)
            for position, (_, other) in enumerate(masks)
        )
    ]
    greedy = _cover_greedily(useful, goal)
    steps = [_MOST_STEPS if not exact else 0]
    for size in range(len(greedy)):
        try:
            solution = _search(useful, goal, size, {}, steps, exact)
        except _TooLong:
            return greedy, False
        if solution is not None:
            order = {descriptor: position for position, (descriptor, _) in enumerate(masks)}
            return tuple(sorted(solution, key=order.__getitem__)), True
    return greedy, True


def _cover_greedily(
    useful: Sequence[tuple[AttributeValue, int]], goal: int
) -> tuple[AttributeValue, ...]:
    chosen: list[AttributeValue] = []
    while goal:
        descriptor, mask = max(useful, key=lambda pair: (pair[1] & goal).bit_count())
        chosen.append(descriptor)
        goal &= ~mask
    return tuple(descriptor for descriptor, _ in useful if descriptor in chosen)


def _search(
    useful: Sequence[tuple[AttributeValue, int]],
    goal: int,
    size: int,
    failed: dict[int, int],
    steps: list[int],
    exact: bool,
) -> list[AttributeValue] | None:
    """`size` descriptors that reach `goal`, by branch and bound; None where there are none.
    `failed` holds, for what remained, the largest size that did not do."""
    if not goal:
        return []
    largest = max((mask & goal).bit_count() for _, mask in useful)
    if size * largest < goal.bit_count() or failed.get(goal, -1) >= size:
        return None
    steps[0] -= goal.bit_count() * len(useful)
    if not exact and steps[0] < 0:
        raise _TooLong
    # Whatever is chosen, something must exclude the object that the fewest exclude.
    bits = [1 << bit for bit in range(goal.bit_length()) if goal >> bit & 1]
    rarest = min(bits, key=lambda bit: sum(bool(mask & bit) for _, mask in useful))
    for descriptor, mask in useful:
        if mask & rarest:
            completion = _search(useful, goal & ~mask, size - 1, failed, steps, exact)
            if completion is not None:
                return [descriptor, *completion]
    failed[goal] = size
    return None


def fitting(
    objects: Iterable[AnnotatedObject], required: Iterable[tuple[AttributeValue, bool]]
) -> tuple[list[AnnotatedObject], list[AnnotatedObject]]:
    """Objects of which everything `required` (a descriptor and whether it is to hold) is true, and
    those that nobody can say of."""
    fit, unsure = [], []
    pairs = list(required)
    for item in objects:
        answers = [None if (says := item.says(d)) is None else says is holds for d, holds in pairs]
        if all(answers):
            fit.append(item)
        elif False not in answers:
            unsure.append(item)
    return fit, unsure
