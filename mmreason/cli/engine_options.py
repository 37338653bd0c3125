"""What the verbs over many files share: `--engine`, `--workers`, `--shard`, `--time-limit`, and
running files as jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mmreason.cli.common import print_notice, progress_console
from mmreason.cli.inputs import FileFailure, FileWork
from mmreason.engines.jobs import Job, JobResult, Shard, Work, select_shard
from mmreason.types import UsageError
from mmreason.video.urls import is_url, restore_url

if TYPE_CHECKING:
    from mmreason.engines.base import Engine
    from mmreason.engines.ledger import Ledger

T = TypeVar("T")

ENGINES = ("local", "ray")
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="local (processes of this machine) or ray (a cluster); without it and with one worker "
        "everything runs in this process.",
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Files worked on at a time, a process each.")
]
ShardText = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Only part i of n of the files, as i/n, with a store of its own: for an array of "
        "Slurm. See mmreason cache merge.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", help="Seconds that one file may take; then it has failed."),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="Of a running cluster, such as auto or ray://host:10001; else one is started here.",
    ),
]
GpusPerWorker = Annotated[
    float, typer.Option("--gpus-per-worker", help="With --engine ray: GPUs of each worker.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Work again on what failed in an earlier run.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How many files are to be worked on, by what and how many at a time.

    Example:
        >>> EngineOptions.of(workers=2).is_plain
        False
    """

    engine: str | None = None
    workers: int = 1
    shard: Shard | None = None
    time_limit_s: float | None = None
    ray_address: str | None = None
    gpus_per_worker: float = 0.0
    retry_failed: bool = False

    @classmethod
    def of(
        cls,
        *,
        engine: str | None = None,
        workers: int = 1,
        shard: str | None = None,
        time_limit_s: float | None = None,
        ray_address: str | None = None,
        gpus_per_worker: float = 0.0,
        retry_failed: bool = False,
    ) -> EngineOptions:
        """Checks itself. UsageError for an unknown engine, or options of another one."""
        if engine is not None and engine not in ENGINES:
            raise UsageError(f"--engine {engine}: expected one of {', '.join(ENGINES)}")
        if engine != "ray" and (ray_address is not None or gpus_per_worker):
            raise UsageError("--ray-address and --gpus-per-worker need --engine ray")
        options = cls(
            engine=engine,
            workers=workers,
            shard=None if shard is None else Shard.parse(shard),
            time_limit_s=time_limit_s,
            ray_address=ray_address,
            gpus_per_worker=gpus_per_worker,
            retry_failed=retry_failed,
        )
        # A number that cannot be is refused now, not after files were listed.
        options.make_engine()
        if options.is_plain and retry_failed:
            raise UsageError("--retry-failed needs --workers above 1 or --engine")
        return options

    @property
    def is_plain(self) -> bool:
        """Whether files are worked on in this process, one after the other, without a ledger."""
        return self.engine is None and self.workers == 1 and self.time_limit_s is None

    def make_engine(self) -> Engine:
        """The engine that was asked for."""
        from mmreason.engines.local import LocalEngine
        from mmreason.engines.ray_engine import RayEngine

        if self.engine == "ray":
            return RayEngine(
                workers=self.workers,
                time_limit_s=self.time_limit_s,
                address=self.ray_address,
                gpus_per_worker=self.gpus_per_worker,
            )
        return LocalEngine(workers=self.workers, time_limit_s=self.time_limit_s)

    def select_files(self, files: Sequence[Path]) -> tuple[Path, ...]:
        """Those of this shard, told by their absolute names; all where there is none."""
        if self.shard is None:
            return tuple(files)
        names = {file_address(path): path for path in files}
        return tuple(names[name] for name in select_shard(tuple(names), self.shard))


def run_files(
    jobs: Mapping[Path, Job],
    work: Work,
    options: EngineOptions,
    ledger: Ledger,
    read_value: Callable[[Path, Any], T],
    message: str,
) -> FileWork[T]:
    """Each file as a job: what its value is read as, in the order of the files; what failed by
    name; and how many were not reached, as after Ctrl-C."""
    results: dict[str, JobResult] = {}
    with suppress(KeyboardInterrupt), _progress(message, len(jobs)) as tell:
        for result in options.make_engine().run(jobs.values(), work, ledger):
            results[result.key] = result
            tell(result)
    for note in ledger.notes:
        print_notice(f"note: {note}")
    done = {path: results[job.key] for path, job in jobs.items() if job.key in results}
    old = sum(result.is_failed and result.from_ledger for result in done.values())
    if old and not options.retry_failed:
        print_notice(f"--retry-failed works again on the {old} that failed before")
    return FileWork(
        results=tuple(
            read_value(path, result.value) for path, result in done.items() if not result.is_failed
        ),
        failures=tuple(
            _make_failure(path, result) for path, result in done.items() if result.is_failed
        ),
        left=len(jobs) - len(done),
    )


def file_address(path: Path) -> str:
    """The address of a file's job: a URL as it is, a path made absolute, because workers may stand
    in another folder."""
    text = restore_url(str(path))
    return text if is_url(text) else str(path.absolute())


def _make_failure(path: Path, result: JobResult) -> FileFailure:
    name = restore_url(str(path))
    reason = str(result.error).removeprefix(f"{result.address}: ").removeprefix(f"{name}: ")
    return FileFailure(name, reason)


@contextmanager
def _progress(message: str, total: int) -> Iterator[Callable[[JobResult], None]]:
    """A bar of files done and failed, with their rate and the time that is left; None where stderr
    is no terminal. What was done before does not count for the rate."""
    console = progress_console()
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    described = TextColumn("{task.description}", markup=False)
    counts = TextColumn("{task.fields[counts]}", markup=False)
    columns = (described, BarColumn(), MofNCompleteColumn(), counts, Remaining())
    failed = new = 0
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(message, total=total, counts="")

        def tell(result: JobResult) -> None:
            nonlocal failed, new
            failed += result.is_failed
            new += not result.from_ledger
            elapsed_s = bar.tasks[0].elapsed or 0.0
            rate = f", {60 * new / elapsed_s:.1f} a minute" if new and elapsed_s > 1 else ""
            bar.update(task, advance=1, counts=f"{failed} failed{rate}")

        yield tell
