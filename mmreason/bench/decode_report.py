"""What the decoding benchmark found, as verdicts, a Markdown page, a chart, JSON and a rich table.

Measuring is done in `decode_run`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mmreason.bench.decode_files import Scale
from mmreason.bench.decode_run import (
    CANDIDATES,
    CHOSEN,
    DIMENSIONS,
    DecodeRun,
    FileResult,
    Floor,
    PlanningResult,
    ReaderResult,
)
from mmreason.viz.charts import BarPanel, draw_bar_charts
from mmreason.viz.drawing import render_svg

if TYPE_CHECKING:
    from rich.table import Table

OURS = "mmreason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One benchmark, whole or in part."""

    scale: str
    machine: dict[str, str]
    files: tuple[FileResult, ...]
    planning: PlanningResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AimResult:
    """An aim and what was measured.

    Example:
        >>> AimResult(what="time / decord's", measured=0.4, limit=0.5, unit="").reached
        True
    """

    what: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def describe_machine() -> dict[str, str]:
    """What moves the figures: cores, system, versions of the libraries that decode."""
    import av

    names = ("av", "numpy", "torch")
    ffmpeg = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {_version(name)}" for name in names),
        "libavcodec in av": ffmpeg,
    }


def judge_aims(report: Report) -> list[AimResult]:
    """The project's aims, as far as what they need was measured; those of speed and memory are for
    the full size."""
    judged: list[AimResult] = []
    # Small files are all overhead: their ratios say nothing about aims.
    by_name = {file.name: file for file in report.files} if report.scale == "full" else {}
    short, long = by_name.get("short"), by_name.get("long")
    if short is not None:
        title = short.title.split(", ")[1]
        judged += _ratio(f"{title}: time / decord's", short, "decord", 0.5)
        judged += _ratio(
            f"{title}: time / torchcodec's, 2 threads", short, "torchcodec, 2 threads", 0.75
        )
        judged += _floor_ratios(title, short)
        theirs, ours = short.of("transformers load_video").seconds, short.of(OURS).seconds
        if theirs is not None and ours is not None:
            what = f"{title}: load_video of transformers / time"
            judged.append(
                AimResult(what=what, measured=theirs / ours, limit=8, unit="", at_least=True)
            )
    if long is not None:
        title = long.title.split(", ")[1]
        judged += _ratio(f"{title}: time / decord's", long, "decord", 0.4)
        extra_mb = long.of(OURS).extra_mb
        if extra_mb is not None:
            what = f"{title}: peak memory over that after imports"
            judged.append(AimResult(what=what, measured=extra_mb, limit=80, unit="MB"))
    # Right frames are an aim at any size.
    wrong = [file.of(OURS).wrong for file in report.files]
    if wrong:
        # A file that could not be read at all has lost every frame asked for.
        lost = sum(
            file.targets if w is None else w for w, file in zip(wrong, report.files, strict=True)
        )
        what = f"wrong or missing frames in {len(wrong)} files"
        judged.append(AimResult(what=what, measured=lost, limit=0, unit=""))
    if report.planning is not None:
        judged += _planning(report.planning)
    return judged


def _ratio(what: str, file: FileResult, other: str, limit: float) -> list[AimResult]:
    ours, theirs = file.of(OURS).seconds, file.of(other).seconds
    if ours is None or theirs is None:
        return []
    return [AimResult(what=what, measured=ours / theirs, limit=limit, unit="")]


def _floor_ratios(title: str, file: FileResult) -> list[AimResult]:
    ours = file.of(OURS).seconds
    if ours is None:
        return []
    return [
        AimResult(
            what=f"{title}: time / floor, {kind}", measured=ours / seconds, limit=1.15, unit=""
        )
        for kind, seconds in (
            ("every frame decoded", file.floor.every_frame_s),
            ("non-reference frames left out", file.floor.seconds),
        )
    ]


def _planning(planning: PlanningResult) -> list[AimResult]:
    # Determinantal methods solve for a kernel: another class of work, with a limit of its own.
    dpp = {name: s for name, s, _ in planning.methods if "dpp" in name or "mdp3" in name}
    without_dpp = {name: s for name, s, _ in planning.methods if name not in dpp}
    rows = [("first frame of the long file", median(planning.first_frame_s), 0.15)]
    for kind, times, limit in (("without a DPP", without_dpp, 0.05), ("with one", dpp, 0.5)):
        # The aim is for all of them: the slowest stands for the group.
        slowest = max(times, key=lambda name: times[name])
        what = f"planning {CANDIDATES:,} candidates, slowest {kind} ({slowest})"
        rows.append((what, times[slowest], limit))
    return [
        AimResult(what=what, measured=seconds * 1000, limit=limit * 1000, unit="ms")
        for what, seconds, limit in rows
    ]


# Text


def build_page(report: Report, scale: Scale, command: str, chart: str) -> str:
    """The page of results."""
    lines = ["# Reading frames", "", f"`{command}`", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items()]
    lines += [
        "",
        *_method(scale),
        "",
        "## Aims",
        "",
        "| aim | measured | limit | |",
        "|---|---|---|---|",
    ]
    for verdict in judge_aims(report):
        limit = f"at {'least' if verdict.at_least else 'most'} {verdict.limit:g} {verdict.unit}"
        measured = f"{_short(verdict.measured)} {verdict.unit}"
        state = "reached" if verdict.reached else "**not reached**"
        lines.append(f"| {verdict.what} | {measured.strip()} | {limit.strip()} | {state} |")
    if chart:
        lines += ["", f"![Seconds of every reader on the two long files]({chart})"]
    for file in report.files:
        lines += ["", f"## {file.title}", "", *_file_lines(file)]
    if report.planning is not None:
        lines += ["", *_planning_lines(report.planning)]
    return "\n".join(lines) + "\n"


def _method(scale: Scale) -> list[str]:
    width, height = scale.size_px
    out = "x".join(str(side) for side in scale.out_px)
    return [
        f"Files are {width}x{height} at 30 frames a second. {scale.loop_s} s of made footage "
        "(textures that pan, zoom and move, cuts, grain) are encoded once with x264 veryfast; the "
        f"long files are {scale.short_loops} and {scale.long_loops} stream copies of it, the "
        "variable-rate, rotated, trimmed and MPEG-TS ones stream copies of its beginning; the "
        "others are encoded anew. Each frame carries its number within the loop and the complement "
        "as a bar code, read back from what a reader delivers; where a reader tells times, those "
        "must be right too.",
        "",
        f"Each reading is a fresh process: open, select up to {scale.targets} frames evenly from "
        f"the first to the last, decode, resize to RGB {out} (qwen-vl-utils: multiples of 28). "
        f"Libraries are imported before. Medians of {scale.rounds} rounds in shuffled order, with "
        f"the range, on the two long files; {scale.other_rounds} on the others, which tell right "
        "from wrong. Memory is the peak over that after imports (MB of 1e6 bytes).",
        "",
        "Floor: the frames from the key frame before each target up to it, at the rate of two "
        "processes that do nothing but decode, with one thread each; once with every such frame, "
        "once without those that no other frame needs. It holds no opening, no seeking and no "
        "resizing.",
    ]


def _file_lines(file: FileResult) -> Iterator[str]:
    floor = file.floor
    yield (
        f"{file.frames:,} frames, {file.size_bytes / 1e6:.1f} MB, {file.mean_group:.0f} frames a "
        f"group on average. One thread decodes {floor.alone_hz:.0f} frames a second; two processes "
        f"decode {floor.scaling:.2f} times what one does. {file.targets} targets need "
        f"{floor.frames:,} frames: {floor.every_frame_s:.2f} s; {floor.reference_frames:,} without "
        f"those no other needs: {floor.seconds:.2f} s."
    )
    other_use = [r.others for result in file.readers for r in result.runs if r.others is not None]
    if other_use:
        yield (
            f"Other processes used {100 * median(other_use):.0f} % of the cores meanwhile (median; "
            f"at most {100 * max(other_use):.0f} %)"
            + (": these are not the times of an idle machine." if median(other_use) > 0.1 else ".")
        )
    yield ""
    yield "| reader | seconds | range | / decord | memory MB | wrong |"
    yield "|---|---|---|---|---|---|"
    for row in reader_rows(file):
        yield "| " + " | ".join(row) + " |"


def reader_rows(file: FileResult) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(reader, seconds, range, ratio to decord, memory, wrong frames) of each reader, as text."""
    # A reader that gives wrong frames is no measure for others.
    decord = next((r.seconds for r in file.readers if r.reader == "decord" and not r.wrong), None)
    for result in file.readers:
        name = f"{result.reader} {result.version}".strip()
        if result.seconds is None:
            yield name, result.note.replace("|", "/"), "", "", "", ""
            continue
        # The range beside the median tells whether a difference is larger than the noise.
        spent = [run.seconds for run in result.runs]
        ratio = "" if decord is None else f"{result.seconds / decord:.2f}"
        memory = "?" if result.extra_mb is None else f"{result.extra_mb:.0f}"
        wrong = f"{result.wrong}/{file.targets}"
        if result.note:
            wrong += f"; then {result.note}"
        yield (
            name,
            f"{result.seconds:.2f}",
            f"{min(spent):.2f}-{max(spent):.2f}",
            ratio,
            memory,
            wrong,
        )


def _planning_lines(planning: PlanningResult) -> Iterator[str]:
    yield "## Planning, and the first frame"
    yield ""
    spent = [1000 * seconds for seconds in planning.first_frame_s]
    yield (
        f"First frame of the longest file, opening included: {median(spent):.0f} ms "
        f"({min(spent):.0f}-{max(spent):.0f}). Planning, {CANDIDATES:,} candidates; methods by "
        f"content choose {CHOSEN}, with embeddings of {DIMENSIONS} numbers where they use them:"
    )
    yield ""
    yield "| method | ms | frames |"
    yield "|---|---|---|"
    for name, seconds, count in planning.methods:
        yield f"| {name} | {1000 * seconds:.1f} | {count:,} |"


def rich_tables(report: Report) -> Iterator[Table]:
    """The aims, and one table a file."""
    from rich import box
    from rich.table import Table

    aims = Table("aim", "measured", "limit", "", title="aims", box=box.SIMPLE_HEAD)
    for verdict in judge_aims(report):
        sign = ">=" if verdict.at_least else "<="
        state = "[green]reached[/]" if verdict.reached else "[red]not reached[/]"
        measured = f"{_short(verdict.measured)} {verdict.unit}"
        aims.add_row(verdict.what, measured, f"{sign} {verdict.limit:g} {verdict.unit}", state)
    yield aims
    for file in report.files:
        heads = ("reader", "seconds", "range", "/ decord", "memory MB", "wrong")
        table = Table(*heads, title=file.title, box=box.SIMPLE_HEAD)
        for row in reader_rows(file):
            table.add_row(*row)
        yield table


def draw_chart(files: Sequence[FileResult]) -> str:
    """One panel a file as SVG: a bar a reader, fastest first, and a line where the floor is."""
    panels = [
        BarPanel(
            title=f"{file.title}: seconds for {file.targets} frames",
            bars={r.reader: r.seconds for r in file.readers if r.seconds is not None},
            highlight=OURS,
            limit=file.floor.seconds,
            limit_name="floor",
        )
        for file in files
    ]
    return render_svg(draw_bar_charts("Seconds by reader", panels))


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 and value != int(value) else f"{value:.0f}"


# JSON


def to_dict(report: Report) -> dict[str, Any]:
    """JSON types only, verdicts included."""
    judged = [asdict(verdict) | {"reached": verdict.reached} for verdict in judge_aims(report)]
    return asdict(report) | {"verdicts": judged}


def from_dict(data: dict[str, Any]) -> Report:
    """What `to_dict` gave. Raises KeyError or TypeError for something else."""
    planning = data["planning"]
    if planning is not None:
        planning = PlanningResult(
            first_frame_s=tuple(planning["first_frame_s"]),
            methods=tuple((name, seconds, count) for name, seconds, count in planning["methods"]),
        )
    return Report(
        scale=data["scale"],
        machine=data["machine"],
        files=tuple(_file(file) for file in data["files"]),
        planning=planning,
    )


def _file(data: dict[str, Any]) -> FileResult:
    # JSON has lists where the records have tuples.
    readers = tuple(
        ReaderResult(**reader | {"runs": tuple(DecodeRun(**run) for run in reader["runs"])})
        for reader in data["readers"]
    )
    return FileResult(**data | {"floor": Floor(**data["floor"]), "readers": readers})


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
