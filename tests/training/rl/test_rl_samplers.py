"""Samplers that go on with the weights they were started with are taken only when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmreason.training.generation.endpoint import EndpointSampler
from mmreason.training.generation.sampler import LocalSampler, SampleRequest, follows_weights
from mmreason.training.rl import PolicyModel, Recipe, train
from mmreason.training.rollouts.types import Completion, SampleFailure
from mmreason.types import UsageError
from tests.fakes import rl_runs, tiny_rl


class Server:
    """A copy of the model as it was, which no update reaches."""

    def __init__(self, _: PolicyModel):
        self._first = tiny_rl.sampler(tiny_rl.policy())
        self.greedy = 0

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        self.greedy += sum(request.temperature == 0 for request in requests)
        return self._first.sample(requests)


def recipe(tmp_path: Path, **changes: Any) -> Recipe:
    return rl_runs.recipe("plain", tmp_path, **({"steps": 3, "sampler": Server} | changes))


def test_a_sampler_with_old_weights_is_refused_before_the_first_step(tmp_path: Path):
    with pytest.raises(UsageError) as error:
        next(train(recipe(tmp_path)))
    told = str(error.value)
    assert "the sampler Server goes on with the weights that it was started with" in told
    assert "stale_sampler=True" in told and "\n" not in told
    assert not follows_weights(EndpointSampler.__new__(EndpointSampler))
    assert follows_weights(LocalSampler.__new__(LocalSampler))


def test_with_leave_its_drift_is_corrected_and_held_out_problems_are_judged_by_the_model(
    tmp_path: Path,
):
    served: list[Server] = []

    def serve(policy: PolicyModel) -> Server:
        served.append(Server(policy))
        return served[-1]

    given = recipe(
        tmp_path,
        sampler=serve,
        stale_sampler=True,
        task=tiny_rl.colours(reward=tiny_rl.length_reward()),
        steps=6,
        learning_rate=2e-2,
        held_out=tiny_rl.colours(4, reward=tiny_rl.length_reward()),
        evaluate_every=1,
    )
    reports = list(train(given))
    assert served[0].greedy == 0
    gaps = [report.metrics["mismatch/gap_mean"] for report in reports]
    assert gaps[0] < 1e-4 < 0.05 < gaps[-1]
    assert reports[-1].metrics["mismatch/corrected_share"] > 0
    # The start knows nothing; what it was taught shows although the server stays as it was.
    scores = [report.metrics["eval/reward"] for report in reports]
    assert len(set(scores)) > 1
