"""The store is its user's alone, touches no file of another program, and survives what others put
into it: a value that cannot be is asked for again."""

import errno
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mmreason import Reasoner, Store, UsageError
from mmreason.memory.store import default_path
from mmreason.memory.store_file import APPLICATION_ID, MOST_VALUE_BYTES
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.tools.replies import find_reply_fault, find_scan_fault
from mmreason.tools.views import View
from mmreason.video.types import Span

REPLY = {
    **{"text": "red", "confidence": 0.5, "tokens_in": 9, "tokens_visual": 8, "tokens_out": 1},
    "frame_times_s": [0.5, 1.5],
}
VIEW = View(Span(0, 2), (0.5, 1.5), (8, 8))


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def make_store(path: Path) -> Path:
    with Store.open(path) as store:
        store.put("key", {"text": "x"})
    return path


def test_a_store_is_for_its_user_alone(tmp_path: Path) -> None:
    path = make_store(tmp_path / "new" / "s.sqlite3")
    with Store.open(path) as store:
        store.put("key", {"text": "y"})
        files = list(path.parent.iterdir())
        assert len(files) > 1 and {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_default_store_of_an_earlier_version_is_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = make_store(default_path())
    path.chmod(0o644)
    path.parent.chmod(0o755)
    Store.open_default().close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


FOREIGN = {
    "of another program": ["CREATE TABLE notes (text)", "PRAGMA user_version = 1"],
    "with another program's number": ["PRAGMA application_id = 77"],
    "with an empty table": ["CREATE TABLE replies (key)"],
    "with other columns": ["CREATE TABLE replies (key TEXT PRIMARY KEY, value TEXT NOT NULL, x)"],
    "kept in a log": ["PRAGMA journal_mode = WAL", "CREATE TABLE notes (text)"],
}
ADDED = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON replies BEGIN DELETE FROM replies; END",
    "a view": "CREATE VIEW v AS SELECT * FROM replies",
    "a table": "CREATE TABLE other (x)",
    "an index": "CREATE INDEX i ON replies (value)",
    "a column": "ALTER TABLE replies ADD COLUMN more TEXT",
    "another table in place of its own": "ALTER TABLE replies RENAME TO answers",
}


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_another_program_is_refused_and_untouched(
    tmp_path: Path, statements: list[str]
) -> None:
    path = tmp_path / "s.sqlite3"
    run_sql(path, *statements)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="was left as it is: give another path") as caught:
        Store.open(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("statement", ADDED.values(), ids=ADDED)
def test_a_store_with_more_than_a_store_is_refused_and_untouched(
    tmp_path: Path, statement: str
) -> None:
    path = make_store(tmp_path / "s.sqlite3")
    run_sql(path, statement)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="its tables are not those of a store"):
        Store.open(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_store_from_before_it_had_a_number_is_taken_over(tmp_path: Path) -> None:
    path = make_store(tmp_path / "s.sqlite3")
    run_sql(path, "PRAGMA application_id = 0")
    with Store.open(path) as store:
        assert store.get("key") == {"text": "x"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_file_that_is_no_regular_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for path in (tmp_path / "link", Path("/dev/null"), tmp_path):
        with pytest.raises(UsageError, match="cannot be used"):
            Store.open(path)
    assert not (tmp_path / "nothing").exists()


VALUES: dict[str, Any] = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "null": "null",
    "a number": "7",
    "NaN": '{"text": NaN}',
    "an infinite number": '{"text": 1e999}',
    "a number of 4,300 digits": '{"text": ' + "9" * 4300 + "}",
    "deep": "[" * 100_000,
    "bytes": b"\xff\xfe\x00",
    "text that is not UTF-8": b'{"text": "\xff"}',
    "a real": 1.5,
    "large": '{"text": "' + "x" * MOST_VALUE_BYTES + '"}',
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_damaged_value_is_not_there_and_told(tmp_path: Path, value: Any) -> None:
    path = make_store(tmp_path / "s.sqlite3")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE replies SET value = ?, size = 'x', model = ?", (value, b"\xff"))
    with Store.open(path) as store:
        assert store.get("key") is None
        assert any("damaged and not used" in note and note.endswith(": 1") for note in store.notes)
        assert store.usage().by_model[0].name == "\N{REPLACEMENT CHARACTER}"
        store.put("key", {"text": "again"})
        assert store.get("key") == {"text": "again"}


def test_half_a_surrogate_pair_is_replaced_and_hidden_characters_are_kept() -> None:
    with Store.in_memory() as store:
        store.put("key", {"text": "a\ud800b\x9bc\u202e"})
        assert store.get("key") == {"text": "a\N{REPLACEMENT CHARACTER}b\x9bc\u202e"}


def test_a_video_whose_name_is_no_utf_8_is_kept_under_a_readable_name() -> None:
    with Store.in_memory() as store:
        store.put("key", {"text": "x"}, video="a\udcff\x1b.mp4", model="m\udcff")
        assert store.get("key") == {"text": "x"}
        assert [share.name for share in store.usage().by_video] == ["a\ufffd\ufffd.mp4"]


def test_a_value_of_too_many_bytes_is_not_kept_and_told() -> None:
    with Store.in_memory() as store:
        store.put("key", {"text": "x" * MOST_VALUE_BYTES})
        assert len(store) == 0 and store.get("key") is None
        assert any("not kept: 1" in note for note in store.notes)


REPLIES: dict[str, Any] = {
    "none": [],
    "two": [REPLY, REPLY],
    "no list": {"0": REPLY},
    "a text": ["red"],
    "without text": [{**REPLY, "text": None}],
    "text that is a list": [{**REPLY, "text": ["red"]}],
    "a note that is a number": [{**REPLY, "note": 1}],
    "confidence above 1": [{**REPLY, "confidence": 1.5}],
    "confidence that is a text": [{**REPLY, "confidence": "0.5"}],
    "confidence that is true": [{**REPLY, "confidence": True}],
    "tokens below 0": [{**REPLY, "tokens_in": -1}],
    "half a token": [{**REPLY, "tokens_out": 0.5}],
    "tokens without number": [{**REPLY, "tokens_visual": 10**39}],
    "no times": [{**REPLY, "frame_times_s": []}],
    "times that are texts": [{**REPLY, "frame_times_s": ["0.5", "1.5"]}],
    "a time for each letter": [{**REPLY, "frame_times_s": "ab"}],
}


@pytest.mark.parametrize("replies", REPLIES.values(), ids=REPLIES)
def test_what_cannot_be_the_replies_to_a_view_has_a_fault(replies: Any) -> None:
    assert find_reply_fault({"replies": replies}, [VIEW])


def test_what_the_store_keeps_has_no_fault() -> None:
    assert find_reply_fault({"replies": [REPLY, {**REPLY, "confidence": None}]}, [VIEW, VIEW]) == ""
    assert find_scan_fault({"frames": 3, "moments": [[0.5, 0.0, 1.0]]}) == ""


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"frames": 3},
        {"frames": "3", "moments": []},
        {"frames": 3, "moments": [[0.5, 0.0]]},
        {"frames": 3, "moments": [[0.5, 1.0, 1.0]]},
        {"frames": 3, "moments": [["0.5", 0.0, 1.0]]},
        {"frames": 3, "moments": "abc"},
    ],
)
def test_what_cannot_be_a_scan_has_a_fault(value: dict[str, Any]) -> None:
    assert find_scan_fault(value)


@pytest.mark.parametrize("text", ["[]", '{"replies": [{"text": "red"}]}', '{"frames": true}'])
def test_a_question_over_a_damaged_store_is_answered_and_told(
    tmp_path: Path, world_path: Path, text: str
) -> None:
    model = ScriptedModel(lambda text, frames: "red.", clip=ClipRecipe(frames=4, leaf_s=2.0))
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        first = Reasoner(model, store=store).ask(world_path, "What colour is it?")
    first_calls = model.calls
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE replies SET value = ?", (text,))
    with Store.open(path) as store:
        again = Reasoner(model, store=store).ask(world_path, "What colour is it?")
        assert (again.text, again.evidence) == (first.text, first.evidence)
        assert any("damaged" in note for note in again.settings["notes"])
    assert model.calls == 2 * first_calls
    with Store.open(path) as store:
        third = Reasoner(model, store=store).ask(world_path, "What colour is it?")
    assert model.calls == 2 * first_calls and not third.settings["notes"]


@pytest.fixture
def world_path(tmp_path: Path) -> Path:
    from mmreason.video.world import generate

    return generate.demo(0).save(tmp_path / "world.json")


@pytest.mark.parametrize("home", ["", "/", "relative"])
def test_a_home_that_is_none_keeps_the_store_in_memory(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    store = Store.open_default()
    assert store.path == ":memory:" and "set HOME or XDG_CACHE_HOME" in store.notes[0]
    assert not Path("/.cache").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_keeps_the_store_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr("mmreason.memory.store_file.os.open", fail)
    store = Store.open_default()
    assert store.path == ":memory:" and "cannot be written" in store.notes[0]


def test_a_disk_that_is_full_for_sqlite_keeps_the_store_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_file = sqlite3.connect

    def fail_on_disk(path: str, **options: Any) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("database or disk is full")
        return open_file(path, **options)

    monkeypatch.setattr("mmreason.memory.store_file.sqlite3.connect", fail_on_disk)
    store = Store.open_default()
    assert store.path == ":memory:" and "disk is full" in store.notes[0]


def test_a_default_store_of_another_program_is_an_error_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    default_path().parent.mkdir()
    run_sql(default_path(), "CREATE TABLE notes (text)")
    with pytest.raises(UsageError, match=r"it holds table notes.*give another path"):
        Store.open_default()


def test_no_value_is_written_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    with Store.open(path) as store:
        store.put("key", {"share": float("nan")})
    with closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute("SELECT value FROM replies").fetchone()
    assert json.loads(text) == {"share": None}
