"""Outcomes of one subject as tables: how often it is right, by what, and under which change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from mmreason.evaluation.refadv.figures import (
    ClusteredFigure,
    mean,
    mean_of_two,
    paired_share,
    share,
    share_of,
    slope_in_log,
)
from mmreason.evaluation.refadv.outcomes import CHANGES, CaseOutcome, Change, Kind, Pick
from mmreason.grounding.metrics.statistics import paired_permutation

PICKS: tuple[Pick, ...] = ("target", "hard", "other", "background", "none")
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Of mAcc: Ref-L4's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemGroup:
    """Items that share a property.

    Example: `subject.groups["candidates"][0].name` is "4".
    """

    name: str
    right: ClusteredFigure
    """The right one chosen."""
    hit: ClusteredFigure
    """At IoU >= 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """The same items as they are and under a change.

    Example: `row.drop.low > 0` where the change costs more than chance.
    """

    change: Change
    detail: str
    """Which part of the expression, where there are several; empty for all."""
    before: ClusteredFigure
    after: ClusteredFigure
    """Still on what the item's own expression refers to."""
    drop: ClusteredFigure
    """Share right before less after, paired."""
    hit_drop: ClusteredFigure
    """The same at IoU >= 0.5."""
    p_value: float | None
    """That the drop is chance: by exchanging whole pictures or videos."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRow:
    """Items whose twin refers to another object, by a change that only a reader of it can follow.

    Example: `row.both.low > row.bound` where it is read.
    """

    change: Change
    both: ClusteredFigure
    """Share right over item and twin."""
    bound: float
    """What a reader reaches at most to whom the two are the same."""
    unmoved: ClusteredFigure
    """Share that gives the same object for both, of those that give one for each."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How often answers lie on candidates of a sort.

    Example: `tables.habits["largest"].share.low > tables.habits["largest"].chance.high`.
    """

    share: ClusteredFigure
    chance: ClusteredFigure
    """The same where each candidate is as likely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectTables:
    """Everything measured of one subject.

    Example: `build_tables(outcomes).right.value`.
    """

    subject: str
    kind: Kind
    items: int
    clusters: int
    statuses: dict[str, int]
    """Answers to unchanged items by status."""
    errors: int
    """Cases that failed, of all; each counts as wrong."""
    hits: dict[str, ClusteredFigure]
    """Acc@.5, Acc@.75, Acc@.9, mAcc and mIoU over items with one target."""
    right: ClusteredFigure
    """The right one chosen, over the same."""
    floor: ClusteredFigure
    """The same by drawing one of the candidates."""
    none_accuracy: ClusteredFigure
    """Of items that refer to nothing: nothing given."""
    target_accuracy: ClusteredFigure
    """Of items that refer to something: something given."""
    several: ClusteredFigure
    """Of items that refer to several: exactly those given."""
    tubes: dict[str, ClusteredFigure]
    """m_tIoU, m_vIoU, vIoU@.3, vIoU@.5, sIoU and absent-frame score; empty without tubes."""
    groups: dict[str, tuple[ItemGroup, ...]]
    """By descriptors, candidates, negation, hops, family and look."""
    slope: ClusteredFigure
    """Change of the share right where candidates double."""
    picks: dict[Pick, ClusteredFigure]
    """What answers lie on."""
    missed: dict[str, int]
    """Wrong choices by the descriptor that the chosen one lacks."""
    habits: dict[str, Habit]
    """Of answers on a candidate: how often it is the largest, the most central, the first drawn, a
    hard distractor."""
    ceiling: dict[str, ClusteredFigure]
    """Acc@.75, Acc@.9 and mIoU of perfect boxes written in its dialect; and mIoU of its own boxes
    on the right object."""
    changes: tuple[ChangeRow, ...]
    twins: tuple[TwinRow, ...]
    seconds: float
    """Mean time a case."""


def build_tables(outcomes: Sequence[CaseOutcome]) -> SubjectTables:
    """The tables of outcomes that share a subject; at least one."""
    plain = [o for o in outcomes if o.change == "original"]
    single = [o for o in plain if o.targets == 1]
    empty = [o for o in plain if o.targets == 0]
    several = [o for o in plain if o.targets > 1]
    on_candidate = [o for o in single if o.picked and o.facts.candidates > 0]
    return SubjectTables(
        subject=outcomes[0].subject,
        kind=outcomes[0].kind,
        items=len(plain),
        clusters=len({o.cluster for o in plain}),
        statuses=dict(Counter(o.status for o in plain).most_common()),
        errors=sum(o.error is not None for o in outcomes),
        hits=_hits(single),
        right=share(single, lambda o: o.is_right),
        floor=mean((o.cluster, 1 / o.facts.candidates) for o in single if o.facts.candidates),
        none_accuracy=share(empty, lambda o: o.exact),
        target_accuracy=share([*single, *several], lambda o: o.boxes > 0),
        several=share(several, lambda o: o.exact),
        tubes=_tubes(single),
        groups=_groups(single),
        slope=slope_in_log(single),
        picks={pick: share(single, lambda o, pick=pick: o.pick == pick) for pick in PICKS},
        missed=dict(Counter(m for o in single for m in o.missed).most_common()),
        habits=_habits(on_candidate),
        ceiling=_ceiling(single),
        changes=_changes(outcomes, single),
        twins=_twins(outcomes, single),
        seconds=sum(o.seconds for o in outcomes) / len(outcomes),
    )


def _habits(on_candidate: Sequence[CaseOutcome]) -> dict[str, Habit]:
    one_of_all = mean((o.cluster, 1 / o.facts.candidates) for o in on_candidate)
    largest = mean((o.cluster, o.largest_of / o.facts.candidates) for o in on_candidate)
    hard = mean((o.cluster, o.facts.hard / o.facts.candidates) for o in on_candidate)
    return {
        "largest": Habit(share(on_candidate, lambda o: o.largest is True), largest),
        "central": Habit(share(on_candidate, lambda o: o.central is True), one_of_all),
        "first": Habit(share(on_candidate, lambda o: o.first is True), one_of_all),
        "hard": Habit(share(on_candidate, lambda o: o.pick == "hard"), hard),
    }


def _hits(single: Sequence[CaseOutcome]) -> dict[str, ClusteredFigure]:
    figures = {
        f"Acc@{text}": share(single, lambda o, t=float(text): o.iou >= t)
        for text in (".5", ".75", ".9")
    }
    figures["mAcc"] = mean(
        (o.cluster, sum(o.iou >= t for t in THRESHOLDS) / len(THRESHOLDS)) for o in single
    )
    figures["mIoU"] = mean((o.cluster, o.iou) for o in single)
    return figures


def _tubes(single: Sequence[CaseOutcome]) -> dict[str, ClusteredFigure]:
    """An item without a tube, whatever failed, counts as 0."""
    # Who gives boxes of one frame is no worse for it.
    if not single or single[0].kind == "image" or any(o.box_px and not o.has_tube for o in single):
        return {}
    scored = [(o.cluster, o.tube) for o in single]
    absent = [(c, t.absent) for c, t in scored if t is not None and t.absent is not None]
    return {
        "m_tIoU": mean((c, t.tiou if t else 0.0) for c, t in scored),
        "m_vIoU": mean((c, t.viou if t else 0.0) for c, t in scored),
        "vIoU@.3": share(single, lambda o: o.tube is not None and o.tube.viou > 0.3),
        "vIoU@.5": share(single, lambda o: o.tube is not None and o.tube.viou > 0.5),
        "sIoU": mean((c, t.siou if t else 0.0) for c, t in scored),
        "absent": mean(absent),
    }


def _groups(single: Sequence[CaseOutcome]) -> dict[str, tuple[ItemGroup, ...]]:
    keys: dict[str, Callable[[CaseOutcome], Hashable]] = {
        "descriptors": lambda o: o.facts.descriptors,
        "candidates": lambda o: o.facts.candidates,
        "negation": lambda o: "with" if o.facts.negation else "without",
        "hops": lambda o: o.facts.hops,
        "family": lambda o: o.facts.family,
        "look": lambda o: o.facts.look,
    }
    groups = {}
    for name, key in keys.items():
        values = sorted({key(o) for o in single}, key=lambda v: (isinstance(v, str), v))
        groups[name] = tuple(
            ItemGroup(
                name=str(value),
                right=share(members, lambda o: o.is_right),
                hit=share(members, lambda o: o.is_hit),
            )
            for value in values
            if (members := [o for o in single if key(o) == value])
        )
    return groups


def _ceiling(single: Sequence[CaseOutcome]) -> dict[str, ClusteredFigure]:
    figures = {}
    written = [(o.cluster, o.ceiling) for o in single if o.ceiling is not None]
    if written:
        figures["Acc@.75, perfect boxes"] = mean((c, float(v >= 0.75)) for c, v in written)
        figures["Acc@.9, perfect boxes"] = mean((c, float(v >= 0.9)) for c, v in written)
        figures["mIoU, perfect boxes"] = mean(written)
    right = [(o.cluster, o.iou) for o in single if o.is_right]
    figures["mIoU on the right object"] = mean(right)
    return figures


def _changes(
    outcomes: Sequence[CaseOutcome], single: Sequence[CaseOutcome]
) -> tuple[ChangeRow, ...]:
    before = {o.item: o for o in single}
    rows = []
    for change in CHANGES[1:]:
        changed = [o for o in outcomes if o.change == change and o.item in before]
        if not changed:
            continue
        rows.append(_change_row(change, "", before, changed))
        # Which descriptor was deleted tells which is read.
        details = sorted({o.changed for o in changed}) if change == "delete" else []
        rows += [
            _change_row(change, detail, before, [o for o in changed if o.changed == detail])
            for detail in details
        ]
    return tuple(rows)


def _change_row(
    change: Change, detail: str, before: dict[str, CaseOutcome], changed: Sequence[CaseOutcome]
) -> ChangeRow:
    first = [before[o.item] for o in changed]
    pairs = [
        (a.cluster, a.is_right, b.pick == "target") for a, b in zip(first, changed, strict=True)
    ]
    hits = [(a.cluster, a.iou >= 0.5, b.iou >= 0.5) for a, b in zip(first, changed, strict=True)]
    return ChangeRow(
        change=change,
        detail=detail,
        before=share(first, lambda o: o.is_right),
        after=share(changed, lambda o: o.pick == "target"),
        drop=paired_share(pairs),
        hit_drop=paired_share(hits),
        p_value=paired_permutation(
            [float(a) for _, a, _ in pairs],
            [float(b) for _, _, b in pairs],
            [cluster for cluster, _, _ in pairs],
            draws=2000,
        ),
    )


TWINS: tuple[Change, ...] = ("swap", "strip_negation", "reverse")


def _twins(outcomes: Sequence[CaseOutcome], single: Sequence[CaseOutcome]) -> tuple[TwinRow, ...]:
    before = {o.item: o for o in single}
    rows = []
    for change in TWINS:
        pairs = [
            (before[o.item], o)
            for o in outcomes
            if o.change == change and o.follows is not None and o.item in before
        ]
        if not pairs:
            continue
        given = [(a, b) for a, b in pairs if a.picked and b.picked]
        rows.append(
            TwinRow(
                change=change,
                both=mean_of_two([(a.cluster, a.is_right, bool(b.follows)) for a, b in pairs]),
                bound=0.5,
                unmoved=share_of((a.cluster, a.picked == b.picked) for a, b in given),
            )
        )
    return tuple(rows)
