"""Which back end opens a file, and why: a named one, or the first that can.

Back ends are imported when they are tried.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mmreason.video.backends.base import BackendError, ReadOptions, Source, check_file
from mmreason.video.file_kinds import is_world_script
from mmreason.video.types import VideoError
from mmreason.video.unreadable import describe_unread_picture, explain_unreadable

Backend = Literal["auto", "pyav", "torchcodec", "torchcodec-cuda", "opencv", "decord"]
BACKENDS: tuple[Backend, ...] = ("pyav", "torchcodec", "torchcodec-cuda", "opencv", "decord")
_AUTO: tuple[Backend, ...] = ("pyav", "torchcodec", "opencv", "decord")


def open_source(
    path: Path, backend: Backend, options: ReadOptions
) -> tuple[Source, tuple[str, ...]]:
    """The source for `path`, and what kept back ends before it from serving. Raises VideoError.

    `auto` goes on to the next back end where one cannot read this file (or is not installed); a
    file that none could read, such as an empty one, is refused at once.
    """
    if backend not in ("auto", *BACKENDS):
        raise VideoError(f"backend must be auto, {', '.join(BACKENDS)}; got {backend!r}")
    # Before any back end, so that none words differently what no one could read.
    check_file(path)
    # A limit of memory needs a process of its own, which chooses the back end in there.
    if options.memory_limit_mb is not None:
        from mmreason.video.isolation.source import IsolatedSource

        return IsolatedSource(path, backend, options), ()
    if is_world_script(path):
        from mmreason.video.world.source import open_world

        return open_world(path), ()
    # A back end that was named is never replaced by another one: its refusal is raised.
    if backend != "auto":
        return _open_with(backend, path, options), ()
    refusals: list[str] = []
    for name in _AUTO:
        try:
            source = _open_with(name, path, options)
        # Its own limits only: what is wrong with the file itself ends the search.
        except BackendError as error:
            refusals.append(f"{name}: {str(error).removeprefix(f'{path}: ')}")
            continue
        # Told on the result, since back ends differ in what they say of a file.
        return source, tuple(f"not read by {refusal}" for refusal in refusals)
    raise VideoError(f"{path}: {_explain_refusals(path, refusals)}")


def _explain_refusals(path: Path, refusals: list[str]) -> str:
    """What the file is where its bytes tell, else what each back end said of it."""
    if picture := describe_unread_picture(path):
        return picture
    if "can be decoded" in refusals[0]:
        return f"{explain_unreadable(path)} ({refusals[0]})"
    return f"no back end can read it ({'; '.join(refusals)})"


def why_not(path: Path, backend: Backend, time_limit_s: float | None = None) -> str | None:
    """Why `backend` cannot open the file at `path` (within the limit); None where it can."""
    try:
        _open_with(backend, path, ReadOptions(workers=1, time_limit_s=time_limit_s)).close()
    except VideoError as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _open_with(name: Backend, path: Path, options: ReadOptions) -> Source:
    check_file(path)
    if name == "pyav":
        # A wheel without its libraries fails here, and `auto` goes on to the next back end.
        try:
            from mmreason.video.backends.pyav import PyAVSource
        except ImportError as error:
            raise BackendError(f"{path}: PyAV cannot be imported ({error})") from error
        return PyAVSource(path, options)
    if name in ("torchcodec", "torchcodec-cuda"):
        from mmreason.video.backends.torchcodec import TorchCodecSource

        return TorchCodecSource(path, options, "cuda" if name.endswith("cuda") else "cpu")
    if name == "opencv":
        try:
            from mmreason.video.backends.opencv import OpenCVSource
        except ImportError as error:
            raise BackendError(f"{path}: OpenCV cannot be imported ({error})") from error
        return OpenCVSource(path, options)
    assert name == "decord", name
    from mmreason.video.backends.decord import DecordSource

    return DecordSource(path, options)
