"""The child processes in which attacks run: they fork from one process that has imported what they
need, take limits of their own, and write their output to files.

`python -m benchmarks.attacks.child MB -m mmreason ...` starts a fresh process with the same limits.
"""

from __future__ import annotations

import os
import resource
import runpy
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILE_BYTES = 200 * 2**20
"""Of one file that a child writes."""
_ADDRESS_MB = 1024
"""Address space that threads and arenas reserve without using it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a child does, and with what."""

    target: Callable[..., object]
    """A function of a module; its return value is the exit code (None: 0)."""
    arguments: tuple[object, ...]
    folder: Path
    """Working folder."""
    stdin: str
    stdout: str
    stderr: str
    usage: Path
    """Where the child writes: MB before, MB at most, seconds of the processor."""
    memory_mb: int
    """Most that it may take beyond what it begins with."""
    cpu_s: int
    """Where the system stops it."""
    environment: dict[str, str | None] = field(default_factory=dict)
    """Changes to the environment; None removes a name."""
    umask: int = 0o022
    most_file_bytes: int = MOST_FILE_BYTES


def limit_memory(extra_mb: int) -> None:
    """Let this process take `extra_mb` beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + (extra_mb + _ADDRESS_MB) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_job(job: Job) -> None:
    """Body of a child process."""
    # A group of its own, so that all that it starts can be ended with it.
    os.setsid()
    for stream, (name, flags) in enumerate(
        (
            (job.stdin, os.O_RDONLY),
            (job.stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (job.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        )
    ):
        # By number, as libraries write to descriptors and not to `sys.stdout`.
        descriptor = os.open(name, flags, 0o600)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    for name, value in job.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.umask(job.umask)
    os.chdir(job.folder)
    # What the interpreter and its imports took already is no part of the attack.
    before_mb = _now_mb()
    job.usage.write_text(f"{before_mb} {before_mb} 0")
    limit_memory(job.memory_mb)
    # First a signal that can be told from others, and the end five seconds later.
    resource.setrlimit(resource.RLIMIT_CPU, (job.cpu_s, job.cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (job.most_file_bytes, resource.RLIM_INFINITY))
    try:
        code = job.target(*job.arguments)
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
        code = 70
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except (OSError, ValueError):
            code = code or 1
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    most_mb = max(own.ru_maxrss, children.ru_maxrss) // 1024
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    # The attack may have had no room for files; the figures need some.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE_BYTES, resource.RLIM_INFINITY))
    job.usage.write_text(f"{before_mb} {most_mb} {cpu_s}")
    # Past handlers of exit, which belong to the server that this was forked from.
    os._exit(code if isinstance(code, int) else 0)


def _now_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def run_command_line(*words: str) -> int:
    """`mmreason WORDS` in this process."""
    from mmreason.cli import main

    sys.argv = ["mmreason", *words]
    return main(list(words))


if __name__ == "__main__":
    limit_memory(int(sys.argv[1]))
    sys.argv = sys.argv[3:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
