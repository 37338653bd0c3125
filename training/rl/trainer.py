"""Do a run of reinforcement learning, or write the model of one of its checkpoints.

`train` is an iterator, so that whoever watches decides what to show and when to stop. What a step
does is in `run.py`, showing is in `mmreason.training.monitoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import Accelerator

from mmreason.report.text import format_count
from mmreason.training.parallel.processes import any_process
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rl.run import TrainingRun
from mmreason.training.runs.checkpoint import find_newest, find_step
from mmreason.training.runs.events import StepReport
from mmreason.training.runs.stopped import NothingLearnt, TrainingStopped
from mmreason.types import UsageError


def train(
    recipe: Recipe,
    *,
    resume: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    accelerator: Accelerator | None = None,
) -> Iterator[StepReport]:
    """Do the run and yield after every step. `should_stop` is asked after each; with true the state
    is saved and the run ends. The model is written to `out/model` in the end, the best one on
    held-out problems to `out/best`; neither before a step has moved the weights.

    Raises UsageError where `out` holds a run of another recipe or model, TrainingStopped after too
    many skipped updates, NothingLearnt at the end of a run in which no step moved the weights.

    Example::

        for report in train(recipe):
            print(report.step, report.metrics["reward/mean"])
    """
    run = TrainingRun(recipe, accelerator or Accelerator(mixed_precision=recipe.batching.precision))
    run.begin(resume)
    while run.state.step < recipe.steps:
        # Told before it is saved: who keeps a log then has every step that a checkpoint counts.
        yield run.advance()
        stop = any_process(run.accelerator, should_stop()) or run.is_done
        is_last = run.state.step == recipe.steps
        run.save_checkpoint(is_required=stop or is_last or run.is_failing)
        if run.is_failing:
            raise TrainingStopped(
                f"{run.state.skipped_in_row} updates in a row were skipped, the last because of "
                f"{run.state.why}; the state is saved in {recipe.out}"
            )
        if stop:
            break
    if run.state.learnt:
        run.save_model(recipe.out / "model")
    elif run.state.step >= recipe.steps:
        raise NothingLearnt(
            f"nothing was learnt in {format_count(run.state.step, 'step')}, and no model is "
            f"written: {run.state.why}"
        )


def export(
    recipe: Recipe, folder: Path, *, step: int | None = None, accelerator: Accelerator | None = None
) -> int:
    """Write the model as it was at a checkpoint of the run, the newest or that of `step`, as an
    ordinary model folder; the step. Nothing is trained.

    Raises UsageError where there is no such checkpoint, where it is of another recipe or model, and
    where `folder` is there already.
    """
    # Before the model is loaded, which may take minutes.
    if folder.exists():
        raise UsageError(f"{folder} is there already; give another folder, or remove it")
    if step is None:
        newest = find_newest(recipe.out)
        if newest is None:
            raise UsageError(f"{recipe.out} has no checkpoint; is it the folder of a run?")
        checkpoint, state, _ = newest
    else:
        checkpoint, state = find_step(recipe.out, step)
    accelerator = accelerator or Accelerator(mixed_precision=recipe.batching.precision)
    run = TrainingRun(recipe, accelerator, is_export=True)
    run.restore(checkpoint, state)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run.save_model(folder)
    return state.step
