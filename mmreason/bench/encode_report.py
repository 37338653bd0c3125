"""What `mmreason bench encode` measured, and its page."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

OURS = "FrameEncoder"
MOST_OVERHEAD = 1.03
"""Aim: what the encoder may take of the time of the same model alone."""
_LIBRARIES = ("torch", "timm", "transformers", "open_clip_torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRow:
    """One way to encode the same frames, all rounds.

    Example:
        >>> row = EncodeRow(
        ...     group="batches", method="8 frames", frames=16, seconds=2.0, ratio=0.98,
        ...     lowest=0.97, highest=1.01, cosine=1.0, tflops=0.07, is_reference=False,
        ... )
        >>> row.frames / row.seconds
        8.0
    """

    group: str
    """What is compared; ratios are to the reference of the group."""
    method: str
    frames: int
    seconds: float
    """Median of rounds."""
    ratio: float
    """Median over rounds of this method's time to the reference's in the same round."""
    lowest: float
    highest: float
    cosine: float
    """Of the vector that differs most from the reference's."""
    tflops: float
    """Operations of the model alone (1e12 a second), whatever else the seconds hold."""
    is_reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeReport:
    """All rows, and what moves them."""

    scale: str
    device: str
    machine: tuple[str, ...]
    rounds: int
    rows: tuple[EncodeRow, ...]
    matmul_tflops: float | None
    """What the card's fastest product of large bfloat16 matrices reaches; None on a CPU."""
    skipped: tuple[str, ...]
    """What was not measured, and why."""

    @property
    def overhead(self) -> EncodeRow | None:
        """Of the encoder over the same model alone."""
        rows = (row for row in self.rows if row.group.startswith("overhead"))
        return next((row for row in rows if row.method == OURS), None)


def describe_encode_machine() -> tuple[str, ...]:
    """Cores, system and versions of libraries."""
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return (
        f"{os.cpu_count()} cores, {platform.machine()}",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        ", ".join(versions),
    )


def build_encode_page(report: EncodeReport, command: str) -> str:
    """Markdown."""
    return "\n".join(_page_lines(report, command)) + "\n"


def _page_lines(report: EncodeReport, command: str) -> Iterator[str]:
    yield "# Encoding frames"
    yield ""
    yield f"`{command}` on {report.device}: {'; '.join(report.machine)}."
    yield ""
    yield (
        f"Random weights. Medians of {report.rounds} rounds; in each all methods of a table take "
        "turns in shuffled order, on one thread of a CPU, and ratios are taken within the round "
        "(their range behind). The cosine is that of the vector that differs most from the first "
        "row's. TFLOP/s count the operations of the model alone."
    )
    if report.matmul_tflops is not None:
        yield ""
        best = max(report.rows, key=lambda row: row.tflops)
        yield (
            f"Large products in bfloat16 reach {report.matmul_tflops:.0f} TFLOP/s on this card; "
            f"the best row ({best.group}: {best.method}) has "
            f"{100 * best.tflops / report.matmul_tflops:.0f} % of that."
        )
    overhead = report.overhead
    if overhead is not None and report.scale == "full":
        state = "reached" if overhead.ratio < MOST_OVERHEAD else "**not reached**"
        yield ""
        yield (
            f"Aim: less than {100 * (MOST_OVERHEAD - 1):.0f} % over the model alone. Measured: "
            f"{100 * (overhead.ratio - 1):+.1f} %: {state}."
        )
    for group in dict.fromkeys(row.group for row in report.rows):
        rows = [row for row in report.rows if row.group == group]
        yield ""
        yield f"## {group[:1].upper()}{group[1:]}"
        yield ""
        yield f"{rows[0].frames} frames."
        yield ""
        yield "| method | seconds | frames/s | ratio | range | cosine | TFLOP/s |"
        yield "|---|---|---|---|---|---|---|"
        for row in rows:
            yield (
                f"| {row.method} | {row.seconds:.3f} | {row.frames / row.seconds:.1f} | "
                f"{row.ratio:.3f} | {row.lowest:.3f}-{row.highest:.3f} | {row.cosine:.5f} | "
                f"{row.tflops:.3f} |"
            )
    if report.skipped:
        yield ""
        yield f"Not measured: {'; '.join(report.skipped)}."
