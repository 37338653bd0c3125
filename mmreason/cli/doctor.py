"""`mmreason doctor`: what works on this machine."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from mmreason.cli.common import Json, out, print_json, print_line, progress

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: Json = False) -> None:
    """Check packages, decoders, attention kernels and devices; exits 1 if anything fails."""
    from mmreason.audit.doctor import run

    with progress("checking"):
        checks = run()
    if as_json:
        print_json({"checks": [check.to_dict() for check in checks]})
    elif out().is_terminal:
        table = Table.grid(padding=(0, 2))
        for check in checks:
            found = Text(check.found)
            if check.advice:
                found.append(f"\n{check.advice}", style="dim")
            status = Text(check.status, style=_STYLES[check.status])
            table.add_row(status, Text(check.name), found)
        out().print(table)
    else:
        for check in checks:
            advice = f" ({check.advice})" if check.advice else ""
            print_line(f"{check.status:4}  {check.name}: {check.found}{advice}")
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)
