"""A run whose process is killed ends with the file of a run in one piece."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmreason.training.evaluation.problems import evaluate_problems
from mmreason.training.evaluation.settings import EvaluateSettings
from tests.training.evaluation.made_samples import ask_colours, perfect, scripted

SETTINGS = EvaluateSettings(circular=True, batch_size=4)
PROGRAM = """
import sys, time
from pathlib import Path
from mmreason.training.evaluation.problems import evaluate_problems
from tests.training.evaluation.made_samples import ask_colours, perfect, scripted
from tests.training.evaluation.test_killed_runs import SETTINGS

def slow(text, frames):
    time.sleep(0.05)
    return perfect(text, frames)

folder = Path(sys.argv[1])
evaluate_problems(ask_colours(folder), scripted(slow), SETTINGS, out=folder / "run")
"""


@pytest.mark.full
def test_a_killed_run_goes_on_to_the_same_file(tmp_path: Path) -> None:
    samples = ask_colours(tmp_path)
    evaluate_problems(samples, scripted(perfect), SETTINGS, out=tmp_path / "whole")
    whole = (tmp_path / "whole" / "rows.jsonl").read_bytes()
    file = tmp_path / "run" / "rows.jsonl"
    sizes = []
    for _ in range(3):
        before = file.stat().st_size if file.is_file() else 0
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if file.is_file() and file.stat().st_size > before + 2000:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        sizes.append(file.stat().st_size)
    assert 0 < sizes[0] < len(whole)
    evaluate_problems(samples, scripted(perfect), SETTINGS, out=tmp_path / "run")
    assert file.read_bytes() == whole
