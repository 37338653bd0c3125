"""Do a supervised run.

`train_sft` is an iterator, so that whoever watches decides what to show and when to stop. What a
step does is in `run.py`, showing is in `mmreason.training.monitoring`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from accelerate import Accelerator

from mmreason.report.text import format_count
from mmreason.training.data.dialects.detect import read_samples
from mmreason.training.data.sample import Sample
from mmreason.training.data.settings import Files
from mmreason.training.parallel.processes import any_process
from mmreason.training.runs.checkpoint import find_newest, find_step
from mmreason.training.runs.events import StepReport
from mmreason.training.runs.stopped import NothingLearnt, TrainingStopped
from mmreason.training.sft.recipe import SftRecipe
from mmreason.training.sft.run import SftRun
from mmreason.types import UsageError


def train_sft(
    recipe: SftRecipe,
    *,
    resume: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    accelerator: Accelerator | None = None,
) -> Iterator[StepReport]:
    """Do the run and yield after every step. `should_stop` is asked after each; with true the state
    is saved and the run ends. The model is written to `out/model` in the end, the best one on
    held-out rows to `out/best`; neither before a step has moved the weights.

    Raises UsageError where rows cannot be used and where `out` holds a run of another recipe or
    model, TrainingStopped after too many skipped updates, NothingLearnt at the end of a run in
    which no step moved the weights.

    Example::

        for report in train_sft(recipe):
            print(report.step, report.metrics["loss/mean"])
    """
    accelerator = accelerator or Accelerator(mixed_precision=recipe.batching.precision)
    samples, held_out = load_samples(recipe)
    run = SftRun(recipe, accelerator, samples, held_out)
    run.begin(resume)
    start: dict[str, float] = {}
    figures: dict[str, float] = {}
    while run.state.step < run.steps:
        report = run.advance()
        start |= {n: v for n, v in report.metrics.items() if n.startswith("start/")}
        figures = {**start, **report.metrics}
        # Told before it is saved: who keeps a log then has every step that a checkpoint counts.
        yield report
        stop = any_process(run.accelerator, should_stop()) or run.is_done
        is_last = run.state.step == run.steps
        run.save_checkpoint(is_required=stop or is_last or run.is_failing)
        if run.is_failing:
            raise TrainingStopped(
                f"{run.state.skipped_in_row} updates in a row were skipped, the last because of "
                f"{run.state.why}; the state is saved in {recipe.out}"
            )
        if stop:
            break
    if run.state.learnt:
        run.save_model(recipe.out / "model", metrics=figures)
    elif run.state.step >= run.steps:
        raise NothingLearnt(
            f"nothing was learnt in {format_count(run.state.step, 'step')}, and no model is "
            f"written: {run.state.why}"
        )


def export_sft(
    recipe: SftRecipe,
    folder: Path,
    *,
    step: int | None = None,
    merge: bool = True,
    metrics: Mapping[str, float] | None = None,
) -> int:
    """Write the model as it was at a checkpoint of the run, the newest or that of `step`, as an
    ordinary model folder, or its adapters alone; the step. Nothing is trained, and no row is read.
    `metrics` of that step go into the card.

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
    accelerator = Accelerator(mixed_precision=recipe.batching.precision)
    # The rows are not needed, and may be gone by now.
    run = SftRun(recipe, accelerator, recipe.samples or (), ())
    run.restore(checkpoint, state, is_to_train=False)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run.save_model(folder, merge=merge, metrics=metrics)
    return state.step


def load_samples(recipe: SftRecipe) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The rows that are learnt, and those that are held out. UsageError where one cannot be read
    and `data.bad_rows` says to refuse it."""
    data = recipe.data

    def read(files: Files | None, given: Sequence[Sample] | None) -> Sequence[Sample]:
        if given is not None or files is None:
            return given or ()
        read = read_samples(files, media_root=data.media_root, bad_rows=data.bad_rows)
        return read.samples

    return read(data.train, recipe.samples), read(data.held_out, recipe.held_out_samples)
