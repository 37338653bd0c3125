"""`mmreason skill`: what an assistant reads to call this command line well."""

from __future__ import annotations

from typing import Annotated

import typer

from mmreason.cli.common import print_line


def print_skill(
    path: Annotated[
        bool, typer.Option("--path", help="Print where the file lies instead of its text.")
    ] = False,
) -> None:
    """Print the skill for assistants: when to use this command line, and how (agent-skills form).

    To install it, write it to the folder in which your assistant looks for skills.
    """
    from mmreason.skill import read_skill, skill_path

    if path:
        print_line(str(skill_path()))
    else:
        for line in read_skill().splitlines():
            print_line(line)
