"""Does the runs of an experiment, one after the other, and keeps each as a line of a file.

A line that is there already is not done again: an interrupted benchmark goes on where it stopped,
and more seeds add lines. A line counts only for the same size and the same settings
(`digest_arm`). What is made of the lines is in `report`.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmreason.json_lines import (
    MOST_RESULT_BYTES,
    append_lines,
    encode_json_line,
    mend_last_line,
    require_json_lines,
)
from mmreason.models.folders import fingerprint_of, locate_weights
from mmreason.training.claims import (
    attribute_swaps,
    diversity,
    navigation,
    rare_tokens,
    staleness,
)
from mmreason.training.claims.experiment import Arm, Experiment, Size
from mmreason.training.claims.start import make_start
from mmreason.training.rl.trainer import train
from mmreason.training.runs import settings
from mmreason.training.runs.stopped import NothingLearnt

EXPERIMENTS: Mapping[str, Callable[[Size], Experiment]] = {
    "staleness": staleness.build_experiment,
    "stapo": rare_tokens.build_experiment,
    "dsdr": diversity.build_experiment,
    "navigation": navigation.build_experiment,
    "nano": attribute_swaps.build_experiment,
}
"""By the names that the command line knows."""
NANO = Path(locate_weights("nano")[0])
LOGGED_METRICS = (
    "reward/correct",
    "reward/mean",
    "entropy/mean",
    "length/mean",
    "turns/mean",
    "kl/update",
)
"""Metrics of the steps that a line holds."""
_FILE = "runs.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """A finished run."""

    experiment: str
    arm: str
    seed: int
    digest: str
    """Of what was taught and of the recipe."""
    figures: Mapping[str, float]
    """Of the trained model, on held-out problems."""
    curves: Mapping[str, tuple[float, ...]]
    """By metric, a number a step; empty for the start."""
    skipped: int
    """Updates skipped for NaN or infinity."""
    seconds: float


def read_runs(path: Path) -> list[ArmRun]:
    """The lines of `path`, none where there is no file. UsageError for a line that is none; a torn
    last line, as an interruption leaves it, is passed over."""
    if not path.is_file():
        return []
    lines = require_json_lines(path, _parse_run, is_resumed=True, most_line_bytes=MOST_RESULT_BYTES)
    return [line.row for line in lines]


def find_missing(
    experiment: Experiment, seeds: Iterable[int], runs: Iterable[ArmRun]
) -> Iterator[tuple[Arm, int]]:
    """Arms and seeds without a run, all arms of a seed together."""
    done = {(run.experiment, run.arm, run.seed, run.digest) for run in runs}
    for seed in seeds:
        for arm in experiment.arms:
            if (experiment.name, arm.name, seed, digest_arm(arm, seed)) not in done:
                yield arm, seed


def run_missing(
    experiment: Experiment,
    seeds: Iterable[int],
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> list[ArmRun]:
    """Do what is missing under `folder`, with a line to `say` for each run; all runs of the
    experiment."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    mend_last_line(path)
    missing = list(find_missing(experiment, seeds, read_runs(path)))
    for i, (arm, seed) in enumerate(missing, 1):
        run = run_arm(experiment, arm, seed, folder)
        append_lines(path, encode_json_line(asdict(run)))
        figures = ", ".join(f"{name} {value:.3f}" for name, value in run.figures.items())
        say(
            f"{experiment.name} {i}/{len(missing)}: {arm.name}, seed {seed}: {figures} "
            f"({run.seconds:.0f} s)"
        )
    return select_runs(experiment, folder)


def select_runs(experiment: Experiment, folder: Path) -> list[ArmRun]:
    """The runs under `folder` that are of this experiment as it is now, of whatever seeds."""
    arms = {arm.name: arm for arm in experiment.arms}
    # A later line of the same run stands in for an earlier one.
    newest = {
        (run.arm, run.seed): run
        for run in read_runs(folder / _FILE)
        if run.experiment == experiment.name
        and run.arm in arms
        and run.digest == digest_arm(arms[run.arm], run.seed)
    }
    return list(newest.values())


def run_arm(experiment: Experiment, arm: Arm, seed: int, folder: Path) -> ArmRun:
    """Train one arm with one seed and measure it. What the trainer wrote is removed again."""
    began = time.perf_counter()
    start = NANO if arm.lesson is None else make_start(arm.lesson, seed, folder / "starts")
    curves: dict[str, list[float]] = {}
    skipped = 0
    model = start
    out = folder / "unfinished"
    if arm.recipe is not None:
        shutil.rmtree(out, ignore_errors=True)
        try:
            for report in train(arm.recipe_for(start, out, seed)):
                for name in LOGGED_METRICS:
                    if name in report.metrics:
                        curves.setdefault(name, []).append(round(report.metrics[name], 5))
                skipped = int(report.metrics.get("optimiser/skipped", 0))
            model = out / "model"
        except NothingLearnt:  # its weights are those it began with, and that is its result
            pass
    # The trained model is read back from disk, as a user would.
    figures = experiment.measure(arm.load_model(model))
    shutil.rmtree(out, ignore_errors=True)
    return ArmRun(
        experiment=experiment.name,
        arm=arm.name,
        seed=seed,
        digest=digest_arm(arm, seed),
        figures=dict(figures),
        curves={name: tuple(values) for name, values in curves.items()},
        skipped=skipped,
        seconds=round(time.perf_counter() - began, 2),
    )


def digest_arm(arm: Arm, seed: int) -> str:
    """Identifies a run: lesson, recipe with its data and rewards, steps."""
    lesson = arm.lesson
    identity: list[Any] = ["nano", fingerprint_of(NANO)]
    if lesson is not None:
        identity = [lesson.name, lesson.steps, lesson.rows, lesson.learning_rate]
    if arm.recipe is not None:
        start = Path("nano" if lesson is None else lesson.name)
        recipe = arm.recipe_for(start, Path("out"), seed)
        identity += [settings.digest_settings(recipe), recipe.steps]
    return hashlib.blake2b(repr(identity).encode(), digest_size=8).hexdigest()


def _parse_run(values: dict[str, Any]) -> ArmRun:
    try:
        curves = {name: tuple(curve) for name, curve in values.pop("curves").items()}
        return ArmRun(**values, curves=curves)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no run ({error}); remove it") from error
