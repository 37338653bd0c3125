"""`mmreason bench encode`: encoders of frames beside the libraries that they stand on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, print_json, progress_console, result_console
from mmreason.json_values import encode_json, with_schema

if TYPE_CHECKING:
    from mmreason.bench.encode_report import EncodeReport


def bench_encode(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    quick: Annotated[bool, typer.Option(help="Tiny models, two rounds.")] = False,
    as_json: Json = False,
) -> None:
    """Compare FrameEncoder with timm, transformers and open_clip (where it is installed) on the
    same random weights; attention, numbers, batches and layouts; on a GPU where there is one.

    Takes about three minutes on one core, `--quick` a few seconds. Writes encode.md and
    encode.json.
    """
    from mmreason.bench.encode_report import build_encode_page
    from mmreason.types import UsageError
    from mmreason.video.files import write_atomic

    # Before minutes are spent.
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    report = _measure(quick)
    command = "mmreason bench encode" + (" --quick" if quick else "")
    write_atomic(folder / "encode.md", build_encode_page(report, command).encode())
    # Not rounded: ratios are told to a thousandth.
    values = asdict(report)
    text = encode_json(with_schema(values), indent=1)
    write_atomic(folder / "encode.json", (text + "\n").encode())
    if as_json:
        print_json(values)
        return
    for row in report.rows:
        result_console().print(
            f"{row.group}: {row.method} {row.seconds:.3f} s, {row.ratio:.3f} of the first's time",
            soft_wrap=True,
        )
    result_console().print(f"written to {folder / 'encode.md'}")


def _measure(quick: bool) -> EncodeReport:
    import torch

    from mmreason.bench import attention, encode
    from mmreason.bench.encode_report import EncodeReport, describe_encode_machine
    from mmreason.models.hf_settings import limit_threads

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_card = device.type == "cuda"
    scale = encode.QUICK if quick else encode.FULL
    rows = []
    # Two threads that share a core wait for each other: their figures say nothing.
    with limit_threads(torch.get_num_threads() if on_card else 1):
        peaks = attention.measure_peaks(device) if on_card else None
        for group in encode.make_groups(scale, device):
            progress_console().print(group.title, soft_wrap=True)
            rows += encode.measure_group(group, scale.rounds)
    return EncodeReport(
        scale=scale.name,
        device=torch.cuda.get_device_name() if on_card else "a CPU",
        machine=describe_encode_machine(),
        rounds=scale.rounds,
        rows=tuple(rows),
        matmul_tflops=None if peaks is None else peaks.matmul_tflops,
        skipped=encode.list_skipped(),
    )
