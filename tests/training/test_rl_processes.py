"""Two processes make the run of one: gradients, figures, checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training import rl_runs, tiny_rl

ROOT = Path(__file__).parents[2]
STEPS = 2
NOT_SHARED = (
    "speed/",
    "memory/",
    "reward/deviation",  # of each process's own answers, then averaged
    "vespo/",
)


def launched(folder: Path, steps: int, *names: str) -> str:
    """Run by two processes on the CPU; what they printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command += ["--master_port", str(20_000 + os.getpid() % 20_000)]
    command += ["-m", "tests.training.rl_runs", str(folder), str(steps), *names]
    settings = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, timeout=400, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def parameters(run: Path) -> torch.Tensor:
    found = load_file(run / "model" / "model.safetensors")
    return torch.cat([found[name].flatten().double() for name in sorted(found)])


SHARED = ("plain", "stapo and dsdr", "kl and scales", "repeated", "one", "nano", "nano frozen")
"""One update a step: which attempts share an update does not depend on the processes."""


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(tmp_path: Path):
    """Uneven shares too: 3 problems for 2 processes, 1 problem, which leaves one without any."""
    launched(tmp_path / "two", STEPS, *SHARED)
    for name in SHARED:
        alone = rl_runs.run(name, tmp_path / "one", steps=STEPS)
        both = json.loads((tmp_path / "two" / f"{name}.json").read_text())
        for mine, theirs in zip(alone, both, strict=True):
            assert set(mine) == set(theirs), name
            for figure in mine:
                if not figure.startswith(NOT_SHARED):
                    assert theirs[figure] == pytest.approx(mine[figure], rel=1e-3, abs=1e-5), (
                        name,
                        figure,
                    )
        a, b = (parameters(tmp_path / kind / name) for kind in ("one", "two"))
        # The first steps of Adam are signs: where a gradient is next to nothing they may differ.
        far = (a - b).abs() > 1e-5
        assert float(far.double().mean()) < 0.005, name
        start = rl_runs.recipe(name, tmp_path).learning_rate
        assert float((a - b).abs().max()) <= 4 * start


@pytest.mark.slow
def test_identity_46_two_processes_go_on_bit_for_bit(tmp_path: Path):
    names = ("everything", "adapters", "few")
    launched(tmp_path / "whole", 4, *names)
    launched(tmp_path / "parts", 2, *names)
    launched(tmp_path / "parts", 4, *names)
    for name in names:
        whole, parts = (tiny_rl.digest(tmp_path / k / name / "model") for k in ("whole", "parts"))
        assert whole and whole == parts
