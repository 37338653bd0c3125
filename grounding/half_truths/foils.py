"""Minimal foils: a unit with one thing changed, so that it is wrong where the unit is right.

A foil keeps all other words. Changes are of a look (another colour, the other size), of a thing
(one of its kind), of a number by one, of a relation (its antonym, or subject and object change
places), of a direction, and of an order, which is reversed and not written anew.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmreason.grounding.half_truths.units import Unit, UnitKind, extract_units

FoilChange = Literal["look", "thing", "number", "antonym", "swap", "direction", "order"]

_LOOKS: tuple[tuple[str, ...], ...] = (
    ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "black"),
    ("grey", "brown"),
    ("small", "large"),
    ("little", "big"),
    ("short", "tall"),
    ("thin", "thick"),
    ("narrow", "wide"),
    ("young", "old"),
    ("striped", "dotted", "plain"),
    ("open", "closed"),
    ("full", "empty"),
    ("wooden", "metal"),
)
"""Looks that exclude each other."""
_THINGS: tuple[tuple[str, ...], ...] = (
    ("circle", "square", "triangle", "star", "cross", "ring"),
    ("dog", "cat", "horse", "cow", "bird", "rabbit"),
    ("man", "woman", "boy", "girl"),
    ("car", "bus", "truck", "bicycle", "train"),
    ("cup", "bottle", "bowl", "plate"),
    ("chair", "table", "sofa", "bed"),
    ("apple", "banana", "orange", "lemon"),
    ("house", "church", "bridge", "tower"),
    ("laptop", "phone", "camera", "book"),
    ("helmet", "hat", "shoe", "shirt"),
)
_ANTONYMS = {
    "left of": "right of",
    "to the left of": "to the right of",
    "on the left of": "on the right of",
    "above": "below",
    "over": "under",
    "in front of": "behind",
    "on top of": "underneath",
    "inside": "outside",
    "on": "under",
}
_SYMMETRIC = frozenset(("next to", "beside", "near", "against", "touches", "touching", "faces"))
"""Relations that hold both ways: changing places changes nothing."""
_DIRECTIONS = {
    "left": "right",
    "up": "down",
    "in": "out",
    "enters": "leaves",
    "appears": "disappears",
    "rises": "falls",
    "comes": "goes",
    "opens": "closes",
    "starts": "stops",
    "climbs": "descends",
    "pushes": "pulls",
    "lifts": "drops",
}
_REVERSED = {"before": "before", "after": "after", "then": "then"}
"""Orders whose clauses change places; "while" says of none that it is first."""
_ARTICLE = re.compile(r"\b([aA])n?(\s+)(?=(\w))")
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True, slots=True)
class Foil:
    """A unit that was made wrong.

    Example:
        >>> Foil("blue star", "look", "red star", "entity").text
        'blue star'
    """

    text: str
    change: FoilChange
    unit: str
    """The text of the unit that it contradicts."""
    kind: UnitKind


def make_foils(
    unit: Unit, seed: int = 0, *, most: int = 2, beside: Sequence[str] = ()
) -> tuple[Foil, ...]:
    """Up to `most` foils of a unit, of different changes first, drawn by `seed`. None that is one
    of `beside`, the other units of its text: what is said elsewhere is no foil.

    Example:
        >>> unit = extract_units("a red star left of a ring")[1]
        >>> [foil.text for foil in make_foils(unit, most=2)]
        ['red star right of a ring', 'ring left of a red star']
    """
    draw = random.Random(f"{seed}/{unit.kind}/{unit.text}")
    known = {text.lower() for text in (*beside, unit.text)}
    # "Blue star" is no foil of "red star" where a small blue star is told of too.
    told = [set(text.lower().split()) for text in beside if text != unit.text]
    by_change: dict[FoilChange, list[Foil]] = {}
    for text, change in _change(unit):
        # At the start of a sentence it begins as the unit did.
        text = text[:1].upper() + text[1:] if unit.text[:1].isupper() else text
        is_told = unit.kind in ("entity", "count") and any(
            set(text.lower().split()) <= words for words in told
        )
        if text.strip() and text.lower() not in known and not is_told:
            known.add(text.lower())
            foils = by_change.setdefault(change, [])
            foils.append(Foil(text, change, unit.text, unit.kind))
    chosen: list[Foil] = []
    for foils in by_change.values():
        draw.shuffle(foils)
    while len(chosen) < most and any(by_change.values()):
        for foils in by_change.values():
            if foils and len(chosen) < most:
                chosen.append(foils.pop())
    return tuple(chosen)


def add_half_truths(text: str, seed: int = 0) -> tuple[tuple[str, Foil], ...]:
    """Half-truths about what `text` is of: all is told as it was but one unit, in whose place
    stands a foil; the last unit first.

    Example:
        >>> text, foil = add_half_truths("a red star and a large ring")[0]
        >>> foil.unit, text.startswith("a red star and a "), text.endswith("large ring")
        ('large ring', True, False)
    """
    units = extract_units(text)
    texts = [unit.text for unit in units]
    changed = []
    for unit in reversed(units):
        for foil in make_foils(unit, seed, most=1, beside=texts):
            wrong = text[: unit.start] + foil.text + text[unit.end :]
            changed.append((fit_articles(wrong), foil))
    return tuple(changed)


def fit_articles(text: str) -> str:
    """Each "a" and "an" as the word behind it has it: a foil would be told by its grammar.

    Example:
        >>> fit_articles("a orange star and an ring")
        'an orange star and a ring'
    """
    return _ARTICLE.sub(lambda m: m[1] + ("n" if m[3] in "aeiouAEIOU" else "") + m[2], text)


def _change(unit: Unit) -> Iterator[tuple[str, FoilChange]]:
    if unit.kind == "relation":
        subject, where, target = unit.parts
        opposite = _ANTONYMS | {value: key for key, value in _ANTONYMS.items()}
        if where.lower() in opposite:
            yield _replace(unit.text, where, opposite[where.lower()]), "antonym"
        if subject.lower() != target.lower() and where.lower() not in _SYMMETRIC:
            yield _exchange(unit, subject, target), "swap"
    elif unit.kind == "action":
        both = _DIRECTIONS | {value: key for key, value in _DIRECTIONS.items()}
        words = unit.text.split()
        for i in range(len(words) - 1, 0, -1):
            if words[i].lower() in both:
                yield " ".join([*words[:i], both[words[i].lower()], *words[i + 1 :]]), "direction"
                break
    elif unit.kind == "temporal":
        first, order, second = unit.parts
        if order in _REVERSED and first.lower() != second.lower():
            yield _exchange(unit, first, second), "order"
    else:
        yield from _change_thing(unit)


def _change_thing(unit: Unit) -> Iterator[tuple[str, FoilChange]]:
    words = unit.text.split()
    for i, word in enumerate(words):
        lowered = word.lower()
        if unit.kind == "count" and i == 0 and lowered in _NUMBERS:
            # "One more" or "one less": the noun may have to change its number at one.
            at = _NUMBERS.index(lowered)
            for other in (at + 1, at - 1):
                if 1 <= other < len(_NUMBERS):
                    yield " ".join([_NUMBERS[other], *words[1:]]), "number"
        is_last = i == len(words) - 1
        for alike, change in ((_THINGS, "thing"),) if is_last else ((_LOOKS, "look"),):
            for group in alike:
                stem, ending = (lowered, "") if lowered in group else (lowered[:-1], lowered[-1:])
                if stem in group and ending in ("", "s"):
                    for other in group:
                        if other != stem:
                            yield " ".join([*words[:i], other + ending, *words[i + 1 :]]), change  # pyright: ignore[reportReturnType]  # of the two literals


def _replace(text: str, old: str, new: str) -> str:
    at = text.find(old)
    return text[:at] + new + text[at + len(old) :]


def _exchange(unit: Unit, first: str, second: str) -> str:
    """Both at each other's place, what stands between them as it is."""
    between = unit.text[len(first) : len(unit.text) - len(second)]
    return second + between + first
