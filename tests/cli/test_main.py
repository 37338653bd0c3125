"""What holds for every verb: exit codes, one-line errors, help with an example, a fast start."""

import json
import subprocess
import sys

import pytest

import mmreason
from mmreason.cli import main

VERBS = [
    *("ask", "ground", "caption", "sample", "inspect", "cache", "demo", "mcp", "doctor"),
    *("train nano", "eval nano"),
]


def _raising(error: BaseException):
    def run(**_: object) -> None:
        raise error

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: mmreason {verb}" in shown


def test_root_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {verb.split()[0]} " in out for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mmreason {mmreason.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["ask"], "video"),
        (["ask", "clip.mp4"], "question"),
        (["nonsense"], "nonsense"),
        (["ask", "clip.mp4", "what?", "--colour"], "--colour"),
        (["ask", "clip.mp4", "what?", "--budget-frames", "many"], "--budget-frames"),
        (["ask", "clip.mp4", "what?", "--budget-frames", "-1"], "budget frames must be 0 or more"),
        (["demo", "--check", "0"], "--check"),
    ],
)
def test_bad_usage_is_one_line_and_2(
    argv: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    assert wanted in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (mmreason.UsageError("no such\nmodel"), 2, "error: no such model"),
        (mmreason.VideoError("a.mp4: empty"), 2, "error: a.mp4: empty"),
        (RuntimeError("boom"), 1, "error: RuntimeError: boom (--debug shows where)"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_errors_become_codes(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("mmreason.audit.doctor.run_checks", _raising(error))
    assert main(["doctor"]) == code
    assert capfd.readouterr().err.strip() == line


def test_debug_shows_the_traceback_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mmreason.audit.doctor.run_checks", _raising(mmreason.UsageError("bad")))
    for argv in (["--debug", "doctor"], ["doctor", "--debug"]):
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err and err.endswith("error: bad\n")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, json; from mmreason.cli import main; main(['--help']); "
        "heavy = 'torch transformers cv2 av decord PIL jinja2 mmreason.training'.split(); "
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmreason", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: No such command")
