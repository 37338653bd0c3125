"""Starts runs in several processes on the CPU, and compares them with those of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fakes import rl_runs

ROOT = Path(__file__).parents[2]
NOT_SHARED = (
    "speed/",
    "memory/",
    "reward/deviation",  # of each process's own answers, then averaged
    "vespo/",
)
SPOILT = ("a sample spoilt in one process", "a gradient spoilt in one process")


def launched(
    folder: Path,
    steps: int,
    *names: str,
    config: str | None = None,
    processes: int = 2,
    runs: str = "rl_runs",
) -> str:
    """Do these runs, of the module `runs` beside this one, in several processes, under a config
    that is shipped where one is named; what they printed."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    command += ["--standalone"]  # at a port that is free
    module = [runs] if config is None else ["sharded_runs", config]
    command += ["-m", f"tests.fakes.{module[0]}", *module[1:], str(folder), str(steps), *names]
    settings = {
        "ACCELERATE_USE_CPU": "true",
        "CUDA_VISIBLE_DEVICES": "",
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, timeout=400, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def parameters(run: Path) -> torch.Tensor:
    """The weights that a run ended with, in one row."""
    found = load_file(run / "model" / "model.safetensors")
    return torch.cat([found[name].flatten().double() for name in sorted(found)])


def is_the_run_of_one(name: str, many: Path, one: Path, steps: int) -> None:
    """The run `name` in the folder `many` has the figures and weights of one process, whose run
    goes to the folder `one`."""
    alone = rl_runs.run(name, one, steps=steps)
    both = json.loads((many / f"{name}.json").read_text())
    assert len(alone) == len(both) == steps
    for mine, theirs in zip(alone, both, strict=True):
        assert set(mine) == set(theirs), name
        for figure in mine:
            if not figure.startswith(NOT_SHARED):
                assert theirs[figure] == pytest.approx(mine[figure], rel=1e-3, abs=1e-5), (
                    name,
                    figure,
                )
    a, b = (parameters(folder / name) for folder in (one, many))
    # The first steps of Adam are signs: where a gradient is next to nothing they may differ.
    far = (a - b).abs() > 1e-5
    assert float(far.double().mean()) < 0.005, name
    assert float((a - b).abs().max()) <= 4 * rl_runs.recipe(name, one).optimiser.learning_rate


def one_process_skips_for_all(name: str, many: Path) -> None:
    """Identity 48: in the run `name` of `SPOILT` all processes skip the first update."""
    steps = json.loads((many / f"{name}.json").read_text())
    assert [step["optimiser/skipped"] for step in steps] == [1.0] * len(steps)
    first = json.loads((many / f"{name}.warnings.json").read_text())[0]
    reason = "NaN or infinite for sample colour-" if "sample" in name else "gradient norm is nan"
    assert any(reason in line for line in first), first
    assert torch.isfinite(parameters(many / name)).all()
    assert steps[1]["optimiser/gradient_norm"] > 0
