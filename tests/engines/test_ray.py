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
from mmreason.engines.local import LocalEngine
from mmreason.engines.ray_engine import RayEngine
from mmreason.types import UsageError
from tests.engines.chores import do_chore

DEEDS = {
    "bad:raise": "bad: is no video",
    "crash:die": "worker died 2 times: ",
    "memory:killed": "worker died 2 times: ",
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
        for a in ("first", *DEEDS, "last:slow", "finally:slow")
    ]
    environment = dict(os.environ)
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        # 1. An actor is killed from outside; then the run is given up before its end.
        results = RayEngine(workers=2, time_limit_s=2).run(jobs, Work.of(do_chore), ledger)
        early = [next(results)]
        os.kill(early[0].value["process"], signal.SIGKILL)
        early += [next(results) for _ in range(len(jobs) - 3)]
        cast(Generator, results).close()
        # 2. Resumed, on this machine alone: what is open is run, and no more.
        before = runs.read_text()
        later = list(LocalEngine(time_limit_s=2).run(jobs, Work.of(do_chore), ledger))
    assert {r.address for r in later if r.from_ledger} == {r.address for r in early}
    assert len(later) == len(jobs)
    again = {line.split()[0] for line in runs.read_text()[len(before) :].splitlines()}
    assert again == {r.address.partition(":")[0] for r in later if not r.from_ledger}
    # 3. Every job has the result that it should have, whoever ran it.
    for result in later:
        assert (result.error or "").startswith(DEEDS.get(result.address, "")), result
        assert result.is_failed == (result.address in DEEDS)
    # 4. Nothing is printed where results go, and the process is as it was.
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
