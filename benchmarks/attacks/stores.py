"""Store files that are damaged, of other programs, or work against their reader."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.attacks.harness import Attack, Limits, cli_call, find_fault
from benchmarks.attacks.material import QUESTION, Bench, answers

KIND = "store"
LIMITS = Limits(cpu_s=15, grown_mb=500, error_lines=2)
_REPLY = {"text": "red", "token_logprobs": [-0.1], "tokens_in": 1, "tokens_out": 1}


def wrong_values() -> dict[str, str | bytes]:
    """What stands in place of each stored value."""
    return {
        "an empty text": "",
        "no JSON": "hello",
        "null": "null",
        "a list": "[]",
        "a number": "1",
        "an object": "{}",
        "NaN": "NaN",
        "replies null": '{"replies": null}',
        "replies a number": '{"replies": 5}',
        "no replies": '{"replies": []}',
        "a reply of null": '{"replies": [null]}',
        "a reply of a list": '{"replies": [[]]}',
        "100 replies": json.dumps({"replies": [_REPLY] * 100}),
        "a text that is a number": json.dumps({"replies": [_REPLY | {"text": 5}]}),
        "a text that is null": json.dumps({"replies": [_REPLY | {"text": None}]}),
        "log-probabilities of text": json.dumps({"replies": [_REPLY | {"token_logprobs": ["x"]}]}),
        "log-probabilities above 0": json.dumps({"replies": [_REPLY | {"token_logprobs": [9e9]}]}),
        "NaN inside": '{"replies": [{"text": "red", "token_logprobs": [NaN]}]}',
        "4,300 digits": '{"replies": [{"text": "red", "tokens_in": ' + "9" * 4300 + "}]}",
        "5,000 digits": '{"replies": [{"text": "red", "tokens_in": ' + "9" * 5000 + "}]}",
        "1e999": '{"replies": [{"text": "red", "tokens_in": 1e999}]}',
        "negative tokens": json.dumps({"replies": [_REPLY | {"tokens_in": -5, "tokens_out": -5}]}),
        "a surrogate": '{"replies": [{"text": "\\ud800"}]}',
        "escapes": json.dumps({"replies": [_REPLY | {"text": "\x1b]0;x\x07"}]}),
        "100,000 brackets": "[" * 100_000 + "]" * 100_000,
        "20 MB": json.dumps({"replies": [_REPLY | {"text": "x" * 20_000_000}]}),
        "a blob": b"\xff\xfe\0\1",
        "unknown fields": json.dumps({"replies": [_REPLY | {"x": 1}], "y": 2}),
    }


def _sql(*statements: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        connection = sqlite3.connect(path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    return spoil


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return spoil


_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
_FOREIGN = {
    "a trigger that fills the disk": _sql(
        "CREATE TRIGGER t AFTER INSERT ON replies BEGIN "
        "INSERT OR REPLACE INTO replies (key, value) VALUES ('x', hex(zeroblob(300000000))); END"
    ),
    "a trigger that speaks": _sql(
        "CREATE TRIGGER t BEFORE INSERT ON replies BEGIN SELECT RAISE(ABORT, '\x1b]0;x\x07'); END"
    ),
    "a view in place of the table": _sql(
        "DROP TABLE replies",
        f"CREATE VIEW replies AS SELECT i AS key, i AS value, i AS video, i AS model, i AS size, "
        f"i AS used_ns FROM ({_ENDLESS})",
    ),
    "another table": _sql("CREATE TABLE bookmarks (url TEXT)"),
    "a generated column": _sql(
        "ALTER TABLE replies ADD COLUMN g TEXT AS (hex(zeroblob(1000000))) VIRTUAL"
    ),
    "an index of an expression": _sql("CREATE INDEX i ON replies (hex(value))"),
    "a check that fails": _sql(
        "DROP TABLE replies", "CREATE TABLE replies (key TEXT, value TEXT CHECK (0))"
    ),
    "a later version": _sql("PRAGMA user_version = 999"),
    "another program's number": _sql("PRAGMA application_id = 252006674"),
}
_DAMAGED = {
    "text": _bytes(lambda data: b"hello"),
    "a cut": _bytes(lambda data: data[: len(data) // 2]),
    "a changed page": _bytes(lambda data: data[:4096] + bytes(4096) + data[8192:]),
    "a changed head": _bytes(lambda data: data[:28] + b"\xff" * 40 + data[68:]),
    "zeros": _bytes(lambda data: bytes(len(data))),
    "the table is gone": _sql("DROP TABLE replies"),
}


def attacks(bench: Bench) -> Iterator[Attack]:
    """Values, then schemas, then files, each met by `ask` and by `cache`."""
    children, store = bench.children, bench.folder / "good-store"

    def ask(folder: Path, path: Path):
        arguments = ["ask", str(bench.world), QUESTION, "--store", str(path)]
        return children.run(*cli_call(arguments), folder, limits=LIMITS)

    def copy(folder: Path) -> Path:
        path = folder / "s"
        path.write_bytes(store.read_bytes())
        return path

    def control(folder: Path) -> str:
        ended = ask(folder, store)
        _sql()(store)  # its log goes into the file
        again = ask(folder, store)
        _sql()(store)
        if "served" not in again.out:
            return "the second answer does not tell what was served"
        return answers(ended, "red") or answers(again, "red")

    yield Attack(KIND, "a good store serves again", control, is_control=True)
    for name, value in wrong_values().items():

        def wrong(folder: Path, value: str | bytes = value) -> str:
            path = copy(folder)
            connection = sqlite3.connect(path)
            with connection:
                connection.execute("UPDATE replies SET value = ?", (value,))
            connection.close()
            ended = ask(folder, path)
            return find_fault(ended, LIMITS) or answers(ended, "red")

        yield Attack(KIND, f"each value is {name}", wrong)
    for verb in ("ask", "cache"):
        for name, spoil in _FOREIGN.items():

            def foreign(
                folder: Path, spoil: Callable[[Path], None] = spoil, verb: str = verb
            ) -> str:
                path = copy(folder)
                spoil(path)
                # What is not ours has to stay as it is, byte for byte.
                before = hashlib.sha256(path.read_bytes()).digest()
                ended = (
                    ask(folder, path)
                    if verb == "ask"
                    else children.run(*cli_call(["cache", "--store", "s"]), folder, limits=LIMITS)
                )
                if fault := find_fault(ended, LIMITS):
                    return fault
                if ended.code != 2:
                    return f"it was used (code {ended.code})"
                is_same = hashlib.sha256(path.read_bytes()).digest() == before
                return "" if is_same else "the file was changed"

            yield Attack(KIND, f"{verb}: {name}", foreign)
        for name, spoil in _DAMAGED.items():

            def damaged(
                folder: Path, spoil: Callable[[Path], None] = spoil, verb: str = verb
            ) -> str:
                path = copy(folder)
                spoil(path)
                if verb == "ask":
                    return find_fault(ask(folder, path), LIMITS)
                arguments = ["cache", "--store", "s"]
                return find_fault(children.run(*cli_call(arguments), folder, limits=LIMITS), LIMITS)

            yield Attack(KIND, f"{verb}: {name}", damaged)

    def other_program(folder: Path) -> str:
        """Another program's file, through a link."""
        other = folder / "places.sqlite"
        _sql("CREATE TABLE places (url TEXT)", "INSERT INTO places VALUES ('x')")(other)
        (folder / "s").symlink_to(other)
        before = other.read_bytes()
        ended = ask(folder, folder / "s")
        return find_fault(ended, LIMITS) or (
            "" if other.read_bytes() == before else "it was changed"
        )

    def device(folder: Path, target: str) -> str:
        (folder / "s").symlink_to(target)
        return find_fault(ask(folder, folder / "s"), LIMITS)

    def fifo(folder: Path) -> str:
        os.mkfifo(folder / "s")
        return find_fault(ask(folder, folder / "s"), LIMITS)

    yield Attack(KIND, "ask: another program's file through a link", other_program)
    yield Attack(KIND, "ask: /dev/zero", lambda folder: device(folder, "/dev/zero"))
    yield Attack(KIND, "ask: /dev/full", lambda folder: device(folder, "/dev/full"))
    yield Attack(KIND, "ask: a FIFO", fifo)
    yield Attack(KIND, "ask: a folder", lambda folder: device(folder, "."))
