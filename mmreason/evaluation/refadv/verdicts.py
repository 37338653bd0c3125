"""What the tables show, in words, and never more than their intervals do.

`shown` needs the whole interval on the right side of what a reader without the skill reaches;
`not shown` is no proof of the contrary; `shortcut shown` needs the whole interval of what the
shortcut does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mmreason.evaluation.refadv.figures import ClusteredFigure
from mmreason.evaluation.refadv.outcomes import Change
from mmreason.evaluation.refadv.summary import ChangeRow, SubjectTables, TwinRow

Finding = Literal["shown", "not shown", "shortcut shown", "not measured"]

LEAST_ITEMS = 15
"""Fewer items, or pictures and videos, tell nothing that is worth a sentence."""

_READS: tuple[tuple[str, Change, str], ...] = (
    ("reads the expression", "floor", 'the expression is replaced by "the one"'),
    ("looks at the picture", "blind", "every pixel is grey"),
    ("depends on word order", "shuffle", "its words are shuffled"),
    ("needs every descriptor", "delete", "a descriptor is deleted"),
    ("sees motion", "single_frame", "one frame is shown in place of the video"),
)
_TWINS: dict[Change, tuple[str, str, str]] = {
    "swap": (
        "binds attributes to their objects",
        "attributes are exchanged between the object and its landmark",
        "takes the expression for a bag of words",
    ),
    "strip_negation": (
        "reads negation",
        "the negation is taken out",
        "passes over negation",
    ),
    "reverse": (
        "reads the order of time",
        "the video runs backwards",
        "takes the frames for a set without order",
    ),
}
_HABITS = {
    "largest": "the largest candidate",
    "central": "the candidate nearest to the middle",
    "first": "the candidate that lies behind all others",
    "hard": "a distractor that lacks one descriptor",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisVerdict:
    """One finding.

    Example:
        >>> str(DiagnosisVerdict(name="reads negation", finding="not shown", why="47 of 100"))
        'reads negation: not shown; 47 of 100'
    """

    name: str
    finding: Finding
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.finding}; {self.why}"


def find_verdicts(tables: SubjectTables) -> tuple[DiagnosisVerdict, ...]:
    """All that can be said of a subject, the abilities first."""
    return (*_abilities(tables), *_shortcuts(tables))


def shortcuts_of(tables: SubjectTables) -> tuple[DiagnosisVerdict, ...]:
    """The shortcuts that are shown."""
    return tuple(v for v in find_verdicts(tables) if v.finding == "shortcut shown")


def _abilities(tables: SubjectTables) -> Iterator[DiagnosisVerdict]:
    yield _above(
        "beats chance",
        tables.right,
        tables.floor.value,
        "the right one is chosen",
        "who draws one of the candidates",
    )
    rows = {row.change: row for row in tables.changes if not row.detail}
    for name, change, what in _READS:
        if change in rows:
            yield _by_drop(name, rows[change], what)
    for twin in tables.twins:
        yield _by_twin(twin)
    if tables.none_accuracy.n:
        yield _declines(tables)
    if tables.slope.n:
        yield _holds_among_many(tables)


def _by_drop(name: str, row: ChangeRow, what: str) -> DiagnosisVerdict:
    drop = row.drop
    why = (
        f"where {what}, the right one is chosen in {row.after.value:.1%} instead of "
        f"{row.before.value:.1%}: {drop.points} points"
    )
    if _is_thin(drop):
        return DiagnosisVerdict(name=name, finding="not measured", why=_thin(drop))
    return DiagnosisVerdict(name=name, finding="shown" if drop.low > 0 else "not shown", why=why)


def _by_twin(twin: TwinRow) -> DiagnosisVerdict:
    name, what, _ = _TWINS[twin.change]
    right_over = f"right over each item and its twin, in which {what}"
    return _above(name, twin.both, twin.bound, right_over, "who does not, at most,")


def _above(
    name: str, figure: ClusteredFigure, bound: float, what: str, of_whom: str
) -> DiagnosisVerdict:
    if _is_thin(figure) or math.isnan(bound):
        return DiagnosisVerdict(name=name, finding="not measured", why=_thin(figure))
    return DiagnosisVerdict(
        name=name,
        finding="shown" if figure.low > bound else "not shown",
        why=f"{what}: {figure.text}; {of_whom} reaches {bound:.1%}",
    )


def _declines(tables: SubjectTables) -> DiagnosisVerdict:
    """Saying nothing is worth as much as it tells what is there from what is not."""
    name, none = "declines what is not there", tables.none_accuracy
    if _is_thin(none):
        return DiagnosisVerdict(name=name, finding="not measured", why=_thin(none))
    given = tables.target_accuracy
    # Who declines at random declines as often where there is something.
    is_shown = none.low > 1 - given.low
    return DiagnosisVerdict(
        name=name,
        finding="shown" if is_shown else "not shown",
        why=f"nothing is given in {none.text} of the items that refer to nothing, and in "
        f"{1 - given.value:.1%} of the others",
    )


def _holds_among_many(tables: SubjectTables) -> DiagnosisVerdict:
    slope = tables.slope
    return DiagnosisVerdict(
        name="loses among more candidates",
        finding="shown" if slope.high < 0 else "not shown",
        why=f"{slope.points} points each time candidates double",
    )


def _shortcuts(tables: SubjectTables) -> Iterator[DiagnosisVerdict]:
    given = tables.target_accuracy
    if not _is_thin(given) and given.high < 0.5:
        yield DiagnosisVerdict(
            name="declines what is there",
            finding="shortcut shown",
            why=f"something is given in {given.text} of the items that refer to something",
        )
    for twin in tables.twins:
        _, what, shortcut = _TWINS[twin.change]
        # More than half of the answers stay where every one of them should move.
        if not _is_thin(twin.unmoved) and twin.unmoved.low > 0.5 and twin.both.low <= twin.bound:
            yield DiagnosisVerdict(
                name=shortcut,
                finding="shortcut shown",
                why=f"{twin.unmoved.text} of answers stay on the same object where {what}",
            )
    for name, habit in tables.habits.items():
        if not _is_thin(habit.share) and habit.share.low > habit.chance.high:
            yield DiagnosisVerdict(
                name=f"prefers {_HABITS[name]}",
                finding="shortcut shown",
                why=f"{habit.share.text} of answers lie there; {habit.chance.value:.1%} would by "
                "chance",
            )
    # Who is no better than chance has nothing to lose.
    if tables.right.n and tables.right.low > tables.floor.value:
        yield from _unread_descriptors(tables)


def _unread_descriptors(tables: SubjectTables) -> Iterator[DiagnosisVerdict]:
    for row in tables.changes:
        if row.change != "delete" or not row.detail or _is_thin(row.drop):
            continue
        # Without it at least two objects fit: who reads it loses half of what was right.
        if row.drop.high < row.before.value / 4:
            yield DiagnosisVerdict(
                name=f"does without the {row.detail}",
                finding="shortcut shown",
                why=f"deleting it costs {row.drop.points} points; who reads it loses "
                f"{50 * row.before.value:.0f}, since two objects fit then",
            )


def _is_thin(figure: ClusteredFigure) -> bool:
    return figure.n < LEAST_ITEMS or figure.clusters < LEAST_ITEMS or math.isnan(figure.low)


def _thin(figure: ClusteredFigure) -> str:
    return f"{figure.n} items about {figure.clusters} sources; {LEAST_ITEMS} are needed"
