"""Damaged and lying files through every verb: what was done, refused, marked or went wrong.

    python benchmarks/fuzz_video.py --files 500

Small clips of many kinds are written, then bits are flipped, ends cut off, holes made, parts
repeated, headers given absurd numbers. Each file goes through the command line in a process of its
own, with limits of time and memory; a scripted model stands in for a real one. Then its frames are
read in Python, from the file and from its bytes, and the number in each picture is held against
its time; its subtitles too. A second run goes on where an interrupted one ended. Prints Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_clips import CLIPS, FPS_HZ, write_clip
from mmreason.bench import bar_code

_MOST_FRAMES = 500
_FRAMES = re.compile(r"(\d+) wrong, (\d+) unreadable of (\d+) exact")
LIMIT_S = 60.0
"""For one verb on one file."""
MEMORY_BYTES = 1500 * 2**20
"""What a process may take beyond what it begins with."""
QUESTION = "What colour is the picture?"

LIES: dict[str, tuple[bytes, int, int]] = {
    "100,000 frames a second": (b"mdhd", 12, 100_000 * 512),
    "a billion ticks a frame": (b"stts", 12, 2**30),
    "four billion frames": (b"stts", 8, 2**32 - 1),
    "an endless film": (b"mvhd", 16, 2**32 - 1),
    "no time base": (b"mdhd", 12, 0),
    "pictures of 65535 pixels": (b"avc1", 24, 2**32 - 1),
    "samples of 4 GiB": (b"stsz", 4, 2**32 - 1),
    "an edit of ten years": (b"elst", 8, 2**31 - 1),
}
"""Of an mp4: the box, the place of a number of 4 bytes after its name, what it is made to say."""


def falsify_header(data: bytes, claim: str) -> bytes:
    """`data` of an mp4 with one of `LIES` told in it. Raises ValueError where there is no place.

    Example:
        >>> falsify_header(b"stts" + bytes(16), "four billion frames")[12:16]
        b'\\xff\\xff\\xff\\xff'
    """
    box, offset, value = LIES[claim]
    start = data.index(box) + len(box) + offset
    return data[:start] + value.to_bytes(4, "big") + data[start + 4 :]


def damage_file(whole: np.ndarray, rng: np.random.Generator) -> tuple[str, bytes]:
    """How, and the bytes: flipped bits, a missing end, a hole, a part twice, extreme numbers in
    what may be a header, or one of `LIES`."""
    data, way = whole.copy(), int(rng.integers(6))
    if way == 0:
        data[rng.integers(0, len(data), rng.integers(1, 60))] ^= np.uint8(rng.integers(1, 256))
        return "flipped bits", data.tobytes()
    if way == 1:
        return "cut short", data[: rng.integers(1, len(data))].tobytes()
    if way == 2:
        start = rng.integers(0, len(data))
        data[start : start + rng.integers(1, 2000)] = 0
        return "zeroed", data.tobytes()
    if way == 3:
        start, length = rng.integers(0, len(data)), rng.integers(1, 4000)
        again = [data[: start + length], data[start:]]
        return "a part twice", np.concatenate(again).tobytes()
    # Drawn in any case, so that the numbers after it are the same for every kind of file.
    claim = list(LIES)[rng.integers(len(LIES))]
    if way == 4 and LIES[claim][0] in whole.tobytes():
        return "lying header", falsify_header(whole.tobytes(), claim)
    # Numbers of headers, where they hurt most; other containers have theirs at the start.
    head = max(0, data.tobytes().find(b"moov"))
    for start in rng.integers(head, min(len(data) - 4, head + 1500), 4):
        number = int(rng.choice([0, 1, 2**16, 100_000, 2**31 - 1, 2**31, 2**32 - 1]))
        data[start : start + 4] = np.frombuffer(number.to_bytes(4, "big"), np.uint8)
    return "extreme numbers", data.tobytes()


def list_verbs(path: Path, out: Path) -> dict[str, list[str]]:
    """What the command line is asked to do with a file."""
    name, few = str(path), ["--n", "6", "--json"]
    return {
        "inspect": ["inspect", name, "--sheet", str(out / "i.png"), "--json"],
        "sample uniform": ["sample", name, *few, "--dump", str(out / "frames")],
        "sample fps": ["sample", name, "--plan", "fps", *few, "--sheet", str(out / "f.png")],
        "sample keyframes": [
            "sample",
            name,
            "--plan",
            "keyframes",
            *few,
            "--sheet",
            f"{out}/k.png",
        ],
        "sample shots": ["sample", name, "--plan", "shots", *few, "--sheet", f"{out}/s.png"],
        "caption": ["caption", name, "--store", str(out / "store"), "--json"],
        "ground": ["ground", name, "the red half", "--json"],
        "ask": ["ask", name, QUESTION, "--store", str(out / "store"), "--json"],
    }


def list_checks(path: Path, way: str) -> dict[str, Callable[[], str]]:
    """What is done in Python with a file damaged in this way, each with how it ends."""
    return {
        "frames_at": lambda: _read_frames(path, way),
        "frames of bytes": lambda: _read_frames(path.read_bytes(), way),
        "subtitles": lambda: _read_subtitles(path),
    }


def _read_frames(source: Path | bytes, way: str) -> str:
    """`done`, `marked`, `wrong` where a picture that is given as exact bears another number than
    its time, `smeared` where its number cannot be read.

    A file whose stamps were moved as a whole shows each frame at the time that it says, so the
    offset that most frames have is no mistake. Where the times themselves may have been changed
    pictures are held against their order alone; where a part stands twice against nothing.
    """
    from mmreason.video import Video, VideoError

    try:
        with Video.open(source, time_limit_s=LIMIT_S) as video:
            batch = video.frames_at(video.frame_times_s[:_MOST_FRAMES] + 1e-4)
            start_s = video.info.start_s
    except VideoError as error:
        return "refused" if "\n" not in str(error) else f"crash: {error}"
    # Frames that are marked as inexact are honest, whatever they show.
    sure = np.flatnonzero(batch.exact)
    read = [(row, bar_code.read_number(batch.pixels[row])) for row in sure.tolist()]
    # The number that each picture must bear at its time.
    due = np.round((batch.times_s - start_s) * FPS_HZ).astype(int)
    readable = [(row, number) for row, number in read if number is not None]
    unread = len(read) - len(readable)
    if way == "a part twice":
        wrong = 0
    elif way in ("lying header", "extreme numbers"):
        wrong = sum(b <= a for (_, a), (_, b) in pairwise(readable))
    else:
        # The offset that most frames have is that of the file.
        moved = Counter(number - int(due[row]) for row, number in readable)
        wrong = len(readable) - max(moved.values(), default=0)
    whole = "done" if len(sure) == len(batch) else "marked"
    outcome = "wrong" if wrong else "smeared" if unread else whole
    return f"{outcome}: {wrong} wrong, {unread} unreadable of {len(sure)} exact"


def _read_subtitles(path: Path) -> str:
    from mmreason.video import VideoError
    from mmreason.video.subtitles import find_subtitles

    try:
        return "done" if find_subtitles(path) is not None else "none"
    except VideoError as error:
        return "refused" if "\n" not in str(error) else f"crash: {error}"


def load_scripted(clip_path: Path) -> None:
    """Have every model be a scripted one, and import once what each process needs, back ends by
    reading a whole clip."""
    import cv2

    from mmreason import models, reasoner
    from mmreason.cli.common import quiet_libraries
    from mmreason.models.base import ClipRecipe
    from mmreason.models.scripted import ScriptedModel
    from mmreason.video.backends.choose import BACKENDS, why_not

    def reply(text: str, _: Any) -> str:
        return "[]" if text.startswith("Locate") else "a red star."

    quiet_libraries()
    assert reasoner and cv2  # imported for the processes to come
    clip = ClipRecipe(frames=4, size_px=(64, 48), leaf_s=1.0)
    models.load = lambda *_, **__: ScriptedModel(reply, clip=clip)
    for backend in BACKENDS:
        why_not(clip_path, backend)


def _try(verb: Sequence[str]) -> str:
    """How one verb ends: `done`, `marked`, `refused`, or what went wrong."""
    from mmreason.cli import main
    from mmreason.cli.common import NO_ANSWER

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(verb))
    error_text = err.getvalue().strip()
    if code in (0, NO_ANSWER):
        frames = json.loads(out.getvalue()).get("frames", [])
        return "done" if all(frame.get("exact", True) for frame in frames) else "marked"
    # One line that names the fault is a refusal; anything else is our fault.
    typed = code == 2 and error_text.startswith("error: ") and "\n" not in error_text
    return "refused" if typed else f"crash: code {code}, {error_text[-300:]}"


def _child(answers: Connection, path: Path, way: str, out: Path, allowed_bytes: int) -> None:
    """In a process of its own: every verb, each answered as soon as it is over."""
    # FFmpeg writes thousands of lines about such files.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    taken = pages * os.sysconf("SC_PAGE_SIZE") + allowed_bytes
    # A limit of its own for each process: one that asks for 40 GiB must fail alone.
    resource.setrlimit(resource.RLIMIT_AS, (taken, taken))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tries = {name: partial(_try, verb) for name, verb in list_verbs(path, out).items()}
    for name, attempt in (tries | list_checks(path, way)).items():
        began = time.monotonic()
        try:
            outcome = attempt()
        except BaseException as error:
            outcome = f"crash: {type(error).__name__}: {str(error)[:300]}"
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        # At once: what was done before a crash is kept.
        answers.send((name, outcome, time.monotonic() - began, grown_kb // 1024))


def run_file(path: Path, way: str, out: Path, limit_s: float, allowed_bytes: int) -> dict[str, Any]:
    """{verb: [outcome, seconds, MiB taken by then]}; a verb that does not end is a `hang`."""
    # Forked, so that imports are paid once for hundreds of files.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, path, way, out, allowed_bytes))
    process.start()
    # Or the pipe would stay open when the child ends, and the wait never be over.
    theirs.close()
    outcomes: dict[str, Any] = {}
    for name in (*list_verbs(path, out), *list_checks(path, way)):
        try:
            if not ours.poll(limit_s):
                outcomes[name] = ["hang", limit_s, 0]
                break
            verb, *result = ours.recv()
            outcomes[verb] = result
        except EOFError:
            process.join()
            outcomes[name] = [f"crash: process ended with {process.exitcode}", 0, 0]
            break
    process.kill()
    process.join()
    return outcomes


def run_fuzz(
    folder: Path, files: range, limit_s: float, allowed_bytes: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The outcomes of the files of these numbers; those in `folder/results.jsonl` are not tried
    again."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "results.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done_numbers = {row["file"] for row in done}
    kinds = {name: folder / f"{name}{clip.suffix}" for name, clip in CLIPS.items()}
    for name, path in kinds.items():
        if not path.exists():
            write_clip(path, name)
    load_scripted(next(iter(kinds.values())))
    # The number is the seed: a bad file can be made again from it.
    for number in sorted(set(files) - done_numbers):
        kind = list(kinds)[number % len(kinds)]
        rng = np.random.default_rng(number)
        way, data = damage_file(np.frombuffer(kinds[kind].read_bytes(), np.uint8), rng)
        bad = folder / f"bad-{number:04d}{kinds[kind].suffix}"
        bad.write_bytes(data)
        row = {"file": number, "kind": kind, "way": way}
        row["verbs"] = run_file(bad, way, folder / "out", limit_s, allowed_bytes)
        wrong = _wrong(row)
        for problem in wrong:
            say(f"{bad.name} ({kind}, {way}): {problem}")
        if not wrong:
            bad.unlink()  # what went wrong is kept
        with log.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        done.append(row)
    return sorted((row for row in done if row["file"] in files), key=lambda row: row["file"])


def _wrong(row: dict[str, Any]) -> list[str]:
    return [
        f"{verb}: {outcome}"
        for verb, (outcome, *_) in row["verbs"].items()
        if outcome == "hang" or outcome.startswith("crash")
    ]


def build_table(rows: list[dict[str, Any]]) -> str:
    """Counts by verb and by kind of damage, the slowest verb and the most memory, as Markdown."""
    columns = ("done", "marked", "refused", "none", "smeared", "wrong", "crash", "hang")
    by_verb: dict[str, Counter[str]] = {}
    by_way: dict[str, Counter[str]] = {}
    by_kind: dict[str, Counter[str]] = {}
    for row in rows:
        for verb, (outcome, *_) in row["verbs"].items():
            kind = outcome.split(":")[0]
            by_verb.setdefault(verb, Counter())[kind] += 1
            by_way.setdefault(row["way"], Counter())[kind] += 1
            by_kind.setdefault(row["kind"], Counter())[kind] += 1
    lines = []
    for title, counts in (("verb", by_verb), ("damage, all verbs", by_way), ("file", by_kind)):
        lines += [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        lines += [
            f"| {name} | " + " | ".join(str(count[column]) for column in columns) + " |"
            for name, count in sorted(counts.items())
        ]
        lines.append("")
    every = [result for row in rows for result in row["verbs"].values()]
    slowest_s = max(result[1] for result in every)
    most_mib = max(result[2] for result in every)
    wrong = sum(bool(_wrong(row)) for row in rows)
    numbers = (_FRAMES.search(row["verbs"].get("frames_at", [""])[0]) for row in rows)
    counted = np.array([[int(n) for n in match.groups()] for match in numbers if match])
    of_other, unreadable, exact = counted.sum(axis=0) if len(counted) else (0, 0, 0)
    lines.append(
        f"{len(rows)} files, {len(every)} runs of a verb; slowest {slowest_s:.1f} s, most memory "
        f"beyond the imports {most_mib} MiB; files with a crash or a hang: {wrong}"
    )
    lines.append(
        f"\nOf {exact:,} frames given as exact {of_other} are of another number and {unreadable} "
        "cannot be read."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Send damaged video files through every verb.")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="to share the work among processes")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-video"), help="kept, to go on")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="for one verb")
    options = parser.parse_args()
    files = range(options.first, options.first + options.files)
    print(build_table(run_fuzz(options.folder, files, options.limit_s, MEMORY_BYTES, print)))


if __name__ == "__main__":
    main()
