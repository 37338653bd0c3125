"""What was paid for is not lost: a full disk, a name too long, a name in another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmreason.cli import main
from mmreason.types import Answer, StopReason
from mmreason.video.world import generate

ROOT = Path(__file__).parents[2]
QUESTION = "How many objects are there?"

_SMALL_FILES = """
import resource, signal, sys
from mmreason.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""
"""The command line in a process whose files cannot grow beyond so many bytes."""


def _ask_with_small_files(most_bytes: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _SMALL_FILES, str(most_bytes), "ask", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds")
    return generate.world(1, duration_s=12, scene_s=4).save(folder / "w.json")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_full_disk_leaves_the_answer_on_the_terminal(world: Path, tmp_path: Path) -> None:
    page = tmp_path / "a.html"
    done = _ask_with_small_files(3_000, str(world), QUESTION, "--html", str(page), "--short")
    assert done.returncode == 1, done.stderr
    assert done.stdout.strip() and "report:" not in done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and str(page) in last and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "no half page, no temporary file"


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_row_that_finds_no_room_is_printed_and_no_half_of_it_stays(
    world: Path, tmp_path: Path
) -> None:
    questions, answers = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    row = {"video": str(world), "question": QUESTION}
    questions.write_text(json.dumps(row) + "\nno question\n")
    done = _ask_with_small_files(1_000, "--questions", str(questions), "--out", str(answers))
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["question"] == QUESTION
    assert str(answers) in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    (kept,) = (json.loads(line) for line in answers.read_text().splitlines())
    assert kept["id"] == "line 2"


@pytest.mark.parametrize("option", ["--html", "--out"])
def test_a_name_too_long_is_refused_before_anything_is_asked(
    option: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"video": str(world), "question": QUESTION}))
    target = str(tmp_path / ("a" * 300))
    words = [str(world), QUESTION] if option == "--html" else ["--questions", str(questions)]
    assert main(["ask", *words, option, target]) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and "File name too long" in err


def test_a_report_about_a_name_in_another_encoding_is_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    answer = Answer(
        question=name, text=name, options=(name,), stop_reason=StopReason.ANSWERED, video=name
    )
    page = answer.save_html(tmp_path / f"{'b' * 240}.html").read_text(encoding="utf-8")
    assert "caf?.mp4" in page or "caf\N{REPLACEMENT CHARACTER}.mp4" in page
