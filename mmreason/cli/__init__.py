"""The command line: `mmreason VERB ...`. One module a verb; heavy libraries load inside the verbs.

`main` turns every outcome into an exit code: 0 done, 1 failed, 2 bad usage or unreadable input, 3
no answer or nothing found, 130 interrupted. Errors are one line on stderr; `--debug`, anywhere on
the line, adds the traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import cast

import typer

from mmreason.cli.ask import ask_video
from mmreason.cli.bench import bench_app
from mmreason.cli.cache import manage_store
from mmreason.cli.caption import caption_video
from mmreason.cli.common import print_line, print_notice
from mmreason.cli.data import data_app
from mmreason.cli.demo import run_demo
from mmreason.cli.doctor import check_installation
from mmreason.cli.eval import eval_app
from mmreason.cli.ground import ground_expression
from mmreason.cli.index import index_videos
from mmreason.cli.inspect import inspect_videos
from mmreason.cli.mcp import serve_mcp
from mmreason.cli.sample import sample_frames
from mmreason.cli.train import train_app
from mmreason.types import UsageError
from mmreason.video.plain_text import show_text
from mmreason.video.types import VideoError

_ClickUsageError = cast(type[Exception], typer.BadParameter.__base__)
"""Base of every complaint about a command line; typer does not export it."""

_INTERRUPTED = 130
"""Exit code after Ctrl-C, which typer may turn into a return value."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code.

    Example:
        >>> main(["--version"])  # doctest: +SKIP
        mmreason 0.1.0
        0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(arguments, standalone_mode=False, prog_name="mmreason")
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        print_notice("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read our output has left (`| head`): point stdout elsewhere so that exit is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UsageError, VideoError, _ClickUsageError) as error:
        return _report(error, code=2, debug=debug)
    except Exception as error:
        return _report(error, code=1, debug=debug)


def _report(error: Exception, *, code: int, debug: bool) -> int:
    """Print one line about `error` (its traceback before it with `debug`); returns `code`."""
    if debug:
        print(show_text("".join(traceback.format_exception(error))), file=sys.stderr)
    format_message = getattr(error, "format_message", None)
    text = " ".join((format_message() if format_message else str(error)).split())
    if not text and code == 2:
        return code  # `mmreason` alone: its help was printed, and there is nothing to add
    if code == 1:
        text = f"{type(error).__name__}: {text}" + ("" if debug else " (--debug shows where)")
    print_notice(f"error: {text}")
    return code


def _version(value: bool) -> None:
    if value:
        import mmreason

        print_line(f"mmreason {mmreason.__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Ask questions of video and get answers with evidence: time spans, frames, boxes and cost."""


EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 bad usage or unreadable input, 3 no answer to a question or "
    "nothing found, 130 interrupted. Work on many files or questions counts what was not answered "
    "instead of ending with 3."
)

app = typer.Typer(
    name="mmreason",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    callback=_root,
    epilog=EXIT_CODES,
)
app.command(
    "ask", epilog='Example: mmreason ask clip.mp4 "What colour is the star?" --html out.html'
)(ask_video)
app.command(
    "ground", epilog='Example: mmreason ground clip.mp4 "the red star" --at 2.5 --out box.png'
)(ground_expression)
app.command("caption", epilog="Example: mmreason caption clip.mp4 --start 4 --end 8")(caption_video)
app.command("index", epilog="Example: mmreason index talks/ --levels high,medium")(index_videos)
app.command("sample", epilog="Example: mmreason sample clip.mp4 --n 32 --sheet sheet.png")(
    sample_frames
)
app.command("inspect", epilog="Example: mmreason inspect clip.mp4 --sheet sheet.png")(
    inspect_videos
)
app.command("cache", epilog="Example: mmreason cache --clear")(manage_store)
app.command("demo", epilog="Example: mmreason demo --seed 3 | mmreason demo --check 10")(run_demo)
app.command("mcp", epilog="Example: mmreason mcp --root ~/Videos")(serve_mcp)
app.command("doctor", epilog="Example: mmreason doctor --json")(check_installation)
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")
app.add_typer(eval_app, name="eval")
app.add_typer(bench_app, name="bench")
