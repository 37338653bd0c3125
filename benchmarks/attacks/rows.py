"""Rows of JSON lines that must not end a batch: of questions, of earlier answers, of problems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.attacks.harness import Attack, Limits, cli_call, find_fault
from benchmarks.attacks.material import QUESTION, Bench

KIND = "rows"
LIMITS = Limits(cpu_s=15, grown_mb=400, error_lines=6)
_GOOD = {"video": "star.json", "question": QUESTION, "id": "good"}


def hostile_rows() -> dict[str, bytes]:
    """A line by what is odd about it."""
    row = {"video": "star.json", "question": "What shape is it?"}

    def line(**changes: object) -> bytes:
        return json.dumps(row | changes).encode()

    deep = "[" * 100_000 + "]" * 100_000
    return {
        "a surrogate in id": line(id="\ud800"),
        "a surrogate in video": line(video="\ud800.mp4"),
        "a surrogate in question": line(question="What \ud800?"),
        "a surrogate in options": line(options=["\udfff", "red"]),
        "a surrogate in subtitles": line(subtitles="\ud800.srt"),
        "a surrogate in a key": json.dumps(row | {"\ud800": 1}).encode(),
        "100,000 brackets": deep.encode(),
        "100,000 brackets in a field": json.dumps(row).encode()[:-1]
        + b', "x": '
        + deep.encode()
        + b"}",
        "a number of 5,000 digits": line()[:-1] + b', "id": ' + b"9" * 5000 + b"}",
        "1e999": line()[:-1] + b', "x": 1e999}',
        "NaN": line()[:-1] + b', "x": NaN}',
        "no JSON": b"hello",
        "no UTF-8": b'{"video": "\xff\xfe", "question": "x"}',
        "a zero": b"\0",
        "an id that is a list": line(id=[1]),
        "an id of 1,000,000 letters": line(id="x" * 900_000),
        "an id of escapes": line(id="\x1b]0;x\x07\u202e"),
        "a question of 900,000 letters": line(question="x" * 900_000),
        "a row of 20 MB": line(question="x" * 20_000_000),
        "options of numbers": line(options=[1, 2]),
        "10,000 options": line(options=["a"] * 10_000),
        "a video that is a folder": line(video="."),
        "a video that is a device": line(video="/dev/zero"),
        "a video named with a zero": line(video="a\0b"),
        "a video of a name too long": line(video="x" * 5_000),
        "subtitles that are a device": line(subtitles="/dev/zero"),
        "no video": b'{"question": "x"}',
        "null": b"null",
        "an empty question": line(question=""),
        "other separators": b'{"video": "star.json",\x85"question": "x"}',
    }


def hostile_problems() -> dict[str, bytes]:
    """A line of a file of problems."""
    row = {"id": "bad", "video": "star.json", "question": QUESTION, "answer": "red"}

    def line(**changes: object) -> bytes:
        return json.dumps(row | changes).encode()

    return {
        "a surrogate in question": line(question="\ud800"),
        "a surrogate in answer": line(answer="\ud800"),
        "a surrogate in id": line(id="\ud800"),
        "a number of 400 digits": line(answer=None, number=10**400),
        "a number of 5,000 digits": line()[:-1] + b', "number": ' + b"9" * 5_000 + b"}",
        "1e999": line()[:-1] + b', "number": 1e999}',
        "NaN": line()[:-1] + b', "number": NaN}',
        "100,000 brackets": b"[" * 100_000,
        "brackets in a field": line()[:-1] + b', "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        "no UTF-8": b'{"id": "\xff"}',
        "a row of 60 MB": line(question="x" * 60_000_000),
        "boxes of nothing": line(box=[1e308, -1e308, 1e308, 1]),
        "spans turned round": line(spans=[[5, 1]]),
        "escapes": line(id="\x1b]0;x\x07"),
    }


def attacks(bench: Bench) -> Iterator[Attack]:
    """A bad row before a good one through `ask --questions`, twice; through `data convert`."""
    good = json.dumps(_GOOD).encode()

    def ask(folder: Path, data: bytes):
        (folder / "star.json").write_bytes(bench.world.read_bytes())
        (folder / "q.jsonl").write_bytes(data)
        arguments = ["ask", "--questions", "q.jsonl", "--out", "a.jsonl", "--store", "s"]
        return bench.children.run(*cli_call(arguments), folder, limits=LIMITS)

    def answered(folder: Path) -> bool:
        path = folder / "a.jsonl"
        if not path.exists():
            return False
        rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]
        return any(row.get("id") == "good" and row.get("text") == "red" for row in rows)

    def control(folder: Path) -> str:
        ended = ask(folder, good + b"\n")
        return (
            ""
            if ended.code == 0 and answered(folder)
            else f"code {ended.code}: {ended.err[-200:]!r}"
        )

    yield Attack(KIND, "ask: a good row is answered", control, is_control=True)
    for name, row in hostile_rows().items():

        def attempt(folder: Path, row: bytes = row) -> str:
            # Twice, since the second run meets what the first one wrote.
            for run in ("first", "second"):
                ended = ask(folder, row + b"\n" + good + b"\n")
                if fault := find_fault(ended, LIMITS):
                    return f"{run} run: {fault}"
                if not answered(folder) and not _names_a_line(ended.err):
                    return f"{run} run: not asked, and no line is named: {ended.err[-150:]!a}"
            return "" if answered(folder) else "the good row was not asked"

        yield Attack(KIND, f"ask: {name}", attempt)

    def torn(folder: Path) -> str:
        ask(folder, good + b"\n")
        with (folder / "a.jsonl").open("ab") as file:
            file.write(b'{"id": "torn", "te')
        return find_fault(ask(folder, good + b"\n"), LIMITS) or ("" if answered(folder) else "lost")

    def byte_order_mark(folder: Path) -> str:
        fault = find_fault(ask(folder, b"\xef\xbb\xbf" + good + b"\n"), LIMITS)
        return fault or ("" if answered(folder) else "the good row was not asked")

    def big_results(folder: Path) -> str:
        with (folder / "a.jsonl").open("wb") as file:
            file.write(b'{"id": "')
            # A hole, which is long to read and takes no room on the disk.
            file.truncate(400_000_000)
        return find_fault(ask(folder, good + b"\n"), LIMITS)

    def big_questions(folder: Path) -> str:
        (folder / "star.json").write_bytes(bench.world.read_bytes())
        with (folder / "q.jsonl").open("wb") as file:
            file.write(b'{"video": "')
            file.truncate(500_000_000)
        arguments = ["ask", "--questions", "q.jsonl", "--out", "a.jsonl", "--store", "s"]
        return find_fault(bench.children.run(*cli_call(arguments), folder, limits=LIMITS), LIMITS)

    yield Attack(KIND, "ask: a torn last answer", torn)
    yield Attack(KIND, "ask: a byte order mark", byte_order_mark)
    yield Attack(KIND, "ask: answers of 400 MB on one line", big_results)
    yield Attack(KIND, "ask: questions of 500 MB on one line", big_questions)

    problem = json.dumps(
        {"id": "good", "video": "star.json", "question": QUESTION, "answer": "red"}
    )

    def convert(folder: Path, data: bytes):
        (folder / "p.jsonl").write_bytes(data)
        arguments = ["data", "convert", "p.jsonl", "--to", "trl", "--out", "o.jsonl"]
        return bench.children.run(*cli_call(arguments), folder, limits=LIMITS)

    def control_convert(folder: Path) -> str:
        ended = convert(folder, problem.encode() + b"\n")
        return "" if ended.code == 0 and (folder / "o.jsonl").exists() else f"{ended.err[-200:]!r}"

    yield Attack(KIND, "convert: a good row is written", control_convert, is_control=True)
    for name, row in hostile_problems().items():

        def attempt_convert(folder: Path, row: bytes = row) -> str:
            ended = convert(folder, problem.encode() + b"\n" + row + b"\n")
            fault = find_fault(ended, LIMITS)
            if not fault and ended.code == 2 and "line 2" not in ended.err:
                return f"no line is named: {ended.err[-150:]!a}"
            return fault

        yield Attack(KIND, f"convert: {name}", attempt_convert)


def _names_a_line(text: str) -> bool:
    return "line 1" in text or "two questions have the id" in text
