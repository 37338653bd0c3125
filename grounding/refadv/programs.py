"""What an expression means: a small tree of descriptors, as JSON.

A program filters the objects of a scene by its clauses, one after the other, and may then pick one
of what is left by rank. So the scope of "first" and "second from the left" is always the filtered
set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

ClauseKind = Literal[
    "colour", "shape", "size", "pattern", "relation", "same", "count",
    "moves", "enters", "leaves", "turns", "touches", "passes", "before", "after",
]  # fmt: skip
PickBy = Literal["left", "right", "top", "bottom", "first", "last"]
Quantifier = Literal["the", "every"]

ATTRIBUTES = ("colour", "shape", "size", "pattern")
EVENTS = ("moves", "enters", "leaves", "turns")
"""Clauses of something that begins at a time, which `first` and `last` rank."""
_KINDS: tuple[str, ...] = get_args(ClauseKind)
_WITH_LANDMARK = ("relation", "same", "touches", "passes", "before", "after")
_VALUES: dict[str, tuple[str, ...]] = {
    "relation": ("left", "right", "above", "below"),
    "same": ATTRIBUTES,
    "count": tuple(f"{attribute} {count}" for attribute in ATTRIBUTES for count in range(1, 10)),
    "moves": ("left", "right", "up", "down"),
    "enters": ("left", "right"),
    "leaves": ("left", "right"),
    "touches": ("",),
    "passes": ("",),
    "before": ("moves", "turns"),
    "after": ("moves", "turns"),
}
"""What a clause can say; of an attribute or `turns` it is one of the values of worlds."""
MAX_CLAUSES = 8
"""Of one program; its landmarks have their own."""
MAX_HOPS = 3
"""Landmarks of landmarks."""
MAX_RANK = 32


@dataclass(frozen=True, slots=True)
class Clause:
    """One descriptor. Raises ValueError where it is malformed.

    Example:
        >>> Clause("pattern", "striped", negated=True)
        Clause(kind='pattern', value='striped', negated=True, rather_than='', landmark=None)
    """

    kind: ClauseKind
    value: str = ""
    """Of an attribute, its value; of `relation` one of left, right, above, below; of `same` and
    `count` an attribute (`count` with a number: `colour 3`); of `moves`, `enters` and `leaves` a
    side; of `turns` a colour; of `before` and `after` what the landmark does (`moves`)."""
    negated: bool = False
    rather_than: str = ""
    """The value of its twin, as in "red rather than blue"; "" where the text does not name it."""
    landmark: Program | None = None
    """Which other object `relation`, `same`, `touches`, `passes`, `before` and `after` speak of."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"clause kind must be one of {_KINDS}, got {self.kind!r}")
        allowed = _VALUES.get(self.kind)
        if allowed is not None and self.value not in allowed:
            raise ValueError(f"a {self.kind} clause has a value of {allowed}, got {self.value!r}")
        if (self.kind in _WITH_LANDMARK) != (self.landmark is not None):
            needed = "a" if self.landmark is None else "no"
            raise ValueError(f"a {self.kind} clause has {needed} landmark")


@dataclass(frozen=True, slots=True)
class Pick:
    """Which of the filtered objects: the `rank`-th (from 1) from a side, or in time."""

    by: PickBy
    rank: int = 1

    def __post_init__(self) -> None:
        if self.by not in get_args(PickBy) or not 1 <= self.rank <= MAX_RANK:
            raise ValueError(f"cannot pick by {self.by!r} and rank {self.rank!r}")


@dataclass(frozen=True, slots=True)
class Program:
    """Filters in order, then an optional pick.

    Descriptors are named by where they stand: "0" is the first clause, "2.0" the first clause of
    the landmark of the third, "pick" the pick.

    Example:
        >>> square = Program((Clause("colour", "red"), Clause("shape", "square")))
        >>> list(list_descriptors(square)), delete_descriptor(square, "0").to_dict()
        (['0', '1'], {'clauses': [{'kind': 'shape', 'value': 'square'}]})
    """

    clauses: tuple[Clause, ...]
    pick: Pick | None = None
    quantifier: Quantifier = "the"
    """`every` speaks of all that the program denotes, `the` of one."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; what is default is left out."""
        data: dict[str, Any] = {"clauses": [_clause_to_dict(clause) for clause in self.clauses]}
        if self.pick is not None:
            data["pick"] = {"by": self.pick.by, "rank": self.pick.rank}
        if self.quantifier != "the":
            data["quantifier"] = self.quantifier
        return data

    @classmethod
    def from_dict(cls, data: Any, hops: int = 0) -> Program:
        """Raises ValueError where `data` is not a program within the limits."""
        clauses = check_fields(data, "program", "clauses", "pick", "quantifier").get("clauses", [])
        if not isinstance(clauses, list) or len(clauses) > MAX_CLAUSES or hops > MAX_HOPS:
            raise ValueError(
                f"a program has a list of at most {MAX_CLAUSES} clauses and {MAX_HOPS} hops"
            )
        pick = None
        if data.get("pick") is not None:
            values = check_fields(data["pick"], "pick", "by", "rank")
            by, rank = values.get("by"), values.get("rank", 1)
            if by is None or by not in get_args(PickBy) or not isinstance(rank, int):
                raise ValueError(f"cannot pick by {by!r} and rank {rank!r}")
            pick = Pick(by, rank)
        quantifier = data.get("quantifier", "the")
        if quantifier not in get_args(Quantifier):
            raise ValueError(f"quantifier must be the or every, got {quantifier!r}")
        return cls(tuple(_clause_from_dict(clause, hops) for clause in clauses), pick, quantifier)


def _clause_to_dict(clause: Clause) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": clause.kind}
    if clause.value:
        data["value"] = clause.value
    if clause.negated:
        data["negated"] = True
    if clause.rather_than:
        data["rather_than"] = clause.rather_than
    if clause.landmark is not None:
        data["landmark"] = clause.landmark.to_dict()
    return data


def _clause_from_dict(data: Any, hops: int) -> Clause:
    check_fields(data, "clause", "kind", "value", "negated", "rather_than", "landmark")
    texts = [data.get("kind"), data.get("value", ""), data.get("rather_than", "")]
    if not all(isinstance(text, str) and len(text) <= 40 for text in texts):
        raise ValueError("kind, value and rather_than of a clause must be short texts")
    landmark = data.get("landmark")
    return Clause(
        kind=data["kind"],
        value=texts[1],
        negated=data.get("negated") is True,
        rather_than=texts[2],
        landmark=None if landmark is None else Program.from_dict(landmark, hops + 1),
    )


def check_fields(data: Any, name: str, *fields: str) -> dict[str, Any]:
    """`data` where it is an object of these fields alone; raises ValueError else."""
    if not isinstance(data, dict):
        raise ValueError(f"a {name} must be an object, got {type(data).__name__}")
    unknown = sorted(str(key)[:40] for key in data if key not in fields)
    if unknown:
        raise ValueError(f"a {name} has the fields {', '.join(fields)}; got {unknown[:3]}")
    return data


def list_descriptors(program: Program, prefix: str = "") -> Iterator[str]:
    """Names of all descriptors, depth first."""
    for index, clause in enumerate(program.clauses):
        yield f"{prefix}{index}"
        if clause.landmark is not None:
            yield from list_descriptors(clause.landmark, f"{prefix}{index}.")
    if program.pick is not None:
        yield f"{prefix}pick"


def list_needed(program: Program, *, any_fits: bool) -> list[str]:
    """The descriptors that must make a difference: all of them where something fits.

    Where nothing does, those of the object alone: without a word of its landmark there would be no
    landmark, and still nothing; and of nothing at all, nothing is first.
    """
    names = list(list_descriptors(program))
    if any_fits:
        return names
    is_first = program.pick is not None and program.pick.rank == 1
    return [name for name in names if "." not in name and not (name == "pick" and is_first)]


def find_clause(program: Program, name: str) -> Clause | Pick | None:
    """The descriptor of a name of `list_descriptors`."""
    first, _, inner = name.partition(".")
    if first == "pick":
        return program.pick
    clause = program.clauses[int(first)]
    if not inner:
        return clause
    assert clause.landmark is not None
    return find_clause(clause.landmark, inner)


def replace_clause(program: Program, name: str, clause: Clause | None) -> Program:
    """The program with another clause at `name`, or without it (None)."""
    first, _, inner = name.partition(".")
    if first == "pick":
        assert clause is None, "a pick can only be deleted"
        return replace(program, pick=None)
    index = int(first)
    if inner:
        landmark = program.clauses[index].landmark
        assert landmark is not None
        changed = replace_clause(landmark, inner, clause)
        clause = replace(program.clauses[index], landmark=changed)
    middle = () if clause is None else (clause,)
    return replace(program, clauses=program.clauses[:index] + middle + program.clauses[index + 1 :])


def delete_descriptor(program: Program, name: str) -> Program:
    """The program without one descriptor."""
    return replace_clause(program, name, None)


def strip_negation(program: Program) -> Program | None:
    """The program as read by one who skips "not", and takes the value after "rather than" for the
    one that is meant; None where it has neither.

    Example:
        >>> strip_negation(Program((Clause("pattern", "striped", negated=True),))).to_dict()
        {'clauses': [{'kind': 'pattern', 'value': 'striped'}]}
    """
    for name in list_descriptors(program):
        clause = find_clause(program, name)
        if isinstance(clause, Clause) and clause.negated:
            return replace_clause(program, name, replace(clause, negated=False))
        if isinstance(clause, Clause) and clause.rather_than:
            turned = replace(clause, value=clause.rather_than, rather_than=clause.value)
            return replace_clause(program, name, turned)
    return None


def swap_bindings(program: Program) -> list[Program]:
    """Programs of the same words bound otherwise: an attribute of the object and one of the same
    kind of its landmark change places.

    Example:
        >>> ring = Program((Clause("colour", "blue"), Clause("shape", "ring")))
        >>> clauses = (Clause("colour", "red"), Clause("relation", "left", landmark=ring))
        >>> [p.clauses[0].value for p in swap_bindings(Program(clauses))]
        ['blue']
    """
    swapped = []
    for index, clause in enumerate(program.clauses):
        for inner_index, inner in enumerate(clause.landmark.clauses if clause.landmark else ()):
            for outer_index, outer in enumerate(program.clauses):
                values_differ = outer.kind == inner.kind and outer.value != inner.value
                if inner.kind in ATTRIBUTES and values_differ:
                    turned = replace_clause(program, str(outer_index), inner)
                    swapped.append(replace_clause(turned, f"{index}.{inner_index}", outer))
    return swapped
