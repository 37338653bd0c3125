"""How long the data doctor takes for many rows, each with a video of its own.

    python benchmarks/data_check.py --rows 10000

A few short clips are encoded, and each file is one of them with a box of other bytes at its end, so
that no two files are equal. Both ways of reading are timed: headers only, and with a first frame.
Targets on two cores: 60 s and 120 s for 10,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from mmreason.report.text import format_count
from mmreason.training.data.doctor.check import CheckSettings, check_samples
from mmreason.training.data.doctor.sample_file import read_sample_file

CLIPS = 4
FRAMES, RATE_HZ = 24, 8
SIZE_PX = (320, 240)


def encode_clip(path: Path, seed: int) -> bytes:
    """A clip of three seconds: blurred noise that drifts."""
    width, height = SIZE_PX
    blocks = np.random.default_rng(seed).integers(0, 255, (height // 20, width // 20, 3), np.uint8)
    picture = blocks.repeat(20, axis=0).repeat(20, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for shift in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, shift, axis=1))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def make_rows(folder: Path, count: int) -> Path:
    """A LLaVA file of so many rows, and their videos beside it."""
    clips = [encode_clip(folder / f"clip{seed}.mp4", seed) for seed in range(CLIPS)]
    (folder / "videos").mkdir()
    rows = []
    for number in range(count):
        # A `free` box, which every reader passes over.
        box = (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big")
        name = f"videos/{number}.mp4"
        (folder / name).write_bytes(clips[number % CLIPS] + box)
        turns = [("human", f"<video>\nWhat drifts in {number}?"), ("gpt", f"pattern {number}")]
        conversation = [{"from": speaker, "value": text} for speaker, text in turns]
        rows.append({"id": str(number), "video": name, "conversations": conversation})
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def time_check(path: Path, *, frames: bool) -> tuple[float, int]:
    """Seconds of the whole check, reading the rows among it, and its problems."""
    start_s = time.perf_counter()
    report = check_samples([read_sample_file(path)], CheckSettings(frames=frames))
    return time.perf_counter() - start_s, report.problems


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    count = parser.parse_args().rows
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        path = make_rows(Path(folder), count)
        for name, frames in (("headers only", False), ("with a first frame", True)):
            seconds, problems = time_check(path, frames=frames)
            print(
                f"{name}: {seconds:.1f} s for {format_count(count, 'row')} on {cores} cores "
                f"({count / seconds:,.0f} rows/s, {problems} problems)",
                flush=True,
            )


if __name__ == "__main__":
    main()
