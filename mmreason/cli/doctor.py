"""`mmreason doctor`: what works on this machine."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from mmreason.cli.common import Json, print_json, print_line, result_console, show_progress

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def check_installation(as_json: Json = False) -> None:
    """Check packages, decoders, attention kernels and devices; exits 1 if anything fails."""
    from mmreason.audit.doctor import run_checks

    with show_progress("checking"):
        checks = run_checks()
    if as_json:
        print_json({"checks": [check.to_dict() for check in checks]})
    # Piped, a check is one line, so that grep finds it with its advice.
    elif result_console().is_terminal:
        table = Table.grid(padding=(0, 2))
        for check in checks:
            finding = Text(check.found)
            if check.advice:
                finding.append(f"\n{check.advice}", style="dim")
            status = Text(check.status, style=_STYLES[check.status])
            table.add_row(status, Text(check.name), finding)
        result_console().print(table)
    else:
        for check in checks:
            advice = f" ({check.advice})" if check.advice else ""
            print_line(f"{check.status:4}  {check.name}: {check.found}{advice}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
