"""The README is true: its Python prints what it shows; its commands, options and links exist."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, body) for kind, body in FENCE.findall(README)]
COMMANDS = [
    line.removeprefix("$ ")
    for kind, body in BLOCKS
    if kind in ("console", "sh", "bash")
    for line in body.splitlines()
    if line.startswith("$ ")
]


def _mmreason_commands() -> list[list[str]]:
    return [shlex.split(c) for c in COMMANDS if c.startswith("mmreason ")]


def _shape(text: str) -> list[str]:
    """Words of `text` with every number replaced, since times and costs differ between machines."""
    return re.sub(r"\d+(\.\d+)?", "#", text).split()


def _snippets() -> tuple[list[str], str]:
    """All Python blocks in order, and the text blocks that directly follow one of them."""
    code, printed = [], ""
    for (kind, body), following in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if kind == "python":
            code.append(body)
            printed += following[1] if following[0] == "text" else ""
    return code, printed


@pytest.mark.slow
def test_python_snippets_run_in_order_and_print_what_is_shown(tmp_path: Path) -> None:
    code, printed = _snippets()
    assert code, "README.md has no python block"
    (tmp_path / "readme.py").write_text("\n".join(code), encoding="utf-8")
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "readme.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    assert _shape(run.stdout) == _shape(printed)


@cache
def _help(*verbs: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "mmreason", *verbs, "--help"],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, f"mmreason {' '.join(verbs)} --help: {run.stderr}"
    return run.stdout


@pytest.mark.parametrize("words", _mmreason_commands(), ids=" ".join)
def test_commands_and_their_options_exist(words: list[str]) -> None:
    verbs = words[1:3] if words[1] in ("train", "eval", "bench") else words[1:2]
    shown = _help(*verbs)
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", shown), f"{words[1]} has no {option}"


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"`mmreason (\w+)", README))))
def test_verbs_in_the_prose_exist(verb: str) -> None:
    assert _help(verb)


def test_make_targets_exist() -> None:
    rules = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^\$ make (\S+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", rules, re.MULTILINE)] == []


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
    assert missing == []


def test_every_output_is_filled_in() -> None:
    marker = re.compile(r"<!-- output:(\w+) -->\n+(\S*)")
    empty = [name for name, start in marker.findall(README) if not start.startswith(("```", "|"))]
    assert empty == []
