"""Tiny random models of real families, with the processors that these have: a few thousand weights
each, made in a fraction of a second, without files.

Templates are our own and short. Weights are random: what such a model writes means nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import transformers as hf

from mmreason.models.hf import TransformersModel
from mmreason.training.rl import PolicyModel
from tests.fakes.tiny_image_families import idefics3, llava_next
from tests.fakes.tiny_parts import (
    CLIP,
    EYES,
    GRIDS,
    MROPE,
    SIGLIP,
    SIZE,
    TEXT,
    ids_of,
    template,
    words_of,
)
from tests.fakes.tiny_perception_lm import perception_lm

Made = tuple[Any, Any, str]
"""Model, processor, template."""


def _qwen_words() -> Any:
    # The pad token's name is the one that Qwen's tokenizer class adds where it is missing.
    return words_of(
        *("<|endoftext|>", "<end>", "<|image_pad|>", "<|video_pad|>"),
        *("<|vision_start|>", "<|vision_end|>"),
    )


def _qwen_ids(words: Any) -> dict[str, Any]:
    return ids_of(
        words,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


_QWEN = template(
    "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
)


def _qwen2_vl() -> Made:
    words = _qwen_words()
    config = hf.Qwen2VLConfig(
        text_config={**TEXT, "vocab_size": len(words), "rope_parameters": MROPE},
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4},
        **_qwen_ids(words),
    )
    processor = hf.Qwen2VLProcessor(hf.Qwen2VLImageProcessor(), words, hf.Qwen2VLVideoProcessor())
    return hf.Qwen2VLForConditionalGeneration(config), processor, _QWEN


def _qwen3(kind: str) -> Made:
    words = _qwen_words()
    text: dict[str, Any] = {**TEXT, "head_dim": 8, "vocab_size": len(words)}
    text["rope_parameters"] = {**MROPE, "mrope_interleaved": True}
    eyes: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "out_hidden_size": 32,
        "num_heads": 4,
        "intermediate_size": 48,
        "patch_size": 16,
        "num_position_embeddings": 64,
    }
    places = _qwen_ids(words)
    if kind == "qwen3_5":
        text |= {"head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
        text |= {"linear_key_head_dim": 8, "linear_value_head_dim": 8}
        text["layer_types"] = ["linear_attention", "full_attention"]
        text["rope_parameters"] |= {"mrope_section": [1, 1, 0], "partial_rotary_factor": 0.25}
        config: Any = hf.Qwen3_5Config(text_config=text, vision_config=eyes, **places)
        model: Any = hf.Qwen3_5ForConditionalGeneration(config)
    elif kind == "qwen3_vl_moe":
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
        eyes["deepstack_visual_indexes"] = [0, 1]
        config = hf.Qwen3VLMoeConfig(text_config=text, vision_config=eyes, **places)
        model = hf.Qwen3VLMoeForConditionalGeneration(config)
    else:
        eyes["deepstack_visual_indexes"] = [0, 1]
        config = hf.Qwen3VLConfig(text_config=text, vision_config=eyes, **places)
        model = hf.Qwen3VLForConditionalGeneration(config)
    looks = hf.Qwen2VLImageProcessor(
        patch_size=16, size={"shortest_edge": 1024, "longest_edge": 2**20}
    )
    processor = hf.Qwen3VLProcessor(looks, words, hf.Qwen3VLVideoProcessor())
    return model, processor, _QWEN


def _qwen2_5_vl() -> Made:
    words = _qwen_words()
    config = hf.Qwen2_5_VLConfig(
        text_config={**TEXT, "vocab_size": len(words), "rope_parameters": MROPE},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 48,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        **_qwen_ids(words),
    )
    processor = hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(), words, hf.Qwen2VLVideoProcessor()
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor, _QWEN


def _internvl() -> Made:
    words = words_of(
        *("<pad>", "<end>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = hf.InternVLConfig(
        vision_config={**EYES, "image_size": [28, 28], "patch_size": [14, 14]},
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        image_seq_length=1,
        **ids_of(words, image_token_id="<IMG_CONTEXT>"),
    )
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=SIZE),
        words,
        hf.InternVLVideoProcessor(size=SIZE),
        image_seq_length=1,
    )
    shown = template("<IMG_CONTEXT>", "<video>")
    return hf.InternVLForConditionalGeneration(config), processor, shown


def _llava_onevision() -> Made:
    words = _llava_words()
    config = hf.LlavaOnevisionConfig(
        vision_config=SIGLIP,
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        image_grid_pinpoints=GRIDS,
        **_llava_ids(words),
    )
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=SIZE, image_grid_pinpoints=GRIDS),
        words,
        hf.LlavaOnevisionVideoProcessor(size=SIZE),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor, _LLAVA


def _llava_next_video() -> Made:
    words = _llava_words()
    config = hf.LlavaNextVideoConfig(
        vision_config=CLIP | {"image_size": 56},
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(words)},
        image_grid_pinpoints=[[56, 112], [112, 56], [112, 112]],
        **_llava_ids(words),
    )
    crop = {"height": 56, "width": 56}
    sizes: dict[str, Any] = {"size": {"shortest_edge": 56}, "crop_size": crop}
    processor = hf.LlavaNextVideoProcessor(
        video_processor=hf.LlavaNextVideoVideoProcessor(**sizes),
        image_processor=hf.LlavaNextImageProcessor(
            **sizes, image_grid_pinpoints=[[56, 112], [112, 56], [112, 112]]
        ),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.LlavaNextVideoForConditionalGeneration(config), processor, _LLAVA


def _video_llava() -> Made:
    words = _llava_words()
    config = hf.VideoLlavaConfig(
        vision_config=CLIP,
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(words)},
        **_llava_ids(words),
    )
    sizes: dict[str, Any] = {"size": {"shortest_edge": 28}, "crop_size": SIZE}
    processor = hf.VideoLlavaProcessor(
        image_processor=hf.VideoLlavaImageProcessor(**sizes),
        video_processor=hf.VideoLlavaVideoProcessor(**sizes),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.VideoLlavaForConditionalGeneration(config), processor, _LLAVA


_LLAVA = template("<image>", "<video>")


def _llava_words() -> Any:
    return words_of(
        *("<pad>", "<end>", "<image>", "<video>"), image_token="<image>", video_token="<video>"
    )


def _llava_ids(words: Any) -> dict[str, Any]:
    return ids_of(words, image_token_index="<image>", video_token_index="<video>")


def _video_llama_3() -> Made:
    words = words_of("<pad>", "<end>", "<|image_pad|>", "<|video_pad|>")
    config = hf.VideoLlama3Config(
        vision_config={**EYES, "patch_size": 14},
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        **ids_of(words, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    processor = hf.VideoLlama3Processor(
        hf.VideoLlama3ImageProcessor(), words, hf.VideoLlama3VideoProcessor()
    )
    shown = template("<|image_pad|>", "<|video_pad|>")
    return hf.VideoLlama3ForConditionalGeneration(config), processor, shown


def _smolvlm() -> Made:
    words = words_of(
        *("<pad>", "<end>", "<image>", "<fake>", "<global>"),
        *(f"<row_{i}_col_{j}>" for i in range(1, 5) for j in range(1, 5)),
        image_token="<image>",
        fake_image_token="<fake>",
        end_of_utterance_token="<end>",
        global_image_token="<global>",
    )
    config = hf.SmolVLMConfig(
        vision_config={**EYES, "image_size": 32, "patch_size": 16},
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(words),
            "pad_token_id": words.pad_token_id,
        },
        scale_factor=2,
        **ids_of(words, image_token_id="<image>"),
    )
    sizes: dict[str, Any] = {"max_image_size": {"longest_edge": 32}}
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size={"longest_edge": 64}, **sizes),
        words,
        hf.SmolVLMVideoProcessor(size={"longest_edge": 32}, **sizes),
        image_seq_len=1,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor, template("<image>", "<video>")


def _gemma3() -> Made:
    words = words_of(
        *("<pad>", "<end>", "<boi>", "<eoi>", "<soft>"),
        boi_token="<boi>",
        eoi_token="<eoi>",
        image_token="<soft>",
    )
    config = hf.Gemma3Config(
        text_config={
            **TEXT,
            "head_dim": 8,
            "vocab_size": len(words),
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
        },
        vision_config=SIGLIP,
        mm_tokens_per_image=1,
        **ids_of(
            words, boi_token_index="<boi>", eoi_token_index="<eoi>", image_token_index="<soft>"
        ),
    )
    processor = hf.Gemma3Processor(hf.Gemma3ImageProcessor(size=SIZE), words, image_seq_length=1)
    return hf.Gemma3ForConditionalGeneration(config), processor, template("<boi>", "")


def _gemma4() -> Made:
    words = words_of(
        *(
            "<pad>",
            "<end>",
            "<boi>",
            "<eoi>",
            "<|image|>",
            "<|video|>",
            "<boa>",
            "<eoa>",
            "<audio>",
        ),
        boi_token="<boi>",
        eoi_token="<eoi>",
        image_token="<|image|>",
        boa_token="<boa>",
        eoa_token="<eoa>",
        audio_token="<audio>",
    )
    config = hf.Gemma4Config(
        text_config={
            **TEXT,
            "head_dim": 8,
            "global_head_dim": 8,
            "vocab_size": len(words),
            "vocab_size_per_layer_input": len(words),
            "hidden_size_per_layer_input": 8,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={**EYES, "num_key_value_heads": 4, "head_dim": 8},
        audio_config=None,
        **ids_of(
            words,
            boi_token_id="<boi>",
            eoi_token_id="<eoi>",
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            boa_token_id="<boa>",
            eoa_token_index="<eoa>",
            audio_token_id="<audio>",
        ),
    )
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(),
        hf.Gemma4ImageProcessor(max_soft_tokens=70),
        words,
        hf.Gemma4VideoProcessor(),
        image_seq_length=70,
    )
    shown = template("<|image|>", "<|video|>")
    return hf.Gemma4ForConditionalGeneration(config), processor, shown


def _glm(kind: str) -> Made:
    words = words_of(
        *("<pad>", "<end>", "<|image|>", "<|video|>"),
        *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
        image_token="<|image|>",
        video_token="<|video|>",
    )
    names: Mapping[str, Any] = {
        "text_config": {
            **TEXT,
            "model_type": "glm4v_text",
            "vocab_size": len(words),
            "rope_parameters": {**MROPE, "partial_rotary_factor": 1.0},
        },
        "vision_config": {
            "model_type": "glm4v_vision",
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 4,
            "image_size": 56,
            "patch_size": 14,
            "out_hidden_size": 32,
            "intermediate_size": 48,
        },
        **ids_of(
            words,
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            image_start_token_id="<|begin_of_image|>",
            image_end_token_id="<|end_of_image|>",
            video_start_token_id="<|begin_of_video|>",
            video_end_token_id="<|end_of_video|>",
        ),
    }
    if kind == "glm4v":
        model: Any = hf.Glm4vForConditionalGeneration(hf.Glm4vConfig(**names))
        eyes = (hf.Glm4vImageProcessor(), words, hf.Glm4vVideoProcessor())
        processor: Any = hf.Glm4vProcessor(*eyes)
    else:
        model = hf.Glm46VForConditionalGeneration(hf.Glm46VConfig(**names))
        processor = hf.Glm46VProcessor(hf.Glm46VImageProcessor(), words, hf.Glm46VVideoProcessor())
    shown = template(
        "<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>"
    )
    return model, processor, shown


def _minicpmv4_6() -> Made:
    words = words_of(
        *("<pad>", "<end>", "<|image_pad|>", "<|video_pad|>", "<image>", "</image>"),
        *("<slice>", "</slice>", "<image_id>", "</image_id>"),
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        image_start_token="<image>",
        image_end_token="</image>",
        slice_start_token="<slice>",
        slice_end_token="</slice>",
        image_id_start_token="<image_id>",
        image_id_end_token="</image_id>",
    )
    config = hf.MiniCPMV4_6Config(
        text_config={
            **TEXT,
            "model_type": "qwen3",
            "head_dim": 8,
            "vocab_size": len(words),
            "eos_token_id": words.eos_token_id,
        },
        vision_config={**EYES, "image_size": 448, "patch_size": 14, "insert_layer_id": 0},
        insert_layer_id=0,
        **ids_of(words, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    processor = hf.MiniCPMV4_6Processor(
        hf.MiniCPMV4_6ImageProcessor(), hf.MiniCPMV4_6VideoProcessor(), words
    )
    shown = template("<|image_pad|>", "<|video_pad|>")
    return hf.MiniCPMV4_6ForConditionalGeneration(config), processor, shown


_MAKERS: Mapping[str, Callable[[], Made]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": lambda: _qwen3("qwen3_vl"),
    "qwen3_vl_moe": lambda: _qwen3("qwen3_vl_moe"),
    "qwen3_5": lambda: _qwen3("qwen3_5"),
    "internvl": _internvl,
    "llava_onevision": _llava_onevision,
    "llava_next_video": _llava_next_video,
    "video_llava": _video_llava,
    "video_llama_3": _video_llama_3,
    "smolvlm": _smolvlm,
    "gemma3": _gemma3,
    "gemma4": _gemma4,
    "glm4v": lambda: _glm("glm4v"),
    "glm46v": lambda: _glm("glm46v"),
    "minicpmv4_6": _minicpmv4_6,
    "perception_lm": perception_lm,
}
FAMILIES: Sequence[str] = tuple(_MAKERS)
_IMAGE_MAKERS = {"idefics3": idefics3, "llava_next": llava_next}
ALL_FAMILIES: Sequence[str] = (*FAMILIES, *_IMAGE_MAKERS)
"""With those that are asked only, not trained."""
NEEDS = {"smolvlm": "num2words", "perception_lm": "timm"}
"""Packages that a family's processor or eyes need."""


def can_be_made(family: str) -> bool:
    """Whether what the family needs is installed."""
    return family not in NEEDS or importlib.util.find_spec(NEEDS[family]) is not None


def policy(family: str, seed: int = 0) -> PolicyModel:
    """A tiny random model of the family, to train."""
    return PolicyModel.from_chat(chat(family, seed))


def chat(family: str, seed: int = 0) -> TransformersModel:
    """A tiny random model of the family, to ask."""
    torch.manual_seed(seed)
    model, processor, shown = {**_MAKERS, **_IMAGE_MAKERS}[family]()
    words = processor.tokenizer
    processor.chat_template = shown
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    for parameter in model.parameters():
        if parameter.dim() > 1:  # spread, so that what is shown and asked makes a difference
            torch.nn.init.normal_(parameter, std=0.3)
    return TransformersModel(
        model.float(), processor, name=f"tiny {family}", fingerprint=f"{family}-{seed}"
    )
