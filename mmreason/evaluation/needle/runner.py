"""Measures methods on needle worlds: resumable, with results that do not depend on workers.

A folder holds `run.json` (what is measured), `worlds/` (scripts and items), `results.jsonl` (an
outcome a line, written whole as soon as it is there) and a store of model replies. A run that was
cut short goes on where it ended. An item that fails is a typed outcome. `summary.py` and
`page.py` show what came of it.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mmreason.evaluation.needle import methods
from mmreason.evaluation.needle.memory import FrameCache, ReplyCache
from mmreason.evaluation.needle.outcomes import ItemFailure, Outcome, outcome_of
from mmreason.evaluation.runs import check_same_run
from mmreason.json_lines import (
    append_lines,
    encode_json_line,
    mend_last_line,
    require_json_lines,
)
from mmreason.memory.store import Store
from mmreason.models.base import ChatModel
from mmreason.needle.items import Item, NeedleSet
from mmreason.needle.observers import CaptionNoise, make_oracle
from mmreason.needle.worlds import needle_set
from mmreason.types import Budget, UsageError
from mmreason.video import Video

ORACLE = "oracle"
"""Name of the model that reads the script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Example:
        >>> plan = Plan(
        ...     model="oracle", durations_s=(180.0,), seeds=(0, 1), items=10, methods=("greedy",)
        ... )
        >>> run_plan(plan, Path("runs/needle"))  # doctest: +SKIP
        PosixPath('runs/needle/results.jsonl')
    """

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
    mention: float = 1.0
    """Chance that a caption of the oracle tells of a thing that is there."""

    def __post_init__(self) -> None:
        if not self.durations_s or not self.seeds or not self.methods:
            raise UsageError("a run needs at least one length, one seed and one method")
        if not 1 <= self.rotations <= 4:
            raise UsageError(f"rotations must be 1 to 4, got {self.rotations}")
        if not 0.0 <= self.mention <= 1.0:
            raise UsageError(f"mention is a chance from 0 to 1, got {self.mention}")
        if self.mention < 1.0 and self.model != ORACLE:
            raise UsageError(
                f"mention is for the model {ORACLE!r}, but the model is {self.model!r}"
            )

    def sets(self) -> Iterator[NeedleSet]:
        """The worlds with their items, one after the other."""
        for duration_s in self.durations_s:
            for seed in self.seeds:
                yield needle_set(seed, duration_s, self.items)

    def asked(self) -> Iterator[tuple[str, Item]]:
        """Every method with every item, in every rotation."""
        for needles in self.sets():
            for item in needles.items:
                for turns in range(self.rotations):
                    for method in self.methods:
                        yield method, item.rotated(turns)


OnProgress = Callable[[int, int], None]
_Key = tuple[str, str, tuple[str, ...]]
_Job = tuple[float, int, str]
"""(duration in seconds, seed, method): what one worker does at a time."""


def run_plan(
    plan: Plan, folder: Path, *, workers: int = 1, on_progress: OnProgress | None = None
) -> Path:
    """Measure what is still missing in `folder`; returns the path of `results.jsonl`.

    `on_progress(done, total)` is called after each outcome. Raises UsageError where the folder
    holds a run of another model, item count, budget or number of rotations.
    """
    methods.check_methods(plan.methods)
    folder.mkdir(parents=True, exist_ok=True)
    model = _model(plan.model)
    # 1. One folder, one way of measuring: outcomes of two would be averaged.
    settings = {
        "model": plan.model,
        "fingerprint": None if model is None else model.fingerprint,
        "items": plan.items,
        "frames": plan.frames,
        "rotations": plan.rotations,
        "mention": plan.mention,
    }
    check_same_run(settings, folder / "run.json")
    results = folder / "results.jsonl"
    mend_last_line(results)
    # 2. What is there already, also of other lengths, seeds and methods than this plan's.
    done = {_key(outcome.method, outcome.item) for outcome in read_outcomes(results)}
    planned = {_key(method, item) for method, item in plan.asked()}
    count = len(done & planned)
    # 3. One world and method a job: its frames are drawn, and its scan is made, once.
    jobs = [(d, s, m) for d in plan.durations_s for s in plan.seeds for m in plan.methods]
    for outcome in _outcomes(plan, folder, jobs, done, workers):
        append_lines(results, encode_json_line(outcome.to_dict()))
        count += 1
        if on_progress is not None:
            on_progress(count, len(planned))
    return results


def read_outcomes(path: Path) -> list[Outcome]:
    """All outcomes of a run, in an order that does not depend on how it was run. Of an item that
    two processes measured at the same time the first counts. Raises UsageError naming the first
    line that is no outcome, but for a torn last one."""
    if not path.is_file():
        return []
    outcomes: dict[_Key, Outcome] = {}
    for line in require_json_lines(path, Outcome.from_dict, is_resumed=True):
        outcomes.setdefault(_key(line.row.method, line.row.item), line.row)
    return sorted(
        outcomes.values(), key=lambda o: (o.item.duration_s, o.item.id, o.method, o.item.options)
    )


def _outcomes(
    plan: Plan, folder: Path, jobs: list[_Job], done: set[_Key], workers: int
) -> Iterator[Outcome]:
    """Missing outcomes as they are there: one by one, or a job at a time from other processes."""
    if workers <= 1:
        for job in jobs:
            yield from _measure_missing(plan, folder, job, done)
        return
    # Forking after torch has started its threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(_in_worker, plan, folder, job, done) for job in jobs]
        try:
            for finished in as_completed(waiting):
                yield from finished.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_worker(plan: Plan, folder: Path, job: _Job, done: set[_Key]) -> list[Outcome]:
    import torch

    # Processes are the parallelism here; threads in each would fight for the same cores.
    torch.set_num_threads(1)
    return list(_measure_missing(plan, folder, job, done))


def _measure_missing(plan: Plan, folder: Path, job: _Job, done: set[_Key]) -> Iterator[Outcome]:
    """What is missing of one world and method, in order."""
    # 1. The questions that are missing, in the order of the set.
    duration_s, seed, method = job
    needles = needle_set(seed, duration_s, plan.items)
    items = [item.rotated(turns) for item in needles.items for turns in range(plan.rotations)]
    missing = [item for item in items if _key(method, item) not in done]
    if not missing:
        return
    script = needles.save(folder / "worlds")
    model = _model(plan.model) or make_oracle(
        needles.world, CaptionNoise(p_mention=((math.inf, plan.mention),))
    )
    # 2. The world is drawn from its script, which is kept beside the results for whoever looks them
    # up.
    is_warm = method.endswith(methods.WARM)
    store = Store.in_memory() if is_warm else None
    with closing(Store.open(folder / "replies.sqlite3")) as replies, Video.open(script) as video:
        memory, frames = ReplyCache(model, replies), FrameCache(video)
        # What a warm policy has seen is not kept between runs: it starts again from the first.
        for item in items if is_warm else missing:
            outcome = _outcome(plan, method, memory, frames, item, store)
            if item in missing:
                yield outcome


def _outcome(
    plan: Plan,
    method: str,
    model: ChatModel,
    video: FrameCache,
    item: Item,
    store: Store | None,
) -> Outcome:
    # A fault of a model, of a video or of the policy is the outcome of this item, not the end of
    # the run.
    budget = Budget(frames=plan.frames)
    try:
        answer = methods.answer_item(method, model, video, item, budget=budget, store=store)
    except (ValueError, RuntimeError, OSError) as error:
        return outcome_of(item, method, ItemFailure(error))
    return outcome_of(item, method, answer)


@cache
def _model(name: str) -> ChatModel | None:
    """The model of a run; None for the oracle, of which every world has its own."""
    if name == ORACLE:
        return None
    from mmreason import models

    return models.load(name)


def _key(method: str, item: Item) -> _Key:
    return method, item.id, item.options
