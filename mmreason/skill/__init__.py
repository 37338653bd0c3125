"""The skill for assistants: when and how to call the command line, in the agent-skills form.

`SKILL.md` beside this file is what an assistant reads; `mmreason skill` prints it.
"""

from __future__ import annotations

from pathlib import Path

SKILL_NAME = "mmreason"
"""Of the folder that assistants look for it in, and in its front matter."""


def skill_path() -> Path:
    """Where the skill lies.

    Example:
        >>> skill_path().name
        'SKILL.md'
    """
    return Path(__file__).with_name("SKILL.md")


def read_skill() -> str:
    """All of it, front matter and Markdown.

    Example:
        >>> read_skill().splitlines()[1]
        'name: mmreason'
    """
    return skill_path().read_text(encoding="utf-8")
