"""`mmreason eval refadv`: whether a model reads the expression, on items that carry proofs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table

from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    OptionItems,
    OptionsFile,
    ServedModel,
    load_reasoner,
    print_json,
    print_line,
    print_notice,
    read_model_options,
    result_console,
    show_progress,
)
from mmreason.cli.measuring import read_seeds, show_bar, split_names

if TYPE_CHECKING:
    from mmreason.evaluation.refadv.cases import RefAdvCase
    from mmreason.evaluation.refadv.diagnosis import Diagnosis
    from mmreason.evaluation.refadv.subjects import Phrase, Subject

TABLE_WIDTH = 200
_MOST_NAMED = 5
"""Bad rows and failed cases that are named on the terminal."""
VARIANTS = "shuffle,delete,strip_negation,swap,reverse,single_frame,blind,floor"


def eval_refadv(
    folder: Annotated[
        Path, typer.Option("--out", help="Folder of the run; what is there is not asked again.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="nano, a model's name, folder or URL; oracle:NAME or oracle:all, whose score is "
            "known; detector:NAME, or detector:scripted, which reads the script. May be repeated.",
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="image or video.")] = "image",
    items: Annotated[int, typer.Option(min=1, help="How many items.")] = 300,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Draw items with this seed in place of the frozen set."),
    ] = None,
    descriptors: Annotated[
        str, typer.Option(help="With --seed: descriptors of an expression, in turn.")
    ] = "1-3",
    candidates: Annotated[
        str, typer.Option(help="With --seed: objects of a scene, in turn.")
    ] = "4,6,8",
    families: Annotated[
        str | None, typer.Option(help="With --seed: families of expressions, between commas.")
    ] = None,
    wording: Annotated[
        str,
        typer.Option(help="With --seed: varied, or first for one template and no synonyms."),
    ] = "varied",
    variants: Annotated[
        str, typer.Option(help="How items are changed, between commas; none asks them as they are.")
    ] = VARIANTS,
    shuffles: Annotated[int, typer.Option(min=1, help="Orders of the words of each item.")] = 1,
    rows: Annotated[
        Path | None,
        typer.Option(help="Your own rows in place of items: Ref-Adv, RefCOCO, COCO, ODVG, ..."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="With --rows: folder of the pictures.")
    ] = None,
    phrase: Annotated[
        str,
        typer.Option(
            help="What a detector is asked, between commas: whole, noun (phrase), head (noun)."
        ),
    ] = "noun",
    workers: Annotated[
        int, typer.Option(min=1, help="Cases at a time, for models behind a server.")
    ] = 1,
    report: Annotated[Path | None, typer.Option(help="Also write the page to this file.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Also write the tables to this file, as Markdown.")
    ] = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    as_json: Json = False,
) -> None:
    """Measure whether a model reads expressions: accuracy by what they ask, and what it loses
    where words, the picture or time are changed.

    Exit code 1 where a case failed.
    """
    from mmreason.evaluation.refadv.diagnosis import build_diagnosis
    from mmreason.evaluation.refadv.failures import draw_failures
    from mmreason.evaluation.refadv.runner import read_outcomes, run_cases

    names = model or ["nano"]
    command = _command(
        {
            "--model": names,
            "--kind": kind,
            "--items": items if rows is None else None,
            "--seed": seed,
            "--descriptors": None if seed is None else descriptors,
            "--candidates": None if seed is None else candidates,
            "--families": families,
            "--wording": wording if wording != "varied" else None,
            "--variants": variants if variants != VARIANTS else None,
            "--shuffles": shuffles if shuffles > 1 else None,
            "--rows": rows,
            "--images": images,
            "--phrase": phrase if phrase != "noun" else None,
            "--option": option,
            "--out": folder,
        }
    )
    # 1. What is asked, before a model is loaded.
    with show_progress("making the items"):
        if rows is not None:
            work = _read_rows(rows, images, variants, shuffles)
        else:
            work = _make_items(
                kind=kind,
                count=items,
                seed=seed,
                descriptors=descriptors,
                candidates=candidates,
                families=families,
                wording=wording,
                variants=variants,
                shuffles=shuffles,
                folder=folder,
            )
    for problem in work.problems[:_MOST_NAMED]:
        print_notice(f"not used: {problem}")
    if len(work.problems) > _MOST_NAMED:
        print_notice(f"{len(work.problems) - _MOST_NAMED:,} more rows are not used")
    # 2. Who is asked.
    with show_progress(f"loading {', '.join(names)}"):
        options = (served_model, api_key_file, option, options_file)
        subjects = load_subjects(names, phrase, options)
    # 3. Asked, each outcome on disk before the next is waited for.
    with show_bar(f"asking {', '.join(names)}") as say:
        path = run_cases(
            subjects, work.cases, folder, settings=work.settings, workers=workers, on_progress=say
        )
    # 4. What came of it, of these subjects.
    # The folder may hold outcomes of other subjects.
    planned = {(subject.name, *case.key) for subject in subjects for case in work.cases}
    outcomes = [outcome for outcome in read_outcomes(path) if outcome.key in planned]
    outcomes.sort(key=lambda outcome: [s.name for s in subjects].index(outcome.subject))
    with show_progress("drawing what was answered wrongly"):
        failures = draw_failures(outcomes, work.cases)
    diagnosis = build_diagnosis(
        outcomes,
        command=command,
        settings={**work.settings, "workers": workers},
        failures=failures,
    )
    page = diagnosis.write(folder)
    show_diagnosis(diagnosis, as_json=as_json, report=report, table=table)
    print_notice(f"page written to {page}")
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed[:_MOST_NAMED]:
        print_notice(f"  {outcome.item}, {outcome.change}: {outcome.error}")
    if failed:
        print_notice(f"{len(failed):,} of {len(outcomes):,} cases failed, and count as wrong")
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCases:
    """What is asked.

    Example: `PlannedCases(cases=cases, settings={}, problems=())`.
    """

    cases: Sequence[RefAdvCase]
    settings: Mapping[str, Any]
    problems: Sequence[str] = ()
    """Rows that are not used, with the reason."""


def _make_items(
    *,
    kind: str,
    count: int,
    seed: int | None,
    descriptors: str,
    candidates: str,
    families: str | None,
    wording: str,
    variants: str,
    shuffles: int,
    folder: Path,
) -> PlannedCases:
    from mmreason.evaluation.refadv.cases import check_changes
    from mmreason.evaluation.refadv.plan import ItemPlan, mix_knobs, write_items
    from mmreason.types import UsageError

    if kind not in ("image", "video"):
        raise UsageError(f"--kind must be image or video, got {kind!r}")
    if seed is None and families:
        raise UsageError("--families is of drawn items: give --seed too")
    knobs = ()
    if seed is not None:
        counts = read_seeds(descriptors), read_seeds(candidates)
        knobs = mix_knobs(kind, *counts, split_names(families or ""), wording=wording)
    plan = ItemPlan(
        kind=kind,
        count=count,
        seed=seed,
        knobs=knobs,
        changes=check_changes(split_names(variants)),
        shuffles=shuffles,
    )
    items = plan.items()
    if not (folder / "items.jsonl").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_items(items, folder / "items.jsonl")
    return PlannedCases(cases=tuple(plan.cases(items)), settings=plan.settings(items))


def _read_rows(rows: Path, images: Path | None, variants: str, shuffles: int) -> PlannedCases:
    import hashlib

    from mmreason.evaluation.refadv.cases import check_changes
    from mmreason.evaluation.refadv.rows import row_cases
    from mmreason.grounding.formats import FormError, RowError, read_rows
    from mmreason.types import UsageError

    changes = check_changes(split_names(variants))
    cases: list[RefAdvCase] = []
    problems: list[str] = []
    try:
        readings = list(read_rows(rows))
    except FormError as error:
        raise UsageError(str(error)) from error
    for row in readings:
        if isinstance(row, RowError):
            problems.append(str(row))
            continue
        try:
            cases += row_cases(row, images or rows.parent, changes, shuffles=shuffles)
        except ValueError as error:
            problems.append(str(error))
    if not cases:
        reason = problems[0] if problems else "it has no rows"
        raise UsageError(f"{rows}: no row can be asked: {reason}")
    digest = hashlib.sha256(rows.read_bytes()).hexdigest()
    settings = {"rows_sha256": digest, "changes": list(changes), "shuffles": shuffles}
    return PlannedCases(cases=cases, settings=settings, problems=problems)


def load_subjects(
    names: Sequence[str],
    phrase: str,
    options: tuple[str | None, Path | None, list[str] | None, Path | None],
) -> list[Subject]:
    """Who is named. Raises UsageError for a name that is none."""
    from typing import get_args

    from mmreason.evaluation.refadv.subjects import (
        DetectorSubject,
        OracleSubject,
        Phrase,
        ReasonerSubject,
        ScriptedDetectorSubject,
    )
    from mmreason.grounding.refadv.oracles import ORACLES
    from mmreason.types import UsageError

    served_model, api_key_file, option, options_file = options
    phrases = split_names(phrase)
    if not phrases or set(phrases) - set(get_args(Phrase)):
        raise UsageError(f"--phrase must be of {', '.join(get_args(Phrase))}, got {phrase!r}")
    subjects: list[Subject] = []
    for name in names:
        sort, _, rest = name.partition(":")
        if sort == "oracle":
            if rest != "all" and rest not in ORACLES:
                raise UsageError(f"{name!r}: there is oracle:all, or one of {', '.join(ORACLES)}")
            subjects += [OracleSubject(o) for o in ORACLES if rest in ("all", o)]
        elif sort == "detector" and rest == "scripted":
            subjects += [ScriptedDetectorSubject(cast("Phrase", words)) for words in phrases]
        elif sort == "detector":
            from mmreason.grounding.detectors import load_detector

            detector = load_detector(rest)
            subjects += [DetectorSubject(detector, cast("Phrase", words)) for words in phrases]
        else:
            reasoner = load_reasoner(
                name,
                served_model=served_model,
                api_key_file=api_key_file,
                options=read_model_options(option, options_file),
                probe=False,
            )
            subjects.append(ReasonerSubject(reasoner, name))
    return subjects


def show_diagnosis(
    diagnosis: Diagnosis, *, as_json: bool, report: Path | None, table: Path | None
) -> None:
    """Print a diagnosis, and write the page and the tables where they were asked for."""
    from mmreason.video.files import write_atomic

    if report is not None:
        diagnosis.save_html(report)
    if table is not None:
        write_atomic(table, diagnosis.to_markdown().encode())
    if as_json:
        print_json(diagnosis.to_dict())
        return
    from mmreason.evaluation.refadv.diagnosis import subject_tables

    for entry in diagnosis.overview():
        _print_table(*entry)
    for subject in diagnosis.subjects:
        print_line("")
        print_line(subject.tables.subject)
        for verdict in subject.verdicts:
            print_line(f"  {verdict}")
        # Of many subjects the page has the tables.
        if len(diagnosis.subjects) == 1:
            for entry in subject_tables(subject.tables):
                _print_table(*entry)


def _print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Rich drops letters, and whole columns, that do not fit; a line that wraps loses nothing.
    console = result_console(least_width=TABLE_WIDTH)
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in header:
        table.add_column(name, justify="right" if name != header[0] else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    print_line("")
    print_line(title)
    console.print(table)


def _command(options: Mapping[str, str | int | Path | list[str] | None]) -> str:
    """The line that makes these results again, with the options that move a figure."""
    words = ["mmreason", "eval", "refadv"]
    for option, value in options.items():
        if value is not None:
            for item in value if isinstance(value, list) else [value]:
                words += [option, str(item)]
    return shlex.join(words)
