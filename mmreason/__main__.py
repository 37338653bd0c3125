"""The process of `mmreason`, and of `python -m mmreason`: the command line between a start and an
end at which Ctrl-C, closed streams and a deleted folder are met without a traceback.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

# Before Ctrl-C is met in `run`, as little as can be is imported: not even `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_INTERRUPTED = 130


def run() -> int:
    """Run the command line of this process and return its exit code."""
    # Where Ctrl-C is ignored, as in a background job of a shell, it stays ignored.
    is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_interruptible:
        signal.signal(signal.SIGINT, _leave)
        # Exit functions run last in, first out: after this one Python takes itself apart, and
        # nothing of ours could answer to Ctrl-C.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    if complaint := _prepare_streams() or _check_folder():
        print(f"error: {complaint}", file=sys.stderr)
        return 2
    from mmreason.cli import main

    try:
        try:
            if is_interruptible:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            code = main()
        finally:
            if is_interruptible:
                signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:  # outside of what `main` guards
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        _end_interrupted()
    return code


def _end_interrupted() -> NoReturn:
    """End as Python does, but with our exit code: an interruption that met code made from a string,
    as that of every dataclass is, has Python kill itself by the signal, though it was handled."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    atexit._run_exitfuncs()
    os._exit(_INTERRUPTED)


def _leave(signal_number: int, frame: FrameType | None) -> None:
    """End at once: during imports and at the end an exception could be swallowed, or be shown with
    a traceback, and there is nothing to put in order."""
    os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)


def _prepare_streams() -> str:
    """Open what was closed by who started us, else the next file that is opened becomes our
    standard output. Returns what is wrong, or an empty string."""
    was_closed = [stream for stream in (0, 1, 2) if _is_closed(stream)]
    while any(map(_is_closed, (0, 1, 2))):
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding lacks is shown as `\u2026`, not as an error.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if 1 in was_closed:
        return "standard output is closed, so that no result can be told; open or redirect it"
    return ""


def _is_closed(stream: int) -> bool:
    try:
        os.fstat(stream)
    except OSError:
        return True
    return False


def _check_folder() -> str:
    try:
        Path.cwd()
    except OSError as error:
        return f"the current folder cannot be used ({error.strerror}); change to another folder"
    return ""


if __name__ == "__main__":
    sys.exit(run())
