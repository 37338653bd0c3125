"""Jobs on actors of a Ray cluster, over our own ledger. The one module that imports `ray`.

Ray places actors and carries addresses there and small values back. What it offers for retries is
turned off: it would repeat a video that kills its decoder without end, and count restarts by actor.
Here the unit of an error is the video (see `docs/scale.md`, which has the measurements).
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmreason.engines.base import name_worker, run_job
from mmreason.engines.dispatch import WorkerEvent, run_in_pool
from mmreason.engines.jobs import EngineError, Job, JobResult, Work, describe_error
from mmreason.engines.ledger import Ledger
from mmreason.engines.local import check_time_limit, check_workers
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

_REACH_LIMIT_S = 5.0
_START_LIMIT_S = 600.0
"""For placing an actor and setting up the work: a cluster may have to start a machine first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """Actors on as many machines as the cluster has. Without an address one is started on this
    machine for the time of the run, which takes about 5 s and 800 MB.

    Example:
        >>> RayEngine(workers=16, gpus_per_worker=0.5, address="auto").workers
        16
    """

    workers: int = 1
    time_limit_s: float | None = None
    """Of one job, without the set-up of its worker."""
    address: str | None = None
    """Of a running cluster: `auto` for the one of this machine, or `ray://host:port`."""
    cpus_per_worker: float = 1.0
    gpus_per_worker: float = 0.0
    """A share below 1 puts several workers on one GPU."""

    def __post_init__(self) -> None:
        check_workers(self.workers)
        check_time_limit(self.time_limit_s)
        for name in ("cpus_per_worker", "gpus_per_worker"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be 0 or more, got {getattr(self, name):g}")

    def run(self, jobs: Iterable[Job], work: Work, ledger: Ledger) -> Iterator[JobResult]:
        """See `Engine.run`. EngineError also where there is no Ray or no cluster."""
        return run_in_pool(jobs, ledger, ActorPool(work, self), self.time_limit_s)


class JobActor:
    """What runs in a process of the cluster."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._work = Work(**work)
        self._function: Any = None

    def get_ready(self) -> str:
        """Set up; returns why that cannot be done, or nothing."""
        try:
            self._function = self._work.load()
        except (Exception, SystemExit) as error:
            return describe_error(error)
        return ""

    def answer(self) -> None:
        """That it is alive."""

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """The reply of one job."""
        result = run_job(self._function, Job(**job), name_worker())
        return {"value": result.value, "error": result.error, "seconds": result.seconds}


@dataclass(slots=True)
class _Actor:
    handle: Any
    pending: Any
    """Reference of its next message; None of one that has nothing to do."""
    state: Literal["starting", "idle", "asked", "running"] = "starting"
    job: Job | None = None
    started_s: float = field(default_factory=time.monotonic)


class ActorPool:
    """The actors of one `RayEngine`. Ray is started with the first of them."""

    def __init__(self, work: Work, engine: RayEngine) -> None:
        self.size = engine.workers
        self._work, self._engine = work, engine
        self._actors: dict[str, _Actor] = {}
        self._numbers = itertools.count(1)
        self._ray: Any = None
        self._is_ours = False
        """Whether the cluster was connected to by this pool, which then leaves it."""
        self._sigterm: Any = signal.SIG_DFL

    def start_worker(self) -> str:
        self._ray = self._ray or self._connect()
        remote = self._ray.remote(
            num_cpus=self._engine.cpus_per_worker,
            num_gpus=self._engine.gpus_per_worker,
            # A dead actor is replaced by a new one, which is asked before it is given a job.
            max_restarts=0,
            max_task_retries=0,
        )(JobActor)
        handle = remote.remote(self._work.to_dict())
        name = f"actor-{next(self._numbers)}"
        self._actors[name] = _Actor(handle, handle.get_ready.remote())
        return name

    def send(self, worker: str, job: Job) -> None:
        # Asked before it is given the job: one that has died meanwhile cannot have begun it.
        actor = self._actors[worker]
        actor.job, actor.state, actor.pending = job, "asked", actor.handle.answer.remote()

    def wait(self, timeout_s: float) -> list[WorkerEvent]:
        names = {a.pending: name for name, a in self._actors.items() if a.pending is not None}
        ready, _ = self._ray.wait(list(names), num_returns=1, timeout=timeout_s)
        # Those that are there as well, without waiting again.
        if ready:
            ready, _ = self._ray.wait(list(names), num_returns=len(names), timeout=0)
        events = [self._read(names[pending]) for pending in ready]
        now_s = time.monotonic()
        for name, actor in self._actors.items():
            if actor.state == "starting" and now_s - actor.started_s > _START_LIMIT_S:
                raise EngineError(
                    f"{name} did not get ready within {_START_LIMIT_S:g} s: the cluster has "
                    f"{self._describe_cluster()}, each worker asks for "
                    f"{self._engine.cpus_per_worker:g} CPU and {self._engine.gpus_per_worker:g} GPU"
                )
        return events

    def end_worker(self, worker: str) -> None:
        self._ray.kill(self._actors.pop(worker).handle, no_restart=True)

    def close(self) -> None:
        for worker in list(self._actors):
            self.end_worker(worker)
        if self._is_ours:
            self._is_ours = False
            self._leave(self._ray)
            _show_deaths(self._ray, True)  # once nothing more is listened to

    def _connect(self) -> Any:
        """The module of Ray, connected to a cluster."""
        try:
            import ray
        except ImportError as error:
            raise EngineError(
                'engine ray: Ray is not installed; in the clone of mmreason: pip install ".[ray]"'
            ) from error
        if ray.is_initialized():  # by whoever called us, who also ends it
            return ray
        self._sigterm = signal.getsignal(signal.SIGTERM)
        try:
            if self._engine.address is not None:
                _check_reachable(self._engine.address)
            self._start(ray)
        # Whatever Ray raises: it has errors of many kinds for a cluster that is not there.
        except Exception as error:
            address = self._engine.address
            what = f"reach the cluster {address}" if address else "start a cluster on this machine"
            self._leave(ray)
            raise EngineError(
                f"engine ray: cannot {what} ({show_line(str(error))[:300]}); try --engine local"
            ) from error
        self._is_ours = True
        _show_deaths(ray, False)
        return ray

    def _start(self, ray: Any) -> None:
        """Connect to the cluster, or start one on this machine."""
        address = self._engine.address
        python_path = {"env_vars": {"PYTHONPATH": _python_path()}}
        for is_last in (False, True):
            try:
                with _import_path():
                    ray.init(
                        address=address or "local",
                        # Of a running cluster the numbers are its own.
                        num_cpus=None if address else self._slots(),
                        include_dashboard=None if address else False,
                        # Its machines have no PYTHONPATH of ours; a shared folder has the modules.
                        runtime_env=python_path if address else None,
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                    )
                return
            except Exception as error:
                # Ray gives itself 30 s, whatever else the machine has to do.
                if is_last or address or "timed out" not in str(error):
                    raise
                ray.shutdown()

    def _leave(self, ray: Any) -> None:
        ray.shutdown()
        # Ray puts its own in the place of the handler, and leaves it there.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm)

    def _slots(self) -> int:
        """CPUs that a cluster of this machine says it has: room for all workers."""
        return max(os.cpu_count() or 1, round(self.size * self._engine.cpus_per_worker + 0.5))

    def _read(self, name: str) -> WorkerEvent:
        """The next message of an actor that has one."""
        actor = self._actors[name]
        try:
            message = self._ray.get(actor.pending)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.OutOfMemoryError) as error:
            del self._actors[name]
            is_memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
            reason = "killed for lack of memory" if is_memory else "its process ended"
            return WorkerEvent(worker=name, kind="died", reason=reason)
        except self._ray.exceptions.RayError as error:
            raise EngineError(f"engine ray: {show_line(str(error))[:300]}") from error
        actor.pending = None
        if actor.state == "starting":
            actor.state = "idle"
            return WorkerEvent(worker=name, kind="unfit" if message else "ready", reason=message)
        if actor.state == "asked":
            assert actor.job is not None
            actor.state, actor.pending = "running", actor.handle.run.remote(actor.job.to_dict())
            return WorkerEvent(worker=name, kind="begun")
        actor.state = "idle"
        return WorkerEvent(worker=name, kind="finished", reply=message)

    def _describe_cluster(self) -> str:
        resources = self._ray.cluster_resources()
        return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"


def _check_reachable(address: str) -> None:
    """Raise OSError where nobody listens at `host:port`: Ray would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_LIMIT_S).close()


def _show_deaths(ray: Any, is_shown: bool) -> None:
    """Ray prints a page about each actor that dies on standard output, where results go, and
    `log_to_driver` does not stop it. Its own debugger uses this switch."""
    switch = "_worker_logs_enabled"
    if hasattr(ray._private.worker, switch):
        setattr(ray._private.worker, switch, is_shown)


def _python_path() -> str:
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)


@contextmanager
def _import_path() -> Iterator[None]:
    """Where Ray's own processes find Ray, and workers the work: with packages in a folder of their
    own (`pip --target`) they die at the start, and `ray.init` waits for them until its time is
    over. And nothing is reported to Ray's makers."""
    changed = {"PYTHONPATH": _python_path(), "RAY_USAGE_STATS_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
