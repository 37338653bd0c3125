"""`mmreason data check`, `split`, `sample` and `stats`: what is in data sets, and what is wrong.

Data sets of referring expressions are checked by `data_referring`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    show_progress,
)
from mmreason.cli.data_referring import Boxes, FormName, Fps, check_referring
from mmreason.json_values import to_json

if TYPE_CHECKING:
    from mmreason.training.data.doctor.check import CheckSettings, DataReport
    from mmreason.training.data.doctor.sample_file import SampleFile

Files = Annotated[list[Path], typer.Argument(help="Data sets in any dialect; several are splits.")]
OneFile = Annotated[Path, typer.Argument(metavar="FILE", help="A data set in any dialect.")]
DialectName = Annotated[
    str | None, typer.Option("--dialect", help="What the file is to be; default: by its content.")
]
MediaRoot = Annotated[
    Path | None, typer.Option("--media-root", help="Folder that relative paths start from.")
]


def check_data(
    files: Files,
    dialect: DialectName = None,
    media_root: MediaRoot = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Decode a first frame of each file; find look-alikes.")
    ] = False,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", help="Write a copy of one file without rows that have problems."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--out", help="HTML page of findings, with frames of rows.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option("--work", help="File that keeps what was read of videos, to go on with."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that open files.")] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=0.1, help="Seconds that a file may take.")
    ] = 30.0,
    form: FormName = None,
    boxes: Boxes = None,
    fps: Fps = None,
    as_json: Json = False,
) -> None:
    """Check data sets: rows, every video they name, duplicates, leaks between splits, and how far
    one gets without looking.

    Of referring expressions (docs/grounding_data.md) it checks boxes, splits and look-alikes.
    Exit code 1 where a problem was found and no clean copy was written.
    """
    quiet_libraries()
    from mmreason.types import UsageError

    is_referring = form is not None or boxes is not None or (dialect is None and _is_form(files))
    if is_referring:
        if fix is not None or page is not None:
            raise UsageError("--fix and --out are for rows of fine-tuning; convert the file first")
        check_referring(files, form, boxes, fps, as_json)
        return
    if fix is not None and len(files) != 1:
        raise UsageError(f"--fix takes one data set, got {len(files)}")
    from mmreason.training.data.doctor.check import CheckSettings

    settings = CheckSettings(frames=frames, workers=workers, time_limit_s=time_limit, ledger=work)
    read = _read_files(files, dialect, media_root)
    report = _check(read, settings)
    made: dict[str, Any] = {}
    if page is not None:
        from mmreason.training.data.doctor.show import MOST_ROWS_SHOWN, pick_rows, save_page

        made["page"] = str(save_page(page, report, rows=pick_rows(report.samples, MOST_ROWS_SHOWN)))
    if fix is not None:
        from mmreason.training.data.doctor.clean import write_clean_copy

        made["clean"] = to_json(write_clean_copy(read[0], report.findings, fix))
    if as_json:
        print_json(to_json(report) | made)
    else:
        _print_report(report, made)
    if report.problems and fix is None:
        raise typer.Exit(1)


def split_data(
    file: OneFile,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the rows that is held out.")
    ] = 0.2,
    by: Annotated[
        str, typer.Option("--by", help="What is not parted: media, or a field of the rows.")
    ] = "media",
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    out: Annotated[Path, typer.Option("--out", help="Folder for both files.")] = Path("split"),
    dialect: DialectName = None,
    media_root: MediaRoot = None,
    as_json: Json = False,
) -> None:
    """Split a data set into rows to learn from and rows to hold out, with no video on both sides.

    Copies of a file count as the file. The files lie in the folder as train and held_out.
    """
    quiet_libraries()
    from mmreason.training.data.doctor.check import CheckSettings
    from mmreason.training.data.doctor.clean import write_rows
    from mmreason.training.data.doctor.split import split_samples

    (read,) = _read_files([file], dialect, media_root)
    report = _check([read], CheckSettings())
    split = split_samples(
        read.samples,
        report.groups,
        held_out=held_out,
        seed=seed,
        column=None if by == "media" else by,
    )
    out.mkdir(parents=True, exist_ok=True)
    suffix = _suffix(file, read.dialect)
    written = {"train": split.train, "held_out": split.held_out}
    notes: list[str] = list(split.notes)
    paths = {}
    for name, samples in written.items():
        paths[name] = out / f"{name}{suffix}"
        notes += write_rows(paths[name], samples, read.dialect)
    counts = {name: len(samples) for name, samples in written.items()}
    if as_json:
        print_json(
            {name: {"file": str(paths[name]), "rows": counts[name]} for name in written}
            | {"bad_rows": len(read.faults), "notes": notes}
        )
        return
    for name, path in paths.items():
        print_line(f"{name}: {counts[name]:,} rows in {path}")
    if read.faults:
        print_notice(f"{len(read.faults):,} bad rows are in neither; mmreason data check {file}")
    for note in dict.fromkeys(notes):
        print_notice(f"note: {note}")


def sample_data(
    file: OneFile,
    count: Annotated[int, typer.Option("-n", min=1, help="Rows, from all over the file.")] = 5,
    page: Annotated[
        Path | None, typer.Option("--out", help="HTML page of the rows with their frames.")
    ] = None,
    dialect: DialectName = None,
    media_root: MediaRoot = None,
    as_json: Json = False,
) -> None:
    """Show rows of a data set as they are understood."""
    quiet_libraries()
    from mmreason.training.data.doctor.check import describe_only
    from mmreason.training.data.doctor.show import describe_sample, pick_rows, save_page

    (read,) = _read_files([file], dialect, media_root)
    rows = pick_rows(read.samples, count)
    if page is not None:
        save_page(page, describe_only([read]), rows=rows)
    if as_json:
        print_json({"dialect": read.dialect, "rows": [to_json(sample) for sample in rows]})
        return
    print_line(f"{file}: {read.dialect}, {read.container} ({read.reason})")
    for sample in rows:
        for line in describe_sample(sample):
            print_line(line)
    if page is not None:
        print_line(f"page written to {page}")


def stats_data(
    files: Files,
    dialect: DialectName = None,
    media_root: MediaRoot = None,
    as_json: Json = False,
) -> None:
    """Count the rows of data sets: dialects, media, answers, and how far one gets without looking.
    Opens no video."""
    quiet_libraries()
    from mmreason.training.data.doctor.check import describe_only
    from mmreason.training.data.doctor.show import describe_file

    report = describe_only(_read_files(files, dialect, media_root))
    if as_json:
        print_json(to_json(report))
        return
    for each in report.files:
        for line in describe_file(each):
            print_line(line)


def _is_form(files: list[Path]) -> bool:
    """Whether the first file is of referring expressions."""
    from mmreason.grounding.formats import FormError, detect_form
    from mmreason.types import UsageError

    try:
        detect_form(files[0])
    except (FormError, UsageError):
        return False
    return True


def _read_files(
    files: list[Path], dialect: str | None, media_root: Path | None
) -> list[SampleFile]:
    from mmreason.training.data.doctor.sample_file import read_sample_file

    return [read_sample_file(file, dialect, media_root=media_root) for file in files]


def _check(files: list[SampleFile], settings: CheckSettings) -> DataReport:
    from mmreason.training.data.doctor.check import check_samples

    with show_progress("opening files") as say:
        return check_samples(
            files, settings, on_done=lambda done, of: say(f"opened {done:,} of {of:,} files")
        )


def _print_report(report: DataReport, made: dict[str, Any]) -> None:
    from mmreason.training.data.doctor.show import describe_report

    for line in describe_report(report):
        print_line(line)
    for note in report.notes:
        print_notice(f"note: {note}")
    if "page" in made:
        print_line(f"page written to {made['page']}")
    if clean := made.get("clean"):
        print_line(
            f"{clean['rows']:,} rows are in {clean['path']}; {clean['left_out']:,} are left out, "
            f"listed in {clean['list_path']}"
        )
        for note in clean["notes"]:
            print_notice(f"note: {note}")


def _suffix(file: Path, dialect: str) -> str:
    """The ending of the file, where its dialect is written with that."""
    from mmreason.training.data.dialects.write import ENDINGS
    from mmreason.training.data.doctor.clean import writable_dialect

    endings = ENDINGS[writable_dialect(dialect)[0]]
    return file.suffix if file.suffix in endings else endings[0]
