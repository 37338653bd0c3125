"""Does the runs of an experiment, one after the other, and keeps each as a line of a file.

A line that is there already is not done again: an interrupted benchmark goes on where it stopped,
and more seeds add lines. A line counts only for the same size and the same settings (`digest`).
Leaves out what is made of the lines (`report.py`).
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
from mmreason.training.claims.experiment import Arm, Experiment
from mmreason.training.claims.start import start
from mmreason.training.rl import settings
from mmreason.training.rl.trainer import NothingLearnt, train

_FILE = "runs.jsonl"
NANO = Path(locate_weights("nano")[0])
KEPT = ("reward/correct", "reward/mean", "entropy/mean", "length/mean", "turns/mean", "kl/update")
"""Metrics of the steps that a line holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
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


def read(path: Path) -> list[Row]:
    """The lines of `path`, none where there is no file. UsageError for a line that is none; a torn
    last line, as an interruption leaves it, is passed over."""
    if not path.is_file():
        return []
    lines = require_json_lines(path, _row, is_resumed=True, most_line_bytes=MOST_RESULT_BYTES)
    return [line.row for line in lines]


def missing(
    experiment: Experiment, seeds: Iterable[int], rows: Iterable[Row]
) -> Iterator[tuple[Arm, int]]:
    """Arms and seeds without a row, all arms of a seed together."""
    done = {(row.experiment, row.arm, row.seed, row.digest) for row in rows}
    for seed in seeds:
        for arm in experiment.arms:
            if (experiment.name, arm.name, seed, digest(arm, seed)) not in done:
                yield arm, seed


def run(
    experiment: Experiment,
    seeds: Iterable[int],
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Do what is missing under `folder`, a line told for each run; the rows, as of `kept`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _FILE
    mend_last_line(path)
    todo = list(missing(experiment, seeds, read(path)))
    for i, (arm, seed) in enumerate(todo, 1):
        row = run_one(experiment, arm, seed, folder)
        append_lines(path, encode_json_line(asdict(row)))
        told = ", ".join(f"{name} {value:.3f}" for name, value in row.figures.items())
        say(
            f"{experiment.name} {i}/{len(todo)}: {arm.name}, seed {seed}: {told} "
            f"({row.seconds:.0f} s)"
        )
    return kept(experiment, folder)


def kept(experiment: Experiment, folder: Path) -> list[Row]:
    """The rows under `folder` that are of this experiment as it is now, of whatever seeds."""
    arms = {arm.name: arm for arm in experiment.arms}
    newest = {
        (row.arm, row.seed): row
        for row in read(folder / _FILE)
        if row.experiment == experiment.name
        and row.arm in arms
        and row.digest == digest(arms[row.arm], row.seed)
    }
    return list(newest.values())


def run_one(experiment: Experiment, arm: Arm, seed: int, folder: Path) -> Row:
    """Train one arm with one seed and measure it. What the trainer wrote is removed again."""
    began = time.perf_counter()
    taught = arm.lesson
    begun_with = NANO if taught is None else start(taught, seed, folder / "starts")
    curves: dict[str, list[float]] = {}
    skipped = 0
    trained = begun_with
    out = folder / "unfinished"
    if arm.recipe is not None:
        shutil.rmtree(out, ignore_errors=True)
        try:
            for report in train(arm.recipe(begun_with, out, seed)):
                for name in KEPT:
                    if name in report.metrics:
                        curves.setdefault(name, []).append(round(report.metrics[name], 5))
                skipped = int(report.metrics.get("optimiser/skipped", 0))
            trained = out / "model"
        except NothingLearnt:  # its weights are those it began with, and that is its result
            pass
    figures = experiment.measure(experiment.load(trained))
    shutil.rmtree(out, ignore_errors=True)
    return Row(
        experiment=experiment.name,
        arm=arm.name,
        seed=seed,
        digest=digest(arm, seed),
        figures=dict(figures),
        curves={name: tuple(values) for name, values in curves.items()},
        skipped=skipped,
        seconds=round(time.perf_counter() - began, 2),
    )


def digest(arm: Arm, seed: int) -> str:
    """Identifies a run: lesson, recipe with its data and rewards, steps."""
    taught = arm.lesson
    told: list[Any] = ["nano", fingerprint_of(NANO)]
    if taught is not None:
        told = [taught.name, taught.steps, taught.rows, taught.learning_rate]
    if arm.recipe is not None:
        named = Path("nano" if taught is None else taught.name)
        recipe = arm.recipe(named, Path("out"), seed)
        told += [settings.digest(recipe), recipe.steps]
    return hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()


def _row(values: dict[str, Any]) -> Row:
    try:
        curves = {name: tuple(curve) for name, curve in values.pop("curves").items()}
        return Row(**values, curves=curves)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"is no run ({error}); remove it") from error
