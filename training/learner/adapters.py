"""Which weights are trained: all, all but some, or adapters (LoRA) in their place.

The only place that imports peft (extra `train`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from mmreason.training.learner.policy_model import Trainee
from mmreason.training.rl.recipe import Lora, Recipe
from mmreason.types import UsageError

VISION_NAMES = (
    "visual",
    "vision_tower",
    "vision_model",
    "video_tower",
    "image_tower",
    "vision_embed_tokens",
    "embed_vision",
    "multi_modal",
)
"""Parts of module names by which the eyes of common families are known."""


def adapted(trainee: Trainee, recipe: Recipe) -> Trainee:
    """The trainee with only those parameters asking for gradients that the recipe trains."""
    if recipe.lora is not None:
        trainee = dataclasses.replace(trainee, model=_with_lora(trainee.model, recipe.lora))
    for name, parameter in trainee.model.named_parameters():
        if recipe.freeze and name.startswith(recipe.freeze):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in trainee.model.parameters()):
        raise UsageError(f"recipe: freeze={recipe.freeze} leaves nothing to train")
    for prefix in recipe.freeze:
        if not any(name.startswith(prefix) for name, _ in trainee.model.named_parameters()):
            names = sorted({name.rsplit(".", 2)[0] for name, _ in trainee.model.named_parameters()})
            raise UsageError(
                f"recipe: no parameter begins with {prefix!r}; modules: {', '.join(names[:8])}, ..."
            )
    if recipe.gradient_checkpointing:
        trainee.model.gradient_checkpointing_enable({"use_reentrant": False})
        if recipe.lora is not None:
            # Frozen embeddings give activations without gradients, which checkpointing would drop.
            trainee.model.enable_input_require_grads()
    return trainee


@contextlib.contextmanager
def adapter_off(model: Any) -> Iterator[None]:
    """The model without its adapter: the reference, at no cost. As it is, where it has none."""
    if hasattr(model, "disable_adapter"):
        with model.disable_adapter():
            yield
    else:
        yield


def is_adapted(model: Any) -> bool:
    """Whether the model carries an adapter."""
    return hasattr(model, "disable_adapter")


def lost_precision(model: Any) -> tuple[str, ...]:
    """A note where trained weights are kept in so few bits that most updates vanish."""
    dtypes = {p.dtype for p in model.parameters() if p.requires_grad}
    halves = ", ".join(sorted(str(one) for one in dtypes if one.itemsize < 4))
    if not halves:
        return ()
    return (
        f"trained weights are kept as {halves}, in which small updates vanish: load them as "
        "float32 (Trainee.load does) and set precision='bf16' to compute in bfloat16",
    )


def _with_lora(model: Any, lora: Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError(
            'adapters need peft; in the clone of mmreason: pip install ".[train]"'
        ) from error
    has_eyes = any(part in name for name, _ in model.named_modules() for part in VISION_NAMES)
    left_out = rf".*({'|'.join(VISION_NAMES)}).*" if has_eyes and not lora.with_vision else None
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        exclude_modules=left_out,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
