"""What a run would take, before it is started: memory, work, and how to start it.

Weights, gradients and optimiser are counted exactly; activations and logits are estimates of the
usual size and are said to be. Nothing is sampled and no weights are loaded by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmreason.models.vision_cache import find_vision_towers
from mmreason.training.learner.logprobs import SOFTMAX_TOKENS
from mmreason.training.learner.parts import is_frozen
from mmreason.training.rl.recipe import Lora, Recipe

CONFIGS = Path(__file__).parent / "configs"
"""Settings for `accelerate launch` that come with the package: ddp, deepspeed, fsdp2."""
_STORED_PER_LAYER = 16
"""Values a token leaves behind in a layer for the backward pass, in multiples of the width: about
what a block with fused attention keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run on paper. Sizes in bytes, for one process that holds the whole model.

    Example::

        plan_run(recipe, Path("recipe.py")).total_bytes / 1e9
    """

    parameters: int
    trained: int
    memory: Mapping[str, int]
    """By what it is for; the last two are estimates."""
    rollouts: int
    """Sampled in all."""
    updates: int
    launches: Mapping[str, str]
    """Command lines by where they run."""

    @property
    def total_bytes(self) -> int:
        """All of `memory`."""
        return sum(self.memory.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "parameters": self.parameters,
            "trained": self.trained,
            "memory_bytes": dict(self.memory),
            "memory_total_bytes": self.total_bytes,
            "attempts": self.rollouts,  # the key that scripts read
            "updates": self.updates,
            "launches": dict(self.launches),
        }


def plan_run(recipe: Recipe, file: Path) -> RunPlan:
    """The plan of `recipe`, read from `file` (for the command lines). Raises UsageError for a model
    that cannot be found."""
    model = _model_skeleton(recipe)
    # Exact: what is trained, and what is not.
    weights = recipe.weights
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    total = sum(sizes.values())
    frozen = sum(n for name, n in sizes.items() if is_frozen(name, weights.freeze))
    trained = total - frozen if weights.lora is None else _adapter_size(model, weights.lora)
    # Of the usual size: what a token leaves behind for the backward pass. Recomputed layers keep
    # their input alone.
    text = getattr(model.config, "text_config", model.config)
    width, layers = text.hidden_size, text.num_hidden_layers
    tokens = recipe.batching.micro_tokens
    compute = 2 if recipe.batching.precision == "bf16" else 4
    stored = 1 if weights.gradient_checkpointing else _STORED_PER_LAYER
    # An adapter that is switched off is the reference, without a copy.
    has_copy = recipe.objective.kl is not None and weights.lora is None
    # Weights, gradients and both moments of AdamW are float32, whatever is computed in.
    memory = {
        "weights": 4 * total,
        "gradients": 4 * trained,
        "optimiser (AdamW)": 8 * trained,
        "reference": 4 * total if has_copy else 0,
        "features of frozen eyes, at most": _vision_cache_bytes(recipe, model),
        "activations, about": tokens * layers * width * stored * compute,
        # All logits of a pass, and a piece of the softmax with its gradient and probabilities.
        "logits, about": (tokens * compute + 3 * SOFTMAX_TOKENS * 4) * text.vocab_size,
    }
    return RunPlan(
        parameters=total,
        trained=trained,
        memory={name: size for name, size in memory.items() if size},
        rollouts=recipe.steps * recipe.sampling.problems_per_step * recipe.sampling.samples,
        updates=recipe.steps * recipe.batching.updates,
        launches=launch_lines(file),
    )


def _vision_cache_bytes(recipe: Recipe, model: Any) -> int:
    """Budget of the vision cache where the recipe has one."""
    towers = find_vision_towers(model)
    if not towers:
        return 0
    if recipe.weights.lora is not None:
        is_trained = recipe.weights.lora.with_vision
    else:
        # Found by identity: names of the tower do not say where it hangs in the model.
        eyes = {id(parameter) for tower in towers for parameter in tower.parameters()}
        names = [name for name, p in model.named_parameters() if id(p) in eyes]
        is_trained = not all(is_frozen(name, recipe.weights.freeze) for name in names)
    return 0 if is_trained else int(recipe.batching.vision_cache_gb * 1e9)


def launch_lines(file: Path) -> dict[str, str]:
    """Command lines that start the recipe in `file`."""
    many = "accelerate launch --config_file {} -m mmreason train rl {}"
    return {
        "one process": f"mmreason train rl {file}",
        "DDP": many.format(CONFIGS / "ddp.yaml", file),
        "DeepSpeed": many.format(CONFIGS / "deepspeed.yaml", file),
        "FSDP2": many.format(CONFIGS / "fsdp2.yaml", file),
    }


def _model_skeleton(recipe: Recipe) -> Any:
    """The model without the memory of its weights; made whole where the recipe makes it."""
    if callable(recipe.model):
        return recipe.model().model
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    from mmreason.models.folders import locate_weights
    from mmreason.models.hf_text import reads_text_only

    source, only_local = locate_weights(str(recipe.model))
    config = AutoConfig.from_pretrained(
        source, local_files_only=only_local, trust_remote_code=False
    )
    is_text = reads_text_only(source, local_files_only=only_local)
    kind = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
    # Tensors on `meta` have shapes and no memory.
    with torch.device("meta"):
        return kind.from_config(config)


def _adapter_size(model: Any, lora: Lora) -> int:
    """Weights of adapters on the linear layers that are chosen."""
    import torch

    from mmreason.training.learner.parts import is_of_vision

    weights = 0
    for name, module in model.named_modules():
        # PEFT leaves the head out where it adapts all linear layers.
        if not isinstance(module, torch.nn.Linear) or name.endswith("lm_head"):
            continue
        if not lora.with_vision and is_of_vision(name):
            continue
        if isinstance(lora.targets, tuple) and not name.endswith(lora.targets):
            continue
        # Two matrices: from the inputs to the rank, and from there to the outputs.
        weights += lora.rank * (module.in_features + module.out_features)
    return weights
