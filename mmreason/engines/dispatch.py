"""Jobs handed to a pool of workers, one at a time each: deaths counted, time limited, results in
the ledger. The pool may be processes of this machine or actors of a cluster.

- A worker that dies is replaced. Its job is run once more; after two deaths it has failed.
- A death counts only for a job that had begun: a worker may die before, of no fault of the job.
- A job beyond its time limit has failed; its worker is ended and replaced.
- Workers that die again and again before they are ready end the whole run: no job could be done.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mmreason.engines.base import THEIRS_CHECK_S
from mmreason.engines.jobs import EngineError, Job, JobResult, check_jobs
from mmreason.engines.ledger import Ledger
from mmreason.video.plain_text import show_line

MOST_DEATHS = 2
"""Of workers at one job, after which it has failed."""
MOST_FALSE_STARTS = 3
"""Workers that die one after the other without having begun anything."""
_LONGEST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent:
    """What a worker tells, or what became of it."""

    worker: str
    kind: Literal["ready", "begun", "finished", "died", "unfit"]
    """`unfit`: the work cannot be set up; another worker would fare no better."""
    reply: dict[str, Any] | None = None
    """Of `finished`: `value` or `error`, and `seconds`."""
    reason: str = ""
    """Of `died` and `unfit`: why, as far as one can tell."""


class WorkerPool(Protocol):
    """Workers that take one job at a time."""

    size: int

    def start_worker(self) -> str:
        """Begin to start one; an event tells when it is ready. Returns its name."""
        ...

    def send(self, worker: str, job: Job) -> None:
        """Give a job to a worker that is ready or has finished."""
        ...

    def wait(self, timeout_s: float) -> list[WorkerEvent]:
        """What happened, after at most so many seconds. One that died is gone from the pool."""
        ...

    def end_worker(self, worker: str) -> None:
        """End a worker at once, whatever it does; no event follows."""
        ...

    def close(self) -> None:
        """End all workers. May be called twice."""
        ...


@dataclass(slots=True)
class _Run:
    """A claimed job: how often it was begun, and since when it runs."""

    job: Job
    attempts: int = 0
    begun_s: float | None = None
    """None until the worker says that it has begun."""


def run_in_pool(
    jobs: Iterable[Job], ledger: Ledger, pool: WorkerPool, time_limit_s: float | None
) -> Iterator[JobResult]:
    """The results of all jobs; closes the pool at the end, however it comes. Raises EngineError
    where workers do not get ready."""
    dispatch = _Dispatch(ledger, pool, time_limit_s)
    try:
        yield from dispatch.run(deque(check_jobs(jobs)))
    finally:
        # Ctrl-C comes here too: what was finished is in the ledger, what was begun is open again.
        pool.close()
        ledger.release()


class _Dispatch:
    def __init__(self, ledger: Ledger, pool: WorkerPool, time_limit_s: float | None) -> None:
        self._ledger, self._pool, self._time_limit_s = ledger, pool, time_limit_s
        self._claimed: deque[_Run] = deque()
        """Ours, and no worker has them yet."""
        self._runs: dict[str, _Run] = {}
        """What each busy worker has."""
        self._idle: list[str] = []
        self._starting: set[str] = set()
        self._false_starts = 0

    def run(self, waiting: deque[Job]) -> Iterator[JobResult]:
        theirs: deque[Job] = deque()
        while waiting or theirs or self._claimed or self._runs:
            # 1. Claim as many jobs as there may be workers; what is done already needs none.
            while waiting and len(self._claimed) + len(self._runs) < self._pool.size:
                job = waiting.popleft()
                claim = self._ledger.claim(job)
                if isinstance(claim, JobResult):
                    yield claim
                elif claim == "theirs":
                    theirs.append(job)
                else:
                    self._claimed.append(_Run(job))
            # 2. Hand them out, and wait for what workers tell.
            self._start_workers()
            self._send_jobs()
            if self._claimed or self._runs:
                for event in self._pool.wait(self._wait_limit_s()):
                    if (result := self._take(event)) is not None:
                        yield self._finish(result)
                for result in self._end_overdue():
                    yield self._finish(result)
            # 3. Only jobs of other processes are open: ask again whether they are done.
            elif theirs and not waiting:
                time.sleep(THEIRS_CHECK_S)
                waiting, theirs = theirs, waiting

    def _start_workers(self) -> None:
        count = len(self._idle) + len(self._starting) + len(self._runs)
        for _ in range(count, len(self._claimed) + len(self._runs)):
            self._starting.add(self._pool.start_worker())

    def _send_jobs(self) -> None:
        while self._idle and self._claimed:
            worker, run = self._idle.pop(), self._claimed.popleft()
            self._runs[worker] = run
            self._pool.send(worker, run.job)

    def _wait_limit_s(self) -> float:
        if self._time_limit_s is None:
            return _LONGEST_WAIT_S
        begun = [run.begun_s for run in self._runs.values() if run.begun_s is not None]
        left_s = min(begun, default=time.monotonic()) + self._time_limit_s - time.monotonic()
        return min(max(left_s, 0), _LONGEST_WAIT_S)

    def _take(self, event: WorkerEvent) -> JobResult | None:
        """Note what a worker tells; a result where a job has come to its end."""
        worker = event.worker
        if event.kind == "ready":
            self._starting.discard(worker)
            self._idle.append(worker)
        elif event.kind == "begun":
            self._runs[worker].begun_s = time.monotonic()
            self._runs[worker].attempts += 1
            self._false_starts = 0
        elif event.kind == "finished":
            self._idle.append(worker)
            return _make_result(self._runs.pop(worker), event)
        elif event.kind == "unfit":
            raise EngineError(f"the work cannot be set up: {event.reason}")
        else:
            return self._take_death(event)
        return None

    def _take_death(self, event: WorkerEvent) -> JobResult | None:
        self._starting.discard(event.worker)
        if event.worker in self._idle:
            self._idle.remove(event.worker)
        run = self._runs.pop(event.worker, None)
        if run is None or run.begun_s is None:
            if run is not None:
                self._claimed.appendleft(run)
            self._false_starts += 1
            if self._false_starts >= MOST_FALSE_STARTS:
                raise EngineError(
                    f"workers die before they begin ({event.reason}); {MOST_FALSE_STARTS} did"
                )
            return None
        deaths = self._ledger.count_death(run.job.key)
        if deaths < MOST_DEATHS:
            run.begun_s = None
            self._claimed.appendleft(run)
            return None
        error = f"worker died {deaths} times: {event.reason}"
        return _make_failure(run, event.worker, error)

    def _end_overdue(self) -> Iterator[JobResult]:
        if self._time_limit_s is None:
            return
        now_s = time.monotonic()
        for worker, run in list(self._runs.items()):
            if run.begun_s is not None and now_s - run.begun_s >= self._time_limit_s:
                self._pool.end_worker(worker)
                del self._runs[worker]
                error = f"took longer than the limit of {self._time_limit_s:g} s"
                yield _make_failure(run, worker, error)

    def _finish(self, result: JobResult) -> JobResult:
        self._ledger.finish(result)
        return result


def _make_result(run: _Run, event: WorkerEvent) -> JobResult:
    reply = event.reply or {}
    error = reply.get("error")
    return JobResult(
        key=run.job.key,
        address=run.job.address,
        value=reply.get("value") if error is None else None,
        error=None if error is None else show_line(str(error)),
        worker=event.worker,
        seconds=float(reply.get("seconds", 0.0)),
        attempts=run.attempts,
    )


def _make_failure(run: _Run, worker: str, error: str) -> JobResult:
    return JobResult(
        key=run.job.key,
        address=run.job.address,
        error=error,
        worker=worker,
        seconds=0.0 if run.begun_s is None else time.monotonic() - run.begun_s,
        attempts=run.attempts,
    )
