"""Models of transformers with packed attention answer as they do with SDPA, in fewer calls."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from torch.utils.checkpoint import checkpoint

from mmreason.models.base import Conversation, FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.hf import TransformersModel
from mmreason.video.encoders.attention import (
    PACKED_ATTENTION,
    find_packed_towers,
    pack_vision_towers,
    register_packed_attention,
    towers,
)
from mmreason.video.types import FrameBatch
from tests.fakes import tiny_families
from tests.fakes.tiny_parts import TEXT

PACKS = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_5",
    "video_llama_3",
    "glm4v",
    "glm46v",
    "minicpmv4_6",
)
"""Families whose vision towers are handed the bounds of their sequences."""
QUICK = ("qwen2_5_vl", "qwen3_vl", "qwen3_5", "video_llama_3", "glm4v", "internvl")
EVERY = [
    pytest.param(family, marks=() if family in QUICK else pytest.mark.full)
    for family in tiny_families.ALL_FAMILIES
    if tiny_families.can_be_made(family)
]


def ask_about(count: int, size_px: tuple[int, int] = (84, 56)) -> Conversation:
    width, height = size_px
    pixels = np.random.default_rng(count).integers(0, 255, (count, height, width, 3), np.uint8)
    frames = FrameBatch(
        pixels=pixels, times_s=np.arange(count) * 1.5, exact=np.ones(count, dtype=bool)
    )
    return [Message("user", (FramesPart(frames, "video"), TextPart("which?")))]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Number of sequences of each call of packed attention."""
    counts: list[int] = []
    compute = towers.packed_attention

    def count_call(query, key, value, cu_seqlens, **settings):
        counts.append(len(cu_seqlens) - 1)
        return compute(query, key, value, cu_seqlens, **settings)

    monkeypatch.setattr(towers, "packed_attention", count_call)
    yield counts


def logits_of(chat, conversation: Conversation) -> torch.Tensor:
    with torch.no_grad():
        return chat.model(**chat.prepare([conversation])).logits


@pytest.mark.parametrize("family", EVERY)
def test_outputs_equal_sdpa_in_every_family(family: str, calls: list[int]) -> None:
    chat = tiny_families.chat(family)
    conversation = ask_about(4)
    by_sdpa = logits_of(chat, conversation)
    packed = pack_vision_towers(chat.model)
    assert bool(packed.classes) == (family in PACKS)
    torch.testing.assert_close(logits_of(chat, conversation), by_sdpa, atol=1e-5, rtol=1e-5)
    assert bool(calls) == (family in PACKS)
    chat.model.set_attn_implementation("sdpa")
    assert find_packed_towers(chat.model).choice is None


@pytest.mark.parametrize("family", ["qwen2_5_vl", pytest.param("gemma3", marks=pytest.mark.full)])
def test_padded_batches_and_caches_of_a_language_model_equal_sdpa(
    family: str, calls: list[int]
) -> None:
    chat = tiny_families.chat(family)
    request = GenerateRequest([ask_about(4), ask_about(2)], max_new_tokens=3)
    by_sdpa = chat.generate(request)
    chat.model.set_attn_implementation(register_packed_attention())
    packed = chat.generate(request)
    assert [r.token_ids for r in packed] == [r.token_ids for r in by_sdpa]
    for reply, expected in zip(packed, by_sdpa, strict=True):
        assert reply.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    assert bool(calls) == (family in PACKS)


def test_a_model_that_leaves_out_tokens_unless_sdpa_is_named_keeps_them() -> None:
    # Later layers reuse keys, and compute the last tokens alone where a mask is sure to exist.
    layers = {"num_hidden_layers": 4, "num_kv_shared_layers": 2}
    layers |= {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 64}
    words = {"vocab_size": 64, "vocab_size_per_layer_input": 64, "hidden_size_per_layer_input": 8}
    heads = {"head_dim": 8, "global_head_dim": 8}
    torch.manual_seed(0)
    config = hf.Gemma4TextConfig(**{**TEXT, **layers, **words, **heads})
    model = hf.Gemma4ForCausalLM(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    logits = []
    for name in ("sdpa", register_packed_attention()):
        model.set_attn_implementation(name)
        with torch.no_grad():
            logits.append(model(input_ids=torch.arange(3, 23)[None], logits_to_keep=3).logits)
    torch.testing.assert_close(logits[1], logits[0])
    assert model.config._attn_implementation == "sdpa"


def test_the_name_alone_packs_after_the_first_layer(calls: list[int]) -> None:
    chat = tiny_families.chat("qwen3_vl")
    chat.model.set_attn_implementation(register_packed_attention())
    assert find_packed_towers(chat.model).choice is None
    first = logits_of(chat, ask_about(4))
    assert calls == [2]
    torch.testing.assert_close(logits_of(chat, ask_about(4)), first, atol=1e-5, rtol=1e-5)
    assert calls == [2, 2, 2]
    assert find_packed_towers(chat.model).classes == ("Qwen3VLVisionAttention",)
    assert chat.model.model.language_model.config._attn_implementation == "sdpa"


def test_gradients_equal_sdpa_also_where_a_layer_is_computed_twice() -> None:
    tower = tiny_families.chat("qwen2_5_vl").model.model.visual
    packed = copy.deepcopy(tower)
    pack_vision_towers(packed)
    # Not packed: with gradients the name alone leaves the loop.
    named = copy.deepcopy(tower)
    named.set_attn_implementation(register_packed_attention())
    patches = torch.randn(32 * 12, 1176, generator=torch.Generator().manual_seed(0))
    grid = torch.tensor([[2, 12, 16]])
    gradients = []
    for each in (tower, packed, named):
        each.zero_grad()
        output = checkpoint(
            lambda x, module=each: module(x, grid_thw=grid).pooler_output,
            patches.clone().requires_grad_(),
            use_reentrant=False,
        )
        assert isinstance(output, torch.Tensor)
        output.square().sum().backward()
        gradients.append([parameter.grad for parameter in each.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-4, atol=1e-3)
    assert find_packed_towers(named).choice is None


def test_what_goes_beyond_the_formula_is_computed_as_transformers_does(calls: list[int]) -> None:
    model = tiny_families.chat("qwen3_vl").model
    attention = model.model.visual.blocks[0].attn.train()
    hidden = torch.randn(9, 32)
    angles = (torch.ones(9, 8), torch.zeros(9, 8))
    bounds = torch.tensor([0, 4, 9], dtype=torch.int32)

    def run(**settings: Any) -> torch.Tensor:
        torch.manual_seed(0)
        return attention(hidden, cu_seqlens=bounds, position_embeddings=angles, **settings)

    bias = torch.randn(1, 4, 1, 1)
    attention.attention_dropout = 0.5
    dropped = run()
    attention.attention_dropout = 0.0
    plain, biased = run(), run(position_bias=bias)
    pack_vision_towers(model)
    torch.testing.assert_close(run(), plain)
    assert calls == [2]
    torch.testing.assert_close(run(position_bias=bias), biased)
    attention.attention_dropout = 0.5
    torch.testing.assert_close(run(), dropped)
    assert calls == [2] and not torch.allclose(dropped, plain)
    with pytest.raises(ValueError, match="softcap"):
        run(softcap=30.0)


def test_loaded_models_pack_unless_told_otherwise() -> None:
    chosen, stock, named = (
        TransformersModel.load("nano", attn_implementation=name)
        for name in ("auto", "sdpa", PACKED_ATTENTION)
    )
    assert str(chosen.vision_attention).startswith("Qwen3VLVisionAttention: ")
    assert chosen.model.config._attn_implementation == "sdpa"
    assert stock.vision_attention.choice is None
    assert named.vision_attention == chosen.vision_attention
    assert named.model.config._attn_implementation == "sdpa"
