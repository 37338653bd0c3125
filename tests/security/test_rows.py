"""JSON lines that mean harm: one reader with one limit for all, and one line about each of them."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.agent.batch import ResultsFile, read_questions
from mmreason.evaluation.needle.runner import read_outcomes
from mmreason.json_lines import (
    JsonLine,
    JsonLineError,
    append_lines,
    encode_json_line,
    mend_last_line,
    read_json_lines,
    require_json_lines,
)
from mmreason.needle.items import read_items
from mmreason.training.claims.runs import read_runs
from mmreason.training.data.problem_file import read_problems
from mmreason.training.monitoring import Run
from mmreason.training.navigation.samples import read_samples
from mmreason.types import UsageError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=5)


def _read_run(path: Path) -> object:
    return Run.read(path.parent)


def _read_all_samples(path: Path) -> object:
    return list(read_samples(path))


READERS: dict[str, Callable[[Path], object]] = {
    "questions": read_questions,
    "results": ResultsFile,
    "problems": read_problems,
    "needle items": read_items,
    "needle outcomes": read_outcomes,
    "samples": _read_all_samples,
    "papers' runs": read_runs,
    "logs": _read_run,
}
HOSTILE = {
    "deep": b"[" * 1_000_000,
    "deep object": b'{"a":' * 100_000,
    "digits": b'{"id": ' + b"9" * 5_000 + b"}",
    "infinite": b'{"id": 1e999}',
    "not a number": b'{"id": NaN}',
    "list": b"[1]",
    "null": b"null",
    "text": b'"a"',
    "binary": b"\xff\xfe\x00\x01",
    "zeros": b"\0" * 1_000,
    "surrogates": b'{"\\ud800": "\\udfff", "id": "\\ud800"}',
    "empty object": b"{}",
    "wrong types": b'{"id": [], "item": 1, "question": {}, "curves": 3, "messages": 1, "step": {}}',
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_line_is_one_line_about_it(kind: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(HOSTILE[kind] + b"\n")
    with pytest.raises(UsageError, match=r"line 1\b") as caught:
        READERS[reader](path)
    message = str(caught.value)
    assert "\n" not in message and "metrics.jsonl" in message and len(message) < 600


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_refused_and_not_waited_for(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    os.mkfifo(path)
    try:
        READERS[reader](path)  # those that resume take it for a file that is not there yet
    except UsageError as error:
        assert "metrics.jsonl" in str(error)


def test_a_row_beyond_the_limit_is_passed_over_and_never_held(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        file.write(b'{"n": 1}\n{"long": "')
        for _ in range(64):
            file.write(b"a" * (1 << 20))
        file.write(b'"}\n{"n": 3}\n')
    tracemalloc.start()
    lines = list(read_json_lines(path, dict))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 8_000_000
    first, long, third = lines
    assert isinstance(first, JsonLine) and isinstance(third, JsonLine)
    assert (first.row, third.row, third.number) == ({"n": 1}, {"n": 3}, 3)
    assert isinstance(long, JsonLineError) and not long.is_torn
    assert long.reason == "has more than the limit of 1,000,000 bytes" and long.line == 2


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_the_limit_is_of_a_line_without_its_line_feed(spare: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": 2}')
    lines = list(read_json_lines(path, dict, most_line_bytes=8 + spare))
    assert [isinstance(line, JsonLine) for line in lines] == [spare >= 0] * 2


@given(rows=ROWS, blank=st.sampled_from([b"", b"\n", b"  \r\n"]), mark=st.booleans())
def test_rows_come_back_with_their_numbers_and_bytes(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], blank: bytes, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    data = b"\xef\xbb\xbf" * mark + b"".join(encode_json_line(row) + blank for row in rows)
    path.write_bytes(data)
    lines = list(require_json_lines(path, dict))
    assert [line.row for line in lines] == rows
    for line in lines:
        assert data[: line.start_byte].count(b"\n") == line.number - 1
        text = data[line.start_byte : line.end_byte]
        assert text.endswith(b"\n") and json.loads(text.decode("utf-8-sig")) == line.row


@given(rows=ROWS.filter(bool), lost=st.integers(0, 60))
def test_a_file_cut_anywhere_is_mended_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], lost: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    data = b"".join(map(encode_json_line, rows))
    data = data[: max(0, len(data) - lost)]
    path.write_bytes(data)
    whole = [line.row for line in require_json_lines(path, dict, is_resumed=True)]
    assert whole == rows[: len(whole)] and len(whole) >= data.count(b"\n")
    mend_last_line(path)
    append_lines(path, encode_json_line({"more": 1}))
    assert _rows(require_json_lines(path, dict)) == [*whole, {"more": 1}]


def test_a_last_line_that_no_program_of_ours_began_is_never_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    mend_last_line(path)
    assert path.read_text() == "my notes\n"
    (line,) = read_json_lines(path, dict)
    assert isinstance(line, JsonLineError) and not line.is_torn


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\ud800", {"\udfff": 1}])
def test_what_a_line_cannot_hold_is_one_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON compliant|half a surrogate pair") as caught:
        encode_json_line({"value": value})
    assert "\n" not in str(caught.value)


def _rows(lines: Iterable[JsonLine[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [line.row for line in lines]
