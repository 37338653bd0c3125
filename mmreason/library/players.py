"""Opens a moment of a video in a player of this machine. No shell is ever asked."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mmreason.video.plain_text import show_line


def open_in_player(
    path: Path, start_s: float, *, find_program: Callable[[str], str | None] = shutil.which
) -> str:
    """Start a player at a time of a video; returns one line on what was started, or on what to
    type where no player was found.

    Example:
        >>> open_in_player(Path("/talk.mp4"), 75.0, find_program=lambda name: None)
        'no video player was found; type: mpv --start=75.00 /talk.mp4'
    """
    command = make_player_command(path, start_s, find_program)
    if command is None:
        return f"no video player was found; type: {format_mpv_command(path, start_s)}"
    try:
        # A session of its own: the player stays when the terminal's line is interrupted.
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        typed = format_mpv_command(path, start_s)
        return f"{command[0]} could not be started ({error.strerror}); type: {typed}"
    return f"opened: {show_line(shlex.join(command))}"


def make_player_command(
    path: Path, start_s: float, find_program: Callable[[str], str | None] = shutil.which
) -> list[str] | None:
    """The program and its arguments: mpv, vlc, or the system's opener, which knows no times; None
    where there is none of them.

    Example:
        >>> make_player_command(Path("/talk.mp4"), 75.0, lambda name: name)
        ['mpv', '--start=75.00', '--', '/talk.mp4']
    """
    # Absolute, so that no name of a file reads as an option or an address.
    file = str(path.absolute())
    if mpv := find_program("mpv"):
        return [mpv, f"--start={start_s:.2f}", "--", file]
    if vlc := find_program("vlc"):
        return [vlc, f"--start-time={start_s:.2f}", file]
    opener = find_program("open" if sys.platform == "darwin" else "xdg-open")
    return [opener, file] if opener else None


def format_mpv_command(path: Path, start_s: float) -> str:
    """What a person types to see a moment; hidden characters of the name are U+FFFD.

    Example:
        >>> format_mpv_command(Path("/my talk.mp4"), 75.0)
        "mpv --start=75.00 '/my talk.mp4'"
    """
    return f"mpv --start={start_s:.2f} {show_line(shlex.quote(str(path.absolute())))}"
