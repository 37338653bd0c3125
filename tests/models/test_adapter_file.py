"""An adapter in one small file: written from a checkpoint, merged in plain torch, refused where it
does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from mmreason.models.adapter_file import load_factors, merge_adapter, read_adapter, write_adapter
from mmreason.types import UsageError

BASE = "5f" * 32
IDS = torch.arange(3, 11)[None]


def make_base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    return LlamaForCausalLM(config).eval()


def make_trained(rank: int = 4) -> torch.nn.Module:
    """The base with adapters that were moved, and are numbers of bfloat16."""
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    model = get_peft_model(make_base(), settings)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            value = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            parameter.data = (0.1 * value).bfloat16().float()
    return model.eval()


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.safetensors"
    state = {f"model.{name}": tensor for name, tensor in make_trained().state_dict().items()}
    write_adapter(path, state, alpha=8, base_fingerprint=BASE)
    return path


def test_a_merged_adapter_computes_what_the_trained_one_did(adapter: Path) -> None:
    model = make_base()
    digest = merge_adapter(model, adapter, base_fingerprint=BASE)
    with torch.no_grad():
        torch.testing.assert_close(
            model(IDS).logits, make_trained()(IDS).logits, rtol=1e-4, atol=1e-5
        )
        assert (model(IDS).logits - make_base()(IDS).logits).abs().max() > 0.01
    assert len(digest) == 64
    assert set(load_file(adapter)["model.layers.0.mlp.up_proj.lora_A"].shape) == {4, 16}


def test_training_goes_on_from_its_factors(adapter: Path) -> None:
    settings = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear")
    model = get_peft_model(make_base(), settings).eval()
    load_factors(model, read_adapter(adapter, base_fingerprint=BASE))
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, make_trained()(IDS).logits)


def test_factors_of_another_rank_are_not_trained_on(adapter: Path) -> None:
    settings = LoraConfig(r=2, target_modules="all-linear")
    with pytest.raises(UsageError, match="no factor that fits"):
        load_factors(
            get_peft_model(make_base(), settings), read_adapter(adapter, base_fingerprint=BASE)
        )


def test_an_adapter_of_other_weights_is_refused(adapter: Path) -> None:
    model = make_base()
    with pytest.raises(UsageError, match=r"trained on weights 5f5f.*these are 0a0a"):
        merge_adapter(model, adapter, base_fingerprint="0a" * 32)
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, make_base()(IDS).logits)


@pytest.mark.parametrize(
    "damage", ["cut", "without notes", "no file", "half a pair", "other shape"]
)
def test_a_damaged_adapter_changes_nothing(adapter: Path, damage: str) -> None:
    factors = load_file(adapter)
    notes = {"scale": "2.0", "base_fingerprint": BASE}
    if damage == "cut":
        adapter.write_bytes(adapter.read_bytes()[:-40])
    elif damage == "without notes":
        save_file(factors, adapter)
    elif damage == "no file":
        adapter.unlink()
    elif damage == "half a pair":
        factors.pop("model.layers.1.mlp.up_proj.lora_B")
        save_file(factors, adapter, notes)
    else:
        factors["model.layers.1.mlp.up_proj.lora_B"] = torch.zeros(3, 4)
        save_file(factors, adapter, notes)
    model = make_base()
    with pytest.raises(UsageError, match=r"adapter\.safetensors"):
        merge_adapter(model, adapter, base_fingerprint=BASE)
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, make_base()(IDS).logits)


def test_a_checkpoint_without_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no adapter"):
        write_adapter(
            tmp_path / "a.safetensors", {"w": torch.zeros(1)}, alpha=1, base_fingerprint=BASE
        )
