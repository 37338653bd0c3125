"""`mmreason bench preprocess`: making frames ready, transformers' processors beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import Json, print_json, progress_console, result_console
from mmreason.json_values import encode_json, to_json, with_schema


def bench_preprocess(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    quick: Annotated[bool, typer.Option(help="Four small frames, Qwen3-VL alone.")] = False,
    as_json: Json = False,
) -> None:
    """Make frames ready for Qwen-VL, InternVL, SigLIP and CLIP by transformers' processors and by
    ours, on one thread and on two: time, peak memory (Linux), and the greatest difference.

    Takes about three minutes, `--quick` half of one. Writes preprocess.md and preprocess.json.
    """
    from mmreason.bench import preprocess
    from mmreason.bench.decode_report import describe_machine
    from mmreason.bench.preprocess_report import PreprocessReport, build_preprocess_page
    from mmreason.video.files import write_atomic

    scale = preprocess.QUICK if quick else preprocess.FULL
    rows = []
    for row in preprocess.measure_processors(scale):
        rows.append(row)
        progress_console().print(
            f"{row.processor}, threads: {row.threads}: {1 / row.ours.ratio:.1f} times faster",
            soft_wrap=True,
        )
    report = PreprocessReport(
        scale=scale.name, machine=describe_machine(), rounds=scale.rounds, rows=tuple(rows)
    )
    command = "mmreason bench preprocess" + (" --quick" if quick else "")
    write_atomic(folder / "preprocess.md", build_preprocess_page(report, command).encode())
    values = to_json(report)
    text = encode_json(with_schema(values), indent=1)
    write_atomic(folder / "preprocess.json", (text + "\n").encode())
    if as_json:
        print_json(values)
        return
    result_console().print(f"written to {folder / 'preprocess.md'}")
