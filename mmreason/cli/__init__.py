"""The command line: `mmreason VERB ...`. One module a verb; heavy libraries load inside the verbs.

`main` turns every outcome into an exit code: 0 done, 1 failed, 2 bad usage or unreadable input, 3
no answer or nothing found, 130 interrupted. Errors are one line on stderr; `--debug`, anywhere on
the line, adds the traceback.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import cast

import typer

from mmreason.cli.ask import ask_video
from mmreason.cli.bench import bench_app
from mmreason.cli.cache import cache_app
from mmreason.cli.cache_merge import merge_stores
from mmreason.cli.caption import caption_video
from mmreason.cli.common import print_line, print_notice
from mmreason.cli.data import data_app
from mmreason.cli.data_check import check_data, sample_data, split_data, stats_data
from mmreason.cli.data_convert import convert_data
from mmreason.cli.data_example import write_example
from mmreason.cli.demo import run_demo
from mmreason.cli.diagnose import diagnose_predictions
from mmreason.cli.doctor import check_installation
from mmreason.cli.eval import eval_app
from mmreason.cli.ground import ground_expression
from mmreason.cli.index import index_videos
from mmreason.cli.inspect import inspect_videos
from mmreason.cli.mcp import serve_mcp
from mmreason.cli.sample import sample_frames
from mmreason.cli.scenes import list_video_scenes
from mmreason.cli.search import search_videos
from mmreason.cli.skill import print_skill
from mmreason.cli.timeline import show_timeline
from mmreason.cli.train import train_app
from mmreason.cli.transcribe import transcribe_files
from mmreason.cli.weights import weights_app
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
    # Anywhere on the line, so that it can be added at the end of one that failed.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(arguments, standalone_mode=False, prog_name="mmreason")
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        # Here, where a closed pipe or a full disk still becomes an exit code.
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
    # Complaints about options carry their context in a method of their own.
    text = " ".join((format_message() if format_message else str(error)).split())
    if not text and code == 2:
        return code  # `mmreason` alone: its help was printed, and there is nothing to add
    # What no one foresaw: its type says more than its text.
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


def _add_verb(verb: Callable[..., None], example: str) -> None:
    """`verb` is named as its module is."""
    app.command(verb.__module__.rpartition(".")[2], epilog=f"Example: {example}")(verb)


_add_verb(ask_video, 'mmreason ask clip.mp4 "What colour is the star?" --html out.html')
_add_verb(ground_expression, 'mmreason ground clip.mp4 "the red star" --at 2.5 --out box.png')
_add_verb(diagnose_predictions, "mmreason diagnose predictions.jsonl --report diagnosis.html")
_add_verb(caption_video, "mmreason caption clip.mp4 --start 4 --end 8")
_add_verb(index_videos, "mmreason index talks/ --with speech,screen")
_add_verb(search_videos, 'mmreason search talks/ "the budget" --channel speech --open 1')
_add_verb(show_timeline, "mmreason timeline talk.mp4 --html talk.html")
_add_verb(list_video_scenes, "mmreason scenes talk.mp4 --html scenes.html --export cuts.edl")
_add_verb(transcribe_files, "mmreason transcribe talk.mp4 --format srt --out subtitles/")
_add_verb(sample_frames, "mmreason sample clip.mp4 --n 32 --sheet sheet.png")
_add_verb(inspect_videos, "mmreason inspect clip.mp4 --sheet sheet.png")
_add_verb(run_demo, "mmreason demo --seed 3 | mmreason demo --clip | mmreason demo --check 10")
_add_verb(serve_mcp, "mmreason mcp --root ~/Videos")
_add_verb(print_skill, "mmreason skill > .claude/skills/mmreason/SKILL.md")
_add_verb(check_installation, "mmreason doctor --json")
cache_app.command(
    "merge", epilog="Example: mmreason cache merge talks.shard-*.sqlite3 --store talks.sqlite3"
)(merge_stores)
data_app.command("example", epilog="Example: mmreason data example --out own")(write_example)
data_app.command("split", epilog="Example: mmreason data split own.json --held-out 0.25")(
    split_data
)
data_app.command("sample", epilog="Example: mmreason data sample own.json -n 3")(sample_data)
data_app.command("stats", epilog="Example: mmreason data stats train.json val.json")(stats_data)
data_app.command("check", epilog="Example: mmreason data check train.json val.json")(check_data)
data_app.command(
    "convert", epilog="Example: mmreason data convert train.json --to problems --out train.jsonl"
)(convert_data)
app.add_typer(cache_app, name="cache", epilog="Example: mmreason cache show talk.mp4")
app.add_typer(train_app, name="train")
app.add_typer(data_app, name="data")
app.add_typer(eval_app, name="eval")
app.add_typer(bench_app, name="bench")
app.add_typer(weights_app, name="weights")
