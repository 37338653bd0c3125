"""What `mmreason bench preprocess` measured, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmreason.bench.rounds import TimedMethod

OURS = "mmreason"
PEAK_SHARE, SPEED = 0.5, 2.0
"""Aims for Qwen3-VL's clips of full size: of the peak memory, and of the time."""
AIMED_AT = "Qwen3VLVideoProcessor"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessRow:
    """One processor beside ours, on the same frames and as many threads."""

    processor: str
    threads: int
    """Of the times; peaks are of one thread."""
    shape: tuple[int, int, int]
    """Frames, height and width that are handed over."""
    size_px: tuple[int, int]
    """Height and width that they are brought to."""
    greatest_difference: float
    """Of the prepared numbers; 0.0 where all bits are the same."""
    theirs: TimedMethod
    ours: TimedMethod
    """Its ratio is to theirs."""
    theirs_peak_mb: float
    """Memory that the call took beyond what the process had, in a process of its own."""
    ours_peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessReport:
    """All rows, and what moves them."""

    scale: str
    machine: dict[str, str]
    rounds: int
    rows: tuple[PreprocessRow, ...]


def build_preprocess_page(report: PreprocessReport, command: str) -> str:
    """Markdown."""
    return "\n".join(_page_lines(report, command)) + "\n"


def _page_lines(report: PreprocessReport, command: str) -> Iterator[str]:
    yield "# Making frames ready"
    yield ""
    yield f"`{command}`: {'; '.join(report.machine.values())}."
    yield ""
    yield (
        f"Processors of transformers beside `preprocess_frames`, on the same frames. Medians of "
        f"{report.rounds} rounds in which both take turns in shuffled order; the speed is the "
        "median of the rounds' ratios, with their range. Peaks are of processes that do nothing "
        "else, on one thread."
    )
    if report.scale == "full":
        yield ""
        for row in report.rows:
            if row.processor == AIMED_AT:
                yield _judge(row)
    yield ""
    yield (
        "| processor | threads | frames | brought to | theirs s | ours s | times faster | range | "
        "theirs MB | ours MB | greatest difference |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for row in report.rows:
        frames, height, width = row.shape
        ours = row.ours
        yield (
            f"| {row.processor} | {row.threads} | {frames} of {width}x{height} "
            f"| {row.size_px[1]}x{row.size_px[0]} | {row.theirs.seconds:.3f} | {ours.seconds:.3f} "
            f"| {1 / ours.ratio:.1f} | {1 / ours.highest:.1f}-{1 / ours.lowest:.1f} "
            f"| {row.theirs_peak_mb:.0f} | {row.ours_peak_mb:.0f} | {row.greatest_difference:.1e} |"
        )


def _judge(row: PreprocessRow) -> str:
    speed, share = 1 / row.ours.ratio, row.ours_peak_mb / row.theirs_peak_mb
    reached = speed >= SPEED and share <= PEAK_SHARE
    return (
        f"- Aims for {row.processor}, threads: {row.threads}: {SPEED:.0f} times as fast with "
        f"equal numbers and at most {PEAK_SHARE:.0%} of the peak. "
        f"Measured: {speed:.1f} times, {share:.0%}, greatest difference "
        f"{row.greatest_difference:.1e}: {'reached' if reached else '**not reached**'}."
    )
