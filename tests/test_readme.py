"""The README is true: its Python prints what it shows; its commands, options and links exist.

So are the pages in docs/ that say what commands and names there are.
"""

import importlib.util
import io
import os
import re
import shlex
import tomllib
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from mmreason.cli import main

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


def _script(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
# An hour of video takes as long as all else: a notebook asks the same of it.
@pytest.mark.parametrize("left_out", ["long", pytest.param(None, marks=pytest.mark.full)])
def test_python_snippets_run_in_order_and_print_what_is_shown(
    left_out: str | None, tmp_path: Path
) -> None:
    printed = _script("refresh").run_snippets(README, tmp_path, left_out=left_out)
    shown = {
        name: text
        for name, text in re.findall(
            r"<!-- output:(\w+) -->\n+```text\n(.*?)```", README, re.DOTALL
        )
        if name in {"python", "plan", "long"} - {left_out}
    }
    assert len(shown) == (2 if left_out else 3)
    assert {n: _shape(printed[n]) for n in shown} == {n: _shape(t) for n, t in shown.items()}


def test_the_refreshing_script_finds_every_block_and_changes_nothing_else() -> None:
    refresh = _script("refresh")
    names = re.findall(r"<!-- output:(\w+) -->", README)
    known = (*refresh.COMMANDS, *refresh.SNIPPETS, "card", *refresh.BY_HAND)
    assert sorted(names) == sorted(known)
    for name in names:
        lines = "| new |\n" if name in ("card", "bench") else "new output\n"
        changed = refresh.replaced(README, name, lines)
        before, after = changed.split(lines)
        assert README.startswith(before) and README.endswith(after)


def test_the_table_of_nanos_card_is_that_of_its_card() -> None:
    refresh = _script("refresh")
    table = refresh.card_table(refresh.CARD.read_text(encoding="utf-8"))
    assert table.count("\n") > 5 and table in README


def test_every_extra_is_named_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = README.split("## Install options")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(
        project["optional-dependencies"]
    )
    (all_row,) = re.findall(r"^\| `all` \| (.*) \|$", section, re.MULTILINE)
    left_out = set(re.findall(r"`(\w+)`", all_row))
    (brought,) = project["optional-dependencies"]["all"]
    inside = set(re.findall(r"\[(.*)\]", brought)[0].split(","))
    assert inside | left_out | {"all"} == set(project["optional-dependencies"])
    assert not inside & left_out


def test_the_page_begins_with_what_a_person_with_real_videos_gets() -> None:
    first = README.split("\n## ")[1]
    for words in ("scripted worlds only", "real footage", "subtitles", "you do not get"):
        assert words in first
    order = [README.index(f"\n## {title}") for title in ("Install\n", "A larger model", "How fast")]
    assert order == sorted(order)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere_and_the_index_has_each(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if "://" not in t and not (page.parent / t).exists()] == []
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert page.name == "index.md" or f"({page.name})" in index


def test_every_reason_to_stop_and_every_field_of_a_question_is_described() -> None:
    from dataclasses import fields

    from mmreason import Question, StopReason

    page = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
    # A row of a file calls the text of a question `question`.
    names = {field.name for field in fields(Question)} - {"text"} | {"question"}
    wanted = [*(str(reason) for reason in StopReason), *sorted(names)]
    assert [name for name in wanted if f"| `{name}` |" not in page] == []


@cache
def _help(*verbs: str) -> str:
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}),
        redirect_stdout(printed),
    ):
        assert main([*verbs, "--help"]) == 0, verbs
    return printed.getvalue()


@pytest.mark.parametrize("words", _mmreason_commands(), ids=" ".join)
def test_commands_and_their_options_exist(words: list[str]) -> None:
    verbs = words[1:3] if words[1] in ("train", "eval", "bench", "data") else words[1:2]
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
    targets = re.findall(r"\]\(([^)#\s]+)\)", README)
    missing = [t for t in targets if "://" not in t and not (ROOT / t).exists()]
    assert missing == []


def test_every_output_is_filled_in() -> None:
    marker = re.compile(r"<!-- output:(\w+) -->\n+(\S*)")
    empty = [name for name, start in marker.findall(README) if not start.startswith(("```", "|"))]
    assert empty == []
