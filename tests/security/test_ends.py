"""The ends of the process: Ctrl-C at any moment, streams that are closed, a folder that is gone.
At most one line is said, and the exit code tells it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import atexit, os, signal, sys, threading

moment = sys.argv.pop(1)
# Whoever runs these tests in the background of a script has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def strike():
    os.kill(os.getpid(), signal.SIGINT)

class StrikeAtImport:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            strike()
        if f"text run for {name}" == moment:
            exec("strike()\\nfor _ in range(100): pass")

class Late:
    def __del__(self):
        strike()

def strike_when_main_has_ended():
    threading.main_thread().join()
    strike()

import mmreason.__main__
sys.meta_path.insert(0, StrikeAtImport())
if moment == "threads end":
    threading.Thread(target=strike_when_main_has_ended).start()
if moment == "exit functions":
    atexit.register(strike)
if moment == "modules go":
    mmreason.__main__.late = Late()
if moment == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    strike()
code = mmreason.__main__.run()
if moment == "after run":
    strike()
sys.exit(code)
"""


def environment(*folders: Path) -> dict[str, str]:
    """Ours, in which Python finds modules in `folders` as well."""
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", str(ROOT))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def start(folder: Path, *words: str, moment: str) -> subprocess.CompletedProcess[str]:
    """Run `PROGRAM` as Python runs `-m mmreason`: it ends in another way than a script."""
    (folder / "struck.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, "-m", "struck", moment, *words],
        env=environment(folder),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("mmreason.cli", ["--version"]),
        ("typer", ["--version"]),
        ("mmreason.cli.inspect", ["inspect", "x.mp4"]),
        ("mmreason.video.inspect", ["inspect", "pyproject.toml"]),
        ("text run for mmreason.video.inspect", ["inspect", "pyproject.toml"]),
        ("mmreason.server.service", ["mcp", "--root", "."]),
        ("after run", ["--version"]),
        ("threads end", ["--version"]),
    ],
)
def test_an_interruption_is_one_line_and_130(tmp_path: Path, moment: str, words: list[str]) -> None:
    done = start(tmp_path, *words, moment=moment)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("moment", ["exit functions", "modules go", "ignored"])
def test_an_interruption_that_comes_too_late_or_is_ignored_changes_nothing(
    tmp_path: Path, moment: str
) -> None:
    done = start(tmp_path, "--version", moment=moment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mmreason ")


def test_the_console_script_is_the_same_process_as_the_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["scripts"] == {"mmreason": "mmreason.__main__:run"}


def shell(script: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell whose `"$@"` is the program with `words`."""
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "mmreason", *words],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_closed_stdout_is_one_line_and_2(tmp_path: Path) -> None:
    done = shell('exec "$@" >&-', "cache", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: standard output is closed")
    assert done.stderr.count("\n") == 1


def test_a_closed_stderr_is_silent_and_its_number_is_no_file_of_ours(tmp_path: Path) -> None:
    done = shell('exec "$@" 2>&-', "inspect", "gone.mp4", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    assert shell('exec "$@" >&- 2>&-', "--version", folder=tmp_path).returncode == 2


def test_a_closed_stdin_is_an_empty_one(tmp_path: Path) -> None:
    done = shell('exec "$@" <&-', "mcp", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


def test_a_deleted_folder_is_one_line_and_2(tmp_path: Path) -> None:
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = shell(gone, "inspect", "clip.mp4", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the current folder cannot be used (No such file")
    assert done.stderr.count("\n") == 1


def test_letters_that_the_terminal_lacks_are_no_error(tmp_path: Path) -> None:
    done = shell('PYTHONIOENCODING=ascii exec "$@"', "inspect", "é日.mp4", folder=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(r"error: \xe9\u65e5.mp4")
