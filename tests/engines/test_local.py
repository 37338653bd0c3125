"""Workers of this machine: what a job may do to them, and what may be done to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest

from mmreason.engines.jobs import EngineError, Job, JobResult, Work
from mmreason.engines.ledger import Ledger
from mmreason.engines.local import LocalEngine
from mmreason.types import UsageError
from tests.engines.chores import do_chore, load_parts, use_parts

DEEDS = {
    "fine": None,
    "bad:raise": "bad: is no video",
    "odd:odd error": "RuntimeError: first line second \ufffd[31mline",
    "gone:exit": "SystemExit: 5",
    "crash:die": "worker died 2 times: ended with exit code 7; last it wrote: decoder: bad packet",
    "fault:segfault": "worker died 2 times: killed by SIGSEGV",
    "memory:killed": "worker died 2 times: killed by SIGKILL, as for lack of memory",
    "once:die once": None,
    "loud:print": None,
    "object:object": "returned what JSON cannot hold",
    "nan:nan": "returned what JSON cannot hold",
    "deep:deep": "returned JSON that has more than 64 brackets",
    "endless:hang": "took longer than the limit of 1 s",
}
TWICE = {"crash", "fault", "memory", "once"}

DRIVER = """
import sys
from mmreason.engines.jobs import Job, Work
from mmreason.engines.ledger import Ledger
from mmreason.engines.local import LocalEngine
ledger, runs, *addresses = sys.argv[1:]
jobs = [Job(key=a, address=a, settings={"runs": runs}) for a in addresses]
work = Work.of("tests.engines.chores:do_chore")
with Ledger.open(ledger) as opened:
    for result in LocalEngine(workers=2).run(jobs, work, opened):
        print(result.address, flush=True)
"""


def make_jobs(addresses: list[str], runs: Path) -> list[Job]:
    return [Job(key=a, address=a, settings={"runs": str(runs)}) for a in addresses]


def read_runs(runs: Path) -> list[str]:
    return [line.split()[0] for line in runs.read_text().splitlines()]


def list_workers() -> set[int]:
    """Processes that this one has started and that are workers."""
    children = psutil.Process().children()
    return {c.pid for c in children if "mmreason.engines.worker" in " ".join(c.cmdline())}


@pytest.fixture(scope="module")
def all_deeds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict, list[str]]]:
    """Results by address, and the runs, of one run over all that a job may do."""
    folder = tmp_path_factory.mktemp("deeds")
    jobs = make_jobs(list(DEEDS), folder / "runs")
    with Ledger.open(folder / "l.sqlite3") as ledger:
        engine = LocalEngine(workers=2, time_limit_s=1)
        results = {r.address: r for r in engine.run(jobs, Work.of(do_chore), ledger)}
        kept = {r.address: r.error for r in ledger.list_results()}
    assert kept == {address: result.error for address, result in results.items()}
    yield results, read_runs(folder / "runs")


@pytest.mark.parametrize("address", DEEDS)
def test_whatever_a_job_does_it_has_one_result(
    address: str, all_deeds: tuple[dict[str, JobResult], list[str]]
) -> None:
    results, runs = all_deeds
    result, error = results[address], DEEDS[address]
    name = address.partition(":")[0]
    if error is None:
        assert result.error is None and result.value["letters"] == len(name)
    else:
        assert result.value is None and (result.error or "").startswith(error)
        assert "\n" not in (result.error or "")
    attempts = 2 if name in TWICE else 1
    assert (result.attempts, runs.count(name)) == (attempts, attempts)


def test_workers_end_with_the_run_and_with_what_they_started(tmp_path: Path) -> None:
    jobs = make_jobs(["a:child", "b"], tmp_path / "runs")
    with Ledger.in_memory() as ledger:
        list(LocalEngine(workers=2).run(jobs, Work.of(do_chore), ledger))
    assert list_workers() == set()
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == SLEEP] == []


SLEEP = ["sleep", "60.0625"]


def test_a_worker_loads_its_parts_once(tmp_path: Path) -> None:
    note = tmp_path / "note"
    work = Work.of(use_parts, load_parts, {"model": "m", "note": str(note)})
    with Ledger.in_memory() as ledger:
        jobs = make_jobs(["a", "b", "c"], tmp_path / "runs")
        results = list(LocalEngine().run(jobs, work, ledger))
    assert {r.value["model"] for r in results} == {"m"}
    assert len(note.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"fail": "raise"}, "cannot be set up: weights are missing: mmreason weights get tiny"),
        (
            {"fail": "die"},
            "die before they begin .*exit code 3; last it wrote: cannot load libparts",
        ),
    ],
)
def test_a_set_up_that_fails_ends_the_run_and_no_job_is_blamed(
    settings: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with Ledger.in_memory() as ledger:
        jobs = make_jobs(["a", "b"], tmp_path / "runs")
        with pytest.raises(EngineError, match=reason):
            list(LocalEngine(workers=2).run(jobs, Work.of(use_parts, load_parts, settings), ledger))
        assert ledger.count_states() == (0, 0, 2)
    assert list_workers() == set()


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    jobs = make_jobs(["a", *(f"{n}:slow" for n in range(3))], runs)
    with Ledger.in_memory() as ledger:
        results = LocalEngine(workers=1).run(jobs, Work.of(do_chore), ledger)
        first = next(results)
        os.kill(int(first.worker.split(":")[1]), signal.SIGKILL)
        later = list(results)
    assert [r.error for r in later] == [None] * 3
    assert first.worker not in {r.worker for r in later}
    # Killed between two jobs, or in the middle of one that then ran twice.
    assert len(read_runs(runs)) - 4 == sum(r.attempts - 1 for r in later) <= 1


def test_results_given_up_on_end_the_workers_and_keep_what_is_done(tmp_path: Path) -> None:
    jobs = make_jobs(["a", "b:hang", "c:hang"], tmp_path / "runs")
    with Ledger.in_memory() as ledger:
        results = LocalEngine(workers=2).run(jobs, Work.of(do_chore), ledger)
        assert next(results).address == "a"
        with pytest.raises(KeyboardInterrupt):
            cast(Generator, results).throw(KeyboardInterrupt)  # as Ctrl-C does, wherever it comes
        assert list_workers() == set()
        assert ledger.count_states()[:2] == (1, 0)


def test_a_killed_driver_leaves_no_worker_and_a_resumed_one_runs_what_is_open(
    tmp_path: Path,
) -> None:
    runs, ledger = tmp_path / "runs", tmp_path / "l.sqlite3"
    command = [sys.executable, "-c", DRIVER, str(ledger), str(runs)]
    addresses = ["a", "b", "c:hang", "d:hang", "e"]
    driver = subprocess.Popen([*command, *addresses], stdout=subprocess.PIPE, text=True)
    with driver:
        assert driver.stdout is not None
        done = {driver.stdout.readline().strip() for _ in range(2)}
        assert done == {"a", "b"}
        _wait_until(lambda: {"c", "d"} <= set(read_runs(runs)))
        workers = psutil.Process(driver.pid).children()
        assert len(workers) == 2
        driver.kill()
    # In the middle of a job that sleeps for a minute.
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []
    first_runs = read_runs(runs)
    with Ledger.open(ledger) as opened:
        jobs = make_jobs(["a", "b", "e"], runs)
        results = list(LocalEngine().run(jobs, Work.of(do_chore), opened))
    assert sorted((r.address, r.from_ledger) for r in results) == [
        ("a", True),
        ("b", True),
        ("e", False),
    ]
    assert read_runs(runs)[len(first_runs) :] == ["e"]
    assert sorted(tmp_path.iterdir()) == [ledger, runs]


def test_a_thousand_files_of_which_fifty_are_no_videos(tmp_path: Path) -> None:
    addresses = [f"{n}:raise" if n % 20 == 7 else str(n) for n in range(1000)]
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        jobs = make_jobs(addresses, tmp_path / "runs")
        results = list(LocalEngine(workers=2).run(jobs, Work.of(do_chore), ledger))
        assert ledger.count_states() == (950, 50, 0)
    assert sorted(r.address for r in results if r.is_failed) == sorted(
        a for a in addresses if a.endswith("raise")
    )
    runs = read_runs(tmp_path / "runs")
    assert len(runs) == len(set(runs)) == 1000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"workers": 0}, "workers must be from 1 to 512, got 0"),
        ({"workers": 513}, "workers must be from 1 to 512, got 513"),
        ({"time_limit_s": 0.0}, "must be above 0 s, got 0"),
        ({"time_limit_s": float("nan")}, "must be above 0 s, got nan"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        LocalEngine(**options)


def _wait_until(is_true) -> None:
    deadline_s = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
