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

from mmreason.training.learner.logprobs import Precision, Scorer
from mmreason.training.learner.packing import PackedInputs
from mmreason.training.learner.parts import is_of_vision
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.processes import (
    insist_on_steps,
    max_over_processes,
    sum_over_processes,
)
from mmreason.types import UsageError

_FOLDER = "shards"


def build_sharded(
    accelerator: Accelerator,
    scorer: Scorer,
    optimiser: torch.optim.Optimizer,
    first: PackedInputs,
    precision: Precision,
) -> ShardedStrategy:
    """Shard the model and its optimiser. `first` is a forward pass of no meaning: the one that goes
    through a sharded model first tells it which module is the outermost. UsageError for settings
    that are not supported."""
    _check_plugin(accelerator)
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
    # Before the weights are cut up: a copy to put whole ones into when the model is saved.
    empty = _without_weights(scorer.model)
    wrapped, prepared = accelerator.prepare(scorer, optimiser)
    # Processes may use different parts of the model in one pass (frames, or text alone).
    wrapped.set_reduce_scatter_unused_params(True)
    with torch.no_grad():
        wrapped(first.to(accelerator.device), 1.0, False)
    return ShardedStrategy(accelerator, wrapped, prepared, empty)


class ShardedStrategy:
    """See `mmreason.training.parallel.strategy.Strategy`; `build_sharded` makes it. `empty` is the
    model on no device, to be saved."""

    def __init__(self, accelerator: Accelerator, scorer: Any, optimiser: Any, empty: Any):
        self.accelerator = accelerator
        self.scorer = scorer
        self.optimiser = optimiser
        self._empty = empty
        self._units = [module for module in scorer.modules() if isinstance(module, FSDPModule)]
        self._used: set[str] = set()
        # On the gathered weights, where gradients accumulate; the optimiser's are their shards.
        with self.unsharded():
            for name, parameter in scorer.named_parameters():
                if parameter.requires_grad:
                    mark = partial(self._mark_used, name)
                    parameter.register_post_accumulate_grad_hook(mark)

    def _mark_used(self, name: str, _: Tensor) -> None:
        self._used.add(name)

    @contextlib.contextmanager
    def unsharded(self) -> Iterator[None]:
        """See `Strategy`: all weights are gathered, in the precision that is computed in."""
        # Otherwise a layer would be given back after its first pass, and gathered for the second
        # one with processes that make no second one.
        self.scorer.set_reshard_after_forward(False)
        try:
            for unit in self._units:
                unit.unshard()
            yield
        finally:
            self._reshard()

    def _reshard(self) -> None:
        """Give back what other processes hold."""
        for unit in self._units:
            unit.reshard()
        # The backward pass gathers in the order of the forward passes before it, and how many there
        # were here is different in every process.
        self.scorer.reset_iter_state()
        self.scorer.set_reshard_after_forward(True)
        # What the backward pass begins with would be given back and gathered again.
        self.scorer.set_reshard_after_forward(False, recurse=False)

    def count_passes(self, micro_batches: int) -> int:
        """See `Strategy`: as many for all, or those that wait would hang."""
        return max_over_processes(self.accelerator, micro_batches)

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """See `Strategy`. Gradients go to their shards in each pass: none is ever held whole."""
        # What is averaged over processes is to be a sum.
        self.accelerator.backward(loss * self.accelerator.num_processes)

    def clip_gradients(self, max_norm: float) -> float:
        """See `Strategy`."""
        named = {n: p for n, p in self.scorer.named_parameters() if p.requires_grad}
        # A weight that any process used is stepped in all: their shards are of one tensor.
        used = sum_over_processes(self.accelerator, [float(name in self._used) for name in named])
        trained = [p for p, count in zip(named.values(), used, strict=True) if count]
        for parameter, count in zip(named.values(), used, strict=True):
            if not count:  # what no process has used has no gradient, as in one process
                parameter.grad = None
        norm: Any = self.accelerator.clip_grad_norm_(trained, max_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def step(self) -> None:
        """See `Strategy`."""
        insist_on_steps(self.accelerator)
        self.optimiser.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        """See `Strategy`."""
        self._used.clear()
        insist_on_steps(self.accelerator)
        self.optimiser.zero_grad(set_to_none=True)

    def policy_to_save(self, policy: PolicyModel) -> PolicyModel | None:
        """See `Strategy`: tensor by tensor into the memory of the main process's host."""
        weights = {}
        for name, tensor in policy.model.state_dict().items():
            # All processes take part in gathering each tensor; one keeps it.
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.accelerator.is_main_process:
                # On the host: a device holds its shards, and not the whole model beside them.
                weights[name] = full.cpu()
        # The others only take part in gathering.
        if not self.accelerator.is_main_process:
            return None
        model = copy.deepcopy(self._empty)
        model.load_state_dict(weights, assign=True)
        model.tie_weights()
        return replace(policy, model=model)

    def save(self, folder: Path) -> None:
        """See `Strategy`: each process writes its shards. OSError in all where one cannot."""
        try:
            save(self._state(), checkpoint_id=folder / _FOLDER)
        except CheckpointException as error:  # no Exception for torch
            first = next(iter(error.failures.values()))[0]
            raise OSError(f"shards could not be written: {first}") from error
        save_accelerator_state(
            str(folder), [], [], [], [], self.accelerator.process_index, self.accelerator.step
        )

    def load(self, folder: Path) -> None:
        """See `Strategy`. The number of processes may be another."""
        stored = FileSystemReader(folder / _FOLDER).read_metadata().state_dict_metadata
        # Before its first step the optimiser has no state, and none was written.
        if any(name.startswith("optimiser.") for name in stored):
            self._allocate_state()
        state = self._state()
        expected = {f"weights.{name}" for name in state["weights"]}
        # Checked by name before loading: torch would put in what fits and leave the rest as it is.
        if expected != {name for name in stored if name.startswith("weights.")}:
            raise UsageError(f"{folder}: holds other weights than this recipe trains")
        load(state, checkpoint_id=folder / _FOLDER)
        load_accelerator_state(str(folder), [], [], [], [], self.accelerator.process_index)

    def _state(self) -> dict[str, dict[str, Any]]:
        """Trained weights, and what the optimiser keeps of each; loading writes into them."""
        trained = {n: p for n, p in self.scorer.named_parameters() if p.requires_grad}
        of: Mapping[Tensor, Any] = self.optimiser.state
        return {
            "weights": {name: p.detach() for name, p in trained.items()},
            "optimiser": {name: dict(of[p]) for name, p in trained.items() if p in of},
        }

    def _allocate_state(self) -> None:
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
    layers = set(getattr(model, "_no_split_modules", None) or ())
    return sorted(
        {
            type(module).__name__
            for name, module in model.named_modules()
            if type(module).__name__ in layers and not is_of_vision(name)
        }
    )


def _check_plugin(accelerator: Accelerator) -> None:
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
            "set weights=TrainedWeights(gradient_checkpointing=True) in the recipe",
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
