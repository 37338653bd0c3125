"""`mmreason inspect`: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, print_json, progress

if TYPE_CHECKING:
    from mmreason.video.inspect import FileReport

SHEET_FRAMES = 16


def inspect(
    file: Annotated[str, typer.Argument(help="Video file, or a scripted world (.json).")],
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what is in a file: codec, times, frame rate (constant or variable), key frames."""
    from mmreason.video import inspect_file

    with progress("reading"):
        report = inspect_file(file)
        if sheet is not None:
            _write_sheet(file, sheet)
    if as_json:
        print_json(report.to_dict() | ({"sheet": str(sheet)} if sheet else {}))
        return
    rows = lines(report) + ([("contact sheet", str(sheet))] if sheet else [])
    for name, value in rows:
        print(f"{name + ':':<16} {value}")


def lines(report: FileReport) -> list[tuple[str, str]]:
    """(what, how it is) for people."""
    from mmreason.report.words import printable
    from mmreason.video.types import format_time

    end_s = report.start_s + report.duration_s
    codec = ", ".join(x for x in (report.codec, report.profile, report.pixel_format) if x)
    rotated = f", rotated by {report.rotation_deg} degrees" if report.rotation_deg else ""
    rows = [
        ("file", f"{report.path} ({report.kind}, {report.size_bytes:,} bytes)"),
        ("container", report.container),
        ("codec", codec),
        ("picture", f"{report.width_px} x {report.height_px} pixels{rotated}"),
        ("shown", f"{format_time(report.start_s)} to {format_time(end_s)}"),
        ("frames", "unknown" if report.frame_count is None else f"{report.frame_count:,}"),
        ("frame rate", _frame_rate(report)),
        ("key frames", _keyframes(report)),
        ("audio", "; ".join(report.audio_streams) or "none"),
        ("subtitles", "; ".join(report.subtitle_streams) or "none"),
        *(("note", note) for note in report.notes),
    ]
    return [(name, printable(value)) for name, value in rows]


def _frame_rate(report: FileReport) -> str:
    text = f"{report.frame_rate}, {report.mean_fps_hz:.3f} a second on average"
    if report.min_frame_gap_s is None or report.max_frame_gap_s is None:
        return text
    return f"{text}, gaps of {report.min_frame_gap_s:.4f} to {report.max_frame_gap_s:.4f} s"


def _keyframes(report: FileReport) -> str:
    if report.keyframe_count is None:
        return "every frame is drawn by itself"
    if report.mean_keyframe_gap_s is None:
        return f"{report.keyframe_count:,}"
    return (
        f"{report.keyframe_count:,}, every {report.mean_keyframe_gap_s:.2f} s on average, "
        f"at most {report.max_keyframe_gap_s:.2f} s apart"
    )


def _write_sheet(file: str, sheet: Path) -> None:
    """Write frames from all over the video, with their times, as one picture."""
    from mmreason.types import UsageError
    from mmreason.video import Video, plan
    from mmreason.video.sheet import contact_sheet

    with Video.open(file) as video:
        picture = contact_sheet(video.sample(plan.uniform(video, SHEET_FRAMES)))
    sheet.parent.mkdir(parents=True, exist_ok=True)
    try:
        picture.save(sheet)
    except ValueError as error:
        raise UsageError(f"{sheet}: give --sheet a name that ends in .png or .jpg") from error
