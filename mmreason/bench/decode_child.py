"""One measurement in a process of its own: `python -m mmreason.bench.decode_child`, which reads a
job as JSON from its stdin and writes what it measured as JSON to its stdout.

Jobs: "read" (a reader), "rate" (how fast one core decodes), "first" (the first frame of a file),
"plan" (planning). `decode_run` repeats them.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

_STATUS = Path("/proc/self/status")


def run_job() -> None:
    job = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print must not get between

    def in_step() -> None:
        """Say that all is ready, and wait for the word to go on."""
        answers.write("ready\n")
        answers.flush()
        sys.stdin.readline()

    kinds = {
        "read": measure_reader,
        "rate": partial(measure_rate, in_step),
        "first": measure_first_frame,
        "plan": measure_planning,
    }
    try:
        answer = kinds[job.pop("job")](**job)
    except Exception as error:
        # A reader that cannot read this file is a row of the table, with its reason.
        text = " ".join(str(error).split())
        answer = {"error": f"{type(error).__name__}: {text}"[:300]}
    answers.write(json.dumps(answer) + "\n")
    answers.close()


def measure_reader(reader: str, request: dict[str, Any], turns: int) -> dict[str, Any]:
    """Seconds, memory over that after imports (MB of 1e6 bytes, None where the system does not
    tell), and the bar codes that came back."""
    from mmreason.bench import bar_code, decode_readers

    chosen = decode_readers.find_reader(reader)
    request["size_px"] = tuple(request["size_px"])
    decode_request = decode_readers.DecodeRequest(**request)
    # Imports are paid once a process; a program that reads videos has paid them.
    for module in chosen.imports:
        import_module(module)
    # The peak is begun anew after the imports, or their own peak would hide that of reading.
    before = _memory_mb(peak=False)
    _forget_peak()
    began = time.perf_counter()
    frames = chosen.read(decode_request)
    seconds = time.perf_counter() - began
    peak = _memory_mb(peak=True)
    # Checked after the clock has stopped.
    upright = (np.asarray(picture) for picture in frames.pixels)
    numbers = [bar_code.read_number(np.rot90(picture, -turns)) for picture in upright]
    return {
        "seconds": seconds,
        "extra_mb": None if before is None or peak is None else max(0.0, peak - before),
        "numbers": numbers,
        "times_s": frames.times_s,
    }


def measure_rate(in_step: Callable[[], None], path: str, max_frames: int) -> dict[str, Any]:
    """How many frames a second one decoder thread decodes, all of them and with those left out
    that no other needs (frames that were decoded count). `in_step` is called before each, so that
    several processes begin together."""
    import av

    answer = {}
    for name in ("all_hz", "reference_hz"):
        with av.open(path) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            context.thread_count = 1
            context.skip_frame = "DEFAULT" if name == "all_hz" else "NONREF"
            packets = []
            # Packets are read first: this is the speed of the decoder, not of the disk.
            for packet in container.demux(stream):
                if packet.size:
                    packets.append(packet)
                if len(packets) == max_frames:
                    break
            in_step()
            began = time.perf_counter()
            # None drains the decoder, whose last frames count too.
            frames = sum(len(context.decode(packet)) for packet in [*packets, None])
            answer[name] = frames / (time.perf_counter() - began)
    return answer


def measure_first_frame(path: str, size_px: list[int]) -> dict[str, Any]:
    """Seconds to open a file and have its first frame."""
    from mmreason.video import Video

    # Imported before the clock starts, as for the readers.
    import_module("mmreason.video.backends.pyav")
    began = time.perf_counter()
    with Video.open(path) as video:
        batch = video.frames_at([video.info.start_s], (size_px[0], size_px[1]))
        seconds = time.perf_counter() - began
        assert batch.exact.all()
    return {"seconds": seconds}


def measure_planning(path: str, candidates: int, chosen: int, dimensions: int) -> dict[str, Any]:
    """(method, seconds, frames chosen) of each planning method for `candidates`."""
    from mmreason.bench import decode_planning

    rows = decode_planning.time_methods(path, candidates, chosen, dimensions)
    return {"rows": [list(row) for row in rows]}


def _memory_mb(*, peak: bool) -> float | None:
    """Resident memory of this process, or the most there was; only Linux tells both."""
    if not _STATUS.exists():
        return None
    word = "VmHWM:" if peak else "VmRSS:"
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(word))


def _forget_peak() -> None:
    """Have the peak begin again from the present; where that is not allowed imports count too."""
    with contextlib.suppress(OSError):
        # Writing 5 resets the peak of resident memory, see proc(5).
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    run_job()
