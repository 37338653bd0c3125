"""Figures of readers with intervals, and pages of them. Pure, but for reading replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.training.reader.question_sets import AskedQuestion
from mmreason.training.reader.scoring import cites_all, cites_one, is_right, read_reply

DRAWS = 4_000
"""Of the bootstrap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredReply:
    """A reply held against its question. Where no note answers, `is_right`: it declined."""

    family: str
    is_absent: bool
    is_right: bool
    cites_all: bool
    cites_one: bool
    declines: bool


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval by bootstrap over worlds, each 0..1, of `count` replies.

    Example:
        >>> str(Share(0.5, 0.4, 0.6, 80))
        '50 (40 to 60)'
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "-"
        return f"{100 * self.value:.0f} ({100 * self.low:.0f} to {100 * self.high:.0f})"


def score_reply(asked: AskedQuestion, text: str) -> ScoredReply:
    """What a reply is worth."""
    question, reply = asked.question, read_reply(text)
    notes = [number + 1 for number in question.notes]
    return ScoredReply(
        family=question.family,
        is_absent=question.is_absent,
        is_right=is_right(reply, question.answer),
        cites_all=cites_all(reply, notes) and not reply.declines,
        cites_one=cites_one(reply, notes),
        declines=reply.declines,
    )


def share(values: Sequence[float]) -> Share:
    """The mean of values, one a world, with its interval. Means of differences are shares too.

    Example:
        >>> share([1.0, 1.0, 1.0]).low
        1.0
    """
    if not values:
        return Share(0.0, 0.0, 0.0, 0)
    table = np.asarray(values, np.float64)
    rng = np.random.default_rng(0)
    means = table[rng.integers(0, len(table), (DRAWS, len(table)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Share(float(table.mean()), float(low), float(high), len(table))


FIGURES: Mapping[str, Callable[[Sequence[ScoredReply]], list[float]]] = {
    "right": lambda replies: [float(r.is_right) for r in replies if not r.is_absent],
    "cites all": lambda replies: [float(r.cites_all) for r in replies if not r.is_absent],
    "cites one": lambda replies: [float(r.cites_one) for r in replies if not r.is_absent],
    "false on absent": lambda replies: [float(not r.is_right) for r in replies if r.is_absent],
    "declined wrongly": lambda replies: [float(r.declines) for r in replies if not r.is_absent],
    "all in all": lambda replies: [float(r.is_right) for r in replies],
}
"""By name, the values of a set of replies. "all in all": right, or declined where it should be."""


def write_table(scored: Mapping[str, Sequence[ScoredReply]]) -> str:
    """Figures of one set of questions, a reader a row, in percent."""
    head = ("reader", *FIGURES)
    rows = [
        (name, *(str(share(values(replies))) for values in FIGURES.values()))
        for name, replies in scored.items()
    ]
    return _markdown(head, rows)


def write_families(scored: Mapping[str, Sequence[ScoredReply]]) -> str:
    """ "All in all" by family, a family a row, a reader a column, in percent."""
    families = sorted({reply.family for replies in scored.values() for reply in replies})
    rows: list[tuple[str, ...]] = []
    for family in families:
        of_family = {n: [r for r in replies if r.family == family] for n, replies in scored.items()}
        count = len(next(iter(of_family.values())))
        cells = (str(share([float(r.is_right) for r in group])) for group in of_family.values())
        rows.append((f"{family} (n = {count})", *cells))
    return _markdown(("family", *scored), rows)


def compare(first: Sequence[ScoredReply], second: Sequence[ScoredReply]) -> Share:
    """By how much the second reader is better, all in all, on the same questions."""
    pairs = zip(first, second, strict=True)
    return share([float(b.is_right) - float(a.is_right) for a, b in pairs])


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
