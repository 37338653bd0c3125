"""Weights whole in every process, the optimiser's state in shards over them (DeepSpeed, ZeRO-1).

accelerate's wrapper makes a step inside the backward pass; here the engine is asked itself, so that
an update may have any number of micro-batches, another one in each process, and may be skipped:
gradients are added up once, after the last of them, and looked at before the step. ZeRO-2 and 3
exchange gradients or weights in the middle of a pass, where processes may be in different places;
`fsdp.py` does what they are for.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.checkpointing import load_accelerator_state, save_accelerator_state
from torch import Tensor

from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.types import UsageError

_WEIGHTS = "weights.pt"
_SHARD = "optimiser_{}.pt"


def build_zero(
    accelerator: Accelerator,
    scorer: Scorer,
    optimiser: torch.optim.Optimizer,
    max_gradient_norm: float,
) -> ZeroStrategy:
    """Hand model and optimiser to DeepSpeed, which clips gradients to `max_gradient_norm`.
    UsageError for settings that are not supported."""
    _check_plugin(accelerator)
    import deepspeed  # pyright: ignore[reportMissingImports] - no extra of ours brings it

    if not hasattr(deepspeed.DeepSpeedEngine, "coalesce_grad_reduction"):
        raise UsageError(
            f"DeepSpeed {deepspeed.__version__} adds up gradients in each backward pass; update it "
            "(0.19 does), or use DDP"
        )
    engine, *_ = deepspeed.initialize(
        model=scorer.to(accelerator.device),
        optimizer=optimiser,
        dist_init_required=False,
        config={
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": max_gradient_norm,
            "zero_optimization": {"stage": 1, "overlap_comm": False},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        },
    )
    return ZeroStrategy(accelerator, engine)


class ZeroStrategy:
    """See `mmreason.training.parallel.strategy.Strategy`; `build_zero` makes it.

    Weights lie in the optimiser in one row: one that no process has used in an update counts there
    as one whose gradient is 0, which its momentum may still move.
    """

    def __init__(self, accelerator: Accelerator, engine: Any):
        self.accelerator = accelerator
        self.scorer = engine
        self.optimiser = engine.optimizer
        self._passes = contextlib.ExitStack()
        self._is_open = self._is_summed = False

    def unsharded(self) -> contextlib.AbstractContextManager[None]:
        """See `Strategy`."""
        return contextlib.nullcontext()

    def count_passes(self, micro_batches: int) -> int:
        """See `Strategy`: processes meet only after the last of them."""
        return micro_batches

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """See `Strategy`."""
        self._begin_sum()
        # What is averaged over processes is to be a sum.
        self.scorer.backward(loss * self.accelerator.num_processes)

    def clip_gradients(self, max_norm: float) -> float:
        """See `Strategy`: the engine clips in its step, to what it was made with."""
        self._finish_sum()
        norm = float(self.optimiser.scaled_global_norm())
        return norm if norm >= 0 else math.inf  # -1 stands for NaN and infinity

    def step(self) -> None:
        """See `Strategy`."""
        self.scorer.step()
        self._is_summed = False

    def drop_gradients(self) -> None:
        """See `Strategy`: the engine makes no step of NaN, and clears what it has."""
        # It has no call to forget gradients: NaN makes it skip its own step.
        if not self._is_summed:
            for parameter in self._trained():
                parameter.grad = torch.full_like(parameter, torch.nan)
            self._finish_sum()
        self.step()
        assert self.optimiser.overflow

    def _trained(self) -> Iterator[Tensor]:
        return (p for p in self.scorer.parameters() if p.requires_grad)

    def _begin_sum(self) -> None:
        """Begin to gather gradients in this process."""
        if not self._is_open:
            self._passes.enter_context(self.scorer.coalesce_grad_reduction())
            self._is_open = True

    def _finish_sum(self) -> None:
        """Add up those of all processes."""
        self._begin_sum()
        # The engine reduces what has a gradient, and waits where another process has none.
        for parameter in self._trained():
            if parameter.grad is None:  # the same ones in all processes
                parameter.grad = torch.zeros_like(parameter)
        self._passes.close()
        self._is_open, self._is_summed = False, True

    def policy_to_save(self, policy: PolicyModel) -> PolicyModel | None:
        """See `Strategy`."""
        return policy if self.accelerator.is_main_process else None

    def save(self, folder: Path) -> None:
        """See `Strategy`: no process waits for another here, for one that cannot write."""
        if self.accelerator.is_main_process:
            weights = {name: p.detach().clone() for name, p in self._named()}
            torch.save(weights, folder / _WEIGHTS)
        process = self.accelerator.process_index
        torch.save(self.optimiser.optimizer.state_dict(), folder / _SHARD.format(process))
        save_accelerator_state(str(folder), [], [], [], [], process, self.accelerator.step)

    def load(self, folder: Path) -> None:
        """See `Strategy`. UsageError where there were another number of processes."""
        wrote, now = len(list(folder.glob(_SHARD.format("*")))), self.accelerator.num_processes
        if wrote != now:
            raise UsageError(
                f"{folder}: written by {wrote} processes, now there are {now}; with DeepSpeed a "
                "run goes on with as many as before"
            )
        process = self.accelerator.process_index
        weights = torch.load(folder / _WEIGHTS, map_location="cpu", weights_only=True)
        trained = dict(self._named())
        if set(trained) != set(weights):
            raise UsageError(f"{folder}: holds other weights than this recipe trains")
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(weights[name])
        # The optimiser steps copies of its own.
        self.optimiser.refresh_fp32_params()
        state = torch.load(folder / _SHARD.format(process), map_location="cpu", weights_only=True)
        self.optimiser.optimizer.load_state_dict(state)
        # Random states alone: model and optimiser were read above.
        load_accelerator_state(str(folder), [], [], [], [], process)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        named = self.scorer.module.named_parameters()
        return ((name, p) for name, p in named if p.requires_grad)


def _check_plugin(accelerator: Accelerator) -> None:
    """UsageError for what is not supported."""
    plugin: Any = accelerator.state.deepspeed_plugin
    if plugin.zero_stage != 1:
        raise UsageError(
            f"DeepSpeed with zero_stage {plugin.zero_stage} is not supported; set zero_stage: 1, "
            "or use FSDP2, which shards gradients and weights too"
        )
    for name in ("offload_optimizer_device", "offload_param_device"):
        if getattr(plugin, name) not in (None, "none"):
            raise UsageError(f"accelerate config: {name} is not supported; set it to none")
