"""How a model and its optimiser lie in the processes of a run: whole in each, or in shards.

A placement knows how gradients of several processes become one, how weights are made whole to write
and to be saved, and how the state of a run is stored. Leaves out losses (`update.py`) and what a
checkpoint is (`checkpoint.py`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor

from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import empty_layout
from mmreason.training.learner.policy_model import Trainee
from mmreason.training.parallel import deepspeed as zero
from mmreason.training.parallel import fsdp as sharded
from mmreason.training.parallel.processes import sum_gradients
from mmreason.training.parallel.trained_only import train_only_hooks
from mmreason.training.rl.recipe import Recipe
from mmreason.types import UsageError


class Placement(Protocol):
    """Where weights, gradients and the optimiser's state live. Of all methods, those that say so
    are called by all processes together."""

    accelerator: Accelerator
    scorer: Any
    """A `Scorer`, wrapped."""
    optimiser: Any

    def whole(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts the model runs in this process alone, as often as it likes, without
        gradients. Together."""
        ...

    def rounds(self, micros: int) -> int:
        """How often this process goes through the model in an update, with `micros` micro-batches
        of its own; the rest are empty. Together."""
        ...

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add to the gradients. `loss` is a share of the sum over all processes. Together where
        `rounds` are the same for all."""
        ...

    def clipped_norm(self, largest: float) -> float:
        """The norm of the gradients of all processes, clipped to `largest` afterwards; they may be
        NaN or infinite. After the last `backward`. Together."""
        ...

    def step(self) -> None:
        """Make the update and drop the gradients. Together."""
        ...

    def drop(self) -> None:
        """Drop the gradients without an update. Together."""
        ...

    def to_save(self, trainee: Trainee) -> Trainee | None:
        """The trainee with all its weights, in the main process. Together."""
        ...

    def save(self, folder: Path) -> None:
        """Write trained weights, optimiser and random numbers into a folder. Together."""
        ...

    def load(self, folder: Path) -> None:
        """Put them back. UsageError where they are of another recipe. Together."""
        ...


def place(accelerator: Accelerator, model: Any, recipe: Recipe, pad_id: int) -> Placement:
    """The model with its optimiser, as the launcher asks for. UsageError where that cannot be."""
    scorer = Scorer(model, recipe.precision)
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=recipe.learning_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
    )
    if accelerator.distributed_type == DistributedType.FSDP:
        first = empty_layout(pad_id, model)
        return sharded.shard(accelerator, scorer, optimiser, first, recipe.precision)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return zero.zero(accelerator, scorer, optimiser, recipe)
    # Not wrapped for many processes: gradients are added up once an update.
    placed = Whole(
        accelerator,
        accelerator.prepare_model(scorer, evaluation_mode=True),
        accelerator.prepare_optimizer(optimiser),
    )
    train_only_hooks(accelerator)
    return placed


def check_processes(accelerator: Accelerator) -> None:
    """UsageError where a launcher started several processes that do not know of each other: each
    would do the whole run, in one folder."""
    started = os.environ.get("WORLD_SIZE", "1")
    if started.isdecimal() and int(started) != accelerator.num_processes:
        raise UsageError(
            f"{started} processes were started and accelerate sees {accelerator.num_processes}: on "
            "CPUs use `accelerate launch --cpu`, or set ACCELERATE_USE_CPU=true under torchrun"
        )


class Whole:
    """Every process holds the whole model (one process, DDP). See `Placement`."""

    def __init__(self, accelerator: Accelerator, scorer: Any, optimiser: Any):
        self.accelerator = accelerator
        self.scorer = scorer
        self.optimiser = optimiser

    def whole(self) -> contextlib.AbstractContextManager[None]:
        """See `Placement`."""
        return contextlib.nullcontext()

    def rounds(self, micros: int) -> int:
        """See `Placement`: processes meet only after the last of them."""
        return micros

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """See `Placement`."""
        self.accelerator.backward(loss)

    def clipped_norm(self, largest: float) -> float:
        """See `Placement`."""
        trained = list(_trained(self.scorer.parameters()))
        sum_gradients(self.accelerator, trained)
        norm = self.accelerator.clip_grad_norm_(trained, largest)
        return 0.0 if norm is None else float(norm)

    def step(self) -> None:
        """See `Placement`."""
        self.optimiser.step()
        self.drop()

    def drop(self) -> None:
        """See `Placement`."""
        self.optimiser.zero_grad(set_to_none=True)

    def to_save(self, trainee: Trainee) -> Trainee | None:
        """See `Placement`."""
        return trainee if self.accelerator.is_main_process else None

    def save(self, folder: Path) -> None:
        """See `Placement`."""
        self.accelerator.save_state(str(folder))

    def load(self, folder: Path) -> None:
        """See `Placement`."""
        self.accelerator.load_state(str(folder))


def _trained(parameters: Iterable[Tensor]) -> Iterable[Tensor]:
    return (p for p in parameters if p.requires_grad)
