"""What the attention benchmark found: records, aims, and a Markdown page. Loads no torch.

Measuring is done in `attention.py` and `attention_towers.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby

from mmreason.bench.decode_report import AimResult, describe_machine

OURS = "packed_attention"
LOOP = "loop of transformers"
BATCH = "equal lengths as a batch"
PACKED = "mmreason_packed"
"""What towers call ours."""
_FRAMES = "32 x 576"


@dataclass(frozen=True, slots=True)
class AttentionRow:
    """One way to compute one layout."""

    layout: str
    dtype: str
    method: str
    seconds: float
    """Median of the rounds."""
    ratio: float
    """Median over rounds of its time by the loop's of the same round."""
    lowest: float
    highest: float
    """The range of that ratio."""
    pace: float
    """Median over rounds of the better of loop and batch by its own time: 1 is as fast as they."""
    greatest_difference: float
    """From the loop in float32, over all numbers."""
    tflops: float
    """Multiplications and additions of the two products, in 1e12 a second."""
    matmul_percent: float | None
    """Of what one large product of this machine reaches; None on a CPU."""
    roofline_percent: float | None
    """Of the lower of that and what memory can feed; None on a CPU."""
    backend: str
    """What `packed_attention` chose; "" for others."""


@dataclass(frozen=True, slots=True)
class TowerRow:
    """One whole vision tower with one kind of attention."""

    tower: str
    dtype: str
    attention: str
    seconds: float
    ratio: float
    """Median over rounds of its time by that of transformers' loop of SDPA."""
    lowest: float
    highest: float
    greatest_difference: float
    """From the loop, over all outputs."""


@dataclass(frozen=True, slots=True)
class CardPeaks:
    """What a GPU reached here: measured, not from a data sheet."""

    matmul_tflops: float
    copy_gb_s: float


@dataclass(frozen=True, slots=True)
class AttentionReport:
    """One benchmark of attention."""

    scale: str
    """"full" or "quick": quick figures show that it works, not how fast."""
    machine: dict[str, str]
    heads: int
    head_dim: int
    rounds: int
    rows: tuple[AttentionRow, ...]
    towers: tuple[TowerRow, ...]
    peaks: CardPeaks | None
    """None on a CPU."""
    skipped: tuple[str, ...]
    """What was not measured, and why."""


def describe_attention_machine(card: str | None) -> dict[str, str]:
    """What moves the figures."""
    described = describe_machine()
    del described["libavcodec in av"]
    names = ("torch", "transformers")
    described["libraries"] = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return described | {"GPU": card or "none: figures are of the CPU, with one thread"}


def judge_attention(report: AttentionReport) -> list[AimResult]:
    """The project's aims, as far as this machine can show them; none for quick runs."""
    if report.scale != "full":
        return []
    ours = [row for row in report.rows if row.method == OURS]
    if report.peaks is None:
        return [
            AimResult(
                what=f"the better of loop and batch / ours, {row.layout}, {row.dtype}",
                measured=row.pace,
                limit=0.95,
                unit="",
                at_least=True,
            )
            for row in ours
        ]
    halves = [row for row in ours if row.dtype == "bfloat16" and row.layout.startswith(_FRAMES)]
    judged = []
    for row in halves:
        assert row.roofline_percent is not None
        for what, measured, limit, unit in (
            ("loop / ours", 1 / row.ratio, 3.0, ""),
            ("share of the roofline", row.roofline_percent, 50.0, "%"),
        ):
            judged.append(
                AimResult(
                    what=f"{what}, {row.layout}, {row.dtype}",
                    measured=measured,
                    limit=limit,
                    unit=unit,
                    at_least=True,
                )
            )
    return judged


def build_attention_page(report: AttentionReport, command: str) -> str:
    """The page of results."""
    lines = ["# Packed attention", "", f"`{command}`", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    if report.peaks is not None:
        lines.append(
            f"- measured peaks: {report.peaks.matmul_tflops:.0f} TFLOP/s in one product of "
            f"8192 x 8192 in bfloat16, {report.peaks.copy_gb_s:.0f} GB/s in copies"
        )
    lines += ["", *_explain(report), ""]
    lines += [f"Not measured: {reason}." for reason in report.skipped]
    aims = judge_attention(report)
    if aims:
        lines += ["", "## Aims", "", "| aim | measured | limit | |", "|---|---|---|---|"]
    for aim in aims:
        state = "reached" if aim.reached else "**not reached**"
        lines.append(
            f"| {aim.what} | {aim.measured:.2f} {aim.unit} | at least {aim.limit:g} {aim.unit} "
            f"| {state} |"
        )
    lines += ["", "## Attention alone"]
    for (layout, dtype), rows in groupby(report.rows, lambda row: (row.layout, row.dtype)):
        lines += ["", f"### {layout}, {dtype}", "", *_row_table(list(rows))]
    lines += ["", "## Whole towers", "", *_tower_table(report.towers)]
    return "\n".join(lines) + "\n"


def _explain(report: AttentionReport) -> list[str]:
    return [
        f"{report.heads} heads of {report.head_dim}; sequences lie end to end and attend to "
        f"themselves only. All ways take turns in each of {report.rounds} rounds, in shuffled "
        "order; a ratio is that of one round, its median is shown with the lowest and highest. "
        f"The loop is what towers of transformers do without flash attention. *difference* is the "
        "greatest over all numbers, from the loop in float32.",
    ]


def _row_table(rows: Sequence[AttentionRow]) -> list[str]:
    on_card = rows[0].roofline_percent is not None
    extra = " of the matmul peak | of the roofline |" if on_card else ""
    lines = [f"| method | ms | time / loop | range | GFLOP/s | difference |{extra}"]
    lines.append("|---|---|---|---|---|---|" + ("---|---|" if on_card else ""))
    for row in sorted(rows, key=lambda row: row.ratio):
        chosen = f" ({row.backend})" if row.backend else ""
        line = (
            f"| {row.method}{chosen} | {1e3 * row.seconds:.2f} | {row.ratio:.2f} | "
            f"{row.lowest:.2f}-{row.highest:.2f} | {1e3 * row.tflops:.0f} | "
            f"{row.greatest_difference:.0e} |"
        )
        if row.matmul_percent is not None and row.roofline_percent is not None:
            line += f" {row.matmul_percent:.0f} % | {row.roofline_percent:.0f} % |"
        lines.append(line)
    return lines


def _tower_table(rows: Sequence[TowerRow]) -> list[str]:
    lines = ["| tower | dtype | attention | s | time / loop (sdpa) | range | difference |"]
    lines.append("|---|---|---|---|---|---|---|")
    return lines + [
        f"| {row.tower} | {row.dtype} | {row.attention} | {row.seconds:.3f} | {row.ratio:.2f} | "
        f"{row.lowest:.2f}-{row.highest:.2f} | {row.greatest_difference:.0e} |"
        for row in rows
    ]
