"""Our objectives inside TRL's real trainer, on a tiny random model: the same loss and gradient as
TRL's own where both have the objective, and one result however a step is split."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mmreason.training.objectives import PUBLISHED, Objective, clipped
from mmreason.training.rl import Dsdr, Stapo
from mmreason.types import UsageError
from tests.fakes import trl_processes
from tests.fakes.trl_models import config_of, save_tiny

trl = pytest.importorskip("trl", minversion="1.16")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")

from mmreason.training.integrations import trl as ours  # noqa: E402
from mmreason.training.integrations.trl import grpo_trainer  # noqa: E402
from mmreason.training.integrations.trl_dsdr import DsdrTerm  # noqa: E402

ROOT = Path(__file__).parents[3]
SEQUENCE = {"importance_sampling_level": "sequence", "epsilon_low": 3e-4, "epsilon_high": 4e-4}
THEIRS: dict[str, dict[str, Any]] = {
    "grpo": {"loss_type": "grpo"},
    "bnpo": {"loss_type": "bnpo"},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "gspo": {"loss_type": "grpo"} | SEQUENCE,
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
    "sapo": {"loss_type": "sapo"},
    "luspo": {"loss_type": "luspo"} | SEQUENCE,
    "vespo": {"loss_type": "vespo"},
}
SCALE = {"dr_grpo": "none", "vespo": "none"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    return save_tiny(tmp_path_factory.mktemp("tiny"))


def length_reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """Something that differs within a group, and is 1 for some."""
    return [float(sum(ids) % 3 == 0) for ids in completion_ids]


def made(
    trainer: type[Any],
    tiny: tuple[str, Any],
    folder: Path,
    settings: dict[str, Any],
    *,
    evaluate: bool = False,
) -> Any:
    path, tokenizer = tiny
    rows = [[{"role": "user", "content": f"count {i}"}] for i in range(8)]
    # Few tokens to choose from, the end among them: answers of different lengths.
    few = {*range(300, 305), tokenizer.eos_token_id}
    suppressed = [i for i in range(len(tokenizer)) if i not in few]
    settings = {
        "generation_kwargs": {"suppress_tokens": suppressed},
        "gradient_checkpointing": False,
    } | settings
    data = datasets.Dataset.from_dict({"prompt": rows})
    return trainer(
        model=path,
        args=config_of(folder, settings),
        reward_funcs=length_reward,
        train_dataset=data,
        eval_dataset=data.select(range(2)) if evaluate else None,
        processing_class=tokenizer,
    )


def spy(objective: str | Objective, theirs: dict[str, Any], seen: list[Any]) -> type[Any]:
    """Our trainer that also computes TRL's own loss on the same inputs and weights."""

    class Spy(grpo_trainer(objective)):
        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
            if self.use_vllm:
                noise = torch.Generator().manual_seed(self._step)
                shape = inputs["completion_ids"].shape
                drawn = torch.rand(shape, generator=noise) + 0.5
                inputs["importance_sampling_ratio"] = torch.where(ours._mask(inputs), drawn, 1.0)
            mine = super()._compute_loss(model, inputs)
            kept = {name: getattr(self, name) for name in theirs}
            for name, value in theirs.items():
                setattr(self, name, value)
            other = trl.GRPOTrainer._compute_loss(self, model, inputs)
            for name, value in kept.items():
                setattr(self, name, value)
            weights = [p for p in model.parameters() if p.requires_grad]
            gradients = [
                torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, retain_graph=k)])
                for loss, k in ((mine, True), (other, False))
            ]
            ratio = inputs.get("old_per_token_logps")
            seen.append((float(mine), float(other), *gradients, ratio))
            return mine

    return Spy


@pytest.mark.parametrize(
    ("name", "vllm"), [*((name, False) for name in THEIRS), ("gspo", True), ("vespo", True)]
)
def test_equals_trl_on_the_same_inputs(
    name: str, vllm: bool, tiny: tuple[str, Any], tmp_path: Path
) -> None:
    # TRL takes bnpo's denominator of the micro-batch: alike where that is the whole step.
    size = 1 if name == "bnpo" else 2
    settings = {
        "num_iterations": 2,
        "steps_per_generation": 2,
        "gradient_accumulation_steps": size,
        "max_steps": 4 // size,
        "scale_rewards": SCALE.get(name, "group"),
    }
    seen: list[Any] = []
    trainer = made(spy(name, THEIRS[name], seen), tiny, tmp_path, settings)
    trainer.use_vllm = vllm
    trainer.vllm_importance_sampling_correction = vllm
    if vllm:  # without a server: only the loss shall believe in it
        trainer._generate_and_score_completions = partial(_without_vllm, trainer)
    trainer.train()
    assert len(seen) == 4
    assert max(float(g.abs().max()) for _, _, g, _, _ in seen) > 1e-3
    for mine, other, gradient, their_gradient, _ in seen:
        assert mine == pytest.approx(other, abs=1e-5, rel=1e-4)
        torch.testing.assert_close(gradient, their_gradient, atol=2e-5, rtol=2e-3)
    assert seen[-1][-1] is not None, "old log-probabilities were computed"


def _without_vllm(trainer: Any, inputs: Any) -> Any:
    trainer.use_vllm = False
    try:
        return type(trainer)._generate_and_score_completions(trainer, inputs)
    finally:
        trainer.use_vllm = True


@pytest.mark.parametrize("corrected", [False, True])
def test_kl_equals_trl(corrected: bool, tiny: tuple[str, Any], tmp_path: Path) -> None:
    settings = {
        "beta": 0.1,
        "use_bias_correction_kl": corrected,
        "num_iterations": 2,
        "steps_per_generation": 2,
        "max_steps": 2,
    }
    seen: list[Any] = []
    made(spy("grpo", THEIRS["grpo"], seen), tiny, tmp_path, settings).train()
    for mine, other, gradient, their_gradient, _ in seen:
        assert mine == pytest.approx(other, abs=1e-5, rel=1e-4)
        torch.testing.assert_close(gradient, their_gradient, atol=2e-5, rtol=2e-3)


def weights_after_a_step(
    trainer: type[Any], tiny: tuple[str, Any], folder: Path, micro_batches: int
) -> torch.Tensor:
    settings = {
        "per_device_train_batch_size": 8 // micro_batches,
        "gradient_accumulation_steps": micro_batches,
        "optim": "sgd",
        "learning_rate": 1.0,
        "max_grad_norm": 0.0,
        "scale_rewards": "none",
    }
    made_one = made(trainer, tiny, folder, settings)
    made_one.train()
    return torch.cat([p.detach().flatten() for p in made_one.model.parameters()])


@pytest.mark.parametrize("extra", ["plain", "stapo", "dsdr"])
def test_the_split_into_micro_batches_changes_nothing(
    extra: str, tiny: tuple[str, Any], tmp_path: Path
) -> None:
    """Denominators, STAPO's threshold and DSDR's groups belong to the whole step."""
    trainer = grpo_trainer(
        "vespo",
        stapo=Stapo(probability=0.5, quantile=0.9) if extra == "stapo" else None,
        dsdr=DsdrTerm(correct="length_reward", settings=Dsdr(entropy_weight=0.1))
        if extra == "dsdr"
        else None,
    )
    whole, halves, quarters = (weights_after_a_step(trainer, tiny, tmp_path, n) for n in (1, 2, 4))
    start = torch.cat(
        [p.detach().flatten() for p in made(trainer, tiny, tmp_path, {}).model.parameters()]
    )
    assert (whole - start).abs().max() > 1e-3
    torch.testing.assert_close(halves, whole, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(quarters, whole, atol=1e-5, rtol=1e-4)
    if extra != "plain":
        plain = weights_after_a_step(grpo_trainer("vespo"), tiny, tmp_path, 2)
        assert (plain - whole).abs().max() > 1e-4


@pytest.mark.full
def test_the_number_of_processes_changes_nothing(tiny: tuple[str, Any], tmp_path: Path) -> None:
    """With unequal lengths on the two, and STAPO's threshold over both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.fakes.trl_processes", tiny[0], str(tmp_path)]
    common = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    common |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    trl_processes.main(tiny[0], tmp_path, 8)
    two = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    running = [
        subprocess.Popen(
            [*command, "2"],
            env=common | two | {"RANK": str(i), "LOCAL_RANK": str(i), "MASTER_PORT": str(port)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for i in range(2)
    ]
    for one in running:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said.decode()[-2000:]
    alone, together = (torch.load(tmp_path / f"weights-{n}.pt") for n in (1, 2))
    start = made(grpo_trainer("vespo"), tiny, tmp_path, {"scale_rewards": "none"}).model
    before = torch.cat([p.detach().flatten() for p in start.parameters()])
    assert (alone - before).abs().max() > 1e-3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "settings", "said"),
    [
        ("vespo", {}, "scale_rewards='none', found 'group'"),
        ("rloo", {"scale_rewards": "none"}, "TRL cannot compute"),
        ("dapo", {"loss_type": "grpo"}, "loss_type='grpo' would have no effect"),
        ("dapo", {"epsilon_high": 0.3}, "epsilon_high=0.3"),
        ("dapo", {"entropy_coef": 0.1}, "entropy_coef=0.1"),
        (
            "dapo",
            {"generation_batch_size": 4, "gradient_accumulation_steps": 2},
            "must be a multiple of",
        ),
    ],
)
def test_contradictions_are_errors(
    objective: str, settings: dict[str, Any], said: str, tiny: tuple[str, Any], tmp_path: Path
) -> None:
    trainer = made(grpo_trainer(objective), tiny, tmp_path, settings)
    with pytest.raises(UsageError, match=said):
        trainer.train()


def test_an_objective_of_ones_own_trains(tiny: tuple[str, Any], tmp_path: Path) -> None:
    objective = replace(PUBLISHED["grpo"], loss=partial(clipped, dual_clip=3.0))
    trainer = made(grpo_trainer(objective), tiny, tmp_path, {"max_steps": 2})
    trainer.train()
    assert trainer.state.global_step == 2


def test_evaluation_has_denominators_of_its_own(tiny: tuple[str, Any], tmp_path: Path) -> None:
    dsdr = DsdrTerm(correct="length_reward")
    trainer_class = grpo_trainer("dapo", stapo=Stapo(probability=0.5), dsdr=dsdr)
    settings = {"per_device_eval_batch_size": 4, "eval_strategy": "steps", "eval_steps": 1}
    trainer = made(trainer_class, tiny, tmp_path, settings, evaluate=True)
    trainer.train()
    (told,) = [row for row in trainer.state.log_history if "eval_loss" in row]
    assert math.isfinite(told["eval_loss"]) and told["eval_stapo/silenced_share"] >= 0


@pytest.mark.parametrize("found", ["1.15.3", "1.17.0", "2.0.0.dev0", "1.1.16"])
def test_other_releases_are_refused(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "version", lambda _: found)
    with pytest.raises(UsageError, match=f"found {found}"):
        grpo_trainer("dapo")


def test_dsdr_needs_a_reward_that_tells_right_answers(
    tiny: tuple[str, Any], tmp_path: Path
) -> None:
    trainer = made(grpo_trainer("grpo", dsdr=DsdrTerm(correct="other")), tiny, tmp_path, {})
    with pytest.raises(UsageError, match="no reward function 'other' for DSDR; found length_rewa"):
        trainer.train()
    with pytest.raises(UsageError, match="mentions reads rollouts"):
        DsdrTerm(correct="right", settings=Dsdr(mentions=lambda rollout: frozenset()))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown objective 'grop'; known: reinforce"):
        grpo_trainer("grop")
