"""`mmreason cache`: what is kept of earlier questions, and forgetting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, print_json, print_line

if TYPE_CHECKING:
    from mmreason.memory.store import StoreShare, Usage

MOST_LISTED = 20
"""Videos and models that are listed."""


def manage_store(
    store: Annotated[
        Path | None, typer.Option("--store", help="SQLite file; by default that of this user.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget everything that is kept.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is kept of what models said about videos, or clear it."""
    from mmreason.memory.store import Store, default_path

    path = (default_path() if store is None else store).expanduser()
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
