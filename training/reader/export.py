"""The adapter of a run's checkpoint as the small file that `ask` adds to its base.

python -m mmreason.training.reader.export runs/reader-0 --out adapter.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from mmreason.models.adapter_file import write_adapter
from mmreason.training.reader.train import RANK
from mmreason.training.runs.checkpoint import find_newest, find_step
from mmreason.types import UsageError


def export_adapter(run: Path, out: Path, *, step: int | None = None) -> str:
    """Write the adapter of a step (default: the newest checkpoint's) to `out`; returns a line that
    says what was written. UsageError where the run has no such checkpoint."""
    if step is None:
        newest = find_newest(run)
        if newest is None:
            raise UsageError(f"{run} has no checkpoint; is it the folder of a run?")
        folder, state = newest[0], newest[1]
    else:
        folder, state = find_step(run, step)
    size_bytes = write_adapter(
        out,
        load_file(folder / "model.safetensors"),
        alpha=2 * RANK,
        base_fingerprint=state.fingerprint,
    )
    return f"{out}: step {state.step}, {size_bytes / 1e6:.1f} MB"


def main() -> None:
    """Export one checkpoint."""
    parser = argparse.ArgumentParser(description="Writes the adapter of a run.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--step", type=int)
    given = parser.parse_args()
    print(export_adapter(given.run, given.out, step=given.step))


if __name__ == "__main__":
    main()
