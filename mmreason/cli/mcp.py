"""`mmreason mcp`: a server through which assistants and agents use local videos."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    ApiKeyFile,
    ModelName,
    ServedModel,
    StorePath,
    load_reasoner,
    print_notice,
)

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner
    from mmreason.server.roots import Roots


def serve_mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder whose files may be read; give it once for each. Default: here."),
    ] = None,
    model: ModelName = "nano",
    observer: Annotated[
        str | None, typer.Option(help="Another model that looks; --model then only decides.")
    ] = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    store: StorePath = None,
    call_seconds: Annotated[
        float, typer.Option(help="Time limit of one call, its wait for others included.")
    ] = 300.0,
    call_memory_mb: Annotated[
        int, typer.Option(help="Memory limit of the process that reads a call's video.")
    ] = 1024,
    call_frames: Annotated[
        int, typer.Option(help="Most frames that a model is shown for one question.")
    ] = 4096,
) -> None:
    """Serve the Model Context Protocol on standard input and output, for assistants and agents.

    A client starts it; docs/mcp.md shows how.
    """
    from mmreason.memory.store import Store
    from mmreason.server.call import CallLimits
    from mmreason.server.service import VideoService
    from mmreason.types import UsageError

    try:
        from mmreason.server.server import serve_stdio
    except ImportError as error:
        # A module of our own that is missing is a fault, not an extra.
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise UsageError(
            f"the server needs the SDK of MCP, version 2 ({error}); in the clone of mmreason: "
            'pip install ".[mcp]"'
        ) from error

    @cache
    def open_store() -> Store:
        return Store.open_default() if store is None else Store.open(store)

    def load() -> Reasoner:
        return load_reasoner(
            model,
            open_store(),
            observer=observer,
            served_model=served_model,
            api_key_file=api_key_file,
        )

    limits = CallLimits(seconds=call_seconds, memory_mb=call_memory_mb, frames=call_frames)
    service = VideoService(load, _roots(root), limits, open_store)
    # A person who starts it by hand would see nothing happen.
    if sys.stdin.isatty():
        print_notice("waiting for a client on standard input; Ctrl-C ends this")
    serve_stdio(service, observer or model)


def _roots(folders: list[Path] | None) -> Roots:
    from mmreason.server.roots import Roots
    from mmreason.types import UsageError

    working_folder = Path.cwd()
    # A client that starts it in / would give an assistant the whole disk.
    if not folders and working_folder == working_folder.parent:
        raise UsageError(
            f"started in {working_folder}, where it could read every file; name a --root FOLDER"
        )
    return Roots.of(folders or [working_folder])
