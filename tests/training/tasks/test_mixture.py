"""Tasks as one: every problem of every part, played and scored by its own task."""

from __future__ import annotations

import pytest
import torch

from mmreason.training import rl
from mmreason.training.navigation.task import Navigation
from mmreason.training.tasks.frames import FrameTask
from mmreason.training.tasks.mixture import Mixture
from mmreason.types import UsageError

FRAMES = FrameTask(split="train", kinds=("exists", "count"), count=7)
PLAYS = Navigation(worlds=2, duration_s=180.0, items=2)
BOTH = Mixture(parts=((FRAMES, 2), (PLAYS, 1)))


def test_problems_come_in_turn_and_none_twice():
    problems = [BOTH.problem(i) for i in range(len(BOTH))]
    assert len(problems) == 9, "three whole turns: the frames end first"
    own = [problem.id.partition(":") for problem in problems]
    assert [part for part, _, _ in own] == ["0", "0", "1"] * 3
    assert [name for part, _, name in own if part == "0"] == [
        FRAMES.problem(i).id for i in range(6)
    ]
    assert [name for part, _, name in own if part == "1"] == [PLAYS.problem(i).id for i in range(3)]
    assert len({problem.id for problem in problems}) == 9


def test_the_name_tells_the_parts():
    """It is part of what a run may go on with."""
    other = Mixture(parts=((FRAMES, 1), (PLAYS, 1)))
    assert BOTH.name != other.name
    assert FRAMES.name in BOTH.name and PLAYS.name in BOTH.name


@pytest.mark.parametrize("parts", [(), ((FRAMES, 0),)])
def test_a_mixture_of_nothing_is_refused(parts):
    with pytest.raises(UsageError, match="at least"):
        Mixture(parts=parts)


def test_frames_and_plays_are_trained_on_in_one_step(tmp_path):
    """Prompts with frames and without, one turn and several, in one update of nano."""
    torch.manual_seed(0)
    recipe = rl.Recipe(
        task=BOTH,
        out=tmp_path / "run",
        steps=1,
        sampling=rl.SamplingSettings(
            problems_per_step=5, samples=2, temperature=2.0, batch_tokens=12_000
        ),
        optimiser=rl.OptimiserSettings(learning_rate=1e-5, warmup_updates=0),
        batching=rl.BatchingSettings(micro_tokens=8_000),
    )
    (report,) = rl.train(recipe)
    assert report.metrics["optimiser/skipped"] == 0
    for what in ("groups", "samples", "rewards"):
        assert report.metrics[f"failures/{what}"] == 0
    assert report.metrics["turns/mean"] > 1
