"""Outcomes of a run as tables: per method, per length, by length and depth, by cost.

Pure functions; `page.py` shows what they give.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.evaluation.needle import metrics
from mmreason.evaluation.needle.methods import WARM, is_policy, is_scan
from mmreason.evaluation.needle.metrics import ErrorKind
from mmreason.evaluation.needle.outcomes import Outcome
from mmreason.evaluation.needle.spans import (
    frame_scores,
    gold_times,
    scene_hit_rate,
    span_balance,
    span_coverage,
    span_f1,
    span_precision,
)
from mmreason.evaluation.scoring import Mean, Proportion
from mmreason.needle.items import duration_name

HIT_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method over a set of items."""

    method: str
    accuracy: Proportion
    by_kind: dict[str, Proportion]
    frames: Mean
    scanned: Mean
    """Small frames compared without a model."""
    rounds: Mean
    tokens: Mean
    hit: Proportion
    """Gold leaf visited within three rounds; of items about one place."""
    evidence_iou: Mean
    at_iou: dict[float, Proportion]
    ungrounded: Proportion
    """Right, but no evidence frame lies in the gold."""
    ungrounded_iou: Proportion
    """Right, but no evidence span reaches a tIoU of 0.05 (H_t)."""
    abstention_f1: float
    errors: dict[str, int]
    details: dict[str, float]
    """The other measures, by name; means over the items they are defined for."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; NaN becomes None."""
        return {name: _plain(value) for name, value in vars(self).items()}


def build_rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """A row a method, policies first, then by cost."""
    by_method: dict[str, list[Outcome]] = {}
    for o in outcomes:
        by_method.setdefault(o.method, []).append(o)
    table = [build_row(method, of_method) for method, of_method in by_method.items()]
    # False sorts before True.
    return sorted(table, key=lambda r: (not is_policy(r.method), r.frames.value, r.method))


def build_row(method: str, outcomes: Sequence[Outcome]) -> Row:
    """The row of `method`; `outcomes` are its own."""
    kinds = dict.fromkeys(o.item.kind for o in outcomes)
    # Gold that was planted: of the whole video, or of nothing, there is no place to find.
    planted = [o for o in outcomes if o.item.kind not in ("global", "absent")]
    errors = Counter(kind for o in outcomes if (kind := metrics.error_kind(o)) is not None)
    return Row(
        method=method,
        accuracy=metrics.score_accuracy(outcomes),
        by_kind={
            k: metrics.score_accuracy([o for o in outcomes if o.item.kind == k]) for k in kinds
        },
        frames=Mean.of([float(o.cost.frames) for o in outcomes]),
        scanned=Mean.of([float(o.cost.frames_scanned) for o in outcomes]),
        rounds=Mean.of([float(o.cost.rounds) for o in outcomes]),
        tokens=Mean.of([float(o.cost.tokens_in + o.cost.tokens_out) for o in outcomes]),
        # Several places cannot all be reached in three rounds, however good the search.
        hit=metrics.hit_at([o for o in planted if o.item.places == 1], HIT_ROUNDS),
        evidence_iou=Mean.of([metrics.evidence_iou(o) for o in planted]),
        at_iou={least: metrics.accuracy_at_iou(outcomes, least) for least in (0.1, 0.3)},
        ungrounded=metrics.score_ungrounded(outcomes, by_frames=True),
        ungrounded_iou=metrics.score_ungrounded(outcomes),
        abstention_f1=metrics.score_abstention(outcomes)[2],
        errors={str(kind): errors[kind] for kind in ErrorKind if errors[kind]},
        details=_details(outcomes, planted),
    )


def _details(outcomes: Sequence[Outcome], planted: Sequence[Outcome]) -> dict[str, float]:
    """The measures of `Row.details`; those of gold are over `planted` alone."""
    # 1. Where it looked, against where the gold is.
    gold = [o.item.gold_spans for o in planted]
    visits = list(zip(map(metrics.visited_spans, planted), gold, strict=True))
    frames = list(zip(map(metrics.seen_times_s, planted), gold, strict=True))
    by_place = {
        "visited coverage": _mean([span_coverage(spans, g) for spans, g in visits]),
        "visited precision": _mean([span_precision(spans, g) for spans, g in visits]),
        "visited span F1": _mean([span_f1(spans, g) for spans, g in visits]),
        "frame F1 at 5 s": _mean([frame_scores(s, gold_times(g), 5.0).f1 for s, g in frames]),
        "frame F1 at 1 s": _mean([frame_scores(s, gold_times(g), 1.0).f1 for s, g in frames]),
        "gold spans seen": _mean([scene_hit_rate(times_s, g) for times_s, g in frames]),
        "balance": _mean([span_balance(times_s, g) for times_s, g in frames]),
    }
    # 2. When it got there: means over the items that it got to at all.
    by_time = {
        "hit round": _mean_of(metrics.hit_round, planted),
        "depth of first wrong turn": _mean_of(metrics.wrong_turn, planted),
        "return rate": _mean_of(metrics.returned_to_gold, planted),
        "rounds after seeing all": _mean_of(metrics.idle_rounds, planted),
        "answered before evidence": _mean_of(metrics.answered_early, planted),
    }
    # 3. What was wasted, what it cost, and how far its confidence holds: of every item.
    return {
        **by_place,
        **by_time,
        "repeat ratio": _mean([metrics.repeat_ratio(o) for o in outcomes]),
        "loop rate": _mean([metrics.has_loop(o) for o in outcomes]),
        "failed calls": _mean([metrics.failed_share(o) for o in outcomes]),
        "calibration error": metrics.calibration_error(outcomes),
        "area under cost": metrics.area_under_cost(outcomes),
        "circular accuracy": metrics.circular_accuracy(outcomes).value,
        "cache hits": _mean([o.cost.cache_hits for o in outcomes]),
        "unique frames": _mean([o.cost.frames_unique for o in outcomes]),
    }


def accuracy_by_depth(outcomes: Sequence[Outcome]) -> dict[tuple[float, int], Proportion]:
    """Accuracy by (duration in seconds, tenth of the video) of items about one place."""
    cells: dict[tuple[float, int], Proportion] = {}
    for o in outcomes:
        if o.item.places == 1 and o.item.kind != "global":
            key = o.item.duration_s, o.item.position
            cells[key] = cells.get(key, Proportion(0, 0)) + Proportion(o.right, 1)
    return cells


def accuracy_by_needle(outcomes: Sequence[Outcome]) -> dict[tuple[float, float], Proportion]:
    """Accuracy by (duration, needle length) in seconds, of items with planted gold."""
    cells: dict[tuple[float, float], Proportion] = {}
    for o in outcomes:
        if o.item.kind not in ("global", "absent"):
            key = o.item.duration_s, o.item.needle_s
            cells[key] = cells.get(key, Proportion(0, 0)) + Proportion(o.right, 1)
    return cells


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineComparison:
    """A policy against the baselines."""

    method: str
    best: str | None
    """The most accurate baseline of equal or smaller frame cost that does not scan the video; None
    without one."""
    gain: tuple[float, float, float]
    """Accuracy above it with a 95 % interval (paired bootstrap over worlds)."""
    best_scan: str | None
    """The same among those that do."""
    scan_gain: tuple[float, float, float]
    exhaustive_gap: tuple[float, float, float]
    """Accuracy less that of exhaustive captioning."""
    frame_share: float
    """Frames as a share of those of exhaustive captioning."""
    kept: float
    """Accuracy as a share of that with the gold given (CRR)."""


def compare_with_baselines(outcomes: Sequence[Outcome], method: str) -> BaselineComparison:
    """How `method` compares. `gold_clip` and policies are no baselines here."""
    own_outcomes = [o for o in outcomes if o.method == method]
    own_row = build_row(method, own_outcomes)
    baselines = [
        r for r in build_rows(outcomes) if not is_policy(r.method) and r.method != "gold_clip"
    ]
    # Rivals may cost as much as the policy, and no more. Scans pay in decoding, which frames shown
    # do not tell.
    cheap = [r for r in baselines if r.frames.value <= own_row.frames.value]

    def best_of(rivals: Sequence[Row]) -> str | None:
        best = max(rivals, key=lambda r: r.accuracy.value, default=None)
        return None if best is None else best.method

    best = best_of([r for r in cheap if not is_scan(r.method)])
    best_scan = best_of([r for r in cheap if is_scan(r.method)])

    def outcomes_of(name: str | None) -> list[Outcome]:
        return [o for o in outcomes if o.method == name]

    def difference_to(name: str | None) -> tuple[float, float, float]:
        return metrics.paired_difference(own_outcomes, outcomes_of(name))

    # The best of the exhaustive ones is the ceiling that search has to come near.
    full = max(
        (r for r in baselines if r.method.startswith("exhaustive")),
        key=lambda r: r.accuracy.value,
        default=None,
    )
    return BaselineComparison(
        method=method,
        best=best,
        gain=difference_to(best),
        best_scan=best_scan,
        scan_gain=difference_to(best_scan),
        exhaustive_gap=difference_to(full and full.method),
        frame_share=math.nan if full is None else own_row.frames.value / full.frames.value,
        kept=metrics.relative_to_gold(own_outcomes, outcomes_of("gold_clip")),
    )


def warm_share(outcomes: Sequence[Outcome], method: str, *, decoded: bool = False) -> float:
    """Frames shown of a world's second and later questions with what was seen kept, as a share of
    what the same questions cost cold; NaN unless both were measured. With `decoded` those that were
    only compared with each other count as well."""

    def frames(outcome: Outcome) -> int:
        return outcome.cost.frames + outcome.cost.frames_scanned * decoded

    warm = {o.item.id: o for o in outcomes if o.method == method + WARM}
    cold = {o.item.id: o for o in outcomes if o.method == method}
    # A world's first question pays for the opening either way: the gain is in those after it.
    first = {min(i for i in warm if warm[i].item.world == w) for w in _worlds(warm)}
    later = [i for i in warm if i in cold and i not in first]
    spent = sum(frames(cold[i]) for i in later)
    return sum(frames(warm[i]) for i in later) / spent if spent else math.nan


def _worlds(by_item: dict[str, Outcome]) -> set[str]:
    return {o.item.world for o in by_item.values()}


def list_durations_s(outcomes: Sequence[Outcome]) -> list[float]:
    return sorted({o.item.duration_s for o in outcomes})


def length_names(outcomes: Sequence[Outcome]) -> list[str]:
    return [duration_name(s) for s in list_durations_s(outcomes)]


def _mean_of(measure: Callable[[Outcome], float | None], outcomes: Sequence[Outcome]) -> float:
    """Mean of `measure` over the outcomes for which it is defined."""
    return _mean([value for o in outcomes if (value := measure(o)) is not None])


def _mean(values: Sequence[float | bool | int]) -> float:
    return sum(values) / len(values) if values else math.nan


def _plain(value: Any) -> Any:
    if isinstance(value, Proportion | Mean):
        return {"value": _plain(value.value), "interval": _plain(value.interval), "n": value.n}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
