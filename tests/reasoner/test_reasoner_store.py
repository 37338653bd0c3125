"""The store survives processes, threads and damage."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmreason.memory.store import Store, make_key
from mmreason.types import UsageError

ROOT = Path(__file__).resolve().parents[2]
RECIPE: dict[str, Any] = dict(
    content_hash="c",
    fingerprint="f",
    prompt="p",
    clips=[((0.5, 1.5), (64, 32))],
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
        {"clips": [((0.5, 1.6), (64, 32))]},
        {"clips": [((0.5, 1.5), (32, 64))]},
        {"clips": [((0.5,), (64, 32)), ((1.5,), (64, 32))]},
        {"max_new_tokens": 97},
    ],
)
def test_everything_that_moves_a_reply_moves_its_key(change):
    same: dict[str, Any] = {"clips": [([0.5, 1.5 + 1e-9], (64, 32))]}
    assert make_key(**RECIPE) != make_key(**(RECIPE | change))
    assert make_key(**RECIPE) == make_key(**RECIPE | same)


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "s.sqlite3"
    code = (
        "import sys; from mmreason.memory.store import Store\n"
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


def write_old_file(path: Path) -> None:
    """A file as it was before stores had versions."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE replies (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute("INSERT INTO replies VALUES ('old', '{\"text\": \"kept\"}')")
    connection.close()


def test_an_old_file_is_brought_up_to_date(tmp_path):
    path = tmp_path / "s.sqlite3"
    write_old_file(path)
    with Store.open(path) as store:
        assert store.get("old") == {"text": "kept"}
        store.put("new", {"text": "x"}, video="a.mp4", model="nano")
        usage = store.usage()
    assert (usage.entries, usage.size_bytes) == (2, 3 + 16 + 3 + 13)
    assert [share.name for share in usage.by_model] == ["(unknown)", "nano"]
    with Store.open(path) as again:
        assert len(again) == 2


def test_several_processes_bring_one_file_up_to_date(tmp_path):
    path = tmp_path / "s.sqlite3"
    write_old_file(path)
    code = (
        "import sys; from mmreason.memory.store import Store\n"
        "with Store.open(sys.argv[1]) as s: s.put(sys.argv[2], {})"
    )
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(i)], env={"PYTHONPATH": str(ROOT)}
        )
        for i in range(4)
    ]
    assert [opener.wait(60) for opener in openers] == [0] * 4
    with Store.open(path) as store:
        assert len(store) == 5


def test_a_newer_file_is_refused(tmp_path):
    path = tmp_path / "s.sqlite3"
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="written by a newer mmreason"):
        Store.open(path)


def value(size: int) -> dict[str, Any]:
    return {"text": "x" * (size - len('{"text": ""}') - 2)}


def test_what_was_not_used_for_longest_is_forgotten(tmp_path):
    with Store.open(tmp_path / "s.sqlite3", max_bytes=1000) as store:
        for i in range(10):
            store.put(f"k{i}", value(100))
        assert (len(store), store.usage().size_bytes) == (10, 1000)
        assert store.get("k0") is not None
        store.put("kx", value(100))
        kept = [key for key in ("k0", *(f"k{i}" for i in range(1, 10)), "kx") if store.get(key)]
    assert kept == ["k0", *(f"k{i}" for i in range(3, 10)), "kx"]


def test_use_is_remembered_over_processes(tmp_path):
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        for i in range(10):
            store.put(f"k{i}", value(100))
    with Store.open(path) as store:
        assert store.get("k0") is not None
    with Store.open(path, max_bytes=500) as store:
        store.put("kx", value(100))
        assert store.get("k0") is not None and store.get("k1") is None
        assert store.usage().size_bytes <= 450


def test_many_reads_are_written_down_before_the_end(tmp_path):
    path = tmp_path / "s.sqlite3"
    store = Store.open(path)
    for i in range(300):
        store.put(f"k{i}", {})
    before = store._connection.execute("SELECT used_ns FROM replies WHERE key = 'k0'").fetchone()
    for i in range(300):
        store.get(f"k{i}")
    after = store._connection.execute("SELECT used_ns FROM replies WHERE key = 'k0'").fetchone()
    assert after > before
    store.close()
    store.close()


def test_an_old_large_file_shrinks_to_its_limit(tmp_path):
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        for i in range(50):
            store.put(f"k{i}", value(1000))
    with Store.open(path, max_bytes=10_000) as store:
        store.put("last", value(1000))
        assert store.usage().size_bytes <= 9_100
        assert store.get("last") is not None
    with pytest.raises(UsageError, match="max_bytes must be 1 or more"):
        Store.open(path, max_bytes=0)


def test_processes_that_write_at_once_stay_below_the_limit(tmp_path):
    path = tmp_path / "s.sqlite3"
    code = (
        "import sys; from mmreason.memory.store import Store\n"
        "with Store.open(sys.argv[1], max_bytes=20000) as s:\n"
        "    for i in range(100): s.put(f'{sys.argv[2]}{i}', {'text': 'x' * 480})"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), name], env={"PYTHONPATH": str(ROOT)}
        )
        for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with Store.open(path) as store:
        assert 9_000 < store.usage().size_bytes <= 21_000


def test_usage_by_model_and_video_and_clear(tmp_path):
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        store.put("a", value(500), video="x.mp4", model="nano")
        store.put("b", value(300), video="y.mp4", model="nano")
        store.put("c", value(10_000), video="y.mp4", model="other")
        usage = store.usage()
        assert [(s.name, s.entries) for s in usage.by_model] == [("other", 1), ("nano", 2)]
        assert [(s.name, s.entries) for s in usage.by_video] == [("y.mp4", 2), ("x.mp4", 1)]
        assert sum(share.size_bytes for share in usage.by_video) == usage.size_bytes
        assert usage.file_bytes > usage.size_bytes
        assert json.loads(json.dumps(usage.to_dict()))["by_video"][1]["name"] == "x.mp4"
        assert store.clear() == 3
        assert (len(store), store.get("a")) == (0, None)
        assert store.usage().file_bytes < usage.file_bytes
        store.put("d", {})
        assert len(store) == 1


def test_clear_beside_a_reader_empties_at_once(tmp_path):
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store, Store.open(path) as other:
        store.put("a", {})
        assert other.get("a") == {}
        reading = other._connection.execute("SELECT key FROM replies")
        assert reading.fetchone() == ("a",)
        assert store.clear() == 1
        reading.close()
        assert other.get("a") is None
