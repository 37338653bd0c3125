"""The skill for assistants: its form, and every command in it."""

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mmreason.cli import main
from mmreason.skill import SKILL_NAME, read_skill, skill_path

SKILL = read_skill()


def _commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", SKILL, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_front_matter_has_a_name_and_says_when_to_use_it() -> None:
    _, front_matter, body = SKILL.split("---\n", 2)
    fields = yaml.safe_load(front_matter)
    assert set(fields) == {"name", "description"} and fields["name"] == SKILL_NAME
    # Limits of the agent-skills form.
    assert re.fullmatch(r"[a-z0-9-]{1,64}", fields["name"])
    assert 100 < len(fields["description"]) <= 1024 and "Use when" in fields["description"]
    assert len(body.splitlines()) < 500


def test_the_verb_prints_the_skill_or_where_it_lies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skill"]) == 0
    assert capsys.readouterr().out == SKILL
    assert main(["skill", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()) == skill_path()


@pytest.mark.usefixtures("model")
def test_every_command_of_the_skill_runs(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nGood morning.\n")
    question = json.dumps({"video": "talk.mp4", "question": "What colour is it?"})
    (tmp_path / "questions.jsonl").write_text(question + "\n")
    commands = _commands()
    assert len(commands) >= 9
    for command in commands:
        # The clip has no second minute.
        words = shlex.split(command.replace("--start 60 --end 90", "--start 1 --end 3"))
        if words[0] == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(words[2], "SKILL.md", "exec"), {})
            assert "Good morning." in printed.getvalue()
        else:
            assert words[0] == "mmreason"
            # A made-up model finds no gate: no answer is an outcome that the skill explains.
            assert main(words[1:]) in (0, 3), command
    assert {"sheet.png", "part.png", "box.png", "answers.jsonl"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_the_options_and_fields_that_the_skill_names_exist(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    options = set(re.findall(r"`(--[a-z-]+)", SKILL)) - {"--help", "--debug"}
    help_text = ""
    for verb in ("ask", "sample", "inspect", "ground", "caption"):
        main([verb, "--help"])
        help_text += capsys.readouterr().out
    assert options and [option for option in options if option not in help_text] == []
    schemas = Path(main.__code__.co_filename).parents[1] / "schemas"
    names = (schemas / "answer.json").read_text() + (schemas / "inspect.json").read_text()
    fields = set(re.findall(r"`([a-z]+_[a-z_]+|answered|confidence|span|quote)`", SKILL))
    assert len(fields) > 6 and [field for field in fields if f'"{field}"' not in names] == []
