"""Running one attack: a child with limits of its own, how it ended, and whether that is right.

children = Children(preload=["benchmarks.attacks.warm"])
ended = children.run(*cli_call(["inspect", "bad.mp4"]), folder)
fault = find_fault(ended, Limits(seconds=5))   # "" where it held
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pty
import re
import select
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.attacks.child import MOST_FILE_BYTES, Job, run_command_line, run_job

# A child begins with everything imported, and with none of the threads that a plain fork breaks.
_CONTEXT = multiprocessing.get_context("forkserver")
_STEP_S = 0.02
_START_S = 180.0
"""In which a child begins: the first one waits until all is imported."""
_UNEXPECTED = re.compile(r"error: (\w+): .*\(--debug shows where\)")
_OF_THE_SYSTEM = ("OSError", "PermissionError", "FileNotFoundError", "FileExistsError")
"""Errors that name a file and what the system said of it: an end in one line that is right."""
_TERMINAL_OBEYS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class NotTriedError(Exception):
    """What an attack needs is not there; the message says what."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that is tried."""

    kind: str
    name: str
    attempt: Callable[[Path], str]
    """Given an empty folder, gives the fault that was seen, or "" where it held. Raises
    NotTriedError."""
    is_control: bool = False
    """Harmless input, which must give the right result; where it does not, nothing of its kind was
    tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child must keep."""

    cpu_s: float = 12.0
    """Of the processor, so that other work on the machine changes nothing."""
    wall_s: float = 40.0
    """By the clock: for attacks that wait."""
    grown_mb: int = 700
    codes: tuple[int, ...] = (0, 1, 2, 3)
    error_lines: int = 3
    secrets: tuple[str, ...] = ()
    """Contents of files outside, which must not be in what is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended."""

    code: int | None
    """None where it was stopped at the end of its time; negative for a signal."""
    out: str
    err: str
    seconds: float
    cpu_s: float
    grown_mb: int
    """Most memory beyond what it began with, its own children included."""


def cli_call(words: Sequence[str]) -> tuple[Callable[..., object], tuple[str, ...]]:
    """`mmreason WORDS`, as `Children.run` takes it."""
    return run_command_line, tuple(words)


@dataclass(frozen=True)
class Children:
    """Starts children that fork from one process, which has imported `preload`."""

    preload: Sequence[str] = ()
    memory_mb: int = 2500
    """Where a child is stopped by the system, well above what it may take."""
    environment: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _CONTEXT.set_forkserver_preload([*self.preload, "benchmarks.attacks.child"])

    def run(
        self,
        target: Callable[..., object],
        arguments: tuple[object, ...],
        folder: Path,
        *,
        limits: Limits | None = None,
        stdin: str = os.devnull,
        stdout: str | None = None,
        environment: dict[str, str | None] | None = None,
        umask: int = 0o022,
        most_file_bytes: int = MOST_FILE_BYTES,
        on_terminal: bool = False,
    ) -> Ended:
        """Run `target(*arguments)` in a child whose working folder is `folder`. Beside it, in
        `logs`, lies what the child prints."""
        limits = limits or Limits()
        # Outside the child's folder: what it prints must not pass for something that it wrote.
        number = uuid.uuid4().hex[:12]
        logs = folder.parent / "logs"
        logs.mkdir(exist_ok=True)
        out, err, usage = (logs / f"{number}.{name}" for name in ("out", "err", "usage"))
        terminal = pty.openpty() if on_terminal else None
        terminal_name = os.ttyname(terminal[1]) if terminal else None
        job = Job(
            target=target,
            arguments=arguments,
            folder=folder,
            stdin=stdin,
            stdout=terminal_name or stdout or str(out),
            stderr=terminal_name or str(err),
            usage=usage,
            memory_mb=self.memory_mb,
            # A little more than is allowed: what is just over it ends by itself and can be judged.
            cpu_s=math.ceil(limits.cpu_s) + 1,
            environment=self.environment | (environment or {}),
            umask=umask,
            most_file_bytes=most_file_bytes,
        )
        process = _CONTEXT.Process(target=run_job, args=(job,))
        process.start()
        assert process.pid is not None
        peak_mb, screen = 0, b""
        ready_by_s = time.monotonic() + _START_S
        # The clock of the attack starts when the child says so, not while it is being imported.
        while process.is_alive() and not usage.exists() and time.monotonic() < ready_by_s:
            process.join(_STEP_S)
        began_s = time.monotonic()
        while process.is_alive() and time.monotonic() - began_s < limits.wall_s:
            # Looked at while it runs: what its own children took is gone with them.
            peak_mb = max(peak_mb, tree_mb(process.pid))
            if terminal:
                screen += _read_terminal(terminal[0])
            process.join(_STEP_S)
        took_s = time.monotonic() - began_s
        is_late = process.is_alive()
        if is_late:
            end_group(process.pid)
        process.join()
        if terminal:
            screen += _read_terminal(terminal[0])
            os.close(terminal[0])
            os.close(terminal[1])
            out.write_bytes(screen)
        before_mb, most_mb, cpu_s = _read_usage(usage)
        return Ended(
            code=None if is_late else process.exitcode,
            out=_read_text(out),
            err=_read_text(err),
            seconds=took_s,
            cpu_s=cpu_s,
            grown_mb=max(most_mb, peak_mb) - before_mb if before_mb else 0,
        )


def end_group(process_id: int) -> None:
    """End a child that leads a session, and whatever it started."""
    # The group may be gone while the child is not, and the other way round.
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(process_id, signal.SIGKILL)


def tree_mb(process_id: int) -> int:
    """Memory of a process and its children, whichever of its threads started them."""
    process = Path(f"/proc/{process_id}")
    try:
        pages = int((process / "statm").read_text().split()[1])
        lists = [task / "children" for task in (process / "task").iterdir()]
        children = " ".join(file.read_text() for file in lists).split()
    except (OSError, IndexError):
        return 0
    own_mb = pages * os.sysconf("SC_PAGE_SIZE") // 2**20
    return own_mb + sum(tree_mb(int(child)) for child in children)


def _read_usage(usage: Path) -> tuple[int, int, float]:
    """What the child wrote (`Job.usage`); zeros where it did not start."""
    try:
        before_mb, most_mb, cpu_s = usage.read_text().split()
    except (OSError, ValueError):
        return 0, 0, 0.0
    return int(before_mb), int(most_mb), float(cpu_s)


def _read_terminal(descriptor: int) -> bytes:
    screen = b""
    while select.select([descriptor], [], [], 0)[0]:
        try:
            block = os.read(descriptor, 65536)
        except OSError:
            break
        if not block:
            break
        screen += block
    return screen


def _read_text(path: Path, most_bytes: int = 4_000_000) -> str:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes).decode(errors="surrogateescape")
    except OSError:
        return ""


def find_fault(ended: Ended, limits: Limits) -> str:
    """What is wrong with how a child ended, or ""."""
    text = ended.out + ended.err
    if ended.code is None:
        return f"still running after {ended.seconds:.0f} s ({ended.grown_mb} MB)"
    # Its limit of processor time ended it, whatever the clock says on a busy machine.
    if ended.code == -signal.SIGXCPU:
        return f"more than {limits.cpu_s:g} s of the processor ({ended.grown_mb} MB)"
    if ended.code < 0:
        return f"ended by signal {-ended.code} ({ended.grown_mb} MB)"
    if "Traceback (most recent call last)" in text:
        last = text.strip().splitlines()[-1]
        return f"traceback: {last[:120]!r}"
    if ended.code not in limits.codes:
        return f"exit code {ended.code}: {_last_line(ended.err)}"
    for secret in limits.secrets:
        if secret in text:
            return f"printed {secret!r} from outside"
    if (match := _UNEXPECTED.search(ended.err)) and match[1] not in _OF_THE_SYSTEM:
        return f"unexpected error: {_last_line(ended.err)}"
    # 3 says that there is no answer, which stands on stdout.
    if ended.code and not ended.err.strip():
        return f"exit code {ended.code} without a word" if ended.code != 3 else ""
    if ended.code == 2 and len(ended.err.strip().splitlines()) > limits.error_lines:
        return f"{len(ended.err.splitlines())} lines of error: {_last_line(ended.err)}"
    if len(ended.err) > 5000:
        return f"{len(ended.err)} characters on stderr: {_last_line(ended.err)}"
    if match := _TERMINAL_OBEYS.search(ended.err):
        return f"control character {match[0]!r} on stderr"
    if ended.grown_mb > limits.grown_mb:
        return f"took {ended.grown_mb} MB, limit {limits.grown_mb}"
    if ended.cpu_s > limits.cpu_s:
        return f"took {ended.cpu_s:.1f} s of the processor, limit {limits.cpu_s:g}"
    return ""


def find_control_character(text: str) -> str:
    """A fault for what a terminal would obey in `text`, or ""."""
    # A terminal is sent \r\n for each line end.
    match = _TERMINAL_OBEYS.search(text.replace("\r\n", "\n"))
    return f"control character {match[0]!r} printed" if match else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    # Escaped: the last line may be the attack itself, and this is printed.
    return ascii(lines[-1][:160]) if lines else "nothing on stderr"
