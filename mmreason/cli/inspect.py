"""`mmreason inspect`: what is in a file, or in many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import Json, print_json, print_line, show_progress

if TYPE_CHECKING:
    from mmreason.video.inspect import FileReport

SHEET_FRAMES = 16
MOST_CHAPTERS = 12
"""Chapters that are printed; JSON has all."""
MOST_REASON = 160
"""Letters that are printed of why a back end does not read a file; JSON has all."""


def inspect_videos(
    files: Annotated[
        list[str],
        typer.Argument(help="Video files, scripted worlds (.json), folders or patterns."),
    ],
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write a contact sheet to this file; of several files, to this folder."),
    ] = None,
    backends: Annotated[
        bool, typer.Option(help="Try which back ends can read it, or be done sooner.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Tell what is in files: codec, times, frame rate (constant or variable), key frames, tracks,
    subtitles inside and beside, chapters, damage, and which back ends can read them."""
    from mmreason.cli import inputs

    paths = inputs.expand_paths(files)
    if not paths.many:
        with show_progress("reading"):
            inspected = _inspect(paths.files[0], sheet, backends)
        if as_json:
            print_json(inspected.to_dict())
        else:
            _print(inspected)
        return
    taken: set[Path] = set()

    def act(path: Path) -> InspectedFile:
        return _inspect(path, sheet and inputs.picture_path(sheet, path, taken), backends)

    work = inputs.work_through(paths.files, act, "reading")
    if as_json:
        print_json(inputs.to_dict(work, InspectedFile.to_dict))
    else:
        for inspected in work.results:
            print_line(_summary(inspected.report))
    inputs.finish_work(work)


@dataclass(frozen=True, slots=True)
class InspectedFile:
    report: FileReport
    sheet: Path | None

    def to_dict(self) -> dict[str, Any]:
        return self.report.to_dict() | ({"sheet": str(self.sheet)} if self.sheet else {})


def _inspect(path: Path, sheet: Path | None, backends: bool) -> InspectedFile:
    from mmreason.video import inspect_file

    report = inspect_file(path, try_backends=backends)
    if sheet is not None:
        _write_sheet(path, sheet)
    return InspectedFile(report, sheet)


def _print(inspected: InspectedFile) -> None:
    rows = describe_file(inspected.report) + (
        [("contact sheet", str(inspected.sheet))] if inspected.sheet else []
    )
    for name, value in rows:
        print_line(f"{name + ':':<16} {value}")


def _summary(report: FileReport) -> str:
    """A file on one line, for lists."""
    from mmreason.video.types import format_time

    turned = f" rotated by {report.rotation_deg}" if report.rotation_deg else ""
    turned += " mirrored" if report.mirrored else ""
    readers = " ".join(check.name for check in report.backends if check.why_not is None)
    details = [
        f"{report.codec} {report.width_px}x{report.height_px}{turned}",
        format_time(report.duration_s),
        f"{report.mean_fps_hz:.4g} fps {report.frame_rate}",
        *([f"read by {readers}"] if readers else []),
        *(f"note: {note}" for note in report.notes),
    ]
    return f"{report.path}: {', '.join(details)}"


def describe_file(report: FileReport) -> list[tuple[str, str]]:
    """(what, how it is) for people."""
    from mmreason.video.types import format_time

    end_s = report.start_s + report.duration_s
    codec = ", ".join(x for x in (report.codec, report.profile, report.pixel_format) if x)
    rows = [
        ("file", f"{report.path} ({report.kind}, {report.size_bytes:,} bytes)"),
        ("container", report.container),
        ("codec", codec),
        ("picture", _picture(report)),
        *([("colour", _colour(report))] if _colour(report) else []),
        *([("video tracks", _tracks(report))] if len(report.tracks) > 1 else []),
        ("shown", f"{format_time(report.start_s)} to {format_time(end_s)}"),
        ("frames", "unknown" if report.frame_count is None else f"{report.frame_count:,}"),
        ("frame rate", _frame_rate(report)),
        ("key frames", _keyframes(report)),
        ("audio", "; ".join(report.audio_streams) or "none"),
        ("subtitles", "; ".join(report.subtitles) or "none"),
        *([("chapters", _chapters(report))] if report.chapters else []),
        *_backends(report),
        *(("note", note) for note in report.notes),
    ]
    return rows


def _picture(report: FileReport) -> str:
    text = f"{report.width_px} x {report.height_px} pixels"
    text += f", rotated by {report.rotation_deg} degrees" if report.rotation_deg else ""
    text += ", mirrored" if report.mirrored else ""
    # Frames are delivered as stored: who draws boxes must know that they are not square.
    if report.pixel_aspect != 1:
        width_px = round(report.width_px * report.pixel_aspect)
        text += (
            f", each {report.pixel_aspect:.4g} times as wide as high: delivered as stored, true to "
            f"shape at {width_px} x {report.height_px}"
        )
    return text


def _colour(report: FileReport) -> str:
    colour = report.colour
    fields = ("transfer", "primaries", "matrix", "range")
    tagged = [
        f"{name} {getattr(colour, name)}{' (assumed)' * (name in colour.assumed)}"
        for name in fields
        if getattr(colour, name) != "unknown"
    ]
    # HDR is changed on its way to a model: that is said, since colours are asked about.
    mapped = [f"brought to a standard screen by {colour.tone_map}"] * (colour.tone_map != "none")
    return ", ".join(tagged + mapped)


def _tracks(report: FileReport) -> str:
    """All of them; the one that is shown is marked."""
    descriptions = []
    for track in report.tracks:
        marks = ["a picture"] * track.is_picture + ["default"] * track.is_default
        marks += ["shown"] * (track.index == report.track)
        stated = [track.title, track.language, *marks]
        size = f"{track.width_px} x {track.height_px}"
        descriptions.append(
            ", ".join([f"track {track.index}, {track.codec} {size}", *filter(None, stated)])
        )
    return "; ".join(descriptions)


def _chapters(report: FileReport) -> str:
    from mmreason.video.types import format_time

    listed = [
        f"{format_time(chapter.span.start_s)} {chapter.title}".rstrip()
        for chapter in report.chapters[:MOST_CHAPTERS]
    ]
    unlisted = len(report.chapters) - len(listed)
    return "; ".join(listed) + (f"; and {unlisted} more" if unlisted else "")


def _backends(report: FileReport) -> list[tuple[str, str]]:
    """A line of the back ends that read the file, and one for each reason why others do not."""
    readers = ", ".join(check.name for check in report.backends if check.why_not is None)
    rows = [("read by", readers)] if readers else []
    # Back ends that give the same reason share a line.
    names: dict[str, list[str]] = {}
    for check in report.backends:
        if check.why_not is not None:
            names.setdefault(check.why_not, []).append(check.name)
    for reason, those in names.items():
        reason = reason.removeprefix(f"{those[0]} ")
        # Reasons quote libraries, which may print a page.
        short = reason if len(reason) <= MOST_REASON else f"{reason[:MOST_REASON]} ..."
        rows.append(("not read by", f"{', '.join(those)}: {short}"))
    return rows


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


def _write_sheet(file: Path, sheet: Path) -> None:
    """Write frames from all over the video, with their times, as one picture."""
    from mmreason.cli.inputs import save_picture
    from mmreason.video import Video, plan
    from mmreason.video.sheet import contact_sheet
    from mmreason.video.types import format_time

    with Video.open(file) as video:
        title = f"{file.name}, {format_time(video.info.duration_s)}"
        picture = contact_sheet(video.sample(plan.uniform(video, SHEET_FRAMES)), title=title)
    save_picture(picture, sheet, "--sheet")
