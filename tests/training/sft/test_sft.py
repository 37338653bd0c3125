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
from mmreason.training.data.sample import MediaKind, MediaRef, SampleMessage
from mmreason.training.data.settings import DataSettings
from mmreason.training.learner.adapters import Lora, TrainedWeights
from mmreason.training.learner.dialogues import encode_dialogue
from mmreason.training.parallel.strategy import (
    OptimiserSettings,
    group_parameters,
    set_learning_rates,
)
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
from mmreason.training.sft.plan import plan_rows
from mmreason.training.sft.run import SftRun
from mmreason.training.sft.trainer import export_sft
from mmreason.types import UsageError
from tests.fakes import sft_runs, tiny_rl

COLOURS = tiny_rl.COLOURS
SAMPLES = sft_runs.SAMPLES


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
    pairs = [sft_runs.sample(i, rejected=COLOURS[(i + 1) % 4]) for i in range(4)]
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
        (
            replace(
                SAMPLES[0],
                messages=(
                    SampleMessage(
                        role="user",
                        parts=(MediaRef(kind=MediaKind.VIDEO, paths=("/none/a.mp4",)), "what"),
                    ),
                    SAMPLES[0].messages[1],
                ),
            ),
            "there is no such file",
        ),
    ],
    ids=["no answer", "empty answer", "too long", "no file"],
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


def test_all_bad_rows_are_counted_before_the_first_step(tmp_path):
    unanswered = [replace(row, messages=row.messages[:1]) for row in SAMPLES[:3]]
    made = recipe(tmp_path, samples=[*SAMPLES, *unanswered], batching=SftBatching(rows=1))
    with pytest.raises(UsageError, match=r"row-0: nothing to learn.*and 2 more rows"):
        run_all(made)
    assert not (tmp_path / "checkpoints").exists()


def test_a_bad_held_out_row_is_refused_or_named(tmp_path):
    long = SampleMessage(role="user", parts=("please " * 70,))
    bad = replace(SAMPLES[0], messages=(long, SAMPLES[0].messages[1]))
    with pytest.raises(UsageError, match="more than the 64 that fit"):
        run_all(recipe(tmp_path / "a", held_out_samples=[bad]))
    made = recipe(
        tmp_path / "b",
        held_out_samples=[bad, SAMPLES[1]],
        data=DataSettings(bad_rows="skip"),
        steps=1,
    )
    (report,) = train_sft(made)
    assert any("held-out row left out: row-0" in line for line in report.warnings)


def test_noise_on_embeddings_is_what_the_recipe_says(tmp_path):
    plain = run_all(recipe(tmp_path / "a", steps=1))[0]["loss/mean"]
    noisy = recipe(tmp_path / "b", steps=1, objective=SftObjective(neftune_alpha=20.0))
    assert abs(run_all(noisy)[0]["loss/mean"] - plain) > 1e-4


def test_a_low_rate_is_told(tmp_path):
    low = OptimiserSettings(learning_rate=1e-7, warmup_updates=0)
    (report,) = train_sft(recipe(tmp_path, optimiser=low, steps=1))
    assert any("1e-07 is low" in line for line in report.warnings)


def test_parts_have_rates_of_their_own():
    model = torch.nn.ModuleDict(
        {
            "visual": torch.nn.ModuleDict(
                {"block": torch.nn.Linear(2, 2), "merger": torch.nn.Linear(2, 2, bias=False)}
            ),
            "language_model": torch.nn.Linear(2, 2),
        }
    )
    settings = OptimiserSettings(
        learning_rate=1e-4,
        vision_learning_rate=1e-5,
        weight_decay=0.1,
        decay_norms=False,
        warmup_updates=0,
    )
    optimiser = torch.optim.AdamW(group_parameters(model, settings), lr=1.0)
    set_learning_rates(optimiser, settings, update=0, updates=1)
    found = {
        name: (group["lr"], group["weight_decay"])
        for name, parameter in model.named_parameters()
        for group in optimiser.param_groups
        if any(parameter is p for p in group["params"])
    }
    assert found == {
        "visual.block.weight": (pytest.approx(1e-5), 0.1),
        "visual.block.bias": (pytest.approx(1e-5), 0.0),
        "visual.merger.weight": (1e-4, 0.1),
        "language_model.weight": (1e-4, 0.1),
        "language_model.bias": (1e-4, 0.0),
    }
    assert optimiser.param_groups[0]["lr"] == 1e-4
    with pytest.raises(UsageError, match="no weight of the vision is trained"):
        group_parameters(tiny_rl.policy().model, settings)


def test_adapters_are_exported_with_a_card(tmp_path):
    lora = TrainedWeights(lora=Lora(rank=2, alpha=4))
    made = recipe(tmp_path / "run", weights=lora, steps=2)
    metrics = run_all(made)[-1]
    export_sft(made, tmp_path / "adapter", merge=False, metrics=metrics)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert "library_name: peft" in card and f"| loss/mean | {metrics['loss/mean']:.6g} |" in card
    assert "library_name: transformers" in (made.out / "model" / "README.md").read_text()


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


def test_a_plan_tells_the_work_the_memory_and_what_is_likely_not_meant(tmp_path):
    made = recipe(
        tmp_path, steps=3, optimiser=OptimiserSettings(learning_rate=1e-2, warmup_updates=10)
    )
    rows = []
    plan = plan_rows(made, SAMPLES, 0, lambda: rows.append(1))
    parameters = sum(p.numel() for p in tiny_rl.policy().model.parameters())
    assert (len(rows), plan.rows, plan.steps) == (len(SAMPLES), len(SAMPLES), 3)
    # Float32 weights and gradients, and two moments.
    assert plan.trained == plan.parameters == parameters and plan.state_bytes == 16 * parameters
    assert ["rises over 10 updates" in text for text in plan.warnings] == [True]
    assert any("never reaches its height" in line for line in plan.describe())
    assert plan.to_dict()["warnings"] == list(plan.warnings)
    assert not plan_rows(recipe(tmp_path), SAMPLES, 0, lambda: None).warnings
