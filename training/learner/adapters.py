"""Which weights are trained: all, all but some, or adapters (LoRA, DoRA, QLoRA) in their place.

The only place that imports peft (extra `train`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from mmreason.training.checked_settings import NAMES, Kind, check_settings, setting
from mmreason.training.learner.parts import PARTS, is_frozen, language_prefix
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.learner.quantise import Quantisation, quantise_language
from mmreason.types import UsageError

_TARGETS = Kind(
    lambda value: isinstance(value, str) or NAMES.is_right(value), "a text or a tuple of texts"
)
_QUANTISATION = Kind(lambda value: isinstance(value, str), "'4bit' or '8bit'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Adapters in place of all weights. Vision towers have none unless asked for.

    Example:
        >>> Lora(rank=8, targets=("q_proj", "v_proj")).alpha
        32
    """

    rank: int = setting(16, least=1)
    alpha: int = setting(32, least=1)
    dropout: float = setting(0.0, least=0, below=1)
    targets: str | tuple[str, ...] = setting("all-linear", kind=_TARGETS)
    """Names of linear layers, or all of them but the head."""
    with_vision: bool = setting(False)
    """Whether eyes and projector have adapters too."""
    dora: bool = setting(False, came_later=True)
    """Length and direction of each weight are learnt apart (DoRA, Liu et al. 2024)."""
    modules_to_save: tuple[str, ...] = setting((), kind=NAMES, came_later=True)
    """Modules that are trained whole and stored with the adapters, by the ends of their names."""

    def __post_init__(self) -> None:
        check_settings(self, "weights.lora")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedWeights:
    """Which weights get gradients, and how much memory those take.

    Example:
        >>> TrainedWeights(freeze=("model.visual",)).lora is None
        True
    """

    lora: Lora | None = setting(None, kind=Lora)
    freeze: tuple[str, ...] = setting((), kind=NAMES)
    """What is not trained: "vision", "projector", "language", or beginnings of names."""
    gradient_checkpointing: bool = setting(False)
    """Compute activations anew for the gradient: less memory, more time."""
    quantise: Quantisation | None = setting(
        None, kind=_QUANTISATION, choices=get_args(Quantisation), came_later=True
    )
    """Frozen weights of the language model in few bits, under adapters (QLoRA)."""

    def __post_init__(self) -> None:
        check_settings(self, "weights")
        if self.quantise is not None and self.lora is None:
            raise UsageError(
                f"recipe: weights.quantise={self.quantise!r} needs adapters, as weights in few "
                "bits cannot be trained; set weights.lora"
            )
        if self.quantise == "8bit" and self.lora is not None and self.lora.dora:
            raise UsageError(
                "recipe: weights.lora.dora does not go with weights.quantise='8bit'; use '4bit'"
            )

    @property
    def loading_dtype(self) -> str:
        """What weights are loaded as: what is trained must be float32, what is put into few bits
        need not take its memory."""
        return "bfloat16" if self.quantise is not None else "float32"


def select_trained_weights(policy: PolicyModel, selection: TrainedWeights) -> PolicyModel:
    """The policy with gradients for those parameters only that are to be trained, adapters added
    where there are any. UsageError where nothing is left, or where a prefix names nothing."""
    lora, freeze = selection.lora, selection.freeze
    _check_freeze(policy.model, freeze)
    if selection.quantise is not None:
        quantise_language(policy.model, selection.quantise)
    if lora is not None:
        policy = dataclasses.replace(policy, model=_add_lora(policy.model, lora))
    for name, parameter in policy.model.named_parameters():
        if is_frozen(name, freeze):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in policy.model.parameters()):
        raise UsageError(f"recipe: weights.freeze={freeze} leaves nothing to train")
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


def _check_freeze(model: Any, freeze: tuple[str, ...]) -> None:
    """UsageError for a name that freezes nothing: with a misspelling, weights would be trained
    without a word."""
    names = [name for name, _ in model.named_parameters()]
    for item in freeze:
        if any(is_frozen(name, (item,)) for name in names):
            continue
        if item in PARTS:
            raise UsageError(f"recipe: weights.freeze: this model has no part {item!r}")
        modules = sorted({name.rsplit(".", 2)[0] for name in names})
        raise UsageError(
            f"recipe: no parameter begins with {item!r}; modules: {', '.join(modules[:8])}, ..."
        )


def _add_lora(model: Any, lora: Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError(
            'adapters need peft; in the clone of mmreason: pip install ".[train]"'
        ) from error
    # A pattern for peft: every name that is not below the language model's.
    prefix = language_prefix(model)
    excluded = rf"(?!{re.escape(prefix)}\.).*" if prefix and not lora.with_vision else None
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    modules = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    for item in lora.modules_to_save:
        if item.rpartition(".")[2] not in modules:
            raise UsageError(f"recipe: weights.lora.modules_to_save: no module is called {item!r}")
    # Embeddings that are the head as well stay so: saved apart, one of them would be lost.
    tied = getattr(model.config.get_text_config(), "tie_word_embeddings", False)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        exclude_modules=excluded,
        use_dora=lora.dora,
        modules_to_save=list(lora.modules_to_save) or None,
        ensure_weight_tying=bool(tied and lora.modules_to_save),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        line = " ".join(str(error).split())
        raise UsageError(f"recipe: weights.lora.targets={lora.targets!r}: {line}") from error
