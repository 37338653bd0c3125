"""Whose a claimed job is, and whether that process still lives: told by a lock that the operating
system releases with the process.

The number of a process would not tell: it is given out again, and means nothing on another machine.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path


class ClaimOwner:
    """The name under which this ledger claims jobs, and a lock that ends with the process."""

    def __init__(self, ledger_path: str) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = None if ledger_path == ":memory:" else _lock_path(ledger_path, self.name)
        self._descriptor: int | None = None
        if self._path is not None:
            _remove_dead_locks(ledger_path)
            # Before anything is claimed under this name: it is never seen without its lock.
            self._descriptor = _create_lock(self._path)

    def end(self) -> None:
        if self._descriptor is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def _lock_path(ledger_path: str, owner: str) -> Path:
    # The owner may come out of a foreign file.
    return Path(f"{ledger_path}.{owner[:80].replace('/', '_')}.lock")


def _create_lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Whoever looked at it before it was locked took it for that of a dead process.
        if path.exists():
            return descriptor
        os.close(descriptor)


def is_owner_alive(ledger_path: str, owner: str | None) -> bool:
    """Whether the process of that name still works."""
    if not owner or ledger_path == ":memory:":
        return False
    return not _remove_if_dead(_lock_path(ledger_path, str(owner)))


def _remove_dead_locks(ledger_path: str) -> None:
    path = Path(ledger_path)
    prefix = f"{path.name}."
    for lock in path.parent.iterdir():
        if lock.name.startswith(prefix) and lock.suffix == ".lock":
            _remove_if_dead(lock)


def _remove_if_dead(lock: Path) -> bool:
    """Remove a lock that no process holds; True also where there is none."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
