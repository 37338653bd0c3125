"""What the verbs share: printing, progress, loading a reasoner quietly.

All that a verb prints goes through here, so that foreign text (names of files, words of models,
errors of libraries) reaches the terminal as text: nothing in it is a control code or markup.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from mmreason.json_values import encode_json, with_schema
from mmreason.report.console import TextConsole
from mmreason.video.plain_text import show_line, show_text

if TYPE_CHECKING:
    from mmreason.memory.store import Store
    from mmreason.memory.tree import TreeRecipe
    from mmreason.models.options import ModelOptions
    from mmreason.policies import Policy
    from mmreason.policies.presets import Compat
    from mmreason.reasoner import Reasoner

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="auto (nano for scripted worlds, the senses for other footage), senses, nano, a "
        "Hugging Face name or folder of a video model, or http(s)://host/v1.",
    ),
]
ServedModel = Annotated[
    str | None,
    typer.Option("--served-model", help="With a URL: the model's name, where there are several."),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        help="With a URL: file that holds the key. OPENAI_API_KEY is read for api.openai.com only.",
    ),
]
OptionItems = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="An option of the model, key=value, such as enable_thinking=false or max_frames=32.",
    ),
]
OptionsFile = Annotated[
    Path | None, typer.Option("--options-file", help="TOML file of options of the model.")
]
Probe = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Find out with three small calls how much can be left to the model, also where they "
        "cost money. Servers in the own network are asked anyway, once.",
    ),
]
StorePath = Annotated[
    Path | None,
    typer.Option("--store", help="SQLite file that keeps what was seen, for later questions."),
]
EmbedderName = Annotated[
    str | None,
    typer.Option(
        "--embedder",
        help="Search by meaning too: Hugging Face name or folder of a sentence embedder.",
    ),
]
FrameEncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="What frames are compared by: a name of timm or Hugging Face, or a folder; default: "
        "efficientnet-lite0.",
    ),
]
FullHash = Annotated[
    bool,
    typer.Option(
        "--full-hash", help="Know the video in the store by all its bytes, not by samples of them."
    ),
]


def result_console(least_width: int = 0) -> Console:
    """The console of results (stdout), no narrower than so many letters."""
    console = TextConsole()
    # A pipe has no width: Rich takes 80 letters, and would cut tables.
    console.width = max(console.width, least_width)
    return console


def progress_console() -> Console:
    """The console of progress (stderr)."""
    return TextConsole(stderr=True)


def print_line(text: str) -> None:
    """Print a result, foreign text in it or not, as one line on stdout. Runs of blanks stay."""
    print(_as_line(text))


def print_notice(text: str) -> None:
    """Print what is told beside the results (an error, a note) as one line on stderr."""
    print(_as_line(text), file=sys.stderr)


def _as_line(text: str) -> str:
    return " ".join(show_text(text).splitlines())


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object with the version of its schema on stdout, nothing else."""
    # A terminal of another encoding would refuse the letters, and the whole object with them.
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(encode_json(with_schema(value), indent=2, ascii_only=not is_unicode))
    sys.stdout.flush()


NO_ANSWER = 3
"""Exit code where one question has no answer, or one expression is nowhere."""


@contextmanager
def show_progress(message: str) -> Iterator[Callable[[str], None]]:
    """Show `message` on stderr while the block runs; the given function changes it.

    Nothing is shown where stderr is not a terminal.
    """
    console = progress_console()
    if not console.is_terminal:
        yield lambda _: None
        return
    # As text: a file may be called [bold].
    with console.status(Text(show_line(message))) as status:
        yield lambda text: status.update(Text(show_line(text)))


def load_reasoner(
    model: str,
    store: Store | Path | None = None,
    *,
    observer: str | None = None,
    checker: str | None = None,
    policy: Policy | None = None,
    tree: TreeRecipe | None = None,
    compat: str | None = None,
    embedder: str | None = None,
    served_model: str | None = None,
    api_key_file: Path | None = None,
    options: ModelOptions | None = None,
    probe: bool | None = None,
    reader: str | None = None,
) -> Reasoner:
    """Load a reasoner with the model libraries kept quiet. `probe` is that of `Reasoner.load`:
    False for what decides nothing. UsageError for an unknown model.

    Example:
        >>> load_reasoner("nano").ask("clip.mp4", "What colour is the star?")  # doctest: +SKIP
    """
    from mmreason.models import is_url
    from mmreason.reasoner import Reasoner

    # An endpoint loads none of the libraries that write to the terminal.
    if not is_url(model):
        quiet_libraries()
    return Reasoner.load(
        model,
        observer=observer,
        checker=checker,
        policy=policy,
        tree=tree,
        compat=cast("Compat | None", compat),
        store=store,
        embed=embedder,
        device_map=_device_map(model),
        served_model=served_model,
        api_key=api_key(model, api_key_file, os.environ.get("OPENAI_API_KEY")),
        options=options,
        probe=probe,
        reader=reader,
    )


def read_model_options(items: list[str] | None, file: Path | None) -> ModelOptions:
    """What `--options-file` sets, and `--option` over it. UsageError for what is no option.

    Example:
        >>> read_model_options(["tier=strong"], None).tier
        'strong'
    """
    from mmreason.models.options import ModelOptions

    options = ModelOptions() if file is None else ModelOptions.from_toml(file)
    return options.overridden_by(ModelOptions.parse(items or []))


def _device_map(model: str) -> str | None:
    """Where a model of this process goes: onto a GPU where there is one. Packaged ones are small,
    and stay on the CPU, where their figures were measured."""
    from mmreason.agent.senses_reader import SENSES_MODELS
    from mmreason.models import is_url
    from mmreason.models.folders import PACKAGED

    if is_url(model) or model in PACKAGED or model in SENSES_MODELS:
        return None
    # Here, since an endpoint needs no torch.
    import torch

    return "auto" if torch.accelerator.is_available() else None


def api_key(model: str, file: Path | None, openai_key: str | None) -> str | None:
    """The key in `file`; without one `openai_key`, which is for OpenAI's own server alone.

    Example:
        >>> api_key("https://api.openai.com/v1", None, "sk-1")
        'sk-1'
        >>> api_key("http://host/v1", None, "sk-1")
    """
    from mmreason.types import UsageError

    if file is None:
        # A key that is in the environment for one server must never be sent to another.
        return openai_key if model.startswith("https://api.openai.com/") else None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: the API key cannot be read ({type(error).__name__})") from error


def quiet_libraries() -> None:
    """Keep warnings and bars of the model libraries off the terminal; errors still raise."""
    # Only of verbs that load a model: a user's own program keeps its warnings.
    warnings.simplefilter("ignore")
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
