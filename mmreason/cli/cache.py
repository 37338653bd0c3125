"""`mmreason cache`: what is kept of all videos or of one, forgetting it, correcting it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmreason.cli.common import Json, print_json, print_line
from mmreason.json_values import to_json
from mmreason.memory.records import Channel, MemoryRecord
from mmreason.memory.sense_ledger import SenseRun
from mmreason.video.types import Span

if TYPE_CHECKING:
    from mmreason.memory.store import Store
    from mmreason.memory.store_usage import StoreShare, Usage

FileState = Literal["same", "new", "moved", "copied", "replaced", "deleted"]
_STATES: dict[FileState, str] = {
    "same": "as it was last seen",
    "new": "not seen before under any name",
    "moved": "known by its content; it was moved",
    "copied": "known by its content; there is another copy",
    "replaced": "another video lay here before: index it anew",
    "deleted": "gone; this is what was last seen under this name",
}
MOST_LISTED = 20
"""Videos and models that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOutput:
    """One record of a video."""

    id: str
    channel: Channel
    span: Span
    text: str
    source: str
    model: str
    confidence: float | None
    speaker: str

    @classmethod
    def of(cls, record: MemoryRecord) -> RecordOutput:
        """What people read of a record."""
        return cls(
            id=record.id,
            channel=record.channel,
            span=record.span,
            text=record.text,
            source=record.source,
            model=record.model,
            confidence=record.confidence,
            speaker=record.speaker,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoUsageOutput:
    """What is kept of one video."""

    path: str
    store: str
    """File in which it is kept."""
    state: FileState
    """Whether the file is what was last seen under its name."""
    video: str
    """Content hash."""
    seen_at: tuple[str, ...]
    """Paths under which this content was seen, the last first."""
    records: dict[str, int]
    """By channel."""
    senses: tuple[SenseRun, ...]
    embedders: tuple[str, ...]
    frames: dict[str, int]
    """Frames that are embedded, by encoder and input size."""
    corrections: int
    """Records that were corrected by hand."""
    replies: int
    """Of models."""
    size_bytes: int
    rows: tuple[RecordOutput, ...]
    """The records, where they were asked for."""


StoreFile = Annotated[
    Path | None, typer.Option("--store", help="SQLite file; by default that of this user.")
]
VideoFileName = Annotated[
    Path, typer.Argument(help="A video, also one that is gone: it is known by its last name.")
]

cache_app = typer.Typer(help="Show, correct and forget what is kept of videos.")


@cache_app.callback(invoke_without_command=True)
def manage_store(
    context: typer.Context,
    store: StoreFile = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget everything that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is kept of what models and senses found in videos, or clear it."""
    from mmreason.memory.store import Store

    if context.invoked_subcommand is not None:
        return
    path = _store_path(store)
    # Opening would create the file.
    if not path.exists():
        _print_nothing(path, as_json=as_json)
        return
    with Store.open(path) as opened:
        cleared = opened.clear() if clear else None
        usage = opened.usage()
    if as_json:
        print_json(usage.to_dict() | ({} if cleared is None else {"cleared": cleared}))
        return
    if cleared is not None:
        from mmreason.report.text import format_count

        print_line(f"cleared: {format_count(cleared, 'reply', 'replies')}")
    _print(usage)


@cache_app.command("show", epilog="Example: mmreason cache show talk.mp4 --records")
def show_video(
    file: VideoFileName,
    records: Annotated[
        bool, typer.Option("--records", help="List the records, each with its id.")
    ] = False,
    store: StoreFile = None,
    as_json: Json = False,
) -> None:
    """Show what is kept of one video, how much and where."""
    from mmreason.memory.video_memory import VideoMemory
    from mmreason.memory.video_usage import read_video_usage

    with _open_store(store) as opened:
        video, state = _find_video(opened, file)
        usage = read_video_usage(opened, video)
        rows = VideoMemory(opened, video).records if records else ()
    output = VideoUsageOutput(
        path=str(file),
        store=opened.path,
        state=state,
        video=video,
        seen_at=tuple(seen.path for seen in usage.files),
        records=usage.records,
        senses=usage.runs,
        embedders=usage.embedders,
        frames=usage.frames,
        corrections=usage.corrections,
        replies=usage.replies,
        size_bytes=usage.size_bytes,
        rows=tuple(RecordOutput.of(record) for record in rows),
    )
    if as_json:
        print_json(to_json(output))
    else:
        _print_video(output)


def _forget_transcripts(video: str) -> int:
    """Remove what `mmreason transcribe` keeps beside the store; returns how many files."""
    from mmreason.cache_folder import CacheFolderError, cache_folder
    from mmreason.video.speech import forget_windows

    try:
        return forget_windows(cache_folder() / "speech", video)
    except CacheFolderError:
        return 0


@cache_app.command("forget", epilog="Example: mmreason cache forget talk.mp4 --sense speech")
def forget_file(
    file: VideoFileName,
    sense: Annotated[
        list[str] | None,
        typer.Option(help="Only what this sense found: shots, labels, speech, screen."),
    ] = None,
    store: StoreFile = None,
) -> None:
    """Forget what is kept of one video, or what a sense found in it. Corrections by hand go with
    the whole video only."""
    from mmreason.memory.video_usage import forget_video, read_video_usage
    from mmreason.senses.parts import read_sense_names

    names = read_sense_names(sense or ())
    with _open_store(store, may_lack=store is None) as opened:
        video, _ = _find_video(opened, file)
        transcripts = _forget_transcripts(video) if not names or "speech" in names else 0
        if names:
            for name in names:
                print_line(f"{file}: {opened.forget_sense(video, name):,} of {name} are forgotten")
            return
        usage = read_video_usage(opened, video)
        forget_video(opened, video)
    count = sum(usage.records.values())
    print_line(
        f"{file}: {count:,} records, {usage.replies:,} replies and {transcripts:,} transcripts are "
        "forgotten"
    )


@cache_app.command(
    "correct", epilog='Example: mmreason cache correct talk.mp4 sp-fz5hqlvb "Dr. Schmidt speaks."'
)
def correct_text(
    file: VideoFileName,
    record_id: Annotated[str, typer.Argument(help="Id of a record, from cache show --records.")],
    text: Annotated[str, typer.Argument(help='What is right; "" where nothing is there.')],
    store: StoreFile = None,
) -> None:
    """Correct a record by hand. It stays, however often the video is indexed."""
    from mmreason.memory.video_memory import VideoMemory

    with _open_store(store) as opened:
        video, _ = _find_video(opened, file)
        record = VideoMemory(opened, video, name=file.name).correct(record_id, text)
    if record is None:
        print_line(f"{file}: {record_id} is taken out")
    else:
        print_line(f"{file}: {record_id} is now {record.id}: {record.text}")


def _store_path(store: Path | None) -> Path:
    from mmreason.memory.store import default_path

    return (default_path() if store is None else store).expanduser()


def _open_store(store: Path | None, *, may_lack: bool = False) -> Store:
    """UsageError where there is none, as opening would create it; an empty one that `may_lack`."""
    from mmreason.memory.store import Store
    from mmreason.types import UsageError

    path = _store_path(store)
    if not path.exists() and may_lack:
        return Store.in_memory()
    if not path.exists():
        raise UsageError(f"nothing is kept yet: there is no file {path}")
    return Store.open(path)


def _find_video(store: Store, file: Path) -> tuple[str, FileState]:
    """The content hash of the video that a file is, or was when it was last seen; UsageError where
    neither tells."""
    from mmreason.memory.video_files import select_file, select_files_of
    from mmreason.types import UsageError
    from mmreason.video import Video

    with store.transaction(writes=False) as connection:
        earlier = select_file(connection, file)
    if not file.exists():
        if earlier is None:
            raise UsageError(f"{file}: there is no such file, and none of this name was seen")
        return earlier.video, "deleted"
    with Video.open(file) as video:
        now = video.content_hash
    if earlier is not None:
        return now, "same" if earlier.video == now else "replaced"
    with store.transaction(writes=False) as connection:
        others = select_files_of(connection, now)
    # Known by its content, under other names: one that is gone from there was moved.
    if not others:
        return now, "new"
    return now, "copied" if any(other.exists for other in others) else "moved"


def _print_video(shown: VideoUsageOutput) -> None:
    print_line(f"file:    {shown.path} ({_STATES[shown.state]})")
    print_line(f"store:   {shown.store}, {_size(shown.size_bytes)} of it, as {shown.video}")
    counts = ", ".join(f"{count:,} {channel}" for channel, count in shown.records.items())
    print_line(f"records: {counts or 'none'}")
    for run in shown.senses:
        line = f"  {run.sense} by {run.part}: {run.state}, {run.records:,} records"
        print_line(f"{line}, {run.cpu_s:.1f} s of one core{', ' if run.reason else ''}{run.reason}")
    if shown.corrections:
        print_line(f"by hand: {shown.corrections:,} corrected")
    if shown.embedders:
        print_line(f"vectors: {', '.join(shown.embedders)}")
    for encoder, count in shown.frames.items():
        print_line(f"frames:  {count:,} by {encoder}")
    print_line(f"replies: {shown.replies:,}")
    for path in shown.seen_at:
        print_line(f"seen at: {path}{'' if Path(path).exists() else ' (gone)'}")
    for row in shown.rows:
        print_line(f"  {row.id}  {row.span}  {row.channel}  {row.text}")


def _print_nothing(path: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"path": str(path), "entries": 0, "size_bytes": 0, "file_bytes": 0})
    else:
        print_line(f"nothing is kept yet: there is no file {path}")


def _print(usage: Usage) -> None:
    print_line(f"file:    {usage.path} ({_size(usage.file_bytes)})")
    print_line(f"replies: {usage.entries:,}, {_size(usage.size_bytes)} of {_size(usage.max_bytes)}")
    if usage.records:
        print_line(f"records: {usage.records:,} of what is known of videos")
    for title, usages in (("by model", usage.by_model), ("by video", usage.by_video)):
        if usages:
            print_line(f"{title}:")
            _print_shares(usages)


def _print_shares(usages: tuple[StoreShare, ...]) -> None:
    for usage in usages[:MOST_LISTED]:
        print_line(f"  {_size(usage.size_bytes):>10}  {usage.entries:>8,}  {usage.name}")
    if len(usages) > MOST_LISTED:
        print_line(f"  and {len(usages) - MOST_LISTED:,} more")


def _size(size_bytes: int) -> str:
    """`123456` -> `120.6 KiB`."""
    if size_bytes < 1024:
        return f"{size_bytes} bytes"
    if size_bytes < 2**20:
        return f"{size_bytes / 2**10:.1f} KiB"
    return f"{size_bytes / 2**20:.1f} MiB"
