"""Work for the tests of engines: what a video may do to the process that reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmreason.engines.jobs import Job


def do_chore(job: Job) -> Any:
    """Note that it ran, then do as the address says: `name`, or `name:deed`."""
    name, _, deed = job.address.partition(":")
    note_run(job, name)
    if deed == "raise":
        raise ValueError(f"{name}: is no video")
    if deed == "odd error":
        raise RuntimeError("first line\nsecond \x1b[31mline")
    if deed == "exit":
        sys.exit(5)
    if deed == "die":
        os.write(2, b"decoder: bad packet\n")
        os._exit(7)
    if deed == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if deed == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "die once" and count_runs(job, name) == 1:
        os._exit(7)
    if deed == "hang":
        time.sleep(60)
    if deed == "slow":
        time.sleep(0.3)
    if deed == "child":
        subprocess.Popen(["sleep", "60.0625"])
    if deed == "print":
        print("to standard output")
    if deed == "object":
        return object()
    if deed == "nan":
        return float("nan")
    if deed == "deep":
        value: list[Any] = []
        for _ in range(100):
            value = [value]
        return value
    return {"name": name, "letters": len(name), "process": os.getpid()}


def note_run(job: Job, name: str) -> None:
    """One line a run, whole, from any process."""
    if "runs" in job.settings:
        with Path(job.settings["runs"]).open("a") as file:
            file.write(f"{name} {os.getpid()}\n")


def count_runs(job: Job, name: str) -> int:
    """How often a job was begun, by any process."""
    lines = Path(job.settings["runs"]).read_text().splitlines()
    return sum(line.split()[0] == name for line in lines)


def load_parts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A set-up, which may fail as its settings say."""
    if settings.get("fail") == "raise":
        raise ValueError("weights are missing: mmreason weights get tiny")
    if settings.get("fail") == "die":
        os.write(2, b"cannot load libparts.so\n")
        os._exit(3)
    note = settings.get("note")
    if note:
        with Path(note).open("a") as file:
            file.write(f"{os.getpid()}\n")
    return {"model": settings["model"], "process": os.getpid()}


def use_parts(job: Job, parts: dict[str, Any]) -> dict[str, Any]:
    """What the set-up made, and the job."""
    return {"model": parts["model"], "address": job.address}


def spin(job: Job) -> int:
    """Work for a processor: so many rounds."""
    total = 0
    for number in range(job.settings["rounds"]):
        total += number * number % 7
    return total
