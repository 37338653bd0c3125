"""`mmreason transcribe`: what is said in videos and sound files, as subtitles, JSON or text."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    ServedModel,
    api_key,
    print_json,
    print_line,
    print_notice,
    show_progress,
)
from mmreason.cli.engine_options import (
    EngineName,
    EngineOptions,
    GpusPerWorker,
    RayAddress,
    RetryFailed,
    ShardText,
    TimeLimit,
    Workers,
)
from mmreason.cli.inputs import expand_paths, finish_work, to_dict, work_through
from mmreason.json_values import to_json
from mmreason.video.speech.transcript import Segment

if TYPE_CHECKING:
    from mmreason.video.speech import Recogniser, Transcript, TranscriptFormat, WindowFile
    from mmreason.video.types import Span

Format = Literal["srt", "vtt", "json", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribedFile:
    """What is said in one file."""

    path: str
    language: str
    """A code such as `en`, "" where it is not known."""
    source: str
    """Who says so: `speech recognition`, a subtitle file or track."""
    model: str
    """Name of the recogniser; "" where it was read."""
    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
    """What was refused, left out or damaged."""
    out: str = ""
    """File that was written, where `--out` asked for one."""


def transcribe_files(
    files: Annotated[
        list[str], typer.Argument(help="Videos or sound files, folders of videos, or patterns.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write one file a video into; else it is printed."),
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", help="srt, vtt (with voices), json (whisper's form) or text.")
    ] = "text",
    asr: Annotated[
        str,
        typer.Option(
            "--asr",
            help="Recogniser: whisper-tiny.en (English only, works offline), a size such as small "
            "or a hub id, a folder of weights, or http(s)://host/v1.",
        ),
    ] = "whisper-tiny.en",
    language: Annotated[
        str | None,
        typer.Option(help="Code of the language, such as de, for a model of many; else found out."),
    ] = None,
    hotwords: Annotated[
        str | None,
        typer.Option(help="Names and terms to be recognised, separated by commas."),
    ] = None,
    span: Annotated[
        str | None, typer.Option(help="Seconds from and to, such as 60-75 or 1:00-1:15.")
    ] = None,
    subtitles: Annotated[
        bool,
        typer.Option(
            "--subtitles/--no-subtitles",
            help="Take subtitles beside or inside the video where there are some.",
        ),
    ] = True,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    engine: EngineName = None,
    workers: Workers = 1,
    shard: ShardText = None,
    time_limit: TimeLimit = None,
    retry_failed: RetryFailed = False,
    ray_address: RayAddress = None,
    gpus_per_worker: GpusPerWorker = 0.0,
    as_json: Json = False,
) -> None:
    """Write down what is said. Interrupted, it goes on where it was when run again."""
    from mmreason.types import UsageError
    from mmreason.video.speech import load_recogniser

    if format_name not in get_args(Format):
        names = ", ".join(get_args(Format))
        raise UsageError(f"--format {format_name}: expected one of {names}")
    chosen = cast("TranscriptFormat", format_name)
    span_s = None if span is None else _parse_span(span)
    engine_options = EngineOptions.of(
        engine=engine,
        workers=workers,
        shard=shard,
        time_limit_s=time_limit,
        ray_address=ray_address,
        gpus_per_worker=gpus_per_worker,
        retry_failed=retry_failed,
    )
    inputs = expand_paths(files)
    paths = engine_options.select_files(inputs.files)
    names = [word.strip() for word in (hotwords or "").split(",")]
    if not engine_options.is_plain:
        from mmreason.cli.transcribe_engine import TranscribeSettings, transcribe_on_engine

        if out is None and not as_json:
            raise UsageError("--workers and --engine need --out FOLDER or --json")
        settings = TranscribeSettings(
            asr=asr,
            hotwords=tuple(name for name in names if name),
            language=language,
            api_key_file=None if api_key_file is None else str(api_key_file.absolute()),
            served_model=served_model or "whisper-1",
            span_s=None if span_s is None else (span_s.start_s, span_s.end_s),
            takes_subtitles=subtitles,
            format_name=chosen,
        )
        on_engine = transcribe_on_engine(paths, settings, engine_options, out)
        if as_json:
            print_json(to_dict(on_engine, dict))
        else:
            for value in on_engine.results:
                _print_written(value)
        finish_work(on_engine)
        return
    taken: set[Path] = set()

    @cache
    def load() -> Recogniser:
        # At the first file that needs it: subtitles may be there for all of them.
        with show_progress(f"loading {asr}"):
            return load_recogniser(
                asr,
                hotwords=[name for name in names if name],
                language=language,
                api_key=api_key(asr, api_key_file, os.environ.get("OPENAI_API_KEY")),
                served_model=served_model or "whisper-1",
            )

    def act(path: Path) -> TranscribedFile:
        transcript = transcribe_file(path, load, span_s, language, subtitles)
        target = None if out is None else name_target(out, path, chosen, taken)
        if target is not None:
            write_target(transcript, target, chosen)
        done = TranscribedFile(
            path=str(path),
            language=transcript.language,
            source=transcript.source,
            model=transcript.model,
            segments=transcript.segments,
            notes=transcript.notes,
            out="" if target is None else str(target),
        )
        # As each file is done: an interruption keeps what was printed.
        if not as_json:
            _print_file(done, transcript, chosen, many=inputs.many)
        return done

    work = work_through(paths, act, "transcribing")
    if as_json:
        print_json(to_dict(work, to_json))
    finish_work(work)


def transcribe_file(
    path: Path,
    load: Callable[[], Recogniser],
    span: Span | None,
    language: str | None,
    takes_subtitles: bool,
) -> Transcript:
    from mmreason.video.audio import list_audio_tracks
    from mmreason.video.backends.base import check_file
    from mmreason.video.speech import Transcript, find_transcript, transcribe
    from mmreason.video.types import format_time

    check_file(path)
    read = find_transcript(path, language=language, span=span) if takes_subtitles else None
    if read is not None and read.source:
        return read
    notes = () if read is None else read.notes
    # Before a recogniser is loaded for nothing.
    if not list_audio_tracks(path):
        return Transcript(segments=(), source="", notes=(*notes, "has no sound"))
    recogniser = load()
    windows, fault = _open_windows(path, recogniser)
    with show_progress(path.name) as say:

        def tell(done_s: float, total_s: float | None) -> None:
            total = "" if total_s is None else f" of {format_time(total_s)}"
            say(f"{path.name}: {format_time(done_s)}{total}")

        heard = transcribe(path, recogniser, span=span, on_progress=tell, windows=windows)
    fault = fault or ("" if windows is None else windows.fault)
    unkept = (f"what was heard is not kept for another run: {fault}",) if fault else ()
    return replace(heard, notes=(*notes, *heard.notes, *unkept))


def _open_windows(path: Path, recogniser: Recogniser) -> tuple[WindowFile | None, str]:
    """Where what is heard in `path` is kept, or why it is not."""
    from mmreason.cache_folder import CacheFolderError, cache_folder
    from mmreason.video.files import hash_content
    from mmreason.video.speech import open_window_file

    try:
        return open_window_file(cache_folder() / "speech", hash_content(path), recogniser), ""
    except (OSError, CacheFolderError) as error:
        return None, str(error)


def name_target(folder: Path, path: Path, chosen: TranscriptFormat, taken: set[Path]) -> Path:
    """The file that a video's transcript is written to; adds it to `taken`."""
    from mmreason.video.speech.writers import SUFFIXES

    target, number = folder / f"{path.stem}{SUFFIXES[chosen]}", 1
    # Two videos of one name from two folders get a file each.
    while target in taken:
        number += 1
        target = folder / f"{path.stem}-{number}{SUFFIXES[chosen]}"
    taken.add(target)
    return target


def write_target(transcript: Transcript, target: Path, chosen: TranscriptFormat) -> None:
    """Raises ValueError where the file is there already: nothing is overwritten."""
    from mmreason.video.files import write_atomic
    from mmreason.video.speech.writers import write_transcript

    if target.exists():
        raise ValueError(
            f"{target} is there already and is not overwritten; remove it or give "
            "another folder with --out"
        )
    write_atomic(target, write_transcript(transcript, chosen).encode())


def _print_written(value: Mapping[str, Any]) -> None:
    """What a worker has written, by the JSON of its `TranscribedFile`."""
    from mmreason.report.text import format_count

    lines = format_count(len(value["segments"]), "line")
    print_line(f"{value['path']}: {lines} of speech, written to {value['out']}")
    for note in value["notes"]:
        print_notice(f"{value['path']}: {note}")


def _print_file(
    done: TranscribedFile, transcript: Transcript, chosen: TranscriptFormat, *, many: bool
) -> None:
    from mmreason.report.text import format_count
    from mmreason.video.speech.writers import write_transcript

    lines = format_count(len(done.segments), "line")
    if done.out:
        print_line(f"{done.path}: {lines} of speech, written to {done.out}")
    else:
        if many:
            print_line(f"{done.path}: {lines} of speech")
        for row in write_transcript(transcript, chosen).splitlines():
            print_line(row)
    for note in done.notes:
        print_notice(f"{done.path}: {note}")


def _parse_span(text: str) -> Span:
    from mmreason.types import UsageError
    from mmreason.video.types import Span

    first, dash, last = text.partition("-")
    try:
        if not dash:
            raise ValueError
        return Span(_seconds(first), _seconds(last))
    except ValueError as error:
        raise UsageError(
            f"--span {text}: expected two times in order, such as 60-75 or 1:00-1:15"
        ) from error


def _seconds(text: str) -> float:
    """`75`, `1:15` or `1:02:03.5` as seconds. ValueError for what is none."""
    total_s = 0.0
    for field in text.strip().split(":"):
        total_s = total_s * 60 + float(field)
    return total_s
