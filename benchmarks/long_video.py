"""Time and memory of `mmreason inspect` and `sample` on a file of many hours, beside a short one.

    python benchmarks/long_video.py --hours 10 --folder long-files

The file is a clip of one minute, copied packet by packet as often as needed, with its stamps moved
on. Each command runs in a process of its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SIZE_PX = (320, 180)
FPS_HZ = 30
MINUTE_FRAMES = 60 * FPS_HZ
FRAMES = 32


def _pictures() -> Iterator[np.ndarray]:
    """A minute of six shots, each a pan over a rough texture: uint8 (H, W, 3)."""
    noise = np.random.default_rng(0)
    for _ in range(6):
        # Blocks of texture: easy to draw, and not so plain that an encoder skips them.
        coarse = noise.integers(20, 235, (12, 60, 3))
        canvas = np.kron(coarse, np.ones((15, 15, 1))).astype(np.uint8)
        for shift in range(MINUTE_FRAMES // 6):
            yield np.ascontiguousarray(canvas[:, shift : shift + SIZE_PX[0]])


def write_minute(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS_HZ, options={"preset": "veryfast"})
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for pixels in _pictures():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_repeated(path: Path, minute: Path, minutes: int) -> Path:
    """`minute` again and again, without encoding."""
    import av

    with av.open(str(path), "w") as writer:
        copy = None
        for number in range(minutes):
            with av.open(str(minute)) as reader:
                stream = reader.streams.video[0]
                copy = copy or writer.add_stream_from_template(stream)
                assert stream.time_base is not None
                # Moved on, so that each copy begins where the one before it ends.
                later = round(60 * number / stream.time_base)
                for packet in reader.demux(stream):
                    # The last packet of a demuxer is empty and only flushes.
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts += later
                    packet.dts += later
                    packet.stream = copy
                    writer.mux(packet)
    return path


def list_commands(path: Path, sheet: Path) -> dict[str, list[str]]:
    verbs = {
        "inspect": ["inspect", str(path)],
        "inspect --no-backends": ["inspect", str(path), "--no-backends"],
    }
    for plan in ("uniform", "keyframes", "shots"):
        argv = ["sample", str(path), "--plan", plan, "--n", str(FRAMES), "--sheet", str(sheet)]
        verbs[f"sample --plan {plan} --n {FRAMES}"] = argv
    return verbs


def measure_command(argv: list[str]) -> tuple[float, float]:
    """(seconds, MiB at most) of one run of the command line. RuntimeError where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mmreason", *argv], stdout=subprocess.DEVNULL)
    # The peak of this child alone; `resource` tells that of all children.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"mmreason {' '.join(argv)} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure inspect and sample on a long file.")
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--folder", type=Path, default=Path("long-video"), help="files are kept")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    minute = options.folder / "minute.mp4"
    if not minute.exists():
        write_minute(minute)
    files = {"1 min": minute}
    for name, minutes in (("1 h", 60), (f"{options.hours:g} h", round(60 * options.hours))):
        files[name] = options.folder / f"{minutes} minutes.mp4"
        if not files[name].exists():
            write_repeated(files[name], minute, minutes)
    sizes = ", ".join(f"{name}: {path.stat().st_size / 1e6:.0f} MB" for name, path in files.items())
    print(f"{SIZE_PX[0]}x{SIZE_PX[1]} H.264, {FPS_HZ} frames a second ({sizes})\n")
    print("| command | " + " | ".join(files) + " |")
    print("|---" * (len(files) + 1) + "|", flush=True)
    for name in list_commands(minute, Path("x.png")):
        cells = []
        for path in files.values():
            seconds, mib = measure_command(list_commands(path, options.folder / "sheet.png")[name])
            cells.append(f"{seconds:.1f} s, {mib:.0f} MiB")
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
