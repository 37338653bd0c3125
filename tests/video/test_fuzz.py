"""The fuzzing command: it counts, it goes on where it ended, and it sees a crash and a hang."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_video as fuzz


@pytest.fixture(autouse=True)
def restored_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command puts a scripted model in place of all; undone after each test."""
    from mmreason import models

    monkeypatch.setattr(models, "load", models.load)
    monkeypatch.setattr(
        fuzz, "CLIPS", {name: fuzz.CLIPS[name] for name in ("h264 mp4", "mpeg4 avi")}
    )


@pytest.mark.slow
def test_a_few_files_through_every_verb(tmp_path: Path) -> None:
    said: list[str] = []
    allowed = fuzz.MEMORY_BYTES
    rows = fuzz.run_fuzz(tmp_path, range(2), 60, allowed, said.append)
    assert said == []
    assert [row["file"] for row in rows] == [0, 1]
    assert all(len(row["verbs"]) == 11 for row in rows)
    again = fuzz.run_fuzz(tmp_path, range(3), 60, allowed, said.append)
    assert again[:2] == rows and len(again) == 3
    page = fuzz.build_table(again)
    assert "3 files, 33 runs of a verb" in page and "files with a crash or a hang: 0" in page
    assert [path.name for path in tmp_path.glob("bad-*")] == []


@pytest.mark.parametrize(
    ("act", "outcome"),
    [
        (lambda: time.sleep(30), "hang"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "crash: process ended with -9"),
        (lambda: bytearray(2**33), "crash: MemoryError: "),
        (lambda: 1 / 0, "crash: ZeroDivisionError: division by zero"),
    ],
)
def test_what_goes_wrong_is_seen(
    act, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "list_verbs", lambda *_: {"first": ["x"]})
    monkeypatch.setattr(fuzz, "list_checks", lambda *_: {})
    monkeypatch.setattr(fuzz, "_try", lambda _: act())
    found = fuzz.run_file(tmp_path / "a.mp4", "way", tmp_path, 1.0, fuzz.MEMORY_BYTES)
    assert found["first"][0] == outcome
    row = {"file": 0, "kind": "x", "way": "y", "verbs": found}
    assert "files with a crash or a hang: 1" in fuzz.build_table([row])


def test_an_untyped_error_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> None:
        raise KeyError("x")

    assert fuzz._try(["inspect", "nothing.mp4"]) == "refused"
    module = import_module("mmreason.cli.inspect")
    monkeypatch.setattr(module, "_inspect", lambda *_: failing(Path()))
    assert fuzz._try(["inspect", "nothing.mp4"]).startswith("crash: code 1, error: KeyError")


def test_every_way_of_damage_changes_the_bytes(tmp_path: Path) -> None:
    whole = np.frombuffer(fuzz.write_clip(tmp_path / "a.mp4", "h264 mp4").read_bytes(), np.uint8)
    ways = set()
    for seed in range(60):
        way, data = fuzz.damage_file(whole, np.random.default_rng(seed))
        same = fuzz.damage_file(whole, np.random.default_rng(seed))
        assert (way, data) == same
        ways.add(way)
    assert len(ways) == 6
    for claim, (_, _, value) in fuzz.LIES.items():
        told = fuzz.falsify_header(whole.tobytes(), claim)
        assert len(told) == len(whole) and value.to_bytes(4, "big") in told
