"""Runs the decoding benchmark: every reader on every file in processes of its own, in rounds whose
order is shuffled, with the speed of the decoder alone measured between them.

`decode_child` is what a process does, `decode_report` tells the results.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mmreason.bench import decode_readers
from mmreason.bench.decode_files import BenchFile, Scale
from mmreason.bench.decode_readers import READERS, DecodeRequest, Reader

OnProgress = Callable[[str, int, int], None]
"""Called with what is being measured, how many measurements are done, and of how many."""

LIMIT_S = 120
"""A process that takes longer is ended."""
CANDIDATES, CHOSEN, DIMENSIONS = 10_000, 32, 512
_LATE_S = 0.001
_RATE_FRAMES = 1800
_STAT = Path("/proc/stat")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRun:
    """One reader once on one file."""

    seconds: float
    extra_mb: float | None
    """Peak memory over that after imports, in 1e6 bytes; None where the system does not tell."""
    wrong: int
    """Frames that are not the ones asked for, or did not come."""
    others: float | None
    """Share of all cores that other processes used meanwhile, 0 to 1; None where the system does
    not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderResult:
    """One reader on one file, all rounds."""

    reader: str
    version: str
    runs: tuple[DecodeRun, ...]
    note: str
    """Why there are no runs, or no more of them; empty where all went well."""

    @property
    def seconds(self) -> float | None:
        return median(run.seconds for run in self.runs) if self.runs else None

    @property
    def extra_mb(self) -> float | None:
        measured = [run.extra_mb for run in self.runs if run.extra_mb is not None]
        return median(measured) if measured else None

    @property
    def wrong(self) -> int | None:
        # The worst round: a reader that is right most of the time is not right.
        return max(run.wrong for run in self.runs) if self.runs else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The decoding that cannot be avoided, and how fast it goes.

    Example:
        >>> floor = Floor(
        ...     frames=900, reference_frames=600, alone_hz=200.0, together_hz=300.0,
        ...     together_reference_hz=400.0,
        ... )
        >>> floor.every_frame_s, floor.seconds
        (3.0, 1.5)
    """

    frames: int
    """From the key frame before each target up to it, each once."""
    reference_frames: int
    """The same without those that neither are targets nor needed by others."""
    alone_hz: float
    """Frames a second that one decoder thread decodes while nothing else is measured."""
    together_hz: float
    """What two processes with one thread each decode at the same time, together."""
    together_reference_hz: float
    """The same where frames that no other needs are left out."""

    @property
    def scaling(self) -> float:
        """How much more two processes decode than one."""
        return self.together_hz / self.alone_hz

    @property
    def every_frame_s(self) -> float:
        """Seconds that two cores need for all frames."""
        return self.frames / self.together_hz

    @property
    def seconds(self) -> float:
        """Seconds that they need with frames left out that no other needs."""
        return self.reference_frames / self.together_reference_hz


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """All readers on one file."""

    name: str
    title: str
    codec: str
    frames: int
    duration_s: float
    size_bytes: int
    mean_group: float
    targets: int
    floor: Floor
    readers: tuple[ReaderResult, ...]

    def of(self, reader: str) -> ReaderResult:
        """What `reader` did; a result without runs where it was not tried."""
        for result in self.readers:
            if result.reader == reader:
                return result
        return ReaderResult(reader=reader, version="", runs=(), note="not tried")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningResult:
    """Times without decoding, and of the first frame."""

    first_frame_s: tuple[float, ...]
    """One a round, in processes of their own, after imports."""
    methods: tuple[tuple[str, float, int], ...]
    """(method, seconds, frames in the plan)."""


def measure_file(
    file: BenchFile, scale: Scale, say: OnProgress, readers: Sequence[Reader] = READERS
) -> FileResult:
    """Every reader on `file`, as often as `scale` says; what fails once is not tried again."""
    indices = file.targets(scale.targets)
    length_s = float(np.ptp(file.table.times_s))
    notes = {reader.name: _why_not_run(reader, file, length_s, readers) for reader in readers}
    runs: dict[str, list[DecodeRun]] = {reader.name: [] for reader in readers}
    rates: list[dict[str, float]] = []
    rounds = scale.rounds if file.recipe.loops else scale.other_rounds
    total, done = rounds * (len(readers) + 1), 0
    # Rounds in shuffled order: a machine that gets busy slows every reader a little, not one a lot.
    for number in range(rounds):
        # None is the decoder alone: measured among the readers, it meets the same machine.
        order: list[Reader | None] = [None, *readers]
        random.Random(f"{file.recipe.name}/{number}").shuffle(order)
        for reader in order:
            name = "the decoder alone" if reader is None else reader.name
            say(f"{file.recipe.name}, round {number + 1}: {name}", done, total)
            done += 1
            if reader is None:
                rates.append(_rates(file))
            elif not notes[name]:
                answer = run_reader(reader, file, indices)
                if isinstance(answer, str):
                    notes[name] = answer
                else:
                    runs[name].append(answer)
    return FileResult(
        name=file.recipe.name,
        title=file.title,
        codec=file.codec,
        frames=file.frame_count,
        duration_s=length_s,
        size_bytes=file.path.stat().st_size,
        mean_group=len(file.table.pts_s) / int(file.table.is_key.sum()),
        targets=len(indices),
        floor=_floor(file, indices, rates),
        readers=tuple(
            ReaderResult(
                reader=reader.name,
                version=""
                if decode_readers.find_missing(reader)
                else decode_readers.read_version(reader),
                runs=tuple(runs[reader.name]),
                note=notes[reader.name],
            )
            for reader in readers
        ),
    )


def measure_planning(file: BenchFile, scale: Scale, say: OnProgress) -> PlanningResult:
    """The first frame of `file`, and planning beside it. Raises RuntimeError where they fail."""
    seconds = []
    for number in range(scale.rounds):
        say("first frame", number, scale.rounds + 1)
        job = {"job": "first", "path": str(file.path), "size_px": list(file.out_px)}
        seconds.append(_sure(_ask(job))["seconds"])
    say("planning", scale.rounds, scale.rounds + 1)
    sizes = {"candidates": CANDIDATES, "chosen": CHOSEN, "dimensions": DIMENSIONS}
    rows = _sure(_ask({"job": "plan", "path": str(file.path)} | sizes))["rows"]
    return PlanningResult(
        first_frame_s=tuple(seconds),
        methods=tuple((name, spent_s, count) for name, spent_s, count in rows),
    )


def run_reader(reader: Reader, file: BenchFile, indices: np.ndarray) -> DecodeRun | str:
    """One run in a process of its own; what went wrong where it gave nothing."""
    request = DecodeRequest(
        path=str(file.path),
        indices=indices.tolist(),
        times_s=file.table.times_s[indices].tolist(),
        size_px=file.out_px,
    )
    request_json = {name: getattr(request, name) for name in DecodeRequest.__dataclass_fields__}
    job = {
        "job": "read",
        "reader": reader.name,
        "request": request_json,
        "turns": file.recipe.turns,
    }
    # How busy the machine was besides, so that a reader can tell a slow library from a bad moment.
    before = _used_s()
    answer = _ask(job)
    after = _used_s()
    if "error" in answer:
        return str(answer["error"])
    other_use = None
    if before is not None and after is not None:
        other_use = max(0.0, after[0] - before[0]) / (after[1] - before[1]) / (os.cpu_count() or 1)
    return DecodeRun(
        others=other_use,
        seconds=answer["seconds"],
        extra_mb=answer["extra_mb"],
        wrong=count_wrong(
            answer["numbers"], answer["times_s"], file.numbers(indices), np.array(request.times_s)
        ),
    )


def count_wrong(
    numbers: Sequence[int | None],
    times_s: Sequence[float] | None,
    true_numbers: np.ndarray,
    true_times_s: np.ndarray,
) -> int:
    """How many frames are not those asked for: another number (or none that can be read), a time
    more than a millisecond off where the reader tells times, or no frame at all.

    Example:
        >>> count_wrong([7, 9, None], None, np.array([7, 8, 9]), np.array([0.0, 0.1, 0.2]))
        2
    """
    wrong = 0
    for row, (number, time_s) in enumerate(zip(true_numbers, true_times_s, strict=True)):
        # The number in the picture first: times are what a reader says of itself.
        right = row < len(numbers) and numbers[row] == number
        if right and times_s is not None:
            right = abs(times_s[row] - time_s) <= _LATE_S
        wrong += not right
    return wrong


def frames_to_decode(file: BenchFile, indices: np.ndarray) -> tuple[int, int]:
    """(all, those needed): packets from the key frame before each target up to it, each once; and
    of these the targets and those that other frames may need."""
    table = file.table
    target_times_s = table.times_s[indices]
    packet_of = {time_s: row for row, time_s in enumerate(table.pts_s.tolist())}
    keys = np.flatnonzero(table.is_key)
    # 1. Key frames by the time they are shown; packets stay in the order of decoding.
    keys = keys[np.argsort(table.pts_s[keys], kind="stable")]
    passed = np.zeros(len(table.pts_s), np.bool_)
    is_target = np.zeros_like(passed)
    for time_s in target_times_s.tolist():
        row = packet_of[time_s]
        # 2. From the last key frame up to the target everything has to be decoded; runs may
        # overlap.
        key = keys[np.searchsorted(table.pts_s[keys], time_s, "right") - 1]
        is_target[row] = True
        passed[key : row + 1] = True
    return int(passed.sum()), int((passed & (table.is_reference | is_target)).sum())


def _floor(file: BenchFile, indices: np.ndarray, rates: Sequence[dict[str, float]]) -> Floor:
    frames, reference_frames = frames_to_decode(file, indices)
    middle = {name: median(rate[name] for rate in rates) for name in rates[0]}
    # Some codecs have no frame that can be left out.
    skips = not file.table.is_reference.all()
    return Floor(
        frames=frames,
        reference_frames=reference_frames,
        alone_hz=middle["alone_hz"],
        together_hz=middle["together_hz"],
        together_reference_hz=middle["together_reference_hz" if skips else "together_hz"],
    )


def _rates(file: BenchFile) -> dict[str, float]:
    """Rates of one process alone and of two together."""
    job = {"job": "rate", "path": str(file.path), "max_frames": _RATE_FRAMES}
    # Two at once share caches and memory: their sum is what two threads can reach at most.
    (alone,) = _ask_in_step([job])
    together = _ask_in_step([job, job])
    return {
        "alone_hz": alone["all_hz"],
        "together_hz": sum(rate["all_hz"] for rate in together),
        "together_reference_hz": sum(rate["reference_hz"] for rate in together),
    }


def _why_not_run(
    reader: Reader, file: BenchFile, length_s: float, readers: Sequence[Reader]
) -> str:
    absent = decode_readers.find_missing(reader)
    if absent:
        return f"not installed ({absent})"
    # Minutes for one row that everybody can guess.
    if reader.longest_s is not None and length_s > reader.longest_s:
        return "left out: decodes every frame up to the last one"
    # On small files threads make no difference worth a row.
    twin_runs = any(other.name == reader.twins for other in readers)
    if reader.twins is not None and twin_runs and not file.recipe.loops:
        return f"see {reader.twins}"
    return ""


def _used_s() -> tuple[float, float] | None:
    """(core seconds that other processes have used so far, seconds on the clock); None where the
    system does not tell."""
    if not _STAT.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal, *_ = map(
        int, _STAT.read_text().splitlines()[0].split()[1:]
    )
    # Time waiting for the disk is idle time: it takes no core from anyone.
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    times = os.times()
    own_s = times.user + times.system + times.children_user + times.children_system
    return busy_s - own_s, time.monotonic()


# Processes


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mmreason.bench.decode_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _ask(job: dict[str, Any]) -> dict[str, Any]:
    """The answer of a fresh process; {"error": ...} where it gave none."""
    with _start() as child:
        try:
            output, _ = child.communicate(json.dumps(job) + "\n", timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            # A process that hangs in a decoder does not hear a gentler signal.
            child.kill()
            return {"error": f"took longer than {LIMIT_S} s"}
        except BaseException:
            child.kill()
            raise
    lines = output.splitlines()
    # A library may crash the process: that is a result too.
    if not lines:
        return {"error": f"the process ended with code {child.returncode} and no answer"}
    return json.loads(lines[-1])


def _ask_in_step(jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of processes that go from step to step together. Raises RuntimeError."""
    children = [_start() for _ in jobs]
    answers: list[dict[str, Any]] = []
    try:
        for child, job in zip(children, jobs, strict=True):
            assert child.stdin is not None
            child.stdin.write(json.dumps(job) + "\n")
            child.stdin.flush()
        # All say that they are ready, then all are told to go on: they begin together.
        while not answers:
            lines = [child.stdout.readline() if child.stdout else "" for child in children]
            if any(line != "ready\n" for line in lines):
                answers = [_sure(json.loads(line or '{"error": "no answer"}')) for line in lines]
                break
            for child in children:
                assert child.stdin is not None
                child.stdin.write("\n")
                child.stdin.flush()
    finally:
        for child in children:
            child.kill()
            child.communicate()
    return answers


def _sure(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise RuntimeError(f"a measurement failed: {answer['error']}")
    return answer
