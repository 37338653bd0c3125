"""Knowledge audit: does a model answer from the video, or from what it knew before?

Each audited question is asked blind, with another video, with the transcript and with the proof
alone, beside being asked as it stands (after NanoKnow, arXiv 2602.20122). All differences are
paired on the questions that could be asked in both ways.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmreason.evaluation.refadv.figures import ClusteredFigure, share_of
from mmreason.grounding.metrics.statistics import Interval, cluster_bootstrap
from mmreason.training.evaluation.conditions import AUDIT_CONDITIONS, Condition
from mmreason.training.evaluation.paired import HitPair, PairedDifference, compare_hits
from mmreason.training.evaluation.projection import BUCKETS, AnswerSupport
from mmreason.training.evaluation.rows import EvalRow

LEAK_CONFIDENCE = 0.99
"""Of the band within which guessing falls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionScores:
    """One way of asking.

    Example: `audit.conditions[0].right.text`.
    """

    condition: str
    right: ClusteredFigure
    """Lenient; not measured where no question could be asked so."""
    not_applicable: Mapping[str, int]
    """Questions that could not be, by reason."""
    errors: int
    """Questions that failed, and are in no figure of the audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakCheck:
    """Whether something that does not look is right more often than by guessing.

    Example: `check.is_flagged`.
    """

    name: str
    right: float
    """Share right."""
    chance: float
    """Of guessing among the options."""
    band: tuple[float, float]
    """Where 99 % of all who guess are."""
    questions: int

    @property
    def is_flagged(self) -> bool:
        """Whether it is above the band."""
        return self.right > self.band[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationGain:
    """log p(right answer | video, question) less log p(right answer | question), in nats.

    Example: `audit.information_gain.mean`.
    """

    mean: Interval
    quartiles: tuple[float, float, float]
    positive: ClusteredFigure
    """Share of questions whose answer the video makes likelier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketScores:
    """Questions whose right answer stands about as often in the training text.

    Example: `audit.buckets[1].right["blind"].text`.
    """

    bucket: str
    questions: int
    right: Mapping[str, ClusteredFigure]
    """By condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeAudit:
    """What came of the audited questions.

    Example: `scores.audit.headline.text`.
    """

    questions: int
    conditions: tuple[ConditionScores, ...]
    headline: ClusteredFigure
    """Accuracy with the video on questions that the model gets wrong blind; `n` is how many these
    are."""
    both_right: int
    """Right blind and with the video; so the other three cells."""
    only_blind: int
    only_video: int
    neither: int
    blind_gap: PairedDifference
    """With the video less blind."""
    prior_leak: ClusteredFigure
    """Of the questions right with the video, those that are right blind too."""
    evidence_sensitivity: PairedDifference
    """With the proof alone less with all of the video."""
    wrong_video_flip: ClusteredFigure
    """Of the questions right with the video, those that another video turns wrong."""
    wrong_video_drop: PairedDifference
    """With the video less with another one."""
    transcript_gap: PairedDifference
    """With the video less with its transcript."""
    information_gain: InformationGain | None
    """None where the model does not tell the probability of a given text."""
    leaks: tuple[LeakCheck, ...]
    buckets: tuple[BucketScores, ...]
    """Empty without a training text."""
    not_projected: int
    """Questions whose answer is too short to be looked for in a text."""


def build_audit(
    rows: Sequence[EvalRow],
    absent: Mapping[str, Mapping[str, int]],
    supports: Mapping[str, AnswerSupport],
) -> KnowledgeAudit | None:
    """The audit of the rows of a run; None where no question was audited."""
    audited = [row for row in rows if row.is_audited and row.lenient is not None]
    every = [row for row in rows if row.is_audited]
    names = dict.fromkeys(row.id for row in every)
    if not names:
        return None
    table = {(row.id, row.condition): row for row in audited}
    video, blind, wrong, transcript, oracle = (
        {name: table[name, c.value] for name in names if (name, c.value) in table}
        for c in (
            Condition.VIDEO,
            Condition.BLIND,
            Condition.WRONG_VIDEO,
            Condition.TRANSCRIPT,
            Condition.ORACLE_SPAN,
        )
    )
    gap = compare_hits("video less blind", _pair(video, blind))
    return KnowledgeAudit(
        questions=len(names),
        conditions=_conditions(every, absent),
        headline=_share_right(video, blind, where=False),
        both_right=gap.both,
        only_video=gap.only_first,
        only_blind=gap.only_second,
        neither=gap.neither,
        blind_gap=gap,
        prior_leak=_share_right(blind, video, where=True),
        evidence_sensitivity=compare_hits("proof less video", _pair(oracle, video)),
        wrong_video_flip=share_of(
            (row.video, not wrong[name].lenient)
            for name, row in video.items()
            if row.lenient and name in wrong
        ),
        wrong_video_drop=compare_hits("video less wrong video", _pair(video, wrong)),
        transcript_gap=compare_hits("video less transcript", _pair(video, transcript)),
        information_gain=_information_gain(video, blind),
        leaks=_leaks(video, blind),
        buckets=_buckets(audited, supports),
        not_projected=len(names) - sum(name in supports for name in names) if supports else 0,
    )


_Rows = Mapping[str, EvalRow]


def _pair(first: _Rows, second: _Rows) -> list[HitPair]:
    return [
        (row.video, bool(row.lenient), bool(second[name].lenient))
        for name, row in first.items()
        if name in second
    ]


def _share_right(rows: _Rows, others: _Rows, *, where: bool) -> ClusteredFigure:
    """Of the questions whose other row is right (or wrong, by `where`), those right in `rows`."""
    return share_of(
        (row.video, bool(row.lenient))
        for name, row in rows.items()
        if name in others and bool(others[name].lenient) is where
    )


def _conditions(
    rows: Sequence[EvalRow], absent: Mapping[str, Mapping[str, int]]
) -> tuple[ConditionScores, ...]:
    result = []
    for condition in (Condition.VIDEO, *AUDIT_CONDITIONS):
        members = [row for row in rows if row.condition == condition.value]
        answered = [row for row in members if row.lenient is not None]
        result.append(
            ConditionScores(
                condition=condition.value,
                right=share_of((row.video, bool(row.lenient)) for row in answered),
                not_applicable=absent.get(condition.value, {}),
                errors=len(members) - len(answered),
            )
        )
    return tuple(result)


def _information_gain(video: _Rows, blind: _Rows) -> InformationGain | None:
    gains = []
    for name, row in video.items():
        other = blind.get(name)
        if row.logprob is not None and other is not None and other.logprob is not None:
            gains.append((row.video, row.logprob - other.logprob))
    if not gains:
        return None
    values = sorted(gain for _, gain in gains)
    return InformationGain(
        mean=cluster_bootstrap([gain for _, gain in gains], [cluster for cluster, _ in gains]),
        quartiles=(_quantile(values, 0.25), _quantile(values, 0.5), _quantile(values, 0.75)),
        positive=share_of((cluster, gain > 0) for cluster, gain in gains),
    )


def _quantile(values: Sequence[float], at: float) -> float:
    """By straight lines between the sorted values."""
    position = at * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (position - below) * (values[above] - values[below])


def _leaks(video: _Rows, blind: _Rows) -> tuple[LeakCheck, ...]:
    """Of choice questions: the model itself without the video, and two rules that read nothing."""
    choices = [row for row in video.values() if row.choice is not None]
    without = [row for row in blind.values() if row.choice is not None]
    longest = [(row, _longest(row.options) == row.choice) for row in choices]
    common = Counter(row.choice for row in choices).most_common(1)
    frequent = [(row, row.choice == common[0][0]) for row in choices] if common else []
    checks = (
        ("the model, blind", [(row, bool(row.lenient)) for row in without]),
        ("always the longest option", longest),
        ("always the most frequent letter", frequent),
    )
    return tuple(_leak(name, hits) for name, hits in checks if hits)


def _leak(name: str, hits: Sequence[tuple[EvalRow, bool]]) -> LeakCheck:
    from scipy.stats import binom

    n = len(hits)
    # With different numbers of options the band is a little too wide, which flags no chance.
    chance = sum(1 / len(row.options) for row, _ in hits) / n
    tail = (1 - LEAK_CONFIDENCE) / 2
    low, high = (float(binom.ppf(q, n, chance)) / n for q in (tail, 1 - tail))
    return LeakCheck(
        name=name,
        right=sum(hit for _, hit in hits) / n,
        chance=chance,
        band=(low, high),
        questions=n,
    )


def _longest(options: Sequence[str]) -> int | None:
    """The index of the longest option; None where two are as long."""
    lengths = [len(option) for option in options]
    return lengths.index(max(lengths)) if lengths.count(max(lengths)) == 1 else None


def _buckets(
    rows: Sequence[EvalRow], supports: Mapping[str, AnswerSupport]
) -> tuple[BucketScores, ...]:
    if not supports:
        return ()
    result = []
    for bucket, _, _ in BUCKETS:
        members = [row for row in rows if row.id in supports and supports[row.id].bucket == bucket]
        right = {
            c.value: share_of(
                (row.video, bool(row.lenient)) for row in members if row.condition == c.value
            )
            for c in (Condition.VIDEO, *AUDIT_CONDITIONS)
        }
        questions = len({row.id for row in members})
        result.append(BucketScores(bucket=bucket, questions=questions, right=right))
    return tuple(result)
