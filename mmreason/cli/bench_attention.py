"""`mmreason bench attention`: ways to attend within sequences that lie end to end, side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, print_json, progress_console, result_console
from mmreason.json_values import encode_json, with_schema

if TYPE_CHECKING:
    from mmreason.bench.attention_report import AttentionReport


def bench_attention(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    quick: Annotated[bool, typer.Option(help="Short layouts, two rounds.")] = False,
    as_json: Json = False,
) -> None:
    """Compare packed attention with the loop of transformers, a batch, buckets and a mask, in
    float32 and bfloat16, alone and in whole vision towers; on a GPU where there is one.

    Takes about three minutes on one core, `--quick` a few seconds. Writes attention.md and
    attention.json.
    """
    from mmreason.bench.attention_report import build_attention_page
    from mmreason.types import UsageError
    from mmreason.video.files import write_atomic

    # Before minutes are spent.
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    report = _measure(quick)
    command = "mmreason bench attention" + (" --quick" if quick else "")
    write_atomic(folder / "attention.md", build_attention_page(report, command).encode())
    # Not rounded: differences are of 1e-7.
    values = asdict(report)
    text = encode_json(with_schema(values), indent=1)
    write_atomic(folder / "attention.json", (text + "\n").encode())
    if as_json:
        print_json(values)
        return
    for row in report.rows:
        result_console().print(
            f"{row.layout}, {row.dtype}: {row.method} {row.ratio:.2f} of the loop's time",
            soft_wrap=True,
        )
    for tower in report.towers:
        result_console().print(
            f"{tower.tower}, {tower.dtype}: {tower.attention} {tower.ratio:.2f} of sdpa's time",
            soft_wrap=True,
        )
    result_console().print(f"written to {folder / 'attention.md'}")


def _measure(quick: bool) -> AttentionReport:
    import torch

    from mmreason.bench import attention
    from mmreason.bench.attention_report import AttentionReport, describe_attention_machine
    from mmreason.bench.attention_towers import TOWERS, measure_tower
    from mmreason.models.hf_settings import limit_threads

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_card = device.type == "cuda"
    scale = attention.QUICK if quick else attention.FULL_CUDA if on_card else attention.FULL
    rows, towers, skipped = [], [], []
    # Two threads that share a core wait for each other: their figures say nothing.
    with limit_threads(torch.get_num_threads() if on_card else 1):
        peaks = attention.measure_peaks(device) if on_card else None
        for layout in attention.make_layouts(scale.divide):
            if not attention.fits_mask(layout.lengths):
                skipped.append(f"the mask of {layout.name}, which is too large")
            for dtype in (torch.float32, torch.bfloat16):
                progress_console().print(f"{layout.name}, {dtype}", soft_wrap=True)
                rows += attention.measure_layout(layout, dtype, scale, device, peaks)
        dtypes = (torch.float32, torch.bfloat16) if on_card else (torch.float32,)
        if not on_card:
            skipped.append(
                "towers in bfloat16, whose products many processors compute many times slower"
            )
        for name in TOWERS:
            for dtype in dtypes:
                progress_console().print(f"{name}, {dtype}", soft_wrap=True)
                towers += measure_tower(name, scale, dtype, device)
    return AttentionReport(
        scale=scale.name,
        machine=describe_attention_machine(torch.cuda.get_device_name() if on_card else None),
        heads=scale.heads,
        head_dim=attention.HEAD_DIM,
        rounds=scale.rounds,
        rows=tuple(rows),
        towers=tuple(towers),
        peaks=peaks,
        skipped=tuple(skipped),
    )
