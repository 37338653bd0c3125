"""Which jobs are done, kept in one SQLite file: results are written once, and a run that was
stopped goes on where it was.

Several processes may work through one ledger at once: a job belongs to the process that claimed it
until it is finished, given back, or that process has ended. Whether it has is told by a lock that
the operating system releases with the process, so that nobody waits for a dead one.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from mmreason.engines.claims import ClaimOwner, is_owner_alive
from mmreason.engines.jobs import Job, JobResult, encode_value
from mmreason.engines.ledger_file import connect_ledger
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

Claim = Literal["ours", "theirs"]
"""A claimed job is ours to run, or another process is at it."""


class LedgerCounts(NamedTuple):
    """Jobs of a ledger by state."""

    done: int
    failed: int
    open: int


class Ledger:
    """Results by job key. What was `finish`ed outlives the process.

    Example:
        >>> job = Job(key="k", address="a.mp4")
        >>> with Ledger.in_memory() as ledger:
        ...     ledger.claim(job)
        ...     ledger.finish(JobResult(key="k", address="a.mp4", value={"frames": 3}))
        ...     ledger.claim(job).value
        'ours'
        {'frames': 3}
    """

    def __init__(
        self, connection: sqlite3.Connection, path: str, *, retry_failed: bool = False
    ) -> None:
        """Wrap an open connection; people call `open` or `in_memory`."""
        self._connection = connection
        self._lock = threading.Lock()
        self.path = path
        """File as text, or `:memory:`."""
        self.retry_failed = retry_failed
        """Whether jobs that failed in an earlier run are claimed again, once."""
        self._retried: set[str] = set()
        self._owner = ClaimOwner(path)
        self._damaged = 0

    @classmethod
    def open(cls, path: str | Path, *, retry_failed: bool = False) -> Ledger:
        """Open or create a ledger file. UsageError where it is none, or cannot be written."""
        path = Path(path).expanduser()
        return cls(connect_ledger(path), str(path), retry_failed=retry_failed)

    @classmethod
    def in_memory(cls) -> Ledger:
        """A ledger that ends with the process."""
        return cls(connect_ledger(None), ":memory:")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was damaged and is run again."""
        count = self._damaged
        return (f"damaged results in {self.path}, run again: {count}",) if count else ()

    def claim(self, job: Job) -> JobResult | Claim:
        """The result where there is one; else "ours" (run it now), or "theirs": another process is
        running it."""
        with self._writing():
            row = self._connection.execute(_GET, (job.key,)).fetchone()
            if row is not None:
                state, owner = row[0], row[1]
                if (
                    state == "running"
                    and owner != self._owner.name
                    and is_owner_alive(self.path, owner)
                ):
                    return "theirs"
                is_retried = state == "failed" and self.retry_failed
                if state in ("done", "failed") and not (is_retried and self._retry(job.key)):
                    result = self._read(job.key, row)
                    if result is not None:
                        return result
                    self._damaged += 1
            now_ns = time.time_ns()
            self._connection.execute(_CLAIM, (job.key, job.address, self._owner.name, now_ns))
        return "ours"

    def count_death(self, key: str) -> int:
        """Note that a worker died while it ran a claimed job; returns how many did so far."""
        with self._writing():
            self._connection.execute("UPDATE jobs SET deaths = deaths + 1 WHERE key = ?", (key,))
            row = self._connection.execute("SELECT deaths FROM jobs WHERE key = ?", (key,))
            return row.fetchone()[0]

    def finish(self, result: JobResult) -> None:
        """Write the result of a claimed job. UsageError where it is no longer claimed."""
        value = None if result.is_failed else encode_value(result.value)
        row = (
            *("failed" if result.is_failed else "done", value, result.error),
            *(result.worker, result.seconds, result.attempts, time.time_ns()),
        )
        with self._writing():
            where = (result.key, self._owner.name)
            count = self._connection.execute(_FINISH, (*row, *where)).rowcount
        if count != 1:
            raise UsageError(f"{self.path}: {show_line(result.address)} was not claimed")

    def add_result(self, result: JobResult) -> bool:
        """Take over a result of another ledger; False, and nothing is written, where this one has
        one, or is at it. What was done is taken in place of what failed."""
        is_failed = result.is_failed
        value = None if is_failed else encode_value(result.value)
        row = (result.key, result.address, "failed" if is_failed else "done", value, result.error)
        with self._writing():
            found = self._connection.execute(_GET, (result.key,)).fetchone()
            if found is not None:
                state, owner = found[0], found[1]
                is_at_work = state == "running" and is_owner_alive(self.path, owner)
                if is_at_work or state == "done" or (state == "failed" and is_failed):
                    return False
            where = (result.worker, result.seconds, result.attempts, time.time_ns())
            self._connection.execute(_ADD, (*row, *where))
        return True

    def forget_done(self, key: str) -> None:
        """Forget that a job was done, where it was: it runs again."""
        with self._writing():
            self._connection.execute("DELETE FROM jobs WHERE key = ? AND state = 'done'", (key,))

    def release(self) -> None:
        """Give back all jobs that were claimed and not finished."""
        with self._writing():
            self._connection.execute(_RELEASE, (self._owner.name,))

    def list_results(self) -> Iterator[JobResult]:
        """All results, in the order of their keys; those that are damaged are passed over."""
        with self._lock, self._translated():
            rows = self._connection.execute(_LIST).fetchall()
        for key, *row in rows:
            result = self._read(key, row)
            if result is not None:
                yield result

    def count_states(self) -> LedgerCounts:
        """How many jobs are done, failed and open (claimed ones among them)."""
        with self._lock, self._translated():
            counts = dict(self._connection.execute(_COUNT).fetchall())
        done, failed = counts.pop("done", 0), counts.pop("failed", 0)
        return LedgerCounts(done, failed, sum(counts.values()))

    def close(self) -> None:
        """Give back what is claimed and release the file. May be called twice."""
        with suppress(UsageError, sqlite3.ProgrammingError):  # a full disk, or closed before
            self.release()
        with self._lock:
            self._connection.close()
        self._owner.end()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Ledger({self.path!r})"

    def _retry(self, key: str) -> bool:
        """Whether this failed job is to be run again: once, or a failure would be run for ever."""
        is_first = key not in self._retried
        self._retried.add(key)
        return is_first

    def _read(self, key: str, row: tuple | list) -> JobResult | None:
        """None for a row that is damaged."""
        state, _, address, value, error, worker, seconds, attempts = row
        try:
            return JobResult(
                key=key,
                address=str(address),
                value=parse_json(value) if state == "done" else None,
                error=show_line(str(error)) if state == "failed" else None,
                worker=show_line(str(worker)),
                seconds=float(seconds),
                attempts=int(attempts),
                from_ledger=True,
            )
        except (JsonInputError, TypeError, ValueError):
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._translated(), self._connection:
            # The right to write at once: what is read here must still hold when it is written.
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.OperationalError as error:
            raise UsageError(f"ledger {self.path} cannot be written ({error})") from error
        except sqlite3.Error as error:
            raise UsageError(
                f"ledger {self.path} is damaged ({error}); delete that file: its jobs run again"
            ) from error


def ledger_path(store_path: str | Path) -> Path:
    """Where the results of jobs lie that write into a store: beside it.

    Example:
        >>> ledger_path("talks.sqlite3").name
        'talks.sqlite3.jobs'
    """
    return Path(f"{store_path}.jobs")


def merge_ledgers(target: Ledger, source: Ledger) -> int:
    """Take over the results of `source` that `target` lacks; returns how many."""
    return sum(map(target.add_result, source.list_results()))


_COLUMNS = "state, owner, address, value, error, worker, seconds, attempts"
_GET = f"SELECT {_COLUMNS} FROM jobs WHERE key = ?"
_LIST = f"SELECT key, {_COLUMNS} FROM jobs WHERE state IN ('done', 'failed') ORDER BY key"
_COUNT = "SELECT state, COUNT(*) FROM jobs GROUP BY state"
_CLAIM = """
INSERT INTO jobs (key, address, state, owner, changed_ns) VALUES (?, ?, 'running', ?, ?)
ON CONFLICT (key) DO UPDATE SET address = excluded.address, state = 'running',
    owner = excluded.owner, changed_ns = excluded.changed_ns, value = NULL, error = NULL,
    deaths = CASE WHEN state = 'failed' THEN 0 ELSE deaths END
"""
_FINISH = """
UPDATE jobs SET state = ?, value = ?, error = ?, worker = ?, seconds = ?, attempts = ?,
    changed_ns = ?, owner = NULL
WHERE key = ? AND owner = ? AND state = 'running'
"""
_ADD = """
INSERT OR REPLACE INTO jobs
    (key, address, state, value, error, worker, seconds, attempts, changed_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RELEASE = "UPDATE jobs SET state = 'open', owner = NULL WHERE owner = ? AND state = 'running'"
