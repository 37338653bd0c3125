"""A run that was killed goes on bit for bit, and two processes make the run of one."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.fakes import sft_runs, tiny_rl
from tests.fakes.two_processes import launched, parameters

KILLS = 10


def kill_after(work: partial[object], seconds: float) -> int:
    """Do the work in another process, which is killed after so long; its exit code."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(seconds)
    if child.is_alive():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert child.exitcode is not None
    return child.exitcode


@pytest.mark.parametrize("name", ["noisy", "adapters"])
def test_noise_and_dropout_go_on_where_they_were(tmp_path: Path, name: str):
    whole = sft_runs.run(name, tmp_path / "whole", steps=4)
    torch.manual_seed(99)  # nothing depends on what the process did before
    for report in sft_runs.train_sft(sft_runs.recipe(name, tmp_path / "parts", steps=4)):
        if report.step == 3:
            break  # as SIGKILL would: the checkpoint of step 2 is the newest
    figures = sft_runs.run(name, tmp_path / "parts", steps=4)
    assert figures[-1]["loss/mean"] == whole[-1]["loss/mean"]
    a, b = (tiny_rl.digest(tmp_path / run / name / "model") for run in ("whole", "parts"))
    assert a and a == b


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("name", ["noisy", "adapters"])
def test_a_run_killed_at_ten_moments_ends_as_one_that_was_not(tmp_path: Path, name: str):
    began = time.perf_counter()
    sft_runs.run(name, tmp_path / "whole", steps=12)
    lasted_s = time.perf_counter() - began
    work = partial(sft_runs.run, name, tmp_path / "killed", steps=12)
    chance, kills = random.Random(11), 0
    # Moments of the whole run: a later kill comes as far as those before it let the run come.
    for _ in range(6 * KILLS):
        code = kill_after(work, chance.uniform(0.05, 0.3) * lasted_s)
        kills += code == -signal.SIGKILL
        if code == 0 or kills == KILLS:
            break
    assert kills >= KILLS // 2
    sft_runs.run(name, tmp_path / "killed", steps=12)
    a, b = (tiny_rl.digest(tmp_path / run / name / "model") for run in ("whole", "killed"))
    assert a and a == b


@pytest.mark.full
@pytest.mark.slow
def test_two_processes_make_the_supervised_run_of_one(tmp_path: Path):
    names = ("plain", "packed", "pairs", "one row")
    launched(tmp_path / "two", 4, *names, runs="sft_runs")
    for name in names:
        alone = sft_runs.run(name, tmp_path / "one", steps=4)
        both = json.loads((tmp_path / "two" / f"{name}.json").read_text())
        for mine, theirs in zip(alone, both, strict=True):
            assert set(mine) == set(theirs), name
            for figure in mine:
                if not figure.startswith(("speed/", "memory/")):
                    assert theirs[figure] == pytest.approx(mine[figure], rel=1e-3, abs=1e-5), (
                        name,
                        figure,
                    )
        a, b = (parameters(tmp_path / run / name) for run in ("one", "two"))
        # The first steps of Adam are signs: where a gradient is next to nothing they may differ.
        assert float(((a - b).abs() > 1e-5).double().mean()) < 0.005, name
