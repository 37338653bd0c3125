"""How a model and its optimiser lie in the processes of a run: replicated, or in shards.

A strategy knows how gradients of several processes become one, how weights are made whole to write
and to be saved, and how the state of a run is stored. Losses are in `rl/update.py`, checkpoints in
`runs/checkpoint.py`.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from accelerate import Accelerator, DistributedType
from torch import Tensor

from mmreason.training.checked_settings import BETAS, NUMBER, check_settings, setting
from mmreason.training.learner.logprobs import Precision, Scorer
from mmreason.training.learner.packing import pack_nothing
from mmreason.training.learner.parts import part_of_parameter
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.deepspeed_zero import build_zero
from mmreason.training.parallel.fsdp import build_sharded
from mmreason.training.parallel.processes import insist_on_steps, sum_gradients
from mmreason.types import UsageError

Schedule = Literal["constant", "cosine", "wsd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    """AdamW, what gradients are clipped to, and how the rate begins.

    Example:
        >>> OptimiserSettings(learning_rate=1e-5).betas
        (0.9, 0.999)
    """

    learning_rate: float = setting(1e-6, above=0)
    warmup_updates: int = setting(10, least=0)
    """Over these the rate rises in a line."""
    schedule: Schedule = setting("constant", choices=get_args(Schedule), came_later=True)
    """After that: as it is; down to 0 along a cosine; or as it is and down in a line over the last
    `decay_share` (warmup-stable-decay)."""
    decay_share: float = setting(0.2, above=0, below=1, came_later=True)
    """Of "wsd": the share of all updates in which the rate falls."""
    vision_learning_rate: float | None = setting(None, kind=NUMBER, above=0, came_later=True)
    """Highest rate of the eyes, where it is another."""
    projector_learning_rate: float | None = setting(None, kind=NUMBER, above=0, came_later=True)
    """The same of what joins eyes and language model."""
    weight_decay: float = setting(0.0)
    decay_norms: bool = setting(True, came_later=True)
    """Whether norms, biases and other weights of one dimension decay too."""
    betas: tuple[float, float] = setting((0.9, 0.999), kind=BETAS)
    max_gradient_norm: float = setting(1.0)
    max_skipped: int = setting(5, least=1)
    """Skipped updates in a row that end the run."""

    def __post_init__(self) -> None:
        check_settings(self, "optimiser")


def learning_rate_at(settings: OptimiserSettings, update: int, updates: int) -> float:
    """The rate of update `update` (from 0) of `updates`.

    Example:
        >>> settings = OptimiserSettings(learning_rate=1.0, warmup_updates=2, schedule="cosine")
        >>> [round(learning_rate_at(settings, update, 6), 2) for update in range(6)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warmup = settings.warmup_updates
    if update + 1 < warmup:
        return settings.learning_rate * (update + 1) / warmup
    if settings.schedule == "cosine":
        done = max(0.0, (update - warmup) / max(1, updates - warmup))
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if settings.schedule == "wsd":
        decay = max(1, round(settings.decay_share * updates))
        return settings.learning_rate * min(1.0, max(0.0, (updates - update) / decay))
    return settings.learning_rate


def set_learning_rates(
    optimiser: Any, settings: OptimiserSettings, update: int, updates: int
) -> None:
    """Give every group of weights its rate for update `update` (from 0) of `updates`."""
    rate = learning_rate_at(settings, update, updates)
    for group in optimiser.param_groups:
        # Checkpoints of earlier versions have one group, which has no factor.
        group["lr"] = rate * group.get("rate_factor", 1.0)


class Strategy(Protocol):
    """Where weights, gradients and the optimiser's state live. Of all methods, those that say so
    are called by all processes together."""

    accelerator: Accelerator
    scorer: Any
    """A `Scorer`, wrapped."""
    optimiser: Any

    def unsharded(self) -> contextlib.AbstractContextManager[None]:
        """While it lasts the model runs in this process alone, as often as it likes, without
        gradients. Together."""
        ...

    def count_passes(self, micro_batches: int) -> int:
        """How often this process goes through the model in an update, with so many micro-batches of
        its own; further passes are empty. Together."""
        ...

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add to the gradients. `loss` is a share of the sum over all processes. Together where
        `count_passes` is the same for all."""
        ...

    def clip_gradients(self, max_norm: float) -> float:
        """The norm of the gradients of all processes, clipped to `max_norm` afterwards; they may be
        NaN or infinite. After the last `backward`. Together."""
        ...

    def step(self) -> None:
        """Make the update and drop the gradients. Together."""
        ...

    def drop_gradients(self) -> None:
        """Drop the gradients without an update. Together."""
        ...

    def policy_to_save(self, policy: PolicyModel) -> PolicyModel | None:
        """The policy with all its weights, in the main process. Together."""
        ...

    def save(self, folder: Path) -> None:
        """Write trained weights, optimiser and random numbers into a folder. Together."""
        ...

    def load(self, folder: Path) -> None:
        """Put them back. UsageError where they are of another recipe. Together."""
        ...


def build_strategy(
    accelerator: Accelerator,
    model: Any,
    settings: OptimiserSettings,
    *,
    precision: Precision,
    pad_id: int,
) -> Strategy:
    """The model with its optimiser, as the launcher asks for. UsageError where that cannot be."""
    scorer = Scorer(model, precision)
    optimiser = torch.optim.AdamW(
        group_parameters(model, settings),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )
    if accelerator.distributed_type == DistributedType.FSDP:
        return build_sharded(accelerator, scorer, optimiser, pack_nothing(pad_id, model), precision)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        return build_zero(accelerator, scorer, optimiser, settings.max_gradient_norm)
    # Not wrapped for many processes: gradients are added up once an update.
    replicated = Replicated(
        accelerator,
        accelerator.prepare_model(scorer, evaluation_mode=True),
        accelerator.prepare_optimizer(optimiser),
    )
    _checkpoint_trained_only(accelerator)
    return replicated


def group_parameters(model: Any, settings: OptimiserSettings) -> list[dict[str, Any]]:
    """Trained weights by rate and decay, as optimisers take them, the language model's first.
    UsageError for a rate of a part that the model has not, or that is frozen."""
    rates = {
        "vision": settings.vision_learning_rate,
        "projector": settings.projector_learning_rate,
    }
    groups: dict[tuple[float, float], list[Any]] = {}
    trained: set[str] = set()
    for name, parameter in model.named_parameters():
        # Frozen weights have no moments, and no decay.
        if not parameter.requires_grad:
            continue
        part = part_of_parameter(name)
        trained.add(part)
        factor = (rates.get(part) or settings.learning_rate) / settings.learning_rate
        decays = settings.decay_norms or parameter.ndim > 1
        decay = settings.weight_decay if decays else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    for part, rate in rates.items():
        if rate is not None and part not in trained:
            raise UsageError(
                f"recipe: optimiser.{part}_learning_rate is set, and no weight of the {part} is "
                "trained; leave it out, or train that part (weights.freeze, weights.lora)"
            )
    # The first group is what logs show as the rate.
    ordered = sorted(groups.items(), key=lambda item: item[0][0] != 1.0)
    return [
        {"params": weights, "rate_factor": factor, "weight_decay": decay}
        for (factor, decay), weights in ordered
    ]


def check_processes(accelerator: Accelerator) -> None:
    """UsageError where a launcher started several processes that do not know of each other: each
    would do the whole run, in one folder."""
    # What launchers set, whether or not accelerate took notice.
    started = os.environ.get("WORLD_SIZE", "1")
    if started.isdecimal() and int(started) != accelerator.num_processes:
        raise UsageError(
            f"{started} processes were started and accelerate sees {accelerator.num_processes}: on "
            "CPUs use `accelerate launch --cpu`, or set ACCELERATE_USE_CPU=true under torchrun"
        )


class Replicated:
    """Every process holds the whole model (one process, DDP). See `Strategy`."""

    def __init__(self, accelerator: Accelerator, scorer: Any, optimiser: Any):
        self.accelerator = accelerator
        self.scorer = scorer
        self.optimiser = optimiser

    def unsharded(self) -> contextlib.AbstractContextManager[None]:
        """See `Strategy`."""
        return contextlib.nullcontext()

    def count_passes(self, micro_batches: int) -> int:
        """See `Strategy`: processes meet only after the last of them."""
        # Gradients are added up once, so that processes may differ in how many they have.
        return micro_batches

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """See `Strategy`."""
        self.accelerator.backward(loss)

    def clip_gradients(self, max_norm: float) -> float:
        """See `Strategy`."""
        # The norm is of the sum over processes: clipped before, it would depend on their number.
        trained = [p for p in self.scorer.parameters() if p.requires_grad]
        sum_gradients(self.accelerator, trained)
        norm = self.accelerator.clip_grad_norm_(trained, max_norm)
        return 0.0 if norm is None else float(norm)

    def step(self) -> None:
        """See `Strategy`."""
        insist_on_steps(self.accelerator)
        self.optimiser.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """See `Strategy`."""
        insist_on_steps(self.accelerator)
        self.optimiser.zero_grad(set_to_none=True)

    def policy_to_save(self, policy: PolicyModel) -> PolicyModel | None:
        """See `Strategy`."""
        return policy if self.accelerator.is_main_process else None

    def save(self, folder: Path) -> None:
        """See `Strategy`."""
        self.accelerator.save_state(str(folder))

    def load(self, folder: Path) -> None:
        """See `Strategy`."""
        self.accelerator.load_state(str(folder))


def _checkpoint_trained_only(accelerator: Accelerator) -> None:
    """Have checkpoints hold no frozen weights: those are what the run began with."""

    def on_save(models: list[Any], weights: list[dict[str, Any]], _: str) -> None:
        for model, state in zip(models, weights, strict=False):
            trained = {
                n for n, p in accelerator.unwrap_model(model).named_parameters() if p.requires_grad
            }
            # accelerate writes what is left in the dictionary.
            for name in [name for name in state if name not in trained]:
                del state[name]

    def on_load(models: list[Any], folder: str) -> None:
        from safetensors.torch import load_file

        # accelerate loads what is left in the list: nothing is.
        while models:
            model = accelerator.unwrap_model(models.pop())
            weights = load_file(str(Path(folder) / "model.safetensors"))
            missing, unexpected = model.load_state_dict(weights, strict=False)
            trained = {name for name, p in model.named_parameters() if p.requires_grad}
            if unexpected or trained & set(missing):
                raise UsageError(f"{folder}: holds other weights than this recipe trains")

    accelerator.register_save_state_pre_hook(on_save)
    accelerator.register_load_state_pre_hook(on_load)
