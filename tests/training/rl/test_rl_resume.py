"""A run that was interrupted goes on as if it had not been, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from mmreason.training.rl import train
from mmreason.training.runs import checkpoint
from tests.fakes import rl_runs, tiny_rl

ROOT = Path(__file__).parents[3]
SPEED = ("speed/", "memory/")


def figures(reports: list[dict[str, float]]) -> list[dict[str, float]]:
    """Without what depends on the clock."""
    return [{n: v for n, v in one.items() if not n.startswith(SPEED)} for one in reports]


def same_run(a: Path, b: Path) -> bool:
    folders = [name for name in ("model", "best") if (a / name).is_dir()]
    return all(tiny_rl.digest(a / name) == tiny_rl.digest(b / name) for name in folders)


@pytest.mark.parametrize("name", ["everything", "adapters", "nano"])
def test_identity_46_k_steps_and_n_are_k_plus_n(tmp_path: Path, name: str):
    whole = rl_runs.run(name, tmp_path / "whole", steps=5)
    torch.manual_seed(99)  # nothing depends on what the process did before
    first = rl_runs.run(name, tmp_path / "parts", steps=2)
    torch.rand(3)
    rest = rl_runs.run(name, tmp_path / "parts", steps=5)
    assert figures([*first, *rest]) == figures(whole)
    assert tiny_rl.digest(tmp_path / "whole" / name / "model")
    assert same_run(tmp_path / "whole" / name, tmp_path / "parts" / name)


@pytest.mark.slow
def test_identity_46_in_a_new_process(tmp_path: Path):
    names = ("everything", "adapters")
    whole = {name: rl_runs.run(name, tmp_path / "whole", steps=5) for name in names}
    for name in names:
        rl_runs.run(name, tmp_path / "parts", steps=3)
    command = [sys.executable, "-m", "tests.fakes.rl_runs", str(tmp_path / "parts"), "5"]
    subprocess.run([*command, *names], cwd=ROOT, check=True, timeout=300, capture_output=True)
    for name in names:
        rest = json.loads((tmp_path / "parts" / f"{name}.json").read_text())
        assert figures(rest) == figures(whole[name][3:])
        assert same_run(tmp_path / "whole" / name, tmp_path / "parts" / name)


def in_child(work: Callable[[], object], *, kill_after_s: float | None = None) -> int:
    """Exit code of the work in a forked process, which may be killed on its way."""
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(kill_after_s)
    if child.is_alive():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    assert child.exitcode is not None
    return child.exitcode


def test_identity_46_killed_at_random_moments(tmp_path: Path):
    began = time.perf_counter()
    whole = rl_runs.run("everything", tmp_path / "whole", checkpoint_every=1)
    lasted_s = time.perf_counter() - began
    work = partial(rl_runs.run, "everything", tmp_path / "killed", checkpoint_every=1)
    chance, kills = random.Random(7), 0
    for _ in range(12):
        code = in_child(work, kill_after_s=chance.uniform(0.1, 0.6) * lasted_s)
        kills += code == -signal.SIGKILL
        if code == 0:
            break
    assert kills >= 2
    assert in_child(work) == 0
    assert same_run(tmp_path / "whole" / "everything", tmp_path / "killed" / "everything")
    assert len(whole) == 6


MOMENTS = ("before", "weights", "optimiser", "state", "manifest", "renamed", "pruned")


def dying(moment: str, at_step: int, work: Callable[[], object]) -> None:
    """Do the work, and be killed at this moment of saving step `at_step`."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    save = checkpoint.save_checkpoint

    def saved(placement, run, state, keep):
        if state.step != at_step:
            return save(placement, run, state, keep)
        if moment == "before":
            die()
        if moment == "weights":
            placement.accelerator.register_save_state_pre_hook(die)
        if moment == "optimiser":
            torch.save = die
        if moment == "state":
            checkpoint.asdict = die
        if moment == "manifest":
            checkpoint._digest_file = die
        if moment in ("renamed", "pruned"):
            rename = Path.rename

            def renamed(self, target):
                if moment == "pruned":
                    rename(self, target)
                die()

            setattr(Path, "rename", renamed)  # noqa: B010
        return save(placement, run, state, keep)

    checkpoint.save_checkpoint = saved
    work()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run "plain" that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    figures_of_steps = rl_runs.run("plain", folder)
    (folder / "figures.json").write_text(json.dumps(figures_of_steps))
    return folder


@pytest.mark.parametrize("moment", MOMENTS)
def test_identity_46_killed_while_saving(tmp_path: Path, whole: Path, moment: str):
    """Either the checkpoint is there whole or the one before is."""
    work = partial(rl_runs.run, "plain", tmp_path / "killed")
    assert in_child(partial(dying, moment, 4, work)) == -signal.SIGKILL
    run = tmp_path / "killed" / "plain"
    found = checkpoint.find_newest(run)
    assert found is not None
    assert found[1].step == (4 if moment == "pruned" else 2)
    assert not found[2]
    assert in_child(work) == 0
    assert same_run(whole / "plain", run)
    assert not list((run / "checkpoints").glob(".*"))  # nothing half written is left


def test_a_finished_run_is_not_done_again(tmp_path: Path):
    rl_runs.run("plain", tmp_path, steps=2)
    before = tiny_rl.digest(tmp_path / "plain" / "model")
    assert rl_runs.run("plain", tmp_path, steps=2) == []
    assert tiny_rl.digest(tmp_path / "plain" / "model") == before


def test_should_stop_saves_and_goes_on(tmp_path: Path, whole: Path):
    recipe = rl_runs.recipe("plain", tmp_path / "parts" / "plain", checkpoint_every=100)
    seen = list(train(recipe, should_stop=lambda: True))
    assert len(seen) == 1
    assert checkpoint.find_newest(recipe.out) is not None
    rest = list(train(recipe))
    every = [dict(report.metrics) for report in [*seen, *rest]]
    assert figures(every) == figures(json.loads((whole / "figures.json").read_text()))
    assert same_run(whole / "plain", recipe.out)
