"""`mmreason bench prune`: what is still seen with fewer visual tokens, and how much sooner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmreason.cli.common import Json, print_json, progress_console, result_console
from mmreason.json_values import encode_json, to_json, with_schema


def bench_prune(
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.")] = Path("bench-out"),
    quick: Annotated[bool, typer.Option(help="Two worlds, a tiny model, one round.")] = False,
    as_json: Json = False,
) -> None:
    """Ask nano about held-out worlds with each pruner, and time replies of a larger random model:
    transformers alone, ours, pruned, and a second question about the same clip.

    Takes about four minutes, `--quick` a few seconds. Writes prune.md and prune.json.
    """
    from mmreason.bench import prune
    from mmreason.bench.decode_report import describe_machine
    from mmreason.bench.prune_report import PruneReport, build_prune_page
    from mmreason.models.hf_settings import limit_threads
    from mmreason.video.files import write_atomic

    scale = prune.QUICK if quick else prune.FULL
    with limit_threads(1):
        speed, model = prune.measure_speed(scale)
        accuracy, questions = prune.measure_accuracy(
            scale, lambda name: progress_console().print(f"nano: {name}", soft_wrap=True)
        )
    report = PruneReport(
        scale=scale.name,
        machine=describe_machine(),
        worlds=scale.worlds,
        questions=questions,
        accuracy=tuple(accuracy),
        model=model,
        rounds=scale.rounds,
        speed=tuple(speed),
    )
    command = "mmreason bench prune" + (" --quick" if quick else "")
    write_atomic(folder / "prune.md", build_prune_page(report, command).encode())
    values = to_json(report)
    text = encode_json(with_schema(values), indent=1)
    write_atomic(folder / "prune.json", (text + "\n").encode())
    if as_json:
        print_json(values)
        return
    result_console().print(f"written to {folder / 'prune.md'}")
