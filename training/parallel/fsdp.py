"""Weights, gradients and optimiser in shards over the processes (FSDP2).

Every layer of the language model is gathered for its own forward and backward pass. All else
(embeddings, eyes) is gathered once for the whole pass: whether a process looks at frames depends on
its micro-batch, and one that gathers what others do not would wait for ever. While the model writes
or scores, every process holds it whole, as each of them goes through it as often as it needs.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.checkpointing import load_accelerator_state, save_accelerator_state
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor

from mmreason.training.learner.adapters import VISION_NAMES
from mmreason.training.learner.logprobs import Scorer
from mmreason.training.learner.packing import Layout
from mmreason.training.learner.policy_model import Trainee
from mmreason.training.parallel.processes import largest, total
from mmreason.training.rl.recipe import Precision
from mmreason.types import UsageError

_FOLDER = "shards"


def shard(
    accelerator: Accelerator,
    scorer: Scorer,
    optimiser: torch.optim.Optimizer,
    first: Layout,
    precision: Precision,
) -> Sharded:
    """Shard the model and its optimiser. `first` is a forward pass of no meaning: the one that goes
    through a sharded model first tells it which module is the outermost. UsageError for settings
    that are not supported."""
    _check(accelerator)
    plugin: Any = accelerator.state.fsdp_plugin
    plugin.transformer_cls_names_to_wrap = layer_names(scorer.model)
    # Log-probabilities stay in float32, and gradients are added up in it.
    plugin.mixed_precision_policy = (
        MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        if precision == "bf16"
        else MixedPrecisionPolicy()
    )
    empty = _without_weights(scorer.model)
    wrapped, prepared = accelerator.prepare(scorer, optimiser)
    wrapped.set_reduce_scatter_unused_params(True)
    with torch.no_grad():
        wrapped(first.to(accelerator.device), 1.0, False)
    return Sharded(accelerator, wrapped, prepared, empty)


class Sharded:
    """See `mmreason.training.parallel.strategy.Placement`; `shard` makes it. `empty` is the model
    on no device, to be saved."""

    def __init__(self, accelerator: Accelerator, scorer: Any, optimiser: Any, empty: Any):
        self.accelerator = accelerator
        self.scorer = scorer
        self.optimiser = optimiser
        self._empty = empty
        self._units = [module for module in scorer.modules() if isinstance(module, FSDPModule)]
        self._used: set[str] = set()
        with self.whole():
            for name, parameter in scorer.named_parameters():
                if parameter.requires_grad:
                    note = partial(self._note, name)
                    parameter.register_post_accumulate_grad_hook(note)

    def _note(self, name: str, _: Tensor) -> None:
        self._used.add(name)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """See `Placement`: all weights are gathered, in the precision that is computed in."""
        self.scorer.set_reshard_after_forward(False)
        try:
            for unit in self._units:
                unit.unshard()
            yield
        finally:
            self.gather_no_more()

    def gather_no_more(self) -> None:
        """Give back what other processes hold."""
        for unit in self._units:
            unit.reshard()
        # The backward pass gathers in the order of the forward passes before it, and how many there
        # were here is different in every process.
        self.scorer.reset_iter_state()
        self.scorer.set_reshard_after_forward(True)
        # What the backward pass begins with would be given back and gathered again.
        self.scorer.set_reshard_after_forward(False, recurse=False)

    def rounds(self, micros: int) -> int:
        """See `Placement`: as many for all, or those that wait would hang."""
        return largest(self.accelerator, micros)

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """See `Placement`. Gradients go to their shards in each pass: none is ever held whole."""
        # What is averaged over processes is to be a sum.
        self.accelerator.backward(loss * self.accelerator.num_processes)

    def clipped_norm(self, largest: float) -> float:
        """See `Placement`."""
        named = {n: p for n, p in self.scorer.named_parameters() if p.requires_grad}
        used = total(self.accelerator, [float(name in self._used) for name in named])
        trained = [p for p, count in zip(named.values(), used, strict=True) if count]
        for parameter, count in zip(named.values(), used, strict=True):
            if not count:  # what no process has used has no gradient, as in one process
                parameter.grad = None
        norm: Any = self.accelerator.clip_grad_norm_(trained, largest)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        """See `Placement`."""
        self.optimiser.step()
        self.drop()

    def drop(self) -> None:
        """See `Placement`."""
        self._used.clear()
        self.optimiser.zero_grad(set_to_none=True)

    def to_save(self, trainee: Trainee) -> Trainee | None:
        """See `Placement`: tensor by tensor into the memory of the main process's host."""
        found = {}
        for name, tensor in trainee.model.state_dict().items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.accelerator.is_main_process:
                found[name] = full.cpu()
        if not self.accelerator.is_main_process:
            return None
        model = copy.deepcopy(self._empty)
        model.load_state_dict(found, assign=True)
        model.tie_weights()
        return replace(trainee, model=model)

    def save(self, folder: Path) -> None:
        """See `Placement`: each process writes its shards. OSError in all where one cannot."""
        try:
            save(self._state(), checkpoint_id=folder / _FOLDER)
        except CheckpointException as error:  # no Exception for torch
            first = next(iter(error.failures.values()))[0]
            raise OSError(f"shards could not be written: {first}") from error
        save_accelerator_state(
            str(folder), [], [], [], [], self.accelerator.process_index, self.accelerator.step
        )

    def load(self, folder: Path) -> None:
        """See `Placement`. The number of processes may be another."""
        known = FileSystemReader(folder / _FOLDER).read_metadata().state_dict_metadata
        has_state = any(name.startswith("optimiser.") for name in known)
        if has_state:
            self._allot()
        state = self._state()
        wanted = {f"weights.{name}" for name in state["weights"]}
        if wanted != {name for name in known if name.startswith("weights.")}:
            raise UsageError(f"{folder}: holds other weights than this recipe trains")
        load(state, checkpoint_id=folder / _FOLDER)
        load_accelerator_state(str(folder), [], [], [], [], self.accelerator.process_index)

    def _state(self) -> dict[str, dict[str, Any]]:
        """Trained weights, and what the optimiser keeps of each; loading writes into them."""
        trained = {n: p for n, p in self.scorer.named_parameters() if p.requires_grad}
        kept: Mapping[Tensor, Any] = self.optimiser.state
        return {
            "weights": {name: p.detach() for name, p in trained.items()},
            "optimiser": {name: dict(kept[p]) for name, p in trained.items() if p in kept},
        }

    def _allot(self) -> None:
        """Room for what AdamW keeps, as it makes it in its first step."""
        for parameter in self.scorer.parameters():
            if parameter.requires_grad:
                self.optimiser.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }


def layer_names(model: Any) -> list[str]:
    """Classes of the layers that every forward pass goes through: those of the language model."""
    known = set(getattr(model, "_no_split_modules", None) or ())
    return sorted(
        {
            type(module).__name__
            for name, module in model.named_modules()
            if type(module).__name__ in known and not any(part in name for part in VISION_NAMES)
        }
    )


def _check(accelerator: Accelerator) -> None:
    """UsageError for what is not supported."""
    plugin: Any = accelerator.state.fsdp_plugin
    if not accelerator.is_fsdp2:
        raise UsageError("FSDP of version 1 is not supported; set fsdp_version: 2")
    needed = ("set_reduce_scatter_unused_params", "reset_iter_state")
    if not all(hasattr(FSDPModule, name) for name in needed):
        raise UsageError(
            f"FSDP needs a newer torch than {torch.__version__}: processes could not go through "
            "different parts of the model; update torch (2.15 does), or use DDP"
        )
    for name, is_set, instead in (
        ("fsdp_cpu_ram_efficient_loading", plugin.cpu_ram_efficient_loading, "leave it out"),
        ("fsdp_offload_params", isinstance(plugin.cpu_offload, CPUOffloadPolicy), "leave it out"),
        (
            "fsdp_activation_checkpointing",
            plugin.activation_checkpointing,
            "set gradient_checkpointing=True in the recipe",
        ),
    ):
        if is_set:
            raise UsageError(f"accelerate config: {name} is not supported; {instead}")


def _without_weights(model: Any) -> Any:
    """A copy that takes no memory: its parameters have a shape only."""
    shapes = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(model, dict(shapes))
