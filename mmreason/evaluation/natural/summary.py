"""Outcomes of a natural run as a table: a row for each observer and method. Pure functions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmreason.evaluation.natural.methods import parse_method
from mmreason.evaluation.natural.outcomes import NaturalOutcome
from mmreason.evaluation.scoring import Mean, Proportion
from mmreason.grounding.metrics.statistics import cluster_bootstrap

Interval = tuple[float, float, float]
"""(value, low, high) at 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalRow:
    """One observer and method over a set of items.

    Example: `build_rows(outcomes)[0].right` is (0.96, 0.92, 0.98).
    """

    observer: str
    method: str
    items: int
    right: Interval
    grounded: Interval
    """Evidence meets a shot that proves the answer, of right answers to answerable items."""
    evidence_share: float
    """Mean length of the evidence of such answers as a share of the video."""
    frames: Mean
    index_frames: float
    """Frames of the indexes, spread over the questions about their videos; beside `frames`."""
    scanned: Mean
    """Small frames compared without a model."""
    calls: Mean
    tokens: Mean
    turns_most: int
    """Most calls of the model that decides, a question."""
    abstention_f1: float
    tool_use: Proportion
    """Questions with two tool calls or more: not answered by one look."""
    failed: int
    by_family: dict[str, Proportion]
    by_language: dict[str, Proportion]
    policies: dict[str, int]
    """Questions by the policy that ran."""
    stop_reasons: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; NaN becomes None."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def build_rows(outcomes: Sequence[NaturalOutcome]) -> list[NaturalRow]:
    """A row for each observer and method, in the order in which they first occur."""
    groups: dict[tuple[str, str], list[NaturalOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.observer, outcome.method), []).append(outcome)
    return [build_row(group) for group in groups.values()]


def build_row(outcomes: Sequence[NaturalOutcome]) -> NaturalRow:
    """The row of outcomes that share observer and method."""
    proven = [o for o in outcomes if o.is_right and o.item.is_answerable]
    return NaturalRow(
        observer=outcomes[0].observer,
        method=outcomes[0].method,
        items=len(outcomes),
        right=share(outcomes, lambda o: o.is_right),
        grounded=share(proven, lambda o: o.is_grounded),
        evidence_share=_mean([o.evidence_share for o in proven]),
        frames=Mean.of([float(o.cost.frames) for o in outcomes]),
        index_frames=_spread_index(outcomes),
        scanned=Mean.of([float(o.cost.frames_scanned) for o in outcomes]),
        calls=Mean.of([float(o.cost.model_calls) for o in outcomes]),
        tokens=Mean.of([float(o.cost.tokens_in + o.cost.tokens_out) for o in outcomes]),
        turns_most=max(o.turns for o in outcomes),
        abstention_f1=score_abstention(outcomes),
        tool_use=Proportion(sum(o.tool_calls > 1 for o in outcomes), len(outcomes)),
        failed=sum(o.error is not None for o in outcomes),
        by_family=_right_by(outcomes, lambda o: o.item.family),
        by_language=_right_by(outcomes, lambda o: o.item.language),
        policies=dict(Counter(o.policy for o in outcomes).most_common()),
        stop_reasons=dict(Counter(o.stop_reason for o in outcomes).most_common()),
    )


def share(outcomes: Sequence[NaturalOutcome], test: Callable[[NaturalOutcome], bool]) -> Interval:
    """Share that passes a test. Its interval is at each end the wider of two: bootstrap over
    videos, whose items are not independent, and Wilson's, which stays open where all or none
    pass."""
    hits = Proportion(sum(map(test, outcomes)), len(outcomes))
    passes = [float(test(outcome)) for outcome in outcomes]
    by_video = cluster_bootstrap(passes, [outcome.item.video for outcome in outcomes])
    if math.isnan(by_video.low):
        return hits.value, *hits.interval
    return hits.value, min(by_video.low, hits.interval[0]), max(by_video.high, hits.interval[1])


def score_abstention(outcomes: Sequence[NaturalOutcome]) -> float:
    """F1 of abstaining on the items without an answer; NaN where there are none."""
    empty = [o for o in outcomes if not o.item.is_answerable]
    if not empty:
        return math.nan
    abstained = [o for o in outcomes if o.abstained]
    hits = sum(not o.item.is_answerable for o in abstained)
    # F1 in one fraction: it is 0, and not undefined, where nobody abstains.
    return 2 * hits / (len(abstained) + len(empty))


def compare(first: Sequence[NaturalOutcome], second: Sequence[NaturalOutcome]) -> Interval:
    """Share right of `first` less that of `second` on the items that both have: paired, with an
    interval by bootstrap over videos; NaN without a common item, without interval for one video."""
    right = {o.item.id: o.is_right for o in second}
    return _paired(first, lambda o: right.get(o.item.id))


def compare_languages(outcomes: Sequence[NaturalOutcome], first: str, second: str) -> Interval:
    """The same between two languages, on the items that were asked in both."""
    right = {o.item.pair: o.is_right for o in outcomes if o.item.language == second}
    of_first = [o for o in outcomes if o.item.language == first]
    return _paired(of_first, lambda o: right.get(o.item.pair))


def comparison_lines(outcomes: Sequence[NaturalOutcome]) -> list[str]:
    """A sentence each: policies against direct viewing with as many frames, without a stage against
    with it, and languages against English."""
    rows = build_rows(outcomes)
    lines = []
    for row in rows:
        method = parse_method(row.method)
        if method.even_frames:
            continue
        measured = select(outcomes, row.observer, row.method)
        name = f"{row.method} ({row.observer})"
        # 1. The even frames nearest in number, which a run measures for each policy.
        even = [r for r in rows if r.observer == row.observer and not is_policy(r.method)]
        nearest = min(even, key=lambda r: abs(r.frames.value - row.frames.value), default=None)
        if nearest is not None:
            gain = compare(measured, select(outcomes, row.observer, nearest.method))
            lines.append(f"{name}: {points(gain)} to {nearest.method}, the same items")
        # 2. What a stage is worth.
        whole = select(outcomes, row.observer, replace(method, without=()).name)
        if method.without and whole:
            lines.append(f"{name}: {points(compare(measured, whole))} to {whole[0].method}")
        # 3. What the language costs.
        languages = list(dict.fromkeys(o.item.language for o in measured))
        for other in languages if "en" in languages else ():
            if other != "en":
                gain = compare_languages(measured, other, "en")
                lines.append(f"{name}: {points(gain)} in {other} to en, the same items")
    return lines


def points(difference: Interval) -> str:
    """A difference of shares with its interval.

    Example:
        >>> points((0.05, -0.01, 0.1))
        '+5.0 points (-1.0 to +10.0)'
    """
    value, low, high = (100 * v for v in difference)
    if math.isnan(low):
        return f"{value:+.1f} points (one video: no interval)"
    return f"{value:+.1f} points ({low:+.1f} to {high:+.1f})"


def _paired(
    outcomes: Sequence[NaturalOutcome], other: Callable[[NaturalOutcome], bool | None]
) -> Interval:
    gains, videos = [], []
    for outcome in outcomes:
        other_right = other(outcome)
        if other_right is not None:
            gains.append(float(outcome.is_right) - float(other_right))
            videos.append(outcome.item.video)
    gain = cluster_bootstrap(gains, videos)
    return gain.value, gain.low, gain.high


def is_policy(method: str) -> bool:
    """Whether a method is a policy, not direct viewing."""
    return not parse_method(method).even_frames


def select(outcomes: Sequence[NaturalOutcome], observer: str, method: str) -> list[NaturalOutcome]:
    """The outcomes of one row."""
    return [o for o in outcomes if (o.observer, o.method) == (observer, method)]


def _spread_index(outcomes: Sequence[NaturalOutcome]) -> float:
    # One index serves all questions about a video in a language.
    videos = {(o.item.video, o.item.language): o.index_frames for o in outcomes}
    return sum(videos.values()) / len(outcomes)


def _right_by(
    outcomes: Sequence[NaturalOutcome], key: Callable[[NaturalOutcome], str]
) -> dict[str, Proportion]:
    groups: dict[str, Proportion] = {}
    for outcome in outcomes:
        before = groups.get(key(outcome), Proportion(0, 0))
        groups[key(outcome)] = before + Proportion(outcome.is_right, 1)
    return dict(sorted(groups.items()))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _plain(value: Any) -> Any:
    if isinstance(value, Proportion | Mean):
        return {"value": _plain(value.value), "interval": _plain(value.interval), "n": value.n}
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
