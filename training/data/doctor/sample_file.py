"""A data set in memory, as the doctor goes over it several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmreason.training.data.dialects.detect import open_samples
from mmreason.training.data.dialects.rows import Dialect
from mmreason.training.data.sample import RowFault, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFile:
    """All rows of one data set.

    Example:
        >>> SampleFile(name="train.jsonl", samples=(), faults=()).rows
        0
    """

    name: str
    """As it was given."""
    dialect: str = ""
    container: str = ""
    """"JSON", "JSON lines", "Parquet", "CSV", "TSV" or a folder."""
    reason: str = ""
    """By what the dialect was told."""
    notes: tuple[str, ...] = ()
    samples: tuple[Sample, ...]
    faults: tuple[RowFault, ...]
    """Rows that are none."""

    @property
    def rows(self) -> int:
        """All of them."""
        return len(self.samples) + len(self.faults)


def read_sample_file(
    path: Path, dialect: Dialect | str | None = None, *, media_root: Path | None = None
) -> SampleFile:
    """The rows of a data set, faults among them. Raises UsageError for what is none."""
    opened = open_samples(path, dialect, media_root=media_root)
    samples: list[Sample] = []
    faults: list[RowFault] = []
    for row in opened.rows():
        if isinstance(row, Sample):
            samples.append(row)
        else:
            faults.append(row)
    return SampleFile(
        name=str(path),
        dialect=str(opened.dialect),
        container=opened.container,
        reason=opened.reason,
        notes=opened.notes,
        samples=tuple(samples),
        faults=tuple(faults),
    )


def split_of(sample: Sample) -> str:
    """The split that a row is of: what its field `split` says, else its file.

    Example:
        >>> from mmreason.training.data.sample import SampleMessage, SourceLine
        >>> message = SampleMessage(role="user", parts=("Why?",))
        >>> split_of(Sample(id="1", messages=(message,), source=SourceLine("a.jsonl", 1)))
        'a.jsonl'
    """
    split = sample.columns.get("split")
    if isinstance(split, str) and split.strip():
        return f"{sample.source.file} ({split.strip()})"
    return sample.source.file


def iterate_samples(files: tuple[SampleFile, ...]) -> Iterator[Sample]:
    """The samples of all files, in order."""
    for file in files:
        yield from file.samples
