"""The ledger: results written once, claims that end with their process, files that are none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mmreason.engines.base import InlineEngine
from mmreason.engines.jobs import Job, JobResult, Work
from mmreason.engines.ledger import Ledger, merge_ledgers
from mmreason.types import UsageError
from tests.engines.chores import do_chore

A = Job(key="a", address="a.mp4")
DONE = JobResult(key="a", address="a.mp4", value={"frames": 3}, worker="w", seconds=1.5)

CLAIM_AND_WAIT = """
import sys
from mmreason.engines.jobs import Job
from mmreason.engines.ledger import Ledger, merge_ledgers
ledger = Ledger.open(sys.argv[1])
print(ledger.claim(Job(key="a", address="a.mp4")), flush=True)
sys.stdin.read()
"""


def test_a_result_outlives_the_process_and_is_given_instead_of_a_claim(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with Ledger.open(path) as ledger:
        assert ledger.claim(A) == "ours"
        ledger.finish(DONE)
    with Ledger.open(path) as ledger:
        result = ledger.claim(A)
        assert isinstance(result, JobResult) and result.from_ledger
        assert (result.value, result.worker, result.seconds) == ({"frames": 3}, "w", 1.5)
        assert ledger.count_states() == (1, 0, 0)
        assert [r.key for r in ledger.list_results()] == ["a"]
    assert list(tmp_path.iterdir()) == [path], "locks and logs of SQLite are gone"
    assert path.stat().st_mode & 0o077 == 0, "addresses are nobody else's business"


def test_a_result_is_written_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.sqlite3") as ledger:
        with pytest.raises(UsageError, match=r"a\.mp4 was not claimed"):
            ledger.finish(DONE)
        ledger.claim(A)
        ledger.finish(DONE)
        with pytest.raises(UsageError, match="was not claimed"):
            ledger.finish(DONE)


def test_a_claim_is_of_one_process_until_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with Ledger.open(path) as ledger:
        other = subprocess.Popen(
            [sys.executable, "-c", CLAIM_AND_WAIT, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with other:
            assert other.stdout is not None and other.stdout.readline() == "ours\n"
            assert ledger.claim(A) == "theirs"
            other.kill()
        assert ledger.claim(A) == "ours", "a dead process claims nothing"
    assert list(tmp_path.iterdir()) == [path], "nor does its lock stay"


def test_two_ledgers_of_one_process_keep_their_claims_apart(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with Ledger.open(path) as ledger, Ledger.open(path) as other:
        assert (ledger.claim(A), other.claim(A)) == ("ours", "theirs")
        ledger.release()
        assert other.claim(A) == "ours"


def test_two_runs_share_one_list_and_run_each_job_once(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    jobs = [
        Job(key=str(n), address=f"{n}:slow" if n < 2 else str(n), settings={"runs": str(runs)})
        for n in range(12)
    ]
    results: list[list[JobResult]] = []

    def run() -> None:
        with Ledger.open(tmp_path / "l.sqlite3") as ledger:
            results.append(list(InlineEngine().run(jobs, Work.of(do_chore), ledger)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(r.key for r in side) for side in results] == [sorted(j.key for j in jobs)] * 2
    names = [line.split()[0] for line in runs.read_text().splitlines()]
    assert sorted(names) == sorted(str(n) for n in range(12))


def test_what_failed_is_run_again_once_and_only_on_request(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    failed = JobResult(key="a", address="a.mp4", error="a.mp4: is no video")
    with Ledger.open(path) as ledger:
        ledger.claim(A)
        assert ledger.count_death("a") == 1
        ledger.finish(failed)
        result = ledger.claim(A)
        assert isinstance(result, JobResult) and result.error == failed.error
    with Ledger.open(path, retry_failed=True) as ledger:
        assert ledger.claim(A) == "ours"
        assert ledger.count_death("a") == 1, "deaths count anew"
        ledger.finish(failed)
        assert isinstance(ledger.claim(A), JobResult), "or it would be run for ever"


def test_a_damaged_result_is_told_and_run_again(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with Ledger.open(path) as ledger:
        ledger.claim(A)
        ledger.finish(DONE)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE jobs SET value = '{\"frames\": '")
    with Ledger.open(path) as ledger:
        assert list(ledger.list_results()) == []
        assert ledger.claim(A) == "ours"
        assert ledger.notes == (f"damaged results in {path}, run again: 1",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no database" * 100, "file is not a database"),
        ("CREATE TABLE replies (key TEXT)", "a database of another program"),
        ("CREATE TABLE jobs (key TEXT)", "a database of another program"),
        ("PRAGMA application_id = 0x6D6D726C; PRAGMA user_version = 9", "a newer mmreason"),
        (
            "PRAGMA application_id = 0x6D6D726C; PRAGMA user_version = 1; CREATE TABLE t (x)",
            "not those of a ledger",
        ),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_stays(
    content: bytes | str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "l.sqlite3"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(content)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=reason) as caught:
        Ledger.open(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_ledger_damaged_in_the_middle_is_told(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with Ledger.open(path) as ledger:
        for number in range(200):
            job = Job(key=f"{number:064}", address="a" * 200)
            ledger.claim(job)
            ledger.finish(JobResult(key=job.key, address=job.address, value="v" * 200))
    data = bytearray(path.read_bytes())
    data[8192:] = b"\x5a" * (len(data) - 8192)
    path.write_bytes(data)
    with (
        pytest.raises(UsageError, match=r"is damaged .* delete that file: its jobs run again"),
        Ledger.open(path) as ledger,
    ):
        list(ledger.list_results())


def test_a_folder_and_a_path_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null/l.sqlite3")):
        with pytest.raises(UsageError, match=f"ledger {path} cannot be used"):
            Ledger.open(path)


def test_ledgers_of_shards_become_one_and_done_beats_failed(tmp_path: Path) -> None:
    def write(name: str, *results: JobResult) -> Ledger:
        ledger = Ledger.open(tmp_path / name)
        for result in results:
            ledger.claim(Job(key=result.key, address=result.address))
            ledger.finish(result)
        return ledger

    failed = JobResult(key="a", address="a.mp4", error="worker died 2 times")
    other = JobResult(key="b", address="b.mp4", error="is no video")
    with write("one", failed) as target, write("two", DONE, other) as source:
        source.claim(Job(key="c", address="c.mp4"))
        assert merge_ledgers(target, source) == 2
        assert {r.key: r.error for r in target.list_results()} == {"a": None, "b": "is no video"}
        assert merge_ledgers(target, source) == 0
        assert merge_ledgers(source, target) == 0, "nothing is lost the other way round"
        target.forget_done("a")
        target.forget_done("b")
        assert target.claim(A) == "ours"
