"""Outcomes of a run as figures: strict and lenient side by side, by kind and by length.

Pure functions; `page.py` shows what they give. Failed and declined questions count as wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.evaluation.public.catalog import PublicBenchmark
from mmreason.evaluation.public.group_rating import QUESTIONS, rate_group
from mmreason.evaluation.public.intervals import ClusteredShare
from mmreason.evaluation.public.items import BenchmarkItem
from mmreason.evaluation.public.outcomes import BenchmarkOutcome
from mmreason.evaluation.public.strict_rules import read_strictly
from mmreason.evaluation.scoring import Mean
from mmreason.grounding.spans import tiou
from mmreason.language.answer_reading import read_answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem:
    """A question with what was answered, and whether that is right.

    Example:
        >>> item = BenchmarkItem(id="1", video_name="a", video=None, question="?", answer=1,
        ...     options=("Apples", "Candles"))
        >>> outcome = BenchmarkOutcome(id="1", text="It is B, candles", choice=1,
        ...     stop_reason="answered")
        >>> scored = ScoredItem(item=item, outcome=outcome, strict_choice=None, lenient_choice=1)
        >>> scored.is_right_strictly, scored.is_right_leniently
        (False, True)
    """

    item: BenchmarkItem
    outcome: BenchmarkOutcome
    strict_choice: int | None
    """What the benchmark's own rule finds."""
    lenient_choice: int | None
    """What the reader of the agent finds: the one that chose the answer."""

    @property
    def is_right_strictly(self) -> bool:
        return self.strict_choice is not None and self.strict_choice == self.item.answer

    @property
    def is_right_leniently(self) -> bool:
        return self.lenient_choice is not None and self.lenient_choice == self.item.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyRow:
    """Accuracy over some questions, by both ways of reading.

    Example:
        >>> share = ClusteredShare.of([("a", True)])
        >>> AccuracyRow(name="reasoning", strict=share, lenient=share).strict.value
        1.0
    """

    name: str
    strict: ClusteredShare
    lenient: ClusteredShare


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRating:
    """Mean score of groups of questions, 0 to 100 as it is published.

    Example:
        >>> GroupRating(name="level 3", strict=25.0, lenient=56.25, groups=1).groups
        1
    """

    name: str
    strict: float
    lenient: float
    groups: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSummary:
    """What a run came to."""

    overall: AccuracyRow
    by_category: tuple[AccuracyRow, ...]
    by_duration: tuple[AccuracyRow, ...]
    category_means: tuple[float, float] | None
    """(strict, lenient) mean over categories, where the benchmark reports that."""
    group_ratings: tuple[GroupRating, ...]
    incomplete_groups: int
    """Not rated, since some of their questions were not asked."""
    judged: ClusteredShare
    """Open answers that the judge takes for right, of those it said yes or no to."""
    unjudged: int
    """Open answers without a verdict."""
    chance: float
    """Expected accuracy of guessing."""
    policies: dict[str, int]
    """Questions by the policy that answered."""
    versions: tuple[str, ...]
    """Of mmreason, those that asked."""
    asked: int
    unscored: int
    """Asked, and their answers are not published."""
    failed: int
    abstained: int
    unread_strictly: int
    """Answered, and the benchmark's rule finds no option in it."""
    evidence_iou: Mean
    """Temporal IoU of evidence with the stretches that the benchmark names, where it does."""
    frames: Mean
    tokens: Mean
    model_calls: Mean
    seconds: Mean

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; what was not measured is None."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def summarise(
    benchmark: PublicBenchmark,
    items: Iterable[BenchmarkItem],
    outcomes: Mapping[str, BenchmarkOutcome],
) -> BenchmarkSummary:
    """The figures over those of `items` that have an outcome."""
    # Of the questions that were asked: with --limit, and without some videos, not all are.
    scored = [_score(benchmark, item, outcomes[item.id]) for item in items if item.id in outcomes]
    # Two ways of scoring that must not be averaged: a letter, and an opinion.
    lettered = [s for s in scored if not s.item.is_open and s.item.has_answer]
    open_items = [s for s in scored if s.item.is_open and s.item.has_answer]
    by_category = _rows_by(lettered, lambda s: s.item.categories)
    ratings, incomplete = _rate_groups(lettered)
    # No answer needs no judge: it is wrong.
    judged = [s for s in open_items if s.outcome.judged_right is not None or not s.outcome.text]
    return BenchmarkSummary(
        overall=_row("all", lettered),
        by_category=by_category,
        by_duration=_rows_by(lettered, lambda s: (s.item.duration_group,)),
        category_means=_category_means(by_category) if benchmark.averages_categories else None,
        group_ratings=ratings,
        incomplete_groups=incomplete,
        judged=ClusteredShare.of((s.item.video_name, bool(s.outcome.judged_right)) for s in judged),
        unjudged=len(open_items) - len(judged),
        chance=_mean([1 / len(s.item.options) for s in lettered]),
        policies=dict(Counter(s.outcome.policy for s in scored if s.outcome.policy)),
        versions=tuple(sorted({s.outcome.version for s in scored})),
        asked=len(scored),
        unscored=sum(not s.item.has_answer for s in scored),
        failed=sum(s.outcome.failed for s in scored),
        abstained=sum(s.outcome.abstained for s in scored),
        unread_strictly=sum(bool(s.outcome.text) and s.strict_choice is None for s in lettered),
        evidence_iou=Mean.of(
            [
                tiou(s.outcome.evidence, s.item.reference_spans)
                for s in scored
                if s.item.reference_spans and not s.outcome.failed
            ]
        ),
        frames=Mean.of([float(s.outcome.frames) for s in scored]),
        tokens=Mean.of([float(s.outcome.tokens) for s in scored]),
        model_calls=Mean.of([float(s.outcome.model_calls) for s in scored]),
        seconds=Mean.of([s.outcome.seconds for s in scored]),
    )


def _score(
    benchmark: PublicBenchmark, item: BenchmarkItem, outcome: BenchmarkOutcome
) -> ScoredItem:
    options, text, choice = item.options, outcome.text, outcome.choice
    # A choice beyond the options is of a file that somebody changed.
    choice = choice if choice is not None and 0 <= choice < len(options) else None
    strict = None
    if options:
        strict = read_strictly(benchmark.strict_rule, outcome.reply, text, choice, options)
    # What no policy read as an option may still be one, such as the best of a spent budget.
    if choice is None and options:
        choice = read_answer(text, options, item.question).choice
    return ScoredItem(item=item, outcome=outcome, strict_choice=strict, lenient_choice=choice)


def _row(name: str, scored: Sequence[ScoredItem]) -> AccuracyRow:
    return AccuracyRow(
        name=name,
        strict=ClusteredShare.of((s.item.video_name, s.is_right_strictly) for s in scored),
        lenient=ClusteredShare.of((s.item.video_name, s.is_right_leniently) for s in scored),
    )


def _rows_by(
    scored: Sequence[ScoredItem], names_of: Callable[[ScoredItem], tuple[str, ...]]
) -> tuple[AccuracyRow, ...]:
    """A row a name, in the order in which they are met; an item counts for each of its names."""
    by_name: dict[str, list[ScoredItem]] = {}
    for item in scored:
        for name in filter(None, names_of(item)):
            by_name.setdefault(name, []).append(item)
    return tuple(_row(name, of_name) for name, of_name in by_name.items())


def _category_means(rows: Sequence[AccuracyRow]) -> tuple[float, float]:
    return _mean([r.strict.value for r in rows]), _mean([r.lenient.value for r in rows])


def _rate_groups(scored: Sequence[ScoredItem]) -> tuple[tuple[GroupRating, ...], int]:
    """(ratings of all groups, of each kind and level, groups that are not whole)."""
    by_group: dict[str, list[ScoredItem]] = {}
    for item in scored:
        if item.item.group is not None:
            by_group.setdefault(item.item.group.id, []).append(item)
    whole = [members for members in by_group.values() if len(members) == QUESTIONS]
    ratings: dict[str, list[tuple[float, float]]] = {}
    for members in whole:
        members.sort(key=lambda s: s.item.group.place if s.item.group else 0)
        last = members[-1].item.group
        assert last is not None
        pair = (
            rate_group(last.kind, last.structure, [s.is_right_strictly for s in members]),
            rate_group(last.kind, last.structure, [s.is_right_leniently for s in members]),
        )
        # By the authors' script a group is of the level of its last question.
        level = f"level {last.level}" if last.level else ""
        for name in filter(None, ("all groups", last.kind, level)):
            ratings.setdefault(name, []).append(pair)
    rows = [
        GroupRating(
            name=name,
            strict=100 * _mean([strict for strict, _ in pairs]),
            lenient=100 * _mean([lenient for _, lenient in pairs]),
            groups=len(pairs),
        )
        for name, pairs in sorted(ratings.items())
    ]
    return tuple(rows), len(by_group) - len(whole)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _plain(value: Any) -> Any:
    # NaN is no JSON, and an interval of nothing is no number either.
    if isinstance(value, ClusteredShare):
        low, high = value.interval
        return {
            "value": _plain(value.value),
            "interval": [low, high],
            "n": value.n,
            "videos": value.clusters,
        }
    if isinstance(value, Mean):
        return {"value": _plain(value.value), "n": value.n}
    if isinstance(value, AccuracyRow | GroupRating):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
