"""What is asked: an item or a row as it is, and under every change that tests how it is read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmreason.evaluation.refadv.footage import CaseFootage, WorldFootage
from mmreason.evaluation.refadv.outcomes import CHANGES, Change, Facts, Kind
from mmreason.grounding.refadv.items import Item, Variant
from mmreason.grounding.refadv.oracles import denote_ids, find_lacking
from mmreason.grounding.refadv.programs import (
    Clause,
    Program,
    delete_descriptor,
    find_clause,
    list_descriptors,
    strip_negation,
    swap_bindings,
)
from mmreason.types import UsageError
from mmreason.video.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class RefAdvCase:
    """One question to a subject, with all that scores the answer.

    Example: `next(item_cases(item, ("original",))).expression` is that of the item.
    """

    item: str
    change: Change = "original"
    number: int = 0
    kind: Kind
    cluster: str
    expression: str
    changed: str = ""
    footage: CaseFootage
    is_blind: bool = False
    """Whether grey is shown in place of the footage."""
    facts: Facts
    target_ids: tuple[str, ...]
    """What the item's own expression refers to, in the footage shown."""
    denoted_ids: tuple[str, ...] | None
    """What the expression that is asked refers to; None where that is nothing in particular."""
    hard_ids: frozenset[str] = frozenset()
    """Distractors that lack one descriptor only."""
    candidate_ids: tuple[str, ...] = ()
    """All that could be meant; empty where every box of the footage could."""
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By id of a distractor: names of the descriptors that it lacks."""
    descriptor_words: Mapping[str, str] = field(default_factory=dict)
    """What descriptors are called in tables, by name."""
    word_descriptors: tuple[str, ...] = ()
    """For every word of `expression.split()` the name of the descriptor that it speaks of; empty
    where that is not known."""
    readings: tuple[Program, ...] = ()
    """All that the words as they are asked can mean; empty where that is not known."""
    source: Item | None = None
    """The item; None of a row of somebody's."""
    world: World | None = None
    """What is shown; None of a picture, and where nothing is."""

    @property
    def key(self) -> tuple[str, str, int]:
        """Names the case in a run."""
        return self.item, self.change, self.number


def shuffle_words(text: str, seed: str) -> str | None:
    """`text` with its words in another order; None where there is no other.

    Example:
        >>> sorted(shuffle_words("the red star", "0").split())
        ['red', 'star', 'the']
        >>> shuffle_words("star", "0") is None
        True
    """
    words = text.split()
    if len(set(words)) < 2:
        return None
    drawn = random.Random(seed)
    shuffled = words[:]
    # The order that it has tests nothing.
    while shuffled == words:
        drawn.shuffle(shuffled)
    return " ".join(shuffled)


def item_cases(item: Item, changes: Sequence[Change], *, shuffles: int = 1) -> Iterator[RefAdvCase]:
    """An item as it is, and under those of `changes` that it has a variant of; `shuffles` orders of
    its words."""
    plain = _plain_case(item)
    yield plain
    counts: dict[str, int] = {}
    for variant in item.variants:
        if variant.kind not in changes:
            continue
        number = counts[variant.kind] = counts.get(variant.kind, -1) + 1
        yield _variant_case(plain, item, variant, number)
    if "shuffle" in changes:
        for number in range(counts.get("shuffle", -1) + 1, shuffles):
            text = shuffle_words(item.expression, f"{item.id} {number}")
            if text is not None:
                yield replace(
                    plain,
                    change="shuffle",
                    number=number,
                    expression=text,
                    denoted_ids=None,
                    word_descriptors=(),
                    readings=(item.program, *swap_bindings(item.program)),
                )


def _plain_case(item: Item) -> RefAdvCase:
    certificate, program = item.certificate, item.program
    names = tuple(list_descriptors(program))
    lacking = find_lacking(item)
    hard = frozenset(name for name, missed in lacking.items() if len(missed) == 1)
    clauses = [find_clause(program, name) for name in names]
    return RefAdvCase(
        item=item.id,
        kind=item.kind,
        cluster=item.id,
        expression=item.expression,
        footage=WorldFootage(item.world, item.frame_time_s),
        facts=Facts(
            descriptors=certificate.k,
            candidates=len(item.candidate_ids),
            negation=any(isinstance(c, Clause) and (c.negated or c.rather_than) for c in clauses),
            hops=max((name.count(".") for name in names), default=0),
            family=item.tags[0] if item.tags else "",
            hard=len(hard),
            look=", ".join(tag for tag in item.tags if tag in _LOOK_TAGS) or "plain",
        ),
        target_ids=item.target_ids,
        denoted_ids=item.target_ids,
        hard_ids=hard,
        candidate_ids=item.candidate_ids,
        lacking=lacking,
        descriptor_words={name: name_descriptor(program, name) for name in names},
        word_descriptors=item.word_descriptors,
        readings=(program,),
        source=item,
        world=item.world,
    )


def _variant_case(plain: RefAdvCase, item: Item, variant: Variant, number: int) -> RefAdvCase:
    readings = variant_readings(item, variant)
    case = replace(
        plain,
        change=variant.kind,
        number=number,
        expression=variant.text,
        changed=plain.descriptor_words.get(variant.descriptor, ""),
        denoted_ids=variant.target_ids if variant.kind in _MEANT else None,
        is_blind=variant.world is None,
        word_descriptors=(),
        readings=readings,
        world=variant.world,
    )
    # Where nothing is shown, the answer is still scored by where the objects would be.
    if variant.world is None:
        return case
    return replace(case, footage=WorldFootage(variant.world, item.frame_time_s))


_LOOK_TAGS = ("texture", "photo", "cutouts")
_MEANT: tuple[Change, ...] = ("delete", "strip_negation", "swap", "reverse")
"""Changes after which an item still means something."""


def variant_readings(item: Item, variant: Variant) -> tuple[Program, ...]:
    """All that the words of a variant can mean."""
    program = item.program
    if variant.kind == "delete":
        return (delete_descriptor(program, variant.descriptor),)
    if variant.kind == "strip_negation":
        stripped = strip_negation(program)
        return () if stripped is None else (stripped,)
    if variant.kind == "swap":
        swaps = swap_bindings(program)
        return tuple(p for p in swaps if denote_ids(item, p, item.world) == variant.target_ids)[:1]
    if variant.kind == "shuffle":
        return (program, *swap_bindings(program))
    if variant.kind == "floor":
        return (Program(()),)
    return (program,)


def name_descriptor(program: Program, name: str) -> str:
    """What a descriptor is called in tables.

    Example:
        >>> ring = Program((Clause("colour", "blue"), Clause("shape", "ring")))
        >>> name_descriptor(Program((Clause("relation", "left", landmark=ring),)), "0.1")
        "landmark's shape"
    """
    clause = find_clause(program, name)
    kind = clause.kind if isinstance(clause, Clause) else "rank"
    return f"landmark's {kind}" if "." in name else kind


def check_changes(names: Sequence[str]) -> tuple[Change, ...]:
    """Names of changes, `original` always the first. Raises UsageError for one that is none.

    Example:
        >>> check_changes(["shuffle"])
        ('original', 'shuffle')
    """
    for name in names:
        if name not in CHANGES:
            raise UsageError(f"{name!r} is no change; there are {', '.join(CHANGES)}")
    return tuple(change for change in CHANGES if change == "original" or change in names)
