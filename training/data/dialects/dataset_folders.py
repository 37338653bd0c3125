"""Folders of data sets: saved by Hugging Face `datasets`, or pictures and videos with a list of
them (`metadata.jsonl`, `metadata.csv`) beside.

The Arrow files are read as they are, some rows at a time; no code of a data set is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmreason.training.data.dialects.files import (
    BATCH_ROWS,
    MOST_BATCH_BYTES,
    MOST_TABLE_ROWS,
    RawFile,
    RawRow,
    open_raw,
)
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.plain_text import show_line

METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_STATE, _SPLITS = "state.json", "dataset_dict.json"


def open_folder(folder: Path) -> RawFile:
    """The rows of a folder. Raises UsageError for what is no data set, or has several splits."""
    name = show_line(str(folder))
    for metadata in METADATA:
        if (folder / metadata).is_file():
            raw = open_raw(folder / metadata)
            return RawFile(f"folder with {metadata}", raw.rows, raw.document)
    if (folder / _STATE).is_file():
        files = _arrow_files(folder)
        return RawFile("folder of datasets", lambda: read_arrow(files))
    if (folder / _SPLITS).is_file():
        splits = _read_object(folder / _SPLITS).get("splits")
        names = [str(split) for split in splits] if isinstance(splits, list) else []
        if len(names) == 1 and (folder / Path(names[0]).name / _STATE).is_file():
            return open_folder(folder / Path(names[0]).name)
        raise UsageError(
            f"{name}: has the splits {', '.join(names)[:200]}; give one, such as "
            f"{name}/{names[0] if names else 'train'}"
        )
    subfolders = sorted(f.name for f in folder.iterdir() if f.is_dir() and _is_data_set(f))
    if subfolders:
        raise UsageError(
            f"{name}: has the splits {', '.join(subfolders)[:200]}; give one, such as "
            f"{name}/{subfolders[0]}"
        )
    parquet = sorted(folder.glob("*.parquet")) or sorted((folder / "data").glob("*.parquet"))
    if parquet:
        raise UsageError(f"{name}: is a folder of Parquet files; give one, such as {parquet[0]}")
    raise UsageError(
        f"{name}: is a folder and no data set: it has none of {', '.join((*METADATA, _STATE))}"
    )


def _is_data_set(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*METADATA, _STATE))


def _arrow_files(folder: Path) -> list[Path]:
    """The files that the folder's state names, in order."""
    state = _read_object(folder / _STATE)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise UsageError(
            f"{show_line(str(folder))}: keeps a selection of its rows; save it again after "
            "flatten_indices()"
        )
    entries = state.get("_data_files")
    names = [
        entry.get("filename")
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]
    files = [folder / Path(str(filename)).name for filename in names]
    missing = next((file for file in files if not file.is_file()), None)
    if not files or missing is not None:
        what = "names no file of data" if not files else f"names {missing.name}, which is not there"  # type: ignore[union-attr]
        raise UsageError(f"{show_line(str(folder))}: {_STATE} {what}")
    return files


def read_arrow(files: list[Path]) -> Iterator[RawRow]:
    """The rows of Arrow streams, numbered through all of them. Raises UsageError."""
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError(
            'Arrow files need pyarrow; in the clone of mmreason: pip install ".[train]"'
        ) from error
    number = 0
    for file in files:
        name = show_line(str(file))
        try:
            with pyarrow.memory_map(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
                for batch in stream:
                    for start in range(0, batch.num_rows, BATCH_ROWS):
                        rows = batch.slice(start, BATCH_ROWS)
                        if rows.nbytes > MOST_BATCH_BYTES:
                            raise UsageError(
                                f"{name}: {BATCH_ROWS} rows have {rows.nbytes:,} bytes"
                            )
                        for value in rows.to_pylist():
                            number += 1
                            yield RawRow(number, value)
                    if number > MOST_TABLE_ROWS:
                        raise UsageError(f"{name}: has more than {MOST_TABLE_ROWS:,} rows")
        except (OSError, pyarrow.ArrowException, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            reason = " ".join(str(error).split())
            raise UsageError(f"{name}: cannot be read as Arrow ({reason:.200})") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{show_line(str(path))}: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{show_line(str(path))}: expected an object")
    return value
