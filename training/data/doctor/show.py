"""Findings and rows for people: lines for the terminal, and a page with frames."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmreason.training.data.doctor.check import CheckedSampleFile, DataReport
from mmreason.training.data.doctor.findings import Finding
from mmreason.training.data.sample import MediaKind, MediaRef, Sample
from mmreason.video.files import write_atomic
from mmreason.video.sheet import jpeg_bytes

FIRST_FINDINGS = 5
"""Of a kind that are shown in the terminal; JSON and the page have all."""
FRAMES_SHOWN = 4
THUMBNAIL_PX = 180
QUALITY = 75
MOST_ROWS_SHOWN = 24
MOST_FINDINGS_SHOWN = 2_000
"""On a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCard:
    """A row with its frames, for the page."""

    name: str
    turns: tuple[tuple[str, str], ...]
    truth: str
    frames: tuple[str, ...]
    """Pictures as data addresses."""
    fault: str
    """Why there are no frames."""


def describe_report(report: DataReport) -> Iterator[str]:
    """Lines: what each file is, and the first findings of each kind."""
    for file in report.files:
        yield from describe_file(file)
    by_kind: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_kind.setdefault(f"{finding.kind} ({finding.level})", []).append(finding)
    for kind, findings in by_kind.items():
        yield f"{kind}: {len(findings):,}"
        for finding in findings[:FIRST_FINDINGS]:
            yield f"  {finding}"
        if len(findings) > FIRST_FINDINGS:
            yield f"  and {len(findings) - FIRST_FINDINGS:,} more"
    yield f"{report.problems:,} problems, {report.warnings:,} warnings"


def describe_file(file: CheckedSampleFile) -> Iterator[str]:
    """What a data set is, and how its answers are spread."""
    yield f"{file.file}: {file.dialect}, {file.container} ({file.reason})"
    media = ", ".join(f"{count:,} x {kind}" for kind, count in file.media.items()) or "none"
    yield f"  {file.rows:,} rows, {file.bad_rows:,} of them bad; media: {media}"
    for note in file.notes:
        yield f"  note: {note}"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in file.answers.kinds.items())
    yield f"  answers: {kinds or 'none'}; {file.answers.distinct:,} different"
    common = ", ".join(f"{c.answer[:40]!r} {c.rows:,}" for c in file.answers.commonest[:5])
    if common:
        yield f"  commonest: {common}"
    if any(channel for channel in file.channels):
        channels = ", ".join(f"{name or '-'} {count:,}" for name, count in file.channels.items())
        yield f"  channels: {channels}"
    for score in file.baselines:
        yield f"  blind, {score}"


def describe_sample(sample: Sample) -> Iterator[str]:
    """A row as a person reads it."""
    yield f"{sample.id} ({sample.source})"
    for message in sample.messages:
        for item in message.parts:
            text = item if isinstance(item, str) else f"<{item.kind}: {', '.join(item.paths[:3])}>"
            yield f"  {message.role}: {text}"
    for message in sample.rejected:
        yield f"  rejected: {message.text}"
    if truth := describe_truth(sample):
        yield f"  right: {truth}"


def describe_truth(sample: Sample) -> str:
    """What is known to be right, in words."""
    truth = sample.truth
    known = {
        "options": list(truth.options) or None,
        "choice": truth.choice,
        "number": truth.number,
        "answer": truth.answer,
        "spans": None if truth.spans is None else [str(span) for span in truth.spans],
        "boxes": None if truth.boxes is None else [box.xyxy for box in truth.boxes],
        "tube": None if truth.tube is None else f"{len(truth.tube)} boxes",
    }
    return "; ".join(f"{name} {value}" for name, value in known.items() if value is not None)


def pick_rows(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Rows from all over a data set."""
    step = max(1, len(samples) // max(1, count))
    return list(samples[::step][:count])


def make_card(sample: Sample) -> RowCard:
    """A row with frames of its first medium. What cannot be read is said in their place."""
    frames: tuple[str, ...] = ()
    fault = ""
    if sample.media:
        try:
            frames = _read_thumbnails(sample.media[0])
        except (ValueError, OSError) as error:
            fault = " ".join(str(error).split())
    return RowCard(
        name=f"{sample.id} ({sample.source})",
        turns=tuple((message.role, message.text) for message in sample.messages),
        truth=describe_truth(sample),
        frames=frames,
        fault=fault,
    )


def save_page(path: Path, report: DataReport, *, rows: Sequence[Sample]) -> Path:
    """The report as one HTML page with a contact sheet of `rows`. Raises OSError where it cannot be
    written."""
    from importlib.metadata import version

    from mmreason.viz.pages import load_templates, render_document

    counts = Counter((finding.level, str(finding.kind)) for finding in report.findings)
    values = {
        "version": version("mmreason"),
        "files": [(file.file, list(describe_file(file))) for file in report.files],
        "counts": sorted(counts.items()),
        "findings": [str(finding) for finding in report.findings[:MOST_FINDINGS_SHOWN]],
        "hidden": max(0, len(report.findings) - MOST_FINDINGS_SHOWN),
        "cards": [make_card(sample) for sample in rows[:MOST_ROWS_SHOWN]],
        "problems": report.problems,
        "warnings": report.warnings,
    }
    page = render_document(
        load_templates("mmreason.training", "data/doctor"),
        "report.html",
        values,
        title="Data check",
        width_rem=76,
        styles=("measures_style.html", "report_style.html"),
    )
    return write_atomic(path, page.encode())


def _read_thumbnails(medium: MediaRef) -> tuple[str, ...]:
    from mmreason.models.base import ClipRecipe
    from mmreason.training.data.conversation import FrameCache

    if medium.kind is MediaKind.AUDIO:
        return ()
    clip = ClipRecipe(frames=FRAMES_SHOWN, leaf_s=8.0, longest_px=THUMBNAIL_PX)
    pictures = []
    for pixels in FrameCache(most_bytes=0).read(medium, clip).pixels:
        picture = base64.b64encode(jpeg_bytes(pixels, QUALITY)).decode()
        pictures.append(f"data:image/jpeg;base64,{picture}")
    return tuple(pictures)
