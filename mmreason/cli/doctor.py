"""`mmreason doctor`: what works on this machine, or of one model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mmreason.cli.common import (
    ApiKeyFile,
    Json,
    OptionItems,
    OptionsFile,
    ServedModel,
    api_key,
    print_json,
    print_line,
    quiet_libraries,
    read_model_options,
    result_console,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.audit.doctor import DoctorCheck
    from mmreason.models.options import ModelOptions

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def check_installation(
    model: Annotated[
        str | None,
        typer.Option(
            help="Try this model instead: nano, a name or folder, or http(s)://host/v1. About "
            "five small questions; a hosted model is paid for them."
        ),
    ] = None,
    served_model: ServedModel = None,
    api_key_file: ApiKeyFile = None,
    option: OptionItems = None,
    options_file: OptionsFile = None,
    as_json: Json = False,
) -> None:
    """Check packages, decoders, attention kernels and devices; with --model what a model can do.

    Exits 1 if anything fails: of a model, if it does not answer at all.
    """
    from mmreason.audit.doctor import run_checks
    from mmreason.types import UsageError

    options = read_model_options(option, options_file)
    if model is None and (options.given or served_model or api_key_file):
        raise UsageError("--option, --served-model and --api-key-file go with --model")
    with show_progress("checking" if model is None else f"asking {model}"):
        if model is None:
            checks = run_checks()
        else:
            checks = _check_model(model, served_model, api_key_file, options)
    if as_json:
        print_json({"checks": [check.to_dict() for check in checks]})
    else:
        _print_checks(checks)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


def _check_model(
    model: str, served_model: str | None, api_key_file: Path | None, options: ModelOptions
) -> list[DoctorCheck]:
    from mmreason import models
    from mmreason.audit.model_checks import check_model

    if not models.is_url(model):
        quiet_libraries()
    key = api_key(model, api_key_file, os.environ.get("OPENAI_API_KEY"))
    return check_model(models.load(model, served_model=served_model, api_key=key, options=options))


def _print_checks(checks: list[DoctorCheck]) -> None:
    # Piped, a check is one line, so that grep finds it with its advice.
    if not result_console().is_terminal:
        for check in checks:
            advice = f" ({check.advice})" if check.advice else ""
            print_line(f"{check.status:4}  {check.name}: {check.found}{advice}")
        return
    table = Table.grid(padding=(0, 2))
    for check in checks:
        finding = Text(check.found)
        if check.advice:
            finding.append(f"\n{check.advice}", style="dim")
        table.add_row(Text(check.status, style=_STYLES[check.status]), Text(check.name), finding)
    result_console().print(table)
