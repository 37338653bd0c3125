"""Actors of a cluster of this machine: deaths, time limits, resuming."""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from mmreason.engines.jobs import EngineError, Job, Work
from mmreason.engines.ledger import Ledger
from mmreason.engines.ray_engine import RayEngine
from mmreason.types import UsageError
from tests.engines.chores import do_chore

DEEDS = {
    "bad:raise": "bad: is no video",
    "crash:die": "worker died 2 times: its process ended",
    "memory:killed": "worker died 2 times: its process ended",
    "endless:hang": "took longer than the limit of 2 s",
    "object:object": "returned what JSON cannot hold",
}


@pytest.mark.full
def test_actors_may_die_and_a_resumed_run_does_what_is_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    jobs = [
        Job(key=a, address=a, settings={"runs": str(runs)})
        for a in ("first", *(f"{n}:slow" for n in range(6)), *DEEDS)
    ]
    environment = dict(os.environ)
    engine = RayEngine(workers=2, time_limit_s=2)
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        # 1. An actor is killed from outside; then the run is given up.
        results = engine.run(jobs, Work.of(do_chore), ledger)
        early = [next(results)]
        os.kill(int(early[0].value["process"]), signal.SIGKILL)
        early += [next(results) for _ in range(3)]
        cast(Generator, results).close()
        # 2. The next run does what is open, and no more.
        before = runs.read_text()
        later = list(engine.run(jobs, Work.of(do_chore), ledger))
    by_address = {r.address: r for r in later}
    assert by_address.keys() == {job.address for job in jobs}
    assert {r.address for r in later if r.from_ledger} >= {r.address for r in early}
    for address, result in by_address.items():
        error = DEEDS.get(address)
        assert (result.error or "").startswith(error or ""), address
        assert (result.error is None) == (error is None)
    again = {line.split()[0] for line in runs.read_text()[len(before) :].splitlines()}
    assert again.isdisjoint(r.address.partition(":")[0] for r in early)
    counts = [line.split()[0] for line in runs.read_text().splitlines()]
    assert counts.count("crash") == counts.count("memory") == 2
    # 3. Nothing is printed where results go, and the process is as it was.
    assert capfd.readouterr().out == ""
    assert dict(os.environ) == environment


@pytest.mark.full
def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with Ledger.in_memory() as ledger, pytest.raises(EngineError, match="cannot reach") as caught:
        engine = RayEngine(address="127.0.0.1:1")
        list(engine.run([Job(key="a", address="a")], Work.of(do_chore), ledger))
    assert "try --engine local" in str(caught.value) and "\n" not in str(caught.value)


def test_without_ray_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name == "ray":
            raise ImportError("no module named ray")
        return genuine(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with Ledger.in_memory() as ledger, pytest.raises(EngineError, match=r'pip install "\.\[ray\]"'):
        list(RayEngine().run([Job(key="a", address="a")], Work.of(do_chore), ledger))


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"gpus_per_worker": -1.0}, {"cpus_per_worker": float("nan")}],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        RayEngine(**options)
