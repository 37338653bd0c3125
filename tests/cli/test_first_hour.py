"""The command line as a new user meets it: bare, by its help, by a demo, with a bad data set."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import typer

from mmreason.cli import app, main
from mmreason.models.scripted import ScriptedModel

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*path, name))

    return walk(typer.main.get_command(app), ())


def _on_one_line(text: str) -> str:
    return " ".join(re.sub("[─-╿]", " ", text).split())


@pytest.mark.parametrize(("path", "command"), list(_commands()), ids=lambda value: str(value)[:30])
def test_help_shows_every_word_of_every_text(
    path: tuple[str, ...], command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Square brackets are markup to the library that prints help: they would vanish."""
    monkeypatch.setenv("COLUMNS", "4000")
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main([*path, "--help"]) == 0
    shown = _on_one_line(printed.getvalue())
    texts = [command.help, command.epilog, *(getattr(p, "help", "") for p in command.params)]
    for part in (part for text in texts for part in (text or "").split("\n\n")):
        assert _on_one_line(part) in shown


@pytest.mark.parametrize("argv", [[], ["data"], ["train"], ["eval"], ["bench"]])
def test_a_bare_command_prints_its_help_and_no_empty_error(
    argv: list[str], capsys: Capture
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert "Usage: mmreason" in out and err == ""


def test_a_short_demo_is_a_few_lines(model: ScriptedModel, tmp_path: Path, capsys: Capture) -> None:
    store = tmp_path / "own.sqlite3"
    argv = ["demo", "--out", str(tmp_path / "out"), "--short", "--store", str(store)]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = ("question:", "answer:", "evidence:", "cost:", "truth:", "right:", "video:", "script:")
    assert [line.split()[0] for line in lines] == [*heads, "report:"]
    assert store.is_file()
    assert main(["demo", "--short", "--check", "1"]) == 2


def test_an_export_warns_of_videos_that_are_not_there(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "there.mp4").write_bytes(b"x")
    rows = [
        {"id": "a", "video": "there.mp4", "question": "What?", "answer": "x"},
        {"id": "b", "video": "gone.mp4", "question": "What?", "answer": "x"},
        {"id": "c", "question": "Without a video?", "answer": "x"},
    ]
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = ["data", "convert", str(problems), "--to", "trl", "--out", str(tmp_path / "x.jsonl")]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out.startswith("3 rows of problems ")
    gone = tmp_path / "gone.mp4"
    assert err.splitlines() == [
        "warning: 1 row names a file that is not there:", f"  b: {gone}",
    ]  # fmt: skip
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == {"b": str(gone)}
    problems.write_text(json.dumps(rows[0]))
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("1 row of problems ")


def test_advice_never_names_a_package_index() -> None:
    """mmreason is installed from a clone; the name elsewhere could be anybody's."""
    bad = re.compile(r"""install\s+['"]?mmreason""")
    sources = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(
            p
            for d in ("mmreason", "video", "grounding", "training")
            for p in (ROOT / d).rglob("*.py")
        ),
    ]
    assert len(sources) > 100
    assert [str(p) for p in sources if bad.search(p.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("name", "has_gpu", "placed"),
    [
        ("Qwen/Qwen3-VL-2B-Instruct", True, "auto"),
        ("Qwen/Qwen3-VL-2B-Instruct", False, None),
        ("nano", True, None),
        ("http://localhost:8000/v1", True, None),
    ],
)
def test_a_larger_model_goes_onto_a_gpu_where_there_is_one(
    name: str, has_gpu: bool, placed: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mmreason import models
    from mmreason.cli.common import load_reasoner

    scripted, asked = ScriptedModel(lambda text, frames: ""), {}

    def load(name: str, **settings: Any) -> ScriptedModel:
        asked.update(settings)
        return scripted

    monkeypatch.setattr(models, "load", load)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: has_gpu)
    load_reasoner(name, tmp_path / "s.sqlite3")
    assert asked["device_map"] == placed


@pytest.mark.parametrize("verb", ["ask", "cache", "caption", "demo", "ground", "index", "mcp"])
def test_every_verb_that_uses_a_store_takes_another_one(verb: str) -> None:
    (command,) = (command for path, command in _commands() if path == (verb,))
    assert "--store" in {option for p in command.params for option in p.opts}
