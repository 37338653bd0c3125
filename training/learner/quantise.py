"""Frozen weights of the language model in 4 or 8 bits, and back again (QLoRA).

The only place that imports bitsandbytes (extra `qlora`).
"""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from mmreason.training.learner.parts import is_of_vision
from mmreason.types import UsageError

Quantisation = Literal["4bit", "8bit"]


def quantise_language(model: Any, bits: Quantisation) -> int:
    """Keep the linear layers of the language model, but for its head, in few bits, in place; the
    number of them. Eyes, embeddings and norms stay as they are.

    4 bits are NF4 with the scales quantised too (Dettmers et al. 2023, section 3). UsageError
    without bitsandbytes, and for a model without such layers.
    """
    bnb = _import_bitsandbytes()
    names = [
        name
        for name, module in model.named_modules()
        if type(module) is nn.Linear and not is_of_vision(name) and not name.endswith("lm_head")
    ]
    if not names:
        raise UsageError(f"recipe: weights.quantise={bits!r} finds no linear layer to quantise")
    for name in names:
        layer = model.get_submodule(name)
        # Quantised where it is: bitsandbytes does that when weights come to a device.
        device = layer.weight.device
        model.set_submodule(name, _quantise_layer(bnb, layer, bits).to(device))
    # What peft chooses its layers by.
    setattr(model, f"is_loaded_in_{bits}", True)
    return len(names)


def dequantise(model: Any) -> None:
    """Linear layers in few bits become plain ones of float32 again, in place."""
    names = [name for name, module in model.named_modules() if is_quantised_layer(module)]
    if not names:
        return
    functional = _import_bitsandbytes().functional
    for name in names:
        layer = model.get_submodule(name)
        weight = layer.weight
        if hasattr(weight, "quant_state"):
            full = functional.dequantize_4bit(weight.data, weight.quant_state)
        else:
            # Whole numbers from -127 to 127, with the largest value of each row beside them.
            # The first forward pass moves the latter from the weight to the layer.
            scales = weight.SCB if weight.SCB is not None else layer.state.SCB
            full = weight.data.float() * (scales.float() / 127.0)[:, None]
        has_bias = layer.bias is not None
        plain = nn.Linear(layer.in_features, layer.out_features, has_bias, device="meta")
        plain.weight = nn.Parameter(full.float(), requires_grad=False)
        if has_bias:
            plain.bias = nn.Parameter(layer.bias.data.float(), requires_grad=False)
        model.set_submodule(name, plain)
    for bits in ("4bit", "8bit"):
        if hasattr(model, f"is_loaded_in_{bits}"):
            delattr(model, f"is_loaded_in_{bits}")


def has_quantised_layers(model: Any) -> bool:
    """Whether any linear layer is kept in few bits."""
    return any(map(is_quantised_layer, model.modules()))


def is_quantised_layer(module: Any) -> bool:
    """Whether a module is a linear layer of bitsandbytes."""
    return type(module).__name__ in ("Linear4bit", "Linear8bitLt") and (
        type(module).__module__.startswith("bitsandbytes")
    )


def _quantise_layer(bnb: Any, layer: nn.Linear, bits: Quantisation) -> Any:
    size = (layer.in_features, layer.out_features, layer.bias is not None)
    if bits == "4bit":
        made = bnb.nn.Linear4bit(
            *size, compute_dtype=layer.weight.dtype, quant_type="nf4", device="meta"
        )
        made.weight = bnb.nn.Params4bit(
            layer.weight.data, requires_grad=False, quant_type="nf4", module=made
        )
    else:
        made = bnb.nn.Linear8bitLt(*size, has_fp16_weights=False, device="meta")
        made.weight = bnb.nn.Int8Params(
            layer.weight.data, requires_grad=False, has_fp16_weights=False
        )
    made.bias = layer.bias
    return made


def _import_bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError as error:
        raise UsageError(
            "weights.quantise needs bitsandbytes; in the clone of mmreason: pip install "
            '".[train,qlora]"'
        ) from error
    return bitsandbytes
