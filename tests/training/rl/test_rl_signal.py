"""A run that teaches nothing fails, with the reason at the first step that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.training.generation.sampler import SampleRequest
from mmreason.training.rewards import Combination, Component, Truth
from mmreason.training.rl import Kl, Recipe, StepReport, TrainingStopped, train
from mmreason.training.rollouts.types import Completion, SampleFailure
from tests.fakes import rl_runs, tiny_rl


def rewarded(reward: Callable[..., Any]) -> dict[str, Any]:
    return {"task": tiny_rl.colours(reward=Combination((Component(name="mine", reward=reward),)))}


def raising(seen: Any, truth: Any) -> float:
    raise KeyError("score")


def without_answers() -> dict[str, Any]:
    plain = tiny_rl.colours()
    rows = [replace(problem, truth=Truth()) for problem in plain.problems]
    return {"task": replace(plain, problems=rows)}


def unjudged() -> dict[str, Any]:
    """Rewards that differ, and no answer known to be right or wrong."""
    task = tiny_rl.colours(reward=tiny_rl.length_reward())
    return {"task": replace(task, judge=lambda seen, truth: None), "dynamic_sampling": True}


class Refusing(tiny_rl.LocalSampler):
    """As `generate` of a model that does not know an argument."""

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        return [SampleFailure(kind="ValueError", message="model_kwargs are not used")] * len(
            requests
        )


class HalfRefusing(tiny_rl.LocalSampler):
    """One rollout of each problem comes through."""

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        failed = SampleFailure(kind="OutOfMemoryError", message="no memory")
        return [one if i % 4 == 0 else failed for i, one in enumerate(super().sample(requests))]


def sampled_by(kind: type) -> dict[str, Any]:
    def made(m: Any) -> Any:
        return kind(m.model, m.tokenizer, end_ids=m.end_ids, pad_id=m.pad_id)

    return {"sampler": made}


NO_NUMBER = "a reward gave no number for 32 of 32 rollouts (reward mine: "
FRUITLESS: dict[str, tuple[dict[str, Any], str]] = {
    "raises": (rewarded(raising), NO_NUMBER + "KeyError: 'score')"),
    "a text": (rewarded(lambda *_: "high"), NO_NUMBER + "expected a number or None, got str"),
    "a list": (rewarded(lambda *_: [1.0]), NO_NUMBER + "expected a number or None, got list"),
    "NaN": (rewarded(lambda *_: float("nan")), NO_NUMBER + "expected a number from 0 to 1"),
    "a tensor": (
        rewarded(lambda *_: torch.tensor(0.5)),
        NO_NUMBER + "expected a number or None, got Tensor: return a float, such as x.item())",
    ),
    "None": (
        rewarded(lambda *_: None),
        "no reward applies to 32 of 32 rollouts: give the problems",
    ),
    "no answers": (without_answers(), "no reward applies to 32 of 32 rollouts"),
    "constant": (
        rewarded(lambda *_: 0.25),
        "all rollouts of a problem earned the same (0.25): try other problems, another reward",
    ),
    "constant with a distance": (
        rewarded(lambda *_: 0.25) | {"kl": Kl(coefficient=0.1)},
        "all rollouts of a problem earned the same (0.25)",
    ),
    "unjudged": (unjudged(), "of none of these it is known whether they are right"),
    "refused": (
        sampled_by(Refusing),
        "no rollout came through (ValueError: model_kwargs are not used)",
    ),
    "a judge that raises": (
        {"task": replace(tiny_rl.colours(), judge=raising)},
        "no rollout came through (ValueError: the judge failed (KeyError: 'score'))",
    ),
    "a judge that gives a text": (
        {"task": replace(tiny_rl.colours(), judge=lambda *_: "yes")},
        "no rollout came through (ValueError: the judge failed (ValueError: could not convert",
    ),
    "one rollout each": (
        sampled_by(HalfRefusing),
        "24 of 32 rollouts failed (OutOfMemoryError: no memory); one rollout of each problem has",
    ),
}


@pytest.mark.parametrize("name", FRUITLESS)
def test_a_run_without_an_update_fails_and_says_why_at_its_first_step(tmp_path: Path, name: str):
    change, reason = FRUITLESS[name]
    given = rl_runs.recipe(
        "plain", tmp_path, steps=2, evaluate_every=1, held_out=tiny_rl.colours(2), **change
    )
    seen: list[StepReport] = []
    with pytest.raises(TrainingStopped) as stopped:
        collect(given, seen)
    assert reason in str(stopped.value)
    assert str(stopped.value).startswith("nothing was learnt in 2 steps, and no model is written: ")
    assert any(reason in line for line in seen[0].warnings), seen[0].warnings
    assert not (given.out / "model").exists() and not (given.out / "best").exists()
    # It is as fruitless when it is asked for again.
    with pytest.raises(TrainingStopped, match="nothing was learnt in 2 steps"):
        list(train(given))


def collect(given: Recipe, seen: list[StepReport]) -> None:
    for report in train(given):
        seen.append(report)


def test_steps_without_a_signal_are_counted_and_told_once_in_a_run_that_learns(tmp_path: Path):
    """Every other step all rollouts earn the same."""
    calls = [0]

    def sometimes(seen: Any, truth: Any) -> float:
        calls[0] += 1
        step = (calls[0] - 1) // 32
        return 0.5 if step % 2 == 0 else tiny_rl.shortness(seen, truth) / 2

    given = rl_runs.recipe("plain", tmp_path, steps=6, **rewarded(sometimes))
    reports = list(train(given))
    counted = [report.metrics["optimiser/without_signal"] for report in reports]
    assert counted == [1, 1, 2, 2, 3, 3]
    told = [line for report in reports for line in report.warnings]
    assert len(told) == 1 and "nothing to learn from in this step" in told[0]
    assert reports[-1].metrics["optimiser/skipped"] == 0
    assert (given.out / "model").is_dir()


def test_weights_of_too_few_bits_for_small_updates_are_told(tmp_path: Path):
    def made() -> Any:
        policy = tiny_rl.policy()
        policy.model.to(torch.bfloat16)
        return policy

    (report,) = list(train(rl_runs.recipe("plain", tmp_path, model=made, steps=1)))
    (told,) = [line for line in report.warnings if "small updates vanish" in line]
    assert "kept as torch.bfloat16" in told


def test_a_run_that_is_stopped_before_it_learnt_writes_no_model_and_goes_on(tmp_path: Path):
    given = rl_runs.recipe("plain", tmp_path, steps=3, **rewarded(lambda *_: 0.5))
    assert len(list(train(given, should_stop=lambda: True))) == 1
    assert not (given.out / "model").exists()
    with pytest.raises(TrainingStopped, match="nothing was learnt in 3 steps"):
        list(train(given))


def test_a_task_that_scores_with_something_else_is_a_failure_of_its_rollouts(tmp_path: Path):
    class Odd:
        name = "odd"
        problem = staticmethod(tiny_rl.colours().problem)
        episodes = staticmethod(tiny_rl.colours().episodes)

        def __init__(self, score: Callable[[], Any]):
            self._score = score

        def __len__(self) -> int:
            return 8

        def score(self, problem: Any, outcome: Any) -> Any:
            return self._score()

    for i, (score, told) in enumerate(
        [
            (lambda: 0.5, "RewardError: the task's score gave float, expected Scored"),
            (partial(dict().__getitem__, "right"), "RewardError: KeyError: 'right'"),
        ]
    ):
        given = rl_runs.recipe("plain", tmp_path / str(i), steps=1, task=Odd(score))
        with pytest.raises(TrainingStopped) as stopped:
            list(train(given))
        assert told in str(stopped.value)
