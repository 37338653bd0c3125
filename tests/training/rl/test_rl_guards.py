"""What goes wrong in a run is told and not fatal: NaN, odd rewards, empty groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from mmreason.training.generation.sampler import SampleRequest
from mmreason.training.objectives import PUBLISHED, Objective
from mmreason.training.objectives.losses import reinforce
from mmreason.training.rewards import Combination, Component, Trajectory, Truth, correct
from mmreason.training.rl import (
    Kl,
    ObjectiveSettings,
    OptimiserSettings,
    PolicyModel,
    Recipe,
    StepReport,
    TrainingStopped,
    train,
)
from mmreason.training.rollouts.types import Completion, Problem, SampleFailure
from mmreason.training.runs import checkpoint
from mmreason.types import UsageError
from mmreason.video import VideoError
from tests.fakes import rl_runs, tiny_rl


def recipe(tmp_path: Path, **changes: Any) -> Recipe:
    return rl_runs.recipe("plain", tmp_path / "run", **({"steps": 3} | changes))


def fruitless(given: Recipe) -> tuple[list[StepReport], str]:
    """The reports of a run that teaches nothing, and why it failed in the end."""
    seen: list[StepReport] = []
    with pytest.raises(TrainingStopped) as stopped:
        for report in train(given):
            seen.append(report)
    assert not (given.out / "model").exists() and not (given.out / "best").exists()
    assert "\n" not in str(stopped.value)
    return seen, str(stopped.value)


def weights(made: PolicyModel) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in made.model.parameters()])


def spoilt(spoil: Callable[[int, torch.Tensor], torch.Tensor]) -> PolicyModel:
    """A policy whose logits in training passes go through `spoil(pass, logits)`."""
    made = tiny_rl.policy()
    passes = 0

    def hook(module: Any, inputs: Any, out: Any) -> Any:
        nonlocal passes
        if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            out.logits = spoil(passes, out.logits)
            passes += 1
        return out

    made.model.register_forward_hook(hook)
    return made


def test_identity_48_nan_in_one_sample_skips_the_update_and_names_it(tmp_path: Path):
    def spoil(number: int, logits: torch.Tensor) -> torch.Tensor:
        if number:
            return logits
        logits = logits.clone()
        logits[1] = math.nan  # the second row of the first micro-batch
        return logits

    made = spoilt(spoil)
    before = weights(made)
    run = train(recipe(tmp_path, model=lambda: made))
    first = next(run)
    assert torch.equal(weights(made), before)
    assert first.metrics["optimiser/skipped"] == 1
    (told,) = [line for line in first.warnings if "skipped" in line]
    assert "logp is NaN or infinite for sample colour-" in told and "#" in told
    assert "more" not in told and told.count("#") == 1  # it alone
    assert all(math.isfinite(value) for value in first.metrics.values())
    second = next(run)
    assert second.metrics["optimiser/skipped"] == 1
    assert not second.warnings
    assert not torch.equal(weights(made), before)
    assert all(p.isfinite().all() for p in made.model.parameters())


def test_identity_48_the_sample_that_is_named_is_the_one(tmp_path: Path):
    """The name leads to the very problem and number, under any division into micro-batches."""

    class Marked(tiny_rl.LocalSampler):
        def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
            found = super().sample(requests)
            one = found[5]
            assert isinstance(one, Completion)
            found[5] = replace(one, token_ids=(8, 7, 8, 1), logprobs=(-1.0,) * 4)
            return found

    for micro_tokens in (1, 40, 10_000):
        made = tiny_rl.policy()

        def nan_after_mark(module: Any, args: Any, kwargs: Any, out: Any) -> Any:
            if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
                ids = kwargs["input_ids"]
                marked = (ids.unfold(1, 3, 1) == torch.tensor([8, 7, 8])).all(dim=2).any(dim=1)
                if marked.any():
                    out.logits = torch.where(marked[:, None, None], math.nan, out.logits)
            return out

        made.model.register_forward_hook(nan_after_mark, with_kwargs=True)

        def marked(made: PolicyModel) -> Marked:
            return Marked(made.model, made.tokenizer, end_ids=made.end_ids, pad_id=made.pad_id)

        given = recipe(
            tmp_path / str(micro_tokens),
            model=lambda made=made: made,
            sampler=marked,
            micro_tokens=micro_tokens,
            kl=Kl(coefficient=0.0),  # so that rows without an advantage are run too
        )
        report = next(train(given))
        problem = [p for p in tiny_rl.colours().problems]
        drawn = [problem[i].id for i in order(given)]
        named = [line for line in report.warnings if "skipped" in line]
        assert len(named) == 1 and f"sample {drawn[1]}#1;" in named[0], named


def order(given: Recipe) -> list[int]:
    from mmreason.training.runs.batches import problem_index_at

    count = given.sampling.problems_per_step
    return [problem_index_at(i, len(given.task), given.seed) for i in range(count)]


def test_identity_48_an_infinite_gradient_skips_the_update(tmp_path: Path):
    """The loss is finite; the gradient is not."""

    class Exploding(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
            return grads[0] * math.inf

    made = spoilt(lambda number, logits: Exploding.apply(logits) if number == 0 else logits)
    before = weights(made)
    report = next(train(recipe(tmp_path, model=lambda: made)))
    assert torch.equal(weights(made), before)
    assert report.metrics["optimiser/skipped"] == 1
    assert any("gradient norm is" in line for line in report.warnings)


def test_identity_48_too_many_skipped_updates_stop_the_run_with_its_state_saved(tmp_path: Path):
    made = spoilt(lambda number, logits: logits * math.nan)
    task = tiny_rl.colours(reward=tiny_rl.length_reward())
    given = recipe(
        tmp_path, task=task, model=lambda: made, steps=9, max_skipped=3, checkpoint_every=100
    )
    seen: list[StepReport] = []
    with pytest.raises(TrainingStopped, match=r"3 updates in a row were skipped.*NaN") as stopped:
        for report in train(given):
            seen.append(report)
    assert str(given.out) in str(stopped.value) and "\n" not in str(stopped.value)
    assert [report.metrics["optimiser/skipped"] for report in seen] == [1, 2, 3]
    found = checkpoint.find_newest(given.out)
    assert found is not None and found[1].step == 3 and found[1].skipped == 3
    # Mended, it goes on from there, with as many tries as before.
    healed = spoilt(lambda number, logits: logits if number else logits * math.nan)
    rest = list(train(replace(given, model=same_name(lambda: healed))))
    assert [report.step for report in rest] == list(range(4, 10))
    assert rest[-1].metrics["optimiser/skipped"] == 4


def same_name(make: Callable[[], PolicyModel]) -> Callable[[], PolicyModel]:
    make.__qualname__ = (
        "test_identity_48_too_many_skipped_updates_stop_the_run_with_its_state_saved"
        ".<locals>.<lambda>"
    )
    return make


def test_identity_48_a_model_that_is_nan_all_over_stops_the_run(tmp_path: Path):
    """Its rollouts fail one by one, and a run of nothing but failures ends."""
    made = tiny_rl.policy()
    with torch.no_grad():
        next(made.model.parameters()).fill_(math.nan)
    given = recipe(tmp_path, model=lambda: made, steps=9, max_skipped=2)
    with pytest.raises(TrainingStopped, match="no rollout came through"):
        for report in train(given):
            assert all(math.isfinite(value) for value in report.metrics.values()), report.metrics
            assert report.metrics["failures/groups"] == 8
            assert any("probabilities are NaN" in line for line in report.warnings)


def rewarded(reward: Callable[[Trajectory, Truth], Any], **options: Any) -> Any:
    right = Component(name="right", reward=correct)
    odd = Component(name="odd", reward=reward, **options)
    return tiny_rl.colours(reward=Combination((right, odd)))


def raises(seen: Trajectory, truth: Truth) -> float:
    if truth.answer == "red":
        raise ZeroDivisionError("no\nlength")
    return 0.5


def a_string(seen: Trajectory, truth: Truth) -> Any:
    return "high" if truth.answer == "red" else 0.5


def nan(seen: Trajectory, truth: Truth) -> float:
    return math.nan if truth.answer == "red" else 0.5


def infinite(seen: Trajectory, truth: Truth) -> float:
    return math.inf if truth.answer == "red" else 0.5


@pytest.mark.parametrize("reward", [raises, a_string, nan, infinite])
def test_a_reward_at_fault_leaves_its_rollouts_out(tmp_path: Path, reward: Any):
    """Two of eight problems are about red; the others are trained on as ever."""
    made = tiny_rl.policy()
    before = weights(made)
    given = recipe(tmp_path, task=rewarded(reward), model=lambda: made, steps=1)
    (report,) = list(train(given))
    assert report.metrics["failures/rewards"] == 8
    told = [line for line in report.warnings if line.startswith("reward odd of colour-")]
    assert len(told) == 8 and all("\n" not in line for line in told)
    assert {line.split()[3].split("#")[0] for line in told} == {"colour-0", "colour-4"}
    assert all(math.isfinite(value) for value in report.metrics.values())
    assert not torch.equal(weights(made), before)


def test_a_reward_that_never_works_moves_nothing(tmp_path: Path):
    made = tiny_rl.policy()
    before = weights(made)
    task = rewarded(lambda seen, truth: math.nan)
    reports, told = fruitless(recipe(tmp_path, task=task, model=lambda: made))
    assert "a reward gave no number for 32 of 32 rollouts (reward odd: expected a number" in told
    assert torch.equal(weights(made), before)
    for report in reports:
        assert report.metrics["failures/rewards"] == 32
        assert "reward/mean" not in report.metrics


@pytest.mark.parametrize("name", PUBLISHED)
def test_equal_rewards_teach_nothing(tmp_path: Path, name: str):
    task = tiny_rl.colours(reward=Combination((Component(name="same", reward=lambda *_: 1.0),)))
    made = tiny_rl.policy()
    before = weights(made)
    given = recipe(tmp_path, task=task, model=lambda: made, objective=name, steps=2)
    reports, told = fruitless(given)
    assert "nothing was learnt in 2 steps" in told and "earned the same (1)" in told
    for report in reports:
        assert report.metrics["groups/zero_variance"] == 1
        assert report.metrics["reward/deviation"] == 0
        assert report.metrics["optimiser/without_signal"] == report.step
    (line,) = reports[0].warnings
    assert "nothing to learn from in this step: all rollouts of a problem earned the same" in line
    assert not reports[1].warnings
    assert torch.equal(weights(made), before)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("kl", [None, Kl(coefficient=0.5)])
def test_all_truncated_and_masked_moves_nothing_by_reward(tmp_path: Path, name: str, kl: Any):
    """The distance to the reference is 0 at first, and so is its gradient."""

    class Cutting(tiny_rl.LocalSampler):
        def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
            found = super().sample(requests)
            return [
                replace(one, finish_reason="length") for one in found if isinstance(one, Completion)
            ]

    made = tiny_rl.policy()
    before = weights(made)
    given = recipe(
        tmp_path,
        task=tiny_rl.colours(reward=tiny_rl.length_reward()),
        model=lambda: made,
        sampler=lambda m: Cutting(m.model, m.tokenizer, end_ids=m.end_ids, pad_id=m.pad_id),
        objective=name,
        steps=1,
        mask_truncated=True,
        kl=kl,
    )
    (report,), told = fruitless(given)
    assert "mask_truncated leaves those out: raise max_new_tokens" in told
    assert report.metrics["length/truncated"] == 1
    assert report.metrics["reward/deviation"] > 0
    assert report.metrics["optimiser/skipped"] == 0
    assert all(math.isfinite(value) for value in report.metrics.values())
    if kl is None:
        assert torch.equal(weights(made), before)
    else:  # rounding, which Adam makes steps of
        assert report.metrics["optimiser/gradient_norm"] < 1e-5


def test_the_distance_to_the_reference_does_not_depend_on_what_is_left_out():
    """Masking all but one rollout must not make the distance of the others weigh more."""
    from accelerate import Accelerator

    from mmreason.training.generation.collect import Sampling, collect_rollouts
    from mmreason.training.learner.logprobs import Scorer
    from mmreason.training.parallel.strategy import Replicated
    from mmreason.training.rl.batches import TrainingRow
    from mmreason.training.rl.update import Updater

    made = tiny_rl.policy()
    task = tiny_rl.colours()
    how = Sampling(samples=2, temperature=1.0, seed=0, step=0)
    groups = collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), how)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    norms = []
    for cut in (False, True):
        rows = [
            TrainingRow(
                sequence=rollout.sequences[0],
                rollout=replace(rollout, truncated=cut and i > 0),
                advantage=0.0,
            )
            for i, rollout in enumerate(rollouts)
        ]
        given = Recipe(
            task=task,
            out=Path("nowhere"),
            objective=ObjectiveSettings(
                kl=Kl(coefficient=1.0, estimator="k2"), mask_truncated=True
            ),
            optimiser=OptimiserSettings(max_gradient_norm=1e9),
        )
        scorer = Scorer(made.model)
        optimiser = torch.optim.SGD(scorer.parameters(), lr=0.0)
        updater = Updater(given, Replicated(Accelerator(cpu=True), scorer, optimiser), made.pad_id)
        micros = updater.make_micro_batches(rows)
        for micro in micros:
            micro.reference_logp = torch.full_like(micro.packed.mask, -1.0, dtype=torch.float32)
        norms.append(updater.update(micros, 8.0).gradient_norm)
    assert norms[1] == pytest.approx(norms[0], rel=1e-4) and norms[0] > 0.01


@pytest.mark.parametrize("share", ["some", "all"])
def test_problems_that_cannot_be_shown_are_left_out(tmp_path: Path, share: str):
    def show(problem: Problem) -> Any:
        if share == "all" or problem.id in ("colour-1", "colour-6"):
            raise VideoError(f"{problem.id}.mp4: no frame could be read")
        return tiny_rl.show(problem)

    made = tiny_rl.policy()
    before = weights(made)
    task = replace(tiny_rl.colours(), show=show)
    given = recipe(tmp_path, task=task, model=lambda: made, steps=4)
    if share == "all":
        reports, why = fruitless(given)
        assert "no rollout came through (VideoError: colour-" in why and "more reasons" in why
    else:
        reports = list(train(given))
    lost = 8.0 if share == "all" else 2.0
    assert reports[0].metrics["failures/groups"] == lost
    told = [line for line in reports[0].warnings if line.startswith("problem colour-")]
    assert len(told) == lost and all("left out: VideoError" in line for line in told)
    assert torch.equal(weights(made), before) == (share == "all")
    assert reports[-1].metrics["optimiser/skipped"] == (4 if share == "all" else 0)


@pytest.mark.parametrize("kinds", [None, 0.9])
def test_dynamic_sampling_gives_up_after_its_rounds(tmp_path: Path, kinds: float | None):
    """Where no problem teaches, the step is empty and the run goes on to its end."""
    task = tiny_rl.colours(reward=Combination((Component(name="same", reward=lambda *_: 1.0),)))
    made = tiny_rl.policy(seed=4)
    given = recipe(
        tmp_path,
        task=replace(task, max_new_tokens=1),
        model=lambda: made,
        dynamic_sampling=True,
        dynamic_rounds=2,
        problems_per_step=2,
        objective="rloo",
        kind_scale_decay=kinds,
    )
    reports, told = fruitless(given)
    assert "all rollouts of a problem earned the same (1)" in told
    for report in reports:
        assert report.metrics["groups/dropped"] <= 4
        assert all(math.isfinite(value) for value in report.metrics.values())


def test_a_loss_of_the_users_that_is_wrong_is_told(tmp_path: Path):
    def wrong(batch: Any) -> torch.Tensor:
        return reinforce(batch) * math.nan

    given = PUBLISHED["reinforce"]
    odd = Objective(given.advantage, wrong, given.aggregation)
    report = next(train(recipe(tmp_path, objective=odd)))
    assert any("gradient norm is nan" in line for line in report.warnings)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused():
    made = tiny_rl.policy()
    words = tiny_rl.tokenizer()
    words.add_tokens(["violet", "teal"])
    wanted = r"model 'tiny' has embeddings of 9 tokens, its tokenizer uses 11"
    with pytest.raises(UsageError, match=wanted) as error:
        replace(made, tokenizer=words)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="its tokenizer uses 100"):
        replace(made, end_ids=(1, 99))


def test_a_trainer_that_ended_within_an_accumulation_does_not_stop_this_one(tmp_path: Path):
    """accelerate's optimisers do nothing while the process is said to accumulate."""
    made = tiny_rl.policy()
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    accelerator = Accelerator(cpu=True)
    accelerator.sync_gradients = False
    reports = list(train(recipe(tmp_path, model=lambda: made), accelerator=accelerator))
    assert not any(report.warnings for report in reports)
    after = made.model.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
