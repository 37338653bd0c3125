"""Which weights are trained: all, all but some, or adapters (LoRA) in their place.

The only place that imports peft (extra `train`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmreason.training.checked_settings import NAMES, check_settings, setting
from mmreason.training.learner.policy_model import PolicyModel
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Adapters in place of all weights. Vision towers have none unless asked for.

    Example:
        >>> Lora(rank=8, targets=("q_proj", "v_proj")).alpha
        32
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    with_vision: bool = False


def is_of_vision(module_name: str) -> bool:
    """Whether a module or parameter belongs to the eyes of a model, by its name.

    Example:
        >>> is_of_vision("model.visual.blocks.0"), is_of_vision("model.layers.0")
        (True, False)
    """
    return any(name in module_name for name in VISION_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedWeights:
    """Which weights get gradients, and how much memory those take.

    Example:
        >>> TrainedWeights(freeze=("model.visual",)).lora is None
        True
    """

    lora: Lora | None = setting(None, kind=Lora)
    freeze: tuple[str, ...] = setting((), kind=NAMES)
    """Parameters whose names begin with one of these are not trained."""
    gradient_checkpointing: bool = setting(False)
    """Compute activations anew for the gradient: less memory, more time."""

    def __post_init__(self) -> None:
        check_settings(self, "weights")


def select_trained_weights(policy: PolicyModel, selection: TrainedWeights) -> PolicyModel:
    """The policy with gradients for those parameters only that are to be trained, adapters added
    where there are any. UsageError where nothing is left, or where a prefix names nothing."""
    lora, freeze = selection.lora, selection.freeze
    if lora is not None:
        policy = dataclasses.replace(policy, model=_add_lora(policy.model, lora))
    for name, parameter in policy.model.named_parameters():
        if freeze and name.startswith(freeze):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in policy.model.parameters()):
        raise UsageError(f"recipe: weights.freeze={freeze} leaves nothing to train")
    # A prefix with a misspelling would leave weights trained without a word.
    for prefix in freeze:
        if not any(name.startswith(prefix) for name, _ in policy.model.named_parameters()):
            names = sorted({name.rsplit(".", 2)[0] for name, _ in policy.model.named_parameters()})
            raise UsageError(
                f"recipe: no parameter begins with {prefix!r}; modules: {', '.join(names[:8])}, ..."
            )
    if selection.gradient_checkpointing:
        # Reentrant checkpointing loses gradients where inputs have none.
        policy.model.gradient_checkpointing_enable({"use_reentrant": False})
        if lora is not None:
            # Frozen embeddings give activations without gradients, which checkpointing would drop.
            policy.model.enable_input_require_grads()
    return policy


@contextlib.contextmanager
def disable_adapter(model: Any) -> Iterator[None]:
    """The model without its adapter: the reference, at no cost. As it is, where it has none."""
    if has_adapter(model):
        with model.disable_adapter():
            yield
    else:
        yield


def has_adapter(model: Any) -> bool:
    """Whether the model carries an adapter."""
    return hasattr(model, "disable_adapter")


def note_lost_precision(model: Any) -> tuple[str, ...]:
    """A note where trained weights are kept in so few bits that most updates vanish."""
    dtypes = {p.dtype for p in model.parameters() if p.requires_grad}
    halves = ", ".join(sorted(str(dtype) for dtype in dtypes if dtype.itemsize < 4))
    if not halves:
        return ()
    return (
        f"trained weights are kept as {halves}, in which small updates vanish: load them as "
        "float32 (PolicyModel.load does) and set precision='bf16' to compute in bfloat16",
    )


def _add_lora(model: Any, lora: Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError(
            'adapters need peft; in the clone of mmreason: pip install ".[train]"'
        ) from error
    has_eyes = any(is_of_vision(name) for name, _ in model.named_modules())
    # A pattern for peft: any name with a part that names eyes.
    excluded = rf".*({'|'.join(VISION_NAMES)}).*" if has_eyes and not lora.with_vision else None
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        exclude_modules=excluded,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)
