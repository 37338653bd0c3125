"""What `mmreason bench prune` measured, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmreason.bench.rounds import TimedMethod

WHOLE = "all tokens"
PIPELINE = "transformers alone"
MOST_POINTS, LEAST_SPEED, LEAST_AGAIN = 2.0, 1.3, 3.0
"""Aims for "evs:0.5": points of accuracy lost, times as fast as transformers alone, and times as
fast for a second question about the same clip."""
AIMED_AT = "evs:0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneAccuracy:
    """Nano's answers with one pruner beside its answers to whole clips; worlds are the unit."""

    settings: str
    right_percent: float
    difference_points: float
    """To all tokens; negative where fewer are right."""
    low_points: float
    """95 % interval of the difference, by a bootstrap over worlds."""
    high_points: float
    tokens: float
    """Visual tokens of a clip that were read, on average."""
    flops_share: float
    """Estimated for the visual tokens in the language model (FastV's formula)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSpeed:
    """One way to answer about the same clip."""

    method: str
    question: str
    time: TimedMethod
    """Its ratio is to transformers alone."""
    tokens_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """All rows, and what moves them."""

    scale: str
    machine: dict[str, str]
    worlds: int
    questions: int
    accuracy: tuple[PruneAccuracy, ...]
    model: str
    """What the speed was measured on."""
    rounds: int
    speed: tuple[PruneSpeed, ...]


def build_prune_page(report: PruneReport, command: str) -> str:
    """Markdown."""
    return "\n".join(_page_lines(report, command)) + "\n"


def _page_lines(report: PruneReport, command: str) -> Iterator[str]:
    yield "# Fewer visual tokens"
    yield ""
    yield f"`{command}` on one thread: {'; '.join(report.machine.values())}."
    if report.scale == "full":
        yield ""
        yield from _judgements(report)
    yield ""
    yield "## What nano still sees"
    yield ""
    yield (
        f"{report.questions} questions about {report.worlds} held-out worlds, each asked of the "
        "same frames. Differences are to all tokens; intervals are of a bootstrap over worlds. "
        "Nano was trained on whole clips."
    )
    yield ""
    yield "| prune | right | difference, points | 95 % | tokens a clip | FLOPs of these |"
    yield "|---|---|---|---|---|---|"
    for row in report.accuracy:
        interval = f"{row.low_points:+.1f} to {row.high_points:+.1f}"
        is_whole = row.settings == WHOLE
        yield (
            f"| {row.settings} | {row.right_percent:.1f} % | "
            f"{'' if is_whole else f'{row.difference_points:+.1f}'} | "
            f"{'' if is_whole else interval} | {row.tokens:.0f} | {row.flops_share:.0%} |"
        )
    yield ""
    yield "## Time of a reply"
    yield ""
    yield (
        f"{report.model}. From frames to the reply, {report.rounds} rounds in which all take turns "
        "in shuffled order; the speed is the median of the rounds' ratios to transformers alone "
        "(its processor, SDPA, `generate`), with their range."
    )
    yield ""
    yield "| method | question | seconds | times as fast | range | tokens read |"
    yield "|---|---|---|---|---|---|"
    for row in report.speed:
        time = row.time
        yield (
            f"| {row.method} | {row.question} | {time.seconds:.2f} | {1 / time.ratio:.2f} | "
            f"{1 / time.highest:.2f}-{1 / time.lowest:.2f} | {row.tokens_in} |"
        )


def _judgements(report: PruneReport) -> Iterator[str]:
    for row in report.accuracy:
        if row.settings == AIMED_AT:
            reached = row.difference_points >= -MOST_POINTS
            yield (
                f"- {AIMED_AT} loses at most {MOST_POINTS:.0f} points: measured "
                f"{row.difference_points:+.1f} ({row.low_points:+.1f} to {row.high_points:+.1f}): "
                f"{_verdict(reached)}."
            )
    for row in report.speed:
        if row.method == AIMED_AT:
            aim = LEAST_AGAIN if row.question == "second" else LEAST_SPEED
            speed = 1 / row.time.ratio
            yield (
                f"- {AIMED_AT}, {row.question} question, at least {aim} times as fast as "
                f"transformers alone: measured {speed:.2f}: {_verdict(speed >= aim)}."
            )


def _verdict(reached: bool) -> str:
    return "reached" if reached else "**not reached**"
