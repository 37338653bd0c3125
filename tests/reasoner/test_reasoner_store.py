"""The store survives processes, threads and damage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmreason.store import Store, make_key
from mmreason.types import UsageError

ROOT = Path(__file__).resolve().parents[2]
RECIPE: dict[str, Any] = dict(
    content_hash="c",
    fingerprint="f",
    prompt="p",
    times_s=(0.5, 1.5),
    size_px=(64, 32),
    tool="look",
    max_new_tokens=96,
)


def test_round_trip_and_overwrite(tmp_path):
    with Store.open(tmp_path / "deep" / "s.sqlite3") as store:
        assert store.get("a") is None
        store.put("a", {"text": "é ☃"})
        store.put("a", {"text": "later"})
        assert store.get("a") == {"text": "later"}
        assert len(store) == 1
    with Store.open(tmp_path / "deep" / "s.sqlite3") as again:
        assert again.get("a") == {"text": "later"}


@pytest.mark.parametrize(
    "change",
    [
        {"content_hash": "other"},
        {"fingerprint": "other"},
        {"prompt": "other"},
        {"times_s": (0.5, 1.6)},
        {"size_px": (32, 64)},
        {"size_px": None},
        {"tool": "caption"},
        {"max_new_tokens": 97},
    ],
)
def test_everything_that_moves_a_reply_moves_its_key(change):
    same: dict[str, Any] = {"times_s": [0.5, 1.5 + 1e-9]}
    assert make_key(**RECIPE) != make_key(**(RECIPE | change))
    assert make_key(**RECIPE) == make_key(**RECIPE | same)


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "s.sqlite3"
    code = (
        "import sys; from mmreason.store import Store\n"
        "with Store.open(sys.argv[1]) as s:\n"
        "    for i in range(100): s.put(f'{sys.argv[2]}{i}', {'i': i})"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), name], env={"PYTHONPATH": str(ROOT)}
        )
        for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with Store.open(path) as store:
        assert len(store) == 200
        assert store.get("b99") == {"i": 99}


def test_a_file_that_is_no_store_is_one_clear_line(tmp_path):
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"this is not a database, it is a text of some length" * 50)
    with pytest.raises(UsageError, match=r"store .*s\.sqlite3 cannot be used") as caught:
        Store.open(path)
    assert "\n" not in str(caught.value)


def test_damage_found_while_reading_is_one_clear_line(tmp_path):
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        for i in range(500):
            store.put(str(i), {"text": "x" * 200})
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(UsageError, match="cannot be used"), Store.open(path) as store:
        for i in range(500):
            store.get(str(i))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be used"):
        Store.open(tmp_path)


def test_default_falls_back_to_memory_with_a_note(tmp_path, monkeypatch):
    blocked = tmp_path / "home"
    blocked.write_text("a file where the home should be")
    monkeypatch.setattr(Path, "home", lambda: blocked)
    store = Store.open_default()
    assert store.path == ":memory:"
    assert "kept in memory" in store.notes[0]
