"""Jobs in processes of this machine, each of which may die without harm to the others.

Workers are new Python processes, not forks: threads and locks of libraries do not survive a fork.
They import the work by name, so that a script needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmreason.engines.dispatch import WorkerEvent, run_in_pool
from mmreason.engines.jobs import MOST_VALUE_BYTES, EngineError, Job, JobResult, Work
from mmreason.engines.ledger import Ledger
from mmreason.engines.worker import HEAD, write_message
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

MOST_WORKERS = 512
_MOST_REPLY_BYTES = MOST_VALUE_BYTES + 65_536
_LAST_WORDS_BYTES = 2_000
_READ_BYTES = 1 << 20
_ENDED_UNREAPED = os.WEXITED | os.WNOHANG | os.WNOWAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """A pool of processes. A worker that dies is replaced and its job run once more; one that takes
    longer than the limit is ended, and its job has failed.

    Example:
        >>> LocalEngine(workers=2, time_limit_s=600).workers
        2
    """

    workers: int = 1
    time_limit_s: float | None = None
    """Of one job, without the set-up of its worker."""

    def __post_init__(self) -> None:
        check_workers(self.workers)
        check_time_limit(self.time_limit_s)

    def run(self, jobs: Iterable[Job], work: Work, ledger: Ledger) -> Iterator[JobResult]:
        """See `Engine.run`."""
        return run_in_pool(jobs, ledger, ProcessPool(work, self.workers), self.time_limit_s)


def check_workers(workers: int) -> None:
    """UsageError unless this is a number of workers that a machine may have."""
    if not 1 <= workers <= MOST_WORKERS:
        raise UsageError(f"workers must be from 1 to {MOST_WORKERS}, got {workers}")


def check_time_limit(time_limit_s: float | None) -> None:
    """UsageError for a limit that no job could keep."""
    if time_limit_s is not None and not 0 < time_limit_s < float("inf"):
        raise UsageError(f"the time limit of a job must be above 0 s, got {time_limit_s:g}")


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    requests: int
    replies: int
    last_words: int
    """A file of what it wrote to its standard error since its last job began."""
    unread: bytearray = field(default_factory=bytearray)


class ProcessPool:
    """The processes of one `LocalEngine`."""

    def __init__(self, work: Work, size: int) -> None:
        self.size = size
        self._work = work
        self._workers: dict[str, _Worker] = {}

    def start_worker(self) -> str:
        # Descriptors are not inherited unless they are passed: no worker holds another's pipe open.
        request_end, requests = os.pipe()
        replies, reply_end = os.pipe()
        ends = (request_end, reply_end)
        last_words = _open_scratch_file()
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mmreason.engines.worker", *map(str, ends)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=last_words,
                pass_fds=ends,
                start_new_session=True,  # Ctrl-C of a terminal is for the driver alone
                env=self._environment(),
            )
        except OSError as error:
            for descriptor in (requests, replies, last_words):
                os.close(descriptor)
            raise EngineError(f"no worker can be started: {error}") from error
        finally:
            for descriptor in ends:
                os.close(descriptor)
        name = f"{socket.gethostname()}:{process.pid}"
        self._workers[name] = _Worker(process, requests, replies, last_words)
        self._write(name, self._work.to_dict())
        return name

    def send(self, worker: str, job: Job) -> None:
        # Only what is told of this job is of interest when it kills its worker.
        os.ftruncate(self._workers[worker].last_words, 0)
        self._write(worker, job.to_dict())

    def wait(self, timeout_s: float) -> list[WorkerEvent]:
        poll = select.poll()
        names = {worker.replies: name for name, worker in self._workers.items()}
        for descriptor in names:
            poll.register(descriptor, select.POLLIN)
        readable = {names[descriptor] for descriptor, _ in poll.poll(1000 * timeout_s)}
        # A child of a worker may hold its pipe open beyond its death, which then ends nothing.
        ended = {name for name, worker in self._workers.items() if _has_ended(worker)}
        events: list[WorkerEvent] = []
        for name in readable | ended:
            events += self._read(name) if name in readable else [self._bury(name)]
        return events

    def end_worker(self, worker: str) -> None:
        _end(self._workers.pop(worker))

    def close(self) -> None:
        for name in list(self._workers):
            self.end_worker(name)

    def _environment(self) -> dict[str, str]:
        # The very modules of this process, whatever the folder it stands in.
        paths = os.pathsep.join(entry or "." for entry in sys.path)
        # Workers that each take all cores wait for one another.
        threads = str(max(1, (os.cpu_count() or 1) // self.size))
        return {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": paths}

    def _write(self, name: str, message: dict) -> None:
        # A worker that has died is found when its replies are read.
        with suppress(BrokenPipeError):
            write_message(self._workers[name].requests, message)

    def _read(self, name: str) -> list[WorkerEvent]:
        worker = self._workers[name]
        block = os.read(worker.replies, _READ_BYTES)
        if not block:
            return [self._bury(name)]
        worker.unread += block
        events = []
        try:
            while (body := _take_message(worker.unread)) is not None:
                message = parse_json(body, most_bytes=_MOST_REPLY_BYTES)
                events.append(WorkerEvent(worker=name, **message))
        except (JsonInputError, TypeError) as error:
            self.end_worker(name)
            reason = f"wrote what is no reply ({error})"
            events.append(WorkerEvent(worker=name, kind="died", reason=reason))
        return events

    def _bury(self, name: str) -> WorkerEvent:
        worker = self._workers.pop(name)
        reason = _explain_end(worker)
        _end(worker)
        return WorkerEvent(worker=name, kind="died", reason=reason)


def _take_message(data: bytearray) -> bytes | None:
    """Cut a whole message off the front; None where there is none yet."""
    if len(data) < HEAD.size:
        return None
    (size,) = HEAD.unpack_from(data)
    if size > _MOST_REPLY_BYTES:
        raise JsonInputError(f"{size:,} bytes")
    end = HEAD.size + size
    if len(data) < end:
        return None
    body = bytes(data[HEAD.size : end])
    del data[:end]
    return body


def _has_ended(worker: _Worker) -> bool:
    """Without reaping it: until then its number names no other process, nor another group."""
    return os.waitid(os.P_PID, worker.process.pid, _ENDED_UNREAPED) is not None


def _explain_end(worker: _Worker) -> str:
    """How a process ended whose pipe has closed, and the last line it wrote."""
    deadline_s = time.monotonic() + 1.0
    while (end := os.waitid(os.P_PID, worker.process.pid, _ENDED_UNREAPED)) is None:
        # The pipe ends a moment before the exit code is there.
        if time.monotonic() > deadline_s:
            return "it closed its pipe"
        time.sleep(0.005)
    if end.si_code == os.CLD_EXITED:
        reason = f"ended with exit code {end.si_status}"
    elif end.si_status == signal.SIGKILL:
        reason = "killed by SIGKILL, as for lack of memory"
    else:
        reason = f"killed by {_name_signal(end.si_status)}"
    words = _read_last_line(worker.last_words)
    return f"{reason}; last it wrote: {words}" if words else reason


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _open_scratch_file() -> int:
    """A file without a name, to which every write appends."""
    descriptor, name = tempfile.mkstemp()
    Path(name).unlink()
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor


def _read_last_line(file: int) -> str:
    start = max(0, os.fstat(file).st_size - _LAST_WORDS_BYTES)
    lines = os.pread(file, _LAST_WORDS_BYTES, start).decode(errors="replace").strip().splitlines()
    return show_line(lines[-1])[:200] if lines else ""


def _end(worker: _Worker) -> None:
    with suppress(ProcessLookupError, PermissionError):
        # With what it started: it leads a session of its own.
        os.killpg(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    for descriptor in (worker.requests, worker.replies, worker.last_words):
        os.close(descriptor)
