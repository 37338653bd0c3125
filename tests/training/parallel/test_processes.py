"""Two processes make the run of one: gradients, figures, skipped updates, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import tiny_rl
from tests.fakes.two_processes import (
    SPOILT,
    is_the_run_of_one,
    launched,
    one_process_skips_for_all,
)

STEPS = 4
SHARED = ("plain", "stapo and dsdr", "kl and scales", "repeated", "one", "nano", "nano frozen")
DEALT = ("few", "two updates", "three updates", "one scale for all")
"""Several updates a step, or rewards that are compared over all groups: which rollouts share an
update does not depend on the processes."""


@pytest.mark.slow
def test_two_processes_make_the_run_of_one(tmp_path: Path):
    """Uneven shares too: 3 problems for 2 processes, 1 problem, which leaves one without any."""
    # All in one launch: starting two processes takes longer than most of the runs.
    launched(tmp_path / "two", STEPS, *SHARED, *DEALT, *SPOILT)
    for name in (*SHARED, *DEALT):
        is_the_run_of_one(name, tmp_path / "two", tmp_path / "one", STEPS)
    for name in SPOILT:
        one_process_skips_for_all(name, tmp_path / "two")


@pytest.mark.full
@pytest.mark.slow
def test_identity_46_two_processes_go_on_bit_for_bit(tmp_path: Path):
    names = ("everything", "adapters", "few")
    launched(tmp_path / "whole", 4, *names)
    launched(tmp_path / "parts", 2, *names)
    launched(tmp_path / "parts", 4, *names)
    for name in names:
        whole, parts = (tiny_rl.digest(tmp_path / k / name / "model") for k in ("whole", "parts"))
        assert whole and whole == parts
