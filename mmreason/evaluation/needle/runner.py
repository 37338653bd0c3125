"""Measures methods on needle worlds: resumable, with results that do not depend on workers.

A folder holds `run.json` (what is measured), `worlds/` (scripts and items), `results.jsonl` (an
outcome a line, written whole as soon as it is there) and a store of model replies. A run that was
cut short goes on where it ended. An item that fails is a typed outcome. Leaves out tables and
pictures (`summary.py`, `page.py`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmreason import __version__
from mmreason.evaluation.needle import methods
from mmreason.evaluation.needle.items import Item, NeedleSet, duration_name
from mmreason.evaluation.needle.memory import KeptFrames, Remembering
from mmreason.evaluation.needle.observers import oracle
from mmreason.evaluation.needle.outcomes import Failure, Outcome, outcome_of
from mmreason.evaluation.needle.worlds import needle_set
from mmreason.models.base import ChatModel
from mmreason.store import Store
from mmreason.types import Budget, UsageError
from mmreason.video import Video
from mmreason.video.files import write_atomic

ORACLE = "oracle"
"""Name of the model that reads the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured."""

    model: str
    durations_s: tuple[float, ...]
    seeds: tuple[int, ...]
    items: int
    """Items a world."""
    methods: tuple[str, ...]
    frames: int | None = None
    """Budget of the policies."""
    rotations: int = 1
    """Each item is asked with its options in this many rotations (4 for circular accuracy)."""

    def __post_init__(self) -> None:
        if not self.durations_s or not self.seeds or not self.methods:
            raise UsageError("a run needs at least one length, one seed and one method")
        if not 1 <= self.rotations <= 4:
            raise UsageError(f"rotations must be 1 to 4, got {self.rotations}")

    def sets(self) -> Iterator[NeedleSet]:
        """The worlds with their items, one after the other."""
        for duration_s in self.durations_s:
            for seed in self.seeds:
                yield needle_set(seed, duration_s, self.items)

    @property
    def total(self) -> int:
        """Outcomes of the whole run."""
        worlds = len(self.durations_s) * len(self.seeds)
        return worlds * self.items * self.rotations * len(self.methods)


Done = Callable[[int, int], None]
_Key = tuple[str, int, str]


def run(plan: Plan, folder: Path, *, workers: int = 1, on_progress: Done | None = None) -> Path:
    """Measure what is still missing in `folder`; returns the path of `results.jsonl`.

    `on_progress(done, total)` is called after each outcome. Raises UsageError where the folder
    holds another run.
    """
    methods.checked(plan.methods)
    folder.mkdir(parents=True, exist_ok=True)
    _claim_folder(plan, folder)
    results = folder / "results.jsonl"
    _mend(results)
    done = {_key(outcome) for outcome in read_outcomes(results)}
    state = [len(done)]

    def keep(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            _append(results, outcome)
            state[0] += 1
            if on_progress is not None:
                on_progress(state[0], plan.total)

    jobs = [(d, s) for d in plan.durations_s for s in plan.seeds]
    if workers <= 1:
        model = _model(plan.model)
        for duration_s, seed in jobs:
            keep(_world(plan, folder, duration_s, seed, done, model))
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(_job, plan, folder, d, s, m, done) for d, s in jobs for m in _units(plan)]
        try:
            for finished in as_completed(waiting):
                keep(finished.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results


def read_outcomes(path: Path) -> list[Outcome]:
    """All outcomes of a run, in an order that does not depend on how it was run."""
    if not path.is_file():
        return []
    found = [
        Outcome.from_dict(json.loads(line))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return sorted(found, key=lambda o: (o.item.duration_s, o.item.id, o.method, o.item.options))


def _units(plan: Plan) -> list[tuple[str, ...]]:
    """Methods that are measured together by a worker."""
    return [(method,) for method in plan.methods]


def _job(
    plan: Plan, folder: Path, duration_s: float, seed: int, unit: tuple[str, ...], done: set[_Key]
) -> list[Outcome]:
    """One world and method in a process of its own."""
    import torch

    torch.set_num_threads(1)
    part = Plan(**asdict(plan) | {"methods": unit})
    return list(_world(part, folder, duration_s, seed, done, _model(plan.model)))


def _world(
    plan: Plan,
    folder: Path,
    duration_s: float,
    seed: int,
    done: set[_Key],
    model: ChatModel | None,
) -> Iterator[Outcome]:
    """Outcomes that are missing for one world, in order."""
    made = needle_set(seed, duration_s, plan.items)
    asked = [
        (method, turned, by)
        for method in plan.methods
        for item in made.items
        for by in range(plan.rotations)
        if (method, by, (turned := item.rotated(by)).id) not in _plain(done, method, by)
    ]
    if not asked:
        return
    script = made.save(folder / "worlds")
    watcher = oracle(made.world) if model is None else model
    with closing(Store.open(folder / "replies.sqlite3")) as replies, Video.open(script) as video:
        memory = Remembering(watcher, replies)
        frames = KeptFrames(video)
        stores: dict[str, Store] = {}
        for method, item, _ in asked:
            store = None
            if method.endswith(methods.WARM):
                store = stores.setdefault(method, Store.in_memory())
            yield _outcome(plan, method, memory, frames, item, store)


def _outcome(
    plan: Plan,
    method: str,
    model: ChatModel,
    video: KeptFrames,
    item: Item,
    store: Store | None,
) -> Outcome:
    budget = Budget(frames=plan.frames)
    try:
        answer = methods.answer(method, model, video, item, budget=budget, store=store)
    except (ValueError, RuntimeError, OSError) as error:
        return outcome_of(item, method, Failure(error))
    return outcome_of(item, method, answer)
