"""The one interface of engines, and the simplest of them: this very process.

with Ledger.open("talks.ledger") as ledger:
    for result in LocalEngine(workers=4).run(jobs, work, ledger):
        print(result.address, result.error or result.value)
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from mmreason.engines.jobs import (
    Job,
    JobResult,
    Work,
    check_jobs,
    describe_error,
    encode_value,
)
from mmreason.engines.ledger import Ledger

THEIRS_CHECK_S = 0.2
"""How often a job that another process runs is asked about."""


class Engine(Protocol):
    """Runs jobs, each of which gives one result, an error being one."""

    def run(self, jobs: Iterable[Job], work: Work, ledger: Ledger) -> Iterator[JobResult]:
        """The result of each job as it is there, in any order; it is in the ledger before it is
        given. Results of earlier runs come without being run again. Jobs that another process
        runs meanwhile are waited for. Raises EngineError where nothing can be run."""
        ...


class InlineEngine:
    """Jobs one after the other in this process: no start-up, and no protection. A decoder that
    crashes takes the process with it; run again, the job is begun again. For anything else
    `LocalEngine(workers=1)`.

    Example:
        >>> from mmreason.engines.ledger import Ledger
        >>> work = Work(function="os.path:basename")  # fails: a job is no path
        >>> with Ledger.in_memory() as ledger:
        ...     results = list(InlineEngine().run([Job(key="k", address="a.mp4")], work, ledger))
        >>> results[0].error.split(":")[0]
        'TypeError'
    """

    def run(self, jobs: Iterable[Job], work: Work, ledger: Ledger) -> Iterator[JobResult]:
        function: Callable[[Job], Any] | None = None
        worker = name_worker()
        waiting = deque(check_jobs(jobs))
        unchanged = 0
        try:
            while waiting:
                job = waiting.popleft()
                claim = ledger.claim(job)
                if isinstance(claim, JobResult):
                    yield claim
                elif claim == "theirs":
                    waiting.append(job)
                    unchanged += 1
                    # Only when nothing else is open: ours come first.
                    if unchanged >= len(waiting):
                        time.sleep(THEIRS_CHECK_S)
                    continue
                else:
                    # Loaded for the first job that is open: a finished list loads no model.
                    function = function or work.load()
                    result = run_job(function, job, worker)
                    ledger.finish(result)
                    yield result
                unchanged = 0
        finally:
            ledger.release()


def run_job(function: Callable[[Job], Any], job: Job, worker: str) -> JobResult:
    """The result of one run of a job: every error is one, and so is a value that JSON lacks."""
    start_s = time.perf_counter()
    value, error = None, None
    try:
        value = function(job)
        encode_value(value)
    # Any error, and an attempt to end the process: one bad file must not end the others.
    except (Exception, SystemExit) as caught:
        value, error = None, describe_error(caught)
    return JobResult(
        key=job.key,
        address=job.address,
        value=value,
        error=error,
        worker=worker,
        seconds=time.perf_counter() - start_s,
    )


def name_worker() -> str:
    """This process, as `host:process`."""
    return f"{socket.gethostname()}:{os.getpid()}"
