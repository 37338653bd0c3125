"""Data sets as other projects have them, small and written by hand (`golden/`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmreason.training.data.dialects.detect import OpenedSamples
from mmreason.training.data.sample import RowFault, Sample, SourceLine

GOLDEN = Path(__file__).parent / "golden"


def samples_of(opened: OpenedSamples) -> list[Sample]:
    """The samples without where they stood, which differs from file to file."""
    rows = (row for row in opened.rows() if isinstance(row, Sample))
    return [replace(sample, source=SourceLine("", 0)) for sample in rows]


def faults_of(opened: OpenedSamples) -> list[RowFault]:
    return [row for row in opened.rows() if isinstance(row, RowFault)]
