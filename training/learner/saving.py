"""A trained model as one that plain `from_pretrained` loads: adapters merged in, weights in few
bits made whole, nothing left in its config of how it was read."""

from __future__ import annotations

import copy
from typing import Any

import torch

from mmreason.training.learner.quantise import dequantise, has_quantised_layers


def merge_adapters(model: Any) -> Any:
    """The model without adapters; a copy with them merged in where it has some. The run goes on
    with the model as it is.

    Adapters on weights in few bits are merged into the whole weights: quantised again afterwards,
    most of what was learnt would be rounded away.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    if not has_quantised_layers(model):
        return copy.deepcopy(model).merge_and_unload()
    from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    learnt = get_peft_model_state_dict(model)
    base = copy.deepcopy(model).unload()
    dequantise(base)
    merged = get_peft_model(base.float(), copy.deepcopy(model.active_peft_config))
    set_peft_model_state_dict(merged, learnt)
    return merged.merge_and_unload()


def prepare_to_save(model: Any) -> Any:
    """`model` (without adapters), or another with the same weights where transformers would refuse
    to save it: one that was read from GGUF, or has settings of generation that contradict each
    other."""
    if getattr(model, "hf_quantizer", None) is not None and not has_quantised_layers(model):
        model = _without_quantiser(model)
    model.generation_config = _consistent_generation(model.generation_config)
    return model


def _without_quantiser(model: Any) -> Any:
    """A model of the same weights, which are plain numbers already, and a config that says so."""
    config = copy.deepcopy(model.config)
    for part in (config, config.get_text_config()):
        # With this entry the weights would be taken for quantised ones.
        vars(part).pop("quantization_config", None)
    # A tower that packs its sequences goes by a name that no model can be made with.
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain


def _consistent_generation(settings: Any) -> Any:
    """A copy that can be saved: a temperature without sampling, which some models come with, means
    that sampling was meant."""
    try:
        settings.validate(strict=True)
    except ValueError:
        settings = copy.deepcopy(settings)
        settings.do_sample = True
    return settings
