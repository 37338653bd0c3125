"""Supervised runs on a tiny model: the loss, what does not change it, resuming, and bad rows."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from mmreason.training.data.conversation import to_conversation
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.data.settings import DataSettings
from mmreason.training.learner.adapters import TrainedWeights
from mmreason.training.learner.dialogues import encode_dialogue
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rewards import Truth
from mmreason.training.rollouts.types import Role
from mmreason.training.runs.recipe_parts import CheckpointSettings
from mmreason.training.sft import (
    NothingLearnt,
    SftBatching,
    SftEvaluation,
    SftObjective,
    SftRecipe,
    train_sft,
)
from mmreason.training.sft.run import SftRun
from mmreason.types import UsageError
from tests.fakes import tiny_rl

COLOURS = tiny_rl.COLOURS


def sample(i: int, rejected: str = "") -> Sample:
    colour = COLOURS[i % len(COLOURS)]
    worse = (SampleMessage(role="assistant", parts=(rejected,)),) if rejected else ()
    return Sample(
        id=f"row-{i}",
        messages=(
            SampleMessage(role="user", parts=("say it " + "please " * (i % 3) + colour,)),
            SampleMessage(role="assistant", parts=(colour + " it" * (i % 2),)),
        ),
        rejected=worse,
        truth=Truth(answer=colour),
        channel="even" if i % 2 == 0 else "odd",
    )


SAMPLES = [sample(i) for i in range(8)]


def recipe(out: Path, **changes: Any) -> SftRecipe:
    settings: dict[str, Any] = {
        "samples": SAMPLES,
        "out": out,
        "model": tiny_rl.policy,
        "steps": 3,
        "optimiser": OptimiserSettings(learning_rate=1e-2, warmup_updates=0),
        "batching": SftBatching(rows=4),
        "evaluation": SftEvaluation(generate=False),
    }
    return SftRecipe(**(settings | changes))


def run_all(made: SftRecipe) -> list[dict[str, float]]:
    return [dict(report.metrics) for report in train_sft(made)]


def weights_after(made: SftRecipe) -> dict[str, torch.Tensor]:
    run = SftRun(made, Accelerator(), made.samples or (), made.held_out_samples or ())
    run.begin(resume=True)
    for _ in range(run.steps):
        run.advance()
    return {name: p.detach().clone() for name, p in run.policy.model.named_parameters()}


def test_the_loss_is_that_of_the_learnt_tokens_alone(tmp_path):
    made = recipe(tmp_path, batching=SftBatching(rows=8), steps=1)
    told = run_all(made)[0]["loss/mean"]
    # The same with the library's own loss, a row at a time.
    policy = tiny_rl.policy()
    total, tokens = 0.0, 0
    for row in SAMPLES:
        encoded = encode_dialogue(policy, to_conversation(row.messages, _CLIP), [False, True])
        ids = torch.tensor([encoded.token_ids])
        labels = torch.tensor([[t if r is Role.ASSISTANT else -100 for t, r in _pairs(encoded)]])
        count = int((labels != -100).sum())
        total += policy.model(input_ids=ids, labels=labels).loss.item() * count
        tokens += count
    assert told == pytest.approx(total / tokens, abs=1e-5)


def test_the_answer_and_its_end_are_learnt_and_the_question_is_not():
    policy = tiny_rl.policy()
    encoded = encode_dialogue(policy, to_conversation(SAMPLES[0].messages, _CLIP), [False, True])
    learnt = [t for t, r in _pairs(encoded) if r is Role.ASSISTANT]
    assert policy.tokenizer.convert_ids_to_tokens(learnt) == ["red", "<end>"]


@pytest.mark.parametrize(
    "batching",
    [
        SftBatching(rows=4, micro_tokens=8),
        SftBatching(rows=4, micro_tokens=20, layout="packed"),
        SftBatching(rows=4, layout="packed"),
    ],
    ids=["alone", "some packed", "all packed"],
)
def test_how_rows_share_a_pass_changes_no_weight(tmp_path, batching):
    expected = weights_after(recipe(tmp_path / "a"))
    found = weights_after(recipe(tmp_path / "b", batching=batching))
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=1e-4, msg=name)


def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path):
    dropout = lambda: tiny_rl.policy(dropout=0.2)  # noqa: E731 - a recipe takes a function
    straight = recipe(tmp_path / "a", model=dropout, steps=4)
    all_losses = [metrics["loss/mean"] for metrics in run_all(straight)]
    stopped = replace(straight, out=tmp_path / "b", checkpoints=CheckpointSettings(every=1))
    for report in train_sft(stopped):
        if report.step == 2:
            break  # as SIGKILL would: the checkpoint of step 1 is the newest
    losses = {report.step: report.metrics["loss/mean"] for report in train_sft(stopped)}
    assert min(losses) == 2
    assert [losses[step] for step in (2, 3, 4)] == all_losses[1:]
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_another_recipe_does_not_go_on_with_a_run(tmp_path):
    run_all(recipe(tmp_path))
    other = recipe(tmp_path, optimiser=OptimiserSettings(learning_rate=1e-3), steps=5)
    with pytest.raises(UsageError, match="learning_rate was 0\\.01, is 0\\.001"):
        run_all(other)
    with pytest.raises(UsageError, match="samples changed"):
        run_all(recipe(tmp_path, samples=SAMPLES[::-1], steps=5))


def test_losses_of_channels_add_up_to_the_whole(tmp_path):
    metrics = run_all(recipe(tmp_path, batching=SftBatching(rows=8), steps=1))[0]
    # 2 learnt tokens in each even row, 3 in each odd one.
    even, odd = metrics["loss/channel/even"], metrics["loss/channel/odd"]
    assert metrics["loss/mean"] == pytest.approx((2 * even + 3 * odd) / 5, abs=1e-6)


def test_held_out_rows_are_measured_before_and_after_and_the_best_model_is_kept(tmp_path):
    made = recipe(
        tmp_path,
        held_out_samples=SAMPLES[:4],
        steps=6,
        evaluation=SftEvaluation(every=2, best_by="eval/loss"),
    )
    rows = run_all(made)
    assert rows[-1]["eval/loss"] < rows[0]["start/loss"]
    assert 0 <= rows[-1]["eval/correct"] <= 1 and "start/correct" in rows[0]
    assert (tmp_path / "best").is_dir()


def test_a_pair_of_equal_policies_costs_log_2_and_then_less(tmp_path):
    pairs = [sample(i, rejected=COLOURS[(i + 1) % 4]) for i in range(4)]
    rows = run_all(recipe(tmp_path, samples=pairs, objective=SftObjective(formula="dpo"), steps=4))
    assert rows[0]["loss/mean"] == pytest.approx(math.log(2), abs=1e-6)
    assert rows[-1]["loss/mean"] < rows[0]["loss/mean"] and rows[-1]["dpo/margin"] > 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (replace(SAMPLES[0], messages=SAMPLES[0].messages[:1]), "nothing to learn"),
        (
            replace(
                SAMPLES[0],
                messages=(SAMPLES[0].messages[0], SampleMessage(role="assistant", parts=(" ",))),
            ),
            "an empty one",
        ),
        (
            replace(
                SAMPLES[0],
                messages=(
                    SampleMessage(role="user", parts=("please " * 70,)),
                    SAMPLES[0].messages[1],
                ),
            ),
            "more than the 64 that fit",
        ),
    ],
    ids=["no answer", "empty answer", "too long"],
)
def test_a_bad_row_is_refused_or_named_and_left_out(tmp_path, bad, reason):
    rows = [bad, *SAMPLES[1:]]
    with pytest.raises(UsageError, match=reason):
        run_all(recipe(tmp_path / "a", samples=rows, batching=SftBatching(rows=8)))
    made = recipe(
        tmp_path / "b",
        samples=rows,
        data=DataSettings(bad_rows="skip"),
        batching=SftBatching(rows=8),
        steps=1,
    )
    (report,) = train_sft(made)
    assert report.metrics["rows/left_out"] == 1
    assert any(reason in line and "row-0" in line for line in report.warnings)


def test_a_run_that_learns_nothing_says_so(tmp_path):
    unmoved = [replace(row, messages=row.messages[:1]) for row in SAMPLES]
    made = recipe(tmp_path, samples=unmoved, data=DataSettings(bad_rows="skip"), steps=2)
    with pytest.raises(NothingLearnt, match="no row of the step could be used"):
        run_all(made)
    assert not (tmp_path / "model").exists()


def test_a_recipe_takes_its_rows_from_one_place(tmp_path):
    with pytest.raises(UsageError, match="give the rows once"):
        SftRecipe(out=tmp_path)
    with pytest.raises(UsageError, match="give the rows once"):
        SftRecipe(out=tmp_path, samples=SAMPLES, data=DataSettings(train="a.jsonl"))


def test_frozen_weights_stay_as_they_were(tmp_path):
    frozen = weights_after(
        recipe(tmp_path, weights=TrainedWeights(freeze=("model.layers.0",)), steps=2)
    )
    before = dict(tiny_rl.policy().model.named_parameters())
    for name, weight in frozen.items():
        assert torch.equal(weight, before[name]) == name.startswith("model.layers.0"), name


def _pairs(encoded: Any) -> list[tuple[int, Role]]:
    return list(zip(encoded.token_ids, encoded.roles, strict=True))


_CLIP: Any = None  # there are no frames to show
