"""What an engine costs over a bare loop, and what a second worker gains.

    python benchmarks/engines.py
    python benchmarks/engines.py --ray

Overhead: jobs of about a second of pure computing, once in a loop and once on each engine with one
worker, in turn, several rounds. The time is that from the first result to the last, without
start-up and set-up; the fastest round of each counts. Gain: all frames of a
made video are decoded, eight jobs, by one worker and by two, and, beside it, by two plain processes
that share nothing: what this machine can give. Prints a Markdown page and writes it to
`benchmarks/results/engines.md`. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from mmreason.engines.base import Engine, InlineEngine
from mmreason.engines.jobs import Job, Work
from mmreason.engines.ledger import Ledger
from mmreason.engines.local import LocalEngine
from mmreason.engines.ray_engine import RayEngine
from mmreason.video import Video

RESULTS = Path(__file__).parent / "results" / "engines.md"
MODULE = Path(__file__).stem
"""Workers find it in the folder of this script."""
JOB_S = 1.0
JOBS = 6
ROUNDS = 5
DECODE_JOBS = 8
DECODE_ROUNDS = 3
MOST_OVERHEAD = 0.03
LEAST_GAIN = 1.6
NOTHINGS = 2_000
SIZE_PX = (640, 360)
FPS_HZ = 25
VIDEO_S = 24


def spin(job: Job) -> int:
    """Compute for so many rounds, the same whoever runs it."""
    total = 0
    for number in range(job.settings["rounds"]):
        total += number * number % 7
    return total


def do_nothing(job: Job) -> None:
    """A job that costs nothing: what is left is the engine."""


def decode_all(job: Job) -> int:
    """Decode every frame of a video at a quarter of its size; returns how many."""
    width, height = SIZE_PX
    with Video.open(job.address) as video:
        stream = video.stream(FPS_HZ, size_px=(width // 2, height // 2))
        return sum(len(batch) for batch in stream)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Of one engine over a bare loop."""

    engine: str
    loop_s: Sequence[float]
    engine_s: Sequence[float]

    @property
    def share(self) -> float:
        """Of the loop's time, by the fastest round of each: what else runs only ever adds."""
        return min(self.engine_s) / min(self.loop_s) - 1


def make_jobs(count: int, rounds: int = 0, address: str = "") -> list[Job]:
    """Jobs with keys of their own."""
    return [Job(key=str(n), address=address, settings={"rounds": rounds}) for n in range(count)]


def count_rounds() -> int:
    """Rounds of `spin` that take about `JOB_S` on this machine."""
    probe = Job(key="", address="", settings={"rounds": 200_000})
    times_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        spin(probe)
        times_s.append(time.perf_counter() - start_s)
    return round(200_000 * JOB_S / min(times_s))


def time_engine(engine: Engine, jobs: Sequence[Job], work: Work) -> float:
    """Seconds from the first result to the last: all jobs but the first."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "l") as ledger:
        results = engine.run(jobs, work, ledger)
        first = next(results)
        start_s = time.perf_counter()
        later = list(results)
        seconds = time.perf_counter() - start_s
    failed = [result.error for result in (first, *later) if result.is_failed]
    if failed:
        raise SystemExit(f"a job failed: {failed[0]}")
    return seconds


def measure_overheads(engines: dict[str, Engine], job_count: int) -> list[Overhead]:
    """Loop and engines in turn: what else the machine does meets all of them."""
    rounds = count_rounds()
    jobs, work = make_jobs(job_count + 1, rounds), Work.of(f"{MODULE}:spin")
    loop_s: list[float] = []
    engine_s: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(ROUNDS):
        start_s = time.perf_counter()
        for job in jobs[1:]:
            spin(job)
        loop_s.append(time.perf_counter() - start_s)
        for name, engine in engines.items():
            engine_s[name].append(time_engine(engine, jobs, work))
    return [Overhead(name, loop_s, engine_s[name]) for name in engines]


def write_video(path: Path) -> None:
    """Moving stripes with noise: something that a decoder has to work for."""
    draw = np.random.default_rng(1)
    width, height = SIZE_PX
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS_HZ, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        columns = np.arange(width)
        for number in range(VIDEO_S * FPS_HZ):
            row = ((columns + 5 * number) % 128).astype(np.uint8)
            pixels = np.broadcast_to(row[None, :, None], (height, width, 3)).copy()
            pixels += draw.integers(0, 40, pixels.shape, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def time_plain_processes(path: Path, count: int, jobs: int) -> float:
    """Seconds that so many processes without any engine take for all jobs between them, once they
    are all ready."""
    program = (
        f"import sys; from {MODULE} import Job, decode_all; job = Job(key='', "
        "address=sys.argv[1]); decode_all(job); print(flush=True); sys.stdin.readline()\n"
        "for _ in range(int(sys.argv[2])): decode_all(job)\nprint(flush=True)"
    )
    command = [sys.executable, "-c", program, str(path), str(jobs // count)]
    pipe = subprocess.PIPE
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        for _ in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    start_s = time.perf_counter()
    # All begin before any is waited for: they are to run side by side.
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        process.communicate()
    return time.perf_counter() - start_s


def time_decoding(path: Path, workers: int) -> float:
    """Seconds of `DECODE_JOBS` jobs, from the moment at which every worker has done one."""
    jobs = make_jobs(DECODE_JOBS + workers, address=str(path))
    work = Work.of(f"{MODULE}:decode_all")
    with Ledger.in_memory() as ledger:
        results = LocalEngine(workers=workers).run(jobs, work, ledger)
        for _ in range(workers):
            next(results)
        start_s = time.perf_counter()
        count = sum(1 for _ in results)
        seconds = time.perf_counter() - start_s
    return seconds * DECODE_JOBS / count


def measure_gains(path: Path) -> tuple[float, float]:
    """(two workers over one, two plain processes over one), by the fastest round of each."""
    engine_s: dict[int, list[float]] = {1: [], 2: []}
    plain_s: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(DECODE_ROUNDS):
        for count in (1, 2):
            engine_s[count].append(time_decoding(path, count))
            plain_s[count].append(time_plain_processes(path, count, DECODE_JOBS))
    return min(engine_s[1]) / min(engine_s[2]), min(plain_s[1]) / min(plain_s[2])


def describe_cores() -> str:
    """Processors, and how many share a core, as far as Linux tells."""
    siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    told = siblings.read_text().strip() if siblings.exists() else "unknown"
    return f"{os.cpu_count()} processors (those of the first core: {told})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ray", action="store_true", help="Ray too: 800 MB more.")
    arguments = parser.parse_args()
    engines: dict[str, Engine] = {
        "this process": InlineEngine(),
        "local, 1 worker": LocalEngine(workers=1),
    }
    if arguments.ray:
        engines["ray, 1 actor"] = RayEngine(workers=1)
    overheads = measure_overheads(engines, JOBS)
    nothing = Work.of(f"{MODULE}:do_nothing")
    each_ms = {
        name: 1000 * time_engine(engine, make_jobs(NOTHINGS + 1), nothing) / NOTHINGS
        for name, engine in engines.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.mp4"
        write_video(path)
        gain, plain_gain = measure_gains(path)
    rows = [
        f"| {o.engine} | {min(o.engine_s):.3f} | {min(o.loop_s):.3f} "
        f"| {o.share:+.2%} | {'yes' if o.share < MOST_OVERHEAD else 'no'} "
        f"| {each_ms[o.engine]:.2f} |"
        for o in overheads
    ]
    page = f"""# Engines

`python benchmarks/engines.py{" --ray" if arguments.ray else ""}`: {JOBS} jobs of about \
{JOB_S:g} s, {ROUNDS} rounds of loop and engines in turn, the fastest of each; \
{platform.machine()}, Python {platform.python_version()}, {describe_cores()}. Start-up and set-up \
are not in it. Target: overhead below {MOST_OVERHEAD:.0%}.

| engine | seconds | bare loop | overhead | below target | a job of nothing, ms |
| --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

Two workers over one, {DECODE_JOBS} jobs that each decode {VIDEO_S} s of video at \
{SIZE_PX[0]}x{SIZE_PX[1]}, {DECODE_ROUNDS} rounds: **{gain:.2f} times**. Two plain processes \
without any engine, the same work: {plain_gain:.2f} times; that is all this machine gives. \
Target: {LEAST_GAIN} times, {"met" if gain >= LEAST_GAIN else "not met here"}; share of what the \
machine gives: {gain / plain_gain:.0%}.
"""
    print(page)
    RESULTS.write_text(page)


if __name__ == "__main__":
    main()
