"""No foreign text reaches a terminal, a JSON output or a written page as anything but text.

Every verb has its cases in `hostile_commands`: a new one without fails these tests.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from mmreason.audit.doctor import DoctorCheck
from mmreason.cli import app, main
from mmreason.json_values import encode_json
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError
from mmreason.video import FrameBatch
from tests.security.hostile_commands import CASES, Stage
from tests.security.hostile_text import (
    EVIL,
    EVIL_NAME,
    IN_TEXT,
    ROOT,
    assert_page,
    assert_plain,
    assert_script_page,
    make_clip,
    parse_module,
)


def _verbs() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        if not children:
            yield name, command
        for child_name, child in children.items():
            yield from walk(child, f"{name} {child_name}".strip())

    return walk(typer.main.get_command(app), "")


VERBS = dict(_verbs())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    def reply(text: str, frames: FrameBatch | None) -> str:
        if text.startswith("Locate"):
            boxes = json.dumps([{"bbox_2d": [0, 0, 9, 9], "label": EVIL}])
            return f"```json\n{boxes}\n```" if "star" in text else EVIL
        return EVIL

    model = ScriptedModel(
        reply,
        clip=ClipRecipe(frames=4, size_px=(32, 24), leaf_s=1.0),
        name=EVIL,
        notes=(EVIL,),
    )
    checks = [DoctorCheck(name=EVIL, status="warn", found=EVIL, advice=EVIL)]
    monkeypatch.setattr("mmreason.models.load", lambda *_, **__: model)
    monkeypatch.setattr("mmreason.audit.doctor.run_checks", lambda: checks)
    monkeypatch.setattr(
        "mmreason.memory.store.default_path", lambda: tmp_path / "home" / "s.sqlite3"
    )
    monkeypatch.chdir(tmp_path)
    # A folder that ends in a bracket and a file that begins with one: `[/...]` is markup.
    folder = tmp_path / f"{EVIL_NAME} ["
    folder.mkdir()
    return Stage(folder, make_clip(folder / f"x] {EVIL_NAME}.mp4"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_prints_foreign_text_as_text(
    verb: str, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb in CASES, f"{verb} has no case here: add one that feeds it hostile text"
    has_json = any("--json" in option.opts for option in VERBS[verb].params)
    monkeypatch.setenv("COLUMNS", "3000")
    printed = ""
    for argv in CASES[verb](stage):
        words = [str(word) for word in argv]
        monkeypatch.delenv("FORCE_COLOR", raising=False)
        main(words)
        out, err = capsys.readouterr()
        assert_plain(out + err)
        printed += out + err
        monkeypatch.setenv("FORCE_COLOR", "1")
        main(words)
        out, err = capsys.readouterr()
        assert_plain(out + err, is_terminal=True)
        if has_json:
            main([*words, "--json"])
            out, err = capsys.readouterr()
            assert_plain(out)
            assert_plain(err, is_terminal=True)
            assert not out or isinstance(json.loads(out), dict)
    assert "MARK" in printed, "the cases print no foreign text: they test nothing"
    for page in stage.folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        (assert_script_page if 'id="mmr-data"' in text else assert_page)(text)


def test_results_are_printed_by_one_module() -> None:
    """Elsewhere a bare `print` or a console of Rich's would show foreign text as it is."""
    allowed = {"common.py", "__init__.py"}
    for path in (ROOT / "mmreason" / "cli").glob("*.py"):
        calls = [node for node in ast.walk(parse_module(path)) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls}
        bare = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
        assert "Console" not in names and "echo" not in names, f"{path.name}: use out() or err()"
        assert path.name in allowed or "print" not in bare, (
            f"{path.name}: use print_line, print_notice or print_json"
        )


@pytest.mark.parametrize("error", [UsageError(EVIL), KeyError(EVIL), OSError(2, EVIL, EVIL)])
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_error_is_told_as_text(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    debug: list[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("mmreason.audit.doctor.run_checks", fail)
    assert main(["doctor", *debug]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == "" and "MARK" in err
    assert_plain(err)
    assert debug or err.count("\n") == 1


def test_json_is_read_back_as_it_was_and_shows_nothing_hidden() -> None:
    value = {"text": IN_TEXT, "share": float("inf"), "tag": "\U000e0041", "word": "é日"}
    for ascii_only in (False, True):
        text = encode_json(value, ascii_only=ascii_only)
        assert_plain(text)
        assert json.loads(text) == value | {"share": None}
        assert text.isascii() or not ascii_only
    assert json.loads(encode_json({"text": "a\ud800b"})) == {"text": "a\N{REPLACEMENT CHARACTER}b"}
