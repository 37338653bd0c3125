"""Files that nobody wrote in good faith cost a row or are refused, and nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mmreason.training.data.dialects import embedded, files
from mmreason.training.data.dialects.detect import open_samples
from mmreason.types import UsageError
from tests.training.data.dialects.golden_files import GOLDEN, faults_of, samples_of

GOOD = '{"problem": "<video>Why?", "answer": "rain", "videos": ["a.mp4"]}'


def reason_in_a_list(entry: str, folder: Path) -> str:
    """Why an entry between two good ones of a JSON list is none."""
    path = folder / "set.json"
    path.write_text(f"[{GOOD},\n {entry}, {GOOD}]", encoding="utf-8", errors="surrogatepass")
    opened = open_samples(path)
    assert len(samples_of(opened)) == 2
    (fault,) = faults_of(opened)
    assert fault.source.row == 2
    return fault.reason


def problem(answer: str) -> str:
    return f'{{"problem": "<video>?", "answer": {answer}, "videos": ["a.mp4"]}}'


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (problem("NaN"), "NaN"),
        (problem("1e999"), "1e999"),
        (problem("7" * 400), "400 digits"),
        (problem('"\\ud800"'), "half a surrogate pair"),
        (problem("[" * 70 + "]" * 70), "brackets inside each other"),
        ("7", "expected an object of fields"),
        ("[]", "expected an object of fields"),
        ('{"problem": 3, "answer": "x"}', "'problem' must be a text"),
        ('{"problem": "", "answer": null, "videos": null}', "says nothing"),
    ],
)
def test_one_bad_entry_of_a_list_costs_no_other(entry: str, expected: str, tmp_path: Path) -> None:
    assert expected in reason_in_a_list(entry, tmp_path)


def test_one_bad_line_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    lines = [GOOD, problem("NaN"), "{", '"text"', GOOD[:20]]
    path.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    opened = open_samples(path)
    assert len(samples_of(opened)) == 1
    assert [fault.source.row for fault in faults_of(opened)] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty"),
        (b"[", "is no JSON"),
        (b"7", "expected a list of rows, found int 7"),
        (b"[]", "holds no row"),
        (b"\x1f\x8b\x08", "is packed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS"),
        (b"[" * 100_000, "brackets inside each other"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_is_none_is_one_line(data: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=expected) as error:
        open_samples(path)
    assert "\n" not in str(error.value)


def test_writing_from_right_to_left_stays_text(tmp_path: Path) -> None:
    text = "\u05de\u05d4 \u202e\u05e7\u05d5\u05e8\u05d4?"
    path = tmp_path / "set.json"
    path.write_text(json.dumps([{"problem": text, "answer": "\u05d2\u05e9\u05dd"}]))
    (sample,) = samples_of(open_samples(path))
    assert sample.question == text


def test_a_cell_of_a_megabyte_is_read_and_a_longer_line_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "set.csv"
    path.write_text(f'question,answer\n"{"x" * 1_000_000}",yes\n')
    (sample,) = samples_of(open_samples(path))
    assert len(sample.question) == 1_000_000
    monkeypatch.setattr(files, "MOST_LINE_BYTES", 10_000)
    with pytest.raises(UsageError, match="more than the limit"):
        open_samples(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("question,answer\nWhy\n", "has 1 cells, the header has 2"),
        ('question,answer\n"Why,so\n', "is no row of a table"),
    ],
)
def test_a_broken_row_of_a_table_is_told(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text(text)
    (fault,) = faults_of(open_samples(path, "table"))
    assert expected in fault.reason


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("question,question,answer\na,b,c\n")
    with pytest.raises(UsageError, match="names 'question' twice"):
        open_samples(tmp_path / "set.csv")


def save_parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def test_a_parquet_file_that_inflates_is_refused_before_it_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"problem": "x" * 50_000, "answer": "y"}] * 200
    path = save_parquet(tmp_path / "bomb.parquet", rows, compression="zstd")
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(files, "MOST_BATCH_BYTES", 1_000_000)
    assert len(samples_of(open_samples(path))) == 200  # fewer rows at a time
    monkeypatch.setattr(files, "MOST_BATCH_BYTES", 10_000)
    with pytest.raises(UsageError, match=r"unpack to .* bytes, the limit is 10,000"):
        open_samples(path)
    monkeypatch.setattr(files, "MOST_COLUMN_BYTES", 10_000)
    with pytest.raises(UsageError, match=r"a column unpacks to .* bytes, the limit is 10,000"):
        open_samples(path)
    monkeypatch.setattr(files, "MOST_TABLE_ROWS", 100)
    with pytest.raises(UsageError, match="has 200 rows, the limit is 100"):
        open_samples(path)


def test_nested_columns_of_parquet_are_json_and_numbers_that_are_none_a_fault(
    tmp_path: Path,
) -> None:
    row = {"problem": "Why?", "answer": "y", "meta": {"deep": [{"x": 1.5}, {"x": None}]}}
    rows = [row, row | {"meta": {"deep": [{"x": float("nan")}]}}]
    opened = open_samples(save_parquet(tmp_path / "set.parquet", rows))
    (sample,) = samples_of(opened)
    assert sample.columns == {"meta": {"deep": [{"x": 1.5}, {"x": None}]}}
    (fault,) = faults_of(opened)
    assert "'meta' holds nan, expected a finite number" in fault.reason


def test_bytes_inside_of_a_row_must_be_a_picture_or_a_clip_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = (GOLDEN / "clips" / "a.png").read_bytes()
    row = {"problem": "<image>Why?", "answer": "y", "images": [{"bytes": picture, "path": None}]}
    evil = row | {"images": [{"bytes": b"MZ\x90 no picture", "path": "/etc/passwd"}]}
    opened = open_samples(save_parquet(tmp_path / "set.parquet", [row, evil]))
    assert Path(samples_of(opened)[0].media[0].path).read_bytes() == picture
    assert "bytes of no picture, clip or sound" in faults_of(opened)[0].reason
    monkeypatch.setattr(embedded, "MOST_EMBEDDED_BYTES", 10)
    assert "the limit is 10" in faults_of(opened)[0].reason


def test_base64_becomes_a_file_and_what_is_none_a_fault(tmp_path: Path) -> None:
    picture = (GOLDEN / "clips" / "a.png").read_bytes()
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    rows = [
        {"messages": [{"role": "user", "content": [part]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "image": url[:40] + "!"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "image": "data:,x"}]}]},
    ]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    opened = open_samples(tmp_path / "set.json")
    assert Path(samples_of(opened)[0].media[0].path).read_bytes() == picture
    assert [fault.source.row for fault in faults_of(opened)] == [2, 3]


def test_folders_that_are_no_data_set_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder and no data set"):
        open_samples(tmp_path)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(UsageError, match="has the splits train, test; give one"):
        open_samples(tmp_path)
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "../../etc/passwd"}]}')
    with pytest.raises(UsageError, match="names passwd, which is not there"):
        open_samples(tmp_path)
