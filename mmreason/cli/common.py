"""What the verbs share: consoles, JSON out, progress, loading a reasoner quietly."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from mmreason.reasoner import Reasoner

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
ModelName = Annotated[
    str, typer.Option("--model", help="nano, or a Hugging Face name or folder of a video model.")
]
StorePath = Annotated[
    Path | None,
    typer.Option("--store", help="SQLite file that keeps what was seen, for later questions."),
]
FullHash = Annotated[
    bool,
    typer.Option(
        "--full-hash", help="Know the video in the store by all its bytes, not by samples of them."
    ),
]


def out() -> Console:
    """The console of results (stdout)."""
    return Console(highlight=False)


def err() -> Console:
    """The console of progress (stderr)."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON value on stdout, nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


@contextmanager
def progress(message: str) -> Iterator[Callable[[str], None]]:
    """Show `message` on stderr while the block runs; the given function changes it.

    Nothing is shown where stderr is not a terminal.
    """
    console = err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(message) as status:
        yield lambda text: status.update(text.replace("[", "\\["))


def load_reasoner(model: str, store: Path | None = None) -> Reasoner:
    """Load a reasoner with the model libraries kept quiet. UsageError for an unknown model."""
    quiet_libraries()
    from mmreason.reasoner import Reasoner

    return Reasoner.load(model, store=store)


def quiet_libraries() -> None:
    """Keep warnings and bars of the model libraries off the terminal; errors still raise."""
    warnings.simplefilter("ignore")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
