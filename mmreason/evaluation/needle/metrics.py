"""How well searches went: per outcome, and over many of them.

Visits count in the order they were made; a round is what the cost ledger calls one. A leaf visit is
a call about a leaf of the tree or about a stretch no longer than one. Gold is seen where a frame
that was shown together with the question lies in it, or where a leaf's caption had a frame in it.
`spans.py` has the measures between spans, `summary.py` the tables.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum, auto

import numpy as np

from mmreason.evaluation.needle.outcomes import Outcome, Visit
from mmreason.evaluation.needle.spans import harmonic_mean
from mmreason.evaluation.scoring import Proportion
from mmreason.grounding.metrics.statistics import cluster_bootstrap
from mmreason.grounding.spans import merge_spans, tiou
from mmreason.needle.items import Item
from mmreason.video.types import Span

UNGROUNDED_IOU = 0.05
_SLACK = 1.01


class ErrorKind(StrEnum):
    """Where an item was lost; the values are keys of `summary.json`."""

    SEARCH = auto()
    """No leaf that holds gold was visited."""
    LOOK = auto()
    """Visited, but no frame that was shown lies in the gold."""
    REASON = auto()
    """All gold seen, and a wrong answer (or none) given. Global items too: all of the video is
    gold to them."""
    STOP = auto()
    """Ended too early: by the budget, with some gold unseen, or with an answer that nothing
    supports (items without an answer)."""
    FAILED = auto()
    """The method raised."""


def is_leaf(outcome: Outcome, visit: Visit) -> bool:
    """Whether a call was about a leaf, or about no more than one."""
    if visit.node is not None and len(visit.node) >= outcome.depth:
        return True
    # Looks name a stretch, not a node. Borders are rounded, hence the slack.
    return visit.span.duration_s <= _SLACK * outcome.leaf_s


def leaf_visits(outcome: Outcome) -> list[Visit]:
    """Calls about leaves that did not fail, in order."""
    return [v for v in outcome.visits if is_leaf(outcome, v) and not v.failed]


def visited_spans(outcome: Outcome) -> tuple[Span, ...]:
    """V: the union of the stretches of leaf visits."""
    return merge_spans(visit.span for visit in leaf_visits(outcome))


def seen_times_s(outcome: Outcome) -> list[float]:
    """F: times of all frames that were shown, each once."""
    # Frames shown twice tell nothing new.
    return sorted({t for v in outcome.visits if not v.failed for t in v.frame_times_s})


def hit_round(outcome: Outcome) -> int | None:
    """Round in which the last of the gold spans was first met by a leaf visit; None where one
    never was, or there is no gold."""
    return _round_of(outcome, _meets_leaf)


def seen_round(outcome: Outcome) -> int | None:
    """Round after which every gold span had been seen; None where one never was."""
    return _round_of(outcome, _shows)


def _round_of(outcome: Outcome, test: Callable[[Outcome, Visit, Span], bool]) -> int | None:
    # Several spans may be met in one round; the round of the last of them counts.
    waiting = list(outcome.item.gold_spans)
    if not waiting:
        return None
    rounds = 0
    for visit in outcome.visits:
        rounds += visit.rounds
        waiting = [span for span in waiting if not test(outcome, visit, span)]
        if not waiting:
            return rounds
    return None


def _meets_leaf(outcome: Outcome, visit: Visit, span: Span) -> bool:
    return not visit.failed and is_leaf(outcome, visit) and visit.span.overlap_s(span) > 0


def _shows(outcome: Outcome, visit: Visit, span: Span) -> bool:
    # A caption of a large node spreads a few frames over minutes: that one of them falls on gold is
    # luck, unless the question was put to them.
    if visit.failed or not (visit.shows_question or is_leaf(outcome, visit)):
        return False
    return any(span.contains(t) for t in visit.frame_times_s)


def hit_at(outcomes: Iterable[Outcome], rounds: int) -> Proportion:
    """hit@r: items with gold whose leaves were all visited within `rounds` rounds."""
    hits = [hit_round(o) for o in outcomes if o.item.gold_spans]
    return Proportion(sum(hit is not None and hit <= rounds for hit in hits), len(hits))


def error_kind(outcome: Outcome) -> ErrorKind | None:
    """None for a right answer. See `ErrorKind`."""
    if outcome.right:
        return None
    if outcome.error is not None:
        return ErrorKind.FAILED
    # From the end backwards: what was seen, then what was met, then what was missed.
    by_budget = outcome.stop_reason.startswith("budget")
    if outcome.item.kind == "global":
        return ErrorKind.STOP if by_budget else ErrorKind.REASON
    if outcome.item.answer is None:
        return ErrorKind.STOP
    if seen_round(outcome) is not None:
        return ErrorKind.REASON
    if by_budget:
        return ErrorKind.STOP
    if hit_round(outcome) is not None:
        return ErrorKind.LOOK
    gold = outcome.item.gold_spans
    # Some of several spans met, and others not: it stopped too early; none met: it searched
    # wrongly.
    met = [any(_meets_leaf(outcome, v, span) for v in outcome.visits) for span in gold]
    return ErrorKind.STOP if any(met) else ErrorKind.SEARCH


def wrong_turn(outcome: Outcome) -> int | None:
    """Depth of the first opened node (one whose children's captions were read, 0 is the whole
    video) without gold in it; None where there was none."""
    turns = _opened(outcome)
    return next((depth for depth, is_gold in turns if not is_gold), None)


def returned_to_gold(outcome: Outcome) -> bool | None:
    """Whether gold was met by a leaf visit after the first wrong turn; None without one."""
    for index, visit in enumerate(outcome.visits):
        opened = _parent(outcome, visit)
        if opened is not None and not _holds_gold(outcome, opened):
            later = outcome.visits[index + 1 :]
            gold = outcome.item.gold_spans
            return any(_meets_leaf(outcome, v, span) for v in later for span in gold)
    return None


def _opened(outcome: Outcome) -> list[tuple[int, bool]]:
    """(depth, holds gold) of each opened node, in order."""
    nodes = dict.fromkeys(
        parent for v in outcome.visits if (parent := _parent(outcome, v)) is not None
    )
    return [(len(node), _holds_gold(outcome, node)) for node in nodes]


def _parent(outcome: Outcome, visit: Visit) -> tuple[int, ...] | None:
    # Only a caption is of a node; other calls are of stretches.
    if not visit.node or not outcome.item.gold_spans:
        return None
    return visit.node[:-1]


def _holds_gold(outcome: Outcome, node: tuple[int, ...]) -> bool:
    # A node id is its digits from the top; read in base `branching` it is the place on its level.
    index = 0
    for digit in node:
        index = index * outcome.branching + digit - 1
    length_s = outcome.item.duration_s / outcome.branching ** len(node)
    span = Span(index * length_s, (index + 1) * length_s)
    return any(span.overlap_s(gold) > 0 for gold in outcome.item.gold_spans)


def repeat_ratio(outcome: Outcome) -> float:
    """(calls - distinct calls) / distinct calls; 0 for no call. Two calls are the same where tool,
    stretch and frames are."""
    calls = Counter(_call(v) for v in outcome.visits)
    return (sum(calls.values()) - len(calls)) / len(calls) if calls else 0.0


def has_loop(outcome: Outcome) -> bool:
    """Whether the same call was made three times in a row."""
    # Three, since asking again once can be a policy's way of making sure.
    calls = [_call(v) for v in outcome.visits]
    return any(a == b == c for a, b, c in zip(calls, calls[1:], calls[2:], strict=False))


def _call(visit: Visit) -> tuple[object, ...]:
    return visit.tool, visit.span, visit.frame_times_s


def failed_share(outcome: Outcome) -> float:
    """Proportion of calls that gave an error; 0 for no call."""
    return sum(v.failed for v in outcome.visits) / len(outcome.visits) if outcome.visits else 0.0


def answered_early(outcome: Outcome) -> bool:
    """Whether an option was chosen although some gold had not been seen."""
    # Where nothing was planted no answer can be early.
    has_gold = outcome.item.kind not in ("global", "absent")
    return has_gold and outcome.choice is not None and seen_round(outcome) is None


def idle_rounds(outcome: Outcome) -> int | None:
    """Rounds spent after all gold had been seen; None where it never was."""
    all_seen_round = seen_round(outcome)
    return (
        None if all_seen_round is None else sum(v.rounds for v in outcome.visits) - all_seen_round
    )


def evidence_iou(outcome: Outcome) -> float:
    """tIoU between all evidence and all gold."""
    return tiou([span for span, _, _ in outcome.evidence], outcome.item.gold_spans)


def is_ungrounded(outcome: Outcome) -> bool:
    """Whether no evidence span reaches a tIoU of 0.05 with any gold span (H_t's condition)."""
    # Without any evidence 0: an answer from nowhere is ungrounded.
    best = max(
        (tiou([e], [g]) for e, _, _ in outcome.evidence for g in outcome.item.gold_spans),
        default=0.0,
    )
    return best < UNGROUNDED_IOU


def has_evidence_frame(outcome: Outcome) -> bool:
    """Whether some evidence frame lies in gold. Unlike a tIoU this does not punish a short needle
    in a long leaf."""
    times_s = [t for _, times, _ in outcome.evidence for t in times]
    return any(gold.contains(t) for gold in outcome.item.gold_spans for t in times_s)


def score_ungrounded(outcomes: Iterable[Outcome], by_frames: bool = False) -> Proportion:
    """H_t: right answers of items with planted gold whose evidence does not show it."""
    right = [o for o in outcomes if o.right and o.item.kind not in ("global", "absent")]
    # A leaf that holds a short needle has a tiny tIoU with it: by frames is the fair test of
    # search.
    test = (lambda o: not has_evidence_frame(o)) if by_frames else is_ungrounded
    return Proportion(sum(map(test, right)), len(right))


def score_accuracy(outcomes: Sequence[Outcome]) -> Proportion:
    """Strict: the right option chosen, or an abstention where none is right."""
    return Proportion(sum(o.right for o in outcomes), len(outcomes))


def accuracy_at_iou(outcomes: Sequence[Outcome], least: float) -> Proportion:
    """acc@IoU: right, and the evidence reaches a tIoU of `least`; over items with planted gold."""
    planted = [o for o in outcomes if o.item.kind not in ("global", "absent")]
    return Proportion(sum(o.right and evidence_iou(o) >= least for o in planted), len(planted))


def circular_accuracy(outcomes: Sequence[Outcome]) -> Proportion:
    """An item counts where it is right under every rotation of its options that was asked."""
    by_item: dict[str, bool] = {}
    for o in outcomes:
        # A guess by the place of an option is right under one rotation and wrong under another.
        by_item[o.item.id] = by_item.get(o.item.id, True) and o.right
    return Proportion(sum(by_item.values()), len(by_item))


def accuracy_within(outcomes: Sequence[Outcome], frames: int) -> Proportion:
    """Items answered rightly at a cost of `frames` shown frames or fewer."""
    return Proportion(sum(o.right and o.cost.frames <= frames for o in outcomes), len(outcomes))


def area_under_cost(outcomes: Sequence[Outcome], least: int = 8, most: int = 4096) -> float:
    """Mean of `accuracy_within` over budgets evenly spaced in log2 from `least` to `most`: the area
    under the accuracy-cost curve, 0..1."""
    # Eight budgets an octave: fine enough that the sum is the area.
    steps = round(8 * math.log2(most / least))
    budgets = [least * 2 ** (i / 8) for i in range(steps + 1)]
    return float(np.mean([accuracy_within(outcomes, int(b)).value for b in budgets]))


def score_abstention(outcomes: Sequence[Outcome]) -> tuple[Proportion, Proportion, float]:
    """Precision, recall and F1 of abstaining on the items without an answer."""
    abstained = [o for o in outcomes if o.abstained]
    empty = [o for o in outcomes if o.item.answer is None]
    # The same hits over two totals: of all abstentions, and of all that called for one.
    hits = sum(o.item.answer is None for o in abstained)
    proportions = Proportion(hits, len(abstained)), Proportion(hits, len(empty))
    values = [proportion.value if proportion.n else 0.0 for proportion in proportions]
    return *proportions, harmonic_mean(*values)


def calibration_error(outcomes: Sequence[Outcome], bins: int = 10) -> float:
    """ECE: mean gap between confidence and accuracy over equal bins of confidence, weighted by
    their counts; NaN where no answer tells its confidence."""
    stated = [(o.confidence, o.right) for o in outcomes if o.confidence is not None]
    if not stated:
        return math.nan
    total = 0.0
    for index in range(bins):
        # A confidence of 1 belongs to the last bin.
        in_bin = [(c, r) for c, r in stated if min(bins - 1, int(c * bins)) == index]
        if in_bin:
            total += abs(sum(c for c, _ in in_bin) - sum(r for _, r in in_bin))
    return total / len(stated)


def relative_to_gold(full: Sequence[Outcome], gold_given: Sequence[Outcome]) -> float:
    """CRR: accuracy on the whole video over accuracy with the gold clip given, on the same items;
    NaN where the latter is 0."""
    # Only items that both have: a share of two different sets would be no share.
    ids = {o.item.id for o in full} & {o.item.id for o in gold_given}
    whole = score_accuracy([o for o in full if o.item.id in ids])
    clip = score_accuracy([o for o in gold_given if o.item.id in ids])
    return whole.value / clip.value if clip.hits else math.nan


def paired_difference(
    first: Sequence[Outcome], second: Sequence[Outcome], *, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Accuracy of `one` less that of `other` on their common items, with a 95 % interval.

    Paired bootstrap over worlds: items of a world are drawn together, since they share their
    look-alikes. Without two worlds there is no interval, without a common item no value: NaN.
    """
    right_by_item = {o.item.id: o.right for o in second}
    common = [o for o in first if o.item.id in right_by_item]
    gain = cluster_bootstrap(
        [float(o.right) - right_by_item[o.item.id] for o in common],
        [o.item.world for o in common],
        draws=draws,
        seed=seed,
    )
    return gain.value, gain.low, gain.high


def expected_uniform_hit(item: Item, frames: int) -> float:
    """Chance that one of `frames` evenly spread frames falls into a needle of the item's length:
    min(1, N l / T).

    Example:
        >>> from types import SimpleNamespace
        >>> expected_uniform_hit(SimpleNamespace(needle_s=4.0, duration_s=180.0), 9)
        0.2
    """
    return min(1.0, frames * item.needle_s / item.duration_s)
