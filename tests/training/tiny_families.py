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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from mmreason.models.hf import TransformersModel
from mmreason.training.rl import Trainee

_TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
_EYES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
_SIGLIP = {**_EYES, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14}
_SIGLIP["vision_use_head"] = False
_CLIP = {**_EYES, "model_type": "clip_vision_model", "image_size": 28, "patch_size": 14}
_CLIP |= {"num_hidden_layers": 3, "projection_dim": 32}
_SIZE = {"height": 28, "width": 28}
_MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
_GRIDS = [[28, 56], [56, 28], [56, 56]]


def _words(*special: str, **extra: str) -> Any:
    """A tokenizer of bytes and `special` tokens: the first pads, the second ends a turn."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    made: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.add_special_tokens(list(special))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=special[0],
        eos_token=special[1],
        bos_token=special[0],
        extra_special_tokens=extra,
    )


def _template(image: str, video: str) -> str:
    return (
        "{% for m in messages %}{{ m['role'] + ': ' }}{% for c in m['content'] %}"
        f"{{% if c['type'] == 'image' %}}{image}{{% elif c['type'] == 'video' %}}{video}"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{{ '<end>' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def _ids(words: Any, **tokens: str) -> dict[str, int]:
    return {name: words.convert_tokens_to_ids(token) for name, token in tokens.items()}


Made = tuple[Any, Any, str]
"""Model, processor, template."""


def _qwen2_5_vl() -> Made:
    words = _words("<pad>", "<end>", "<|image_pad|>", "<|video_pad|>", "<eye>", "</eye>")
    config = hf.Qwen2_5_VLConfig(
        text_config={**_TEXT, "vocab_size": len(words), "rope_parameters": _MROPE},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "out_hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 48,
            "fullatt_block_indexes": [1],
            "window_size": 112,
        },
        **_ids(
            words,
            image_token_id="<|image_pad|>",
            video_token_id="<|video_pad|>",
            vision_start_token_id="<eye>",
            vision_end_token_id="</eye>",
        ),
    )
    processor = hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(), words, hf.Qwen2VLVideoProcessor()
    )
    shown = _template("<eye><|image_pad|></eye>", "<eye><|video_pad|></eye>")
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor, shown


def _internvl() -> Made:
    words = _words(
        *("<pad>", "<end>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = hf.InternVLConfig(
        vision_config={**_EYES, "image_size": [28, 28], "patch_size": [14, 14]},
        text_config={**_TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        image_seq_length=1,
        **_ids(words, image_token_id="<IMG_CONTEXT>"),
    )
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=_SIZE),
        words,
        hf.InternVLVideoProcessor(size=_SIZE),
        image_seq_length=1,
    )
    shown = _template("<IMG_CONTEXT>", "<video>")
    return hf.InternVLForConditionalGeneration(config), processor, shown


def _llava_onevision() -> Made:
    words = _llava_words()
    config = hf.LlavaOnevisionConfig(
        vision_config=_SIGLIP,
        text_config={**_TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        image_grid_pinpoints=_GRIDS,
        **_llava_ids(words),
    )
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=_SIZE, image_grid_pinpoints=_GRIDS),
        words,
        hf.LlavaOnevisionVideoProcessor(size=_SIZE),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor, _LLAVA


def _llava_next_video() -> Made:
    words = _llava_words()
    config = hf.LlavaNextVideoConfig(
        vision_config=_CLIP | {"image_size": 56},
        text_config={**_TEXT, "model_type": "llama", "vocab_size": len(words)},
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
        vision_config=_CLIP,
        text_config={**_TEXT, "model_type": "llama", "vocab_size": len(words)},
        **_llava_ids(words),
    )
    sizes: dict[str, Any] = {"size": {"shortest_edge": 28}, "crop_size": _SIZE}
    processor = hf.VideoLlavaProcessor(
        image_processor=hf.VideoLlavaImageProcessor(**sizes),
        video_processor=hf.VideoLlavaVideoProcessor(**sizes),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.VideoLlavaForConditionalGeneration(config), processor, _LLAVA


_LLAVA = _template("<image>", "<video>")


def _llava_words() -> Any:
    return _words(
        *("<pad>", "<end>", "<image>", "<video>"), image_token="<image>", video_token="<video>"
    )


def _llava_ids(words: Any) -> dict[str, int]:
    return _ids(words, image_token_index="<image>", video_token_index="<video>")


def _video_llama_3() -> Made:
    words = _words("<pad>", "<end>", "<|image_pad|>", "<|video_pad|>")
    config = hf.VideoLlama3Config(
        vision_config={**_EYES, "patch_size": 14},
        text_config={**_TEXT, "model_type": "qwen2", "vocab_size": len(words)},
        **_ids(words, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    processor = hf.VideoLlama3Processor(
        hf.VideoLlama3ImageProcessor(), words, hf.VideoLlama3VideoProcessor()
    )
    shown = _template("<|image_pad|>", "<|video_pad|>")
    return hf.VideoLlama3ForConditionalGeneration(config), processor, shown


def _smolvlm() -> Made:
    words = _words(
        *("<pad>", "<end>", "<image>", "<fake>", "<global>"),
        *(f"<row_{i}_col_{j}>" for i in range(1, 5) for j in range(1, 5)),
        image_token="<image>",
        fake_image_token="<fake>",
        end_of_utterance_token="<end>",
        global_image_token="<global>",
    )
    config = hf.SmolVLMConfig(
        vision_config={**_EYES, "image_size": 32, "patch_size": 16},
        text_config={
            **_TEXT,
            "model_type": "llama",
            "vocab_size": len(words),
            "pad_token_id": words.pad_token_id,
        },
        scale_factor=2,
        **_ids(words, image_token_id="<image>"),
    )
    sizes: dict[str, Any] = {"max_image_size": {"longest_edge": 32}}
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size={"longest_edge": 64}, **sizes),
        words,
        hf.SmolVLMVideoProcessor(size={"longest_edge": 32}, **sizes),
        image_seq_len=1,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor, _template("<image>", "<video>")


def _gemma3() -> Made:
    words = _words(
        *("<pad>", "<end>", "<boi>", "<eoi>", "<soft>"),
        boi_token="<boi>",
        eoi_token="<eoi>",
        image_token="<soft>",
    )
    config = hf.Gemma3Config(
        text_config={
            **_TEXT,
            "head_dim": 8,
            "vocab_size": len(words),
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
        },
        vision_config=_SIGLIP,
        mm_tokens_per_image=1,
        **_ids(words, boi_token_index="<boi>", eoi_token_index="<eoi>", image_token_index="<soft>"),
    )
    processor = hf.Gemma3Processor(hf.Gemma3ImageProcessor(size=_SIZE), words, image_seq_length=1)
    return hf.Gemma3ForConditionalGeneration(config), processor, _template("<boi>", "")


def _gemma4() -> Made:
    words = _words(
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
            **_TEXT,
            "head_dim": 8,
            "global_head_dim": 8,
            "vocab_size": len(words),
            "vocab_size_per_layer_input": len(words),
            "hidden_size_per_layer_input": 8,
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={**_EYES, "num_key_value_heads": 4, "head_dim": 8},
        audio_config=None,
        **_ids(
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
    shown = _template("<|image|>", "<|video|>")
    return hf.Gemma4ForConditionalGeneration(config), processor, shown


def _glm(kind: str) -> Made:
    words = _words(
        *("<pad>", "<end>", "<|image|>", "<|video|>"),
        *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
        image_token="<|image|>",
        video_token="<|video|>",
    )
    names: Mapping[str, Any] = {
        "text_config": {
            **_TEXT,
            "model_type": "glm4v_text",
            "vocab_size": len(words),
            "rope_parameters": {**_MROPE, "partial_rotary_factor": 1.0},
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
        **_ids(
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
    shown = _template(
        "<|begin_of_image|><|image|><|end_of_image|>", "<|begin_of_video|><|video|><|end_of_video|>"
    )
    return model, processor, shown


def _minicpmv4_6() -> Made:
    words = _words(
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
            **_TEXT,
            "model_type": "qwen3",
            "head_dim": 8,
            "vocab_size": len(words),
            "eos_token_id": words.eos_token_id,
        },
        vision_config={**_EYES, "image_size": 448, "patch_size": 14, "insert_layer_id": 0},
        insert_layer_id=0,
        **_ids(words, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    processor = hf.MiniCPMV4_6Processor(
        hf.MiniCPMV4_6ImageProcessor(), hf.MiniCPMV4_6VideoProcessor(), words
    )
    shown = _template("<|image_pad|>", "<|video_pad|>")
    return hf.MiniCPMV4_6ForConditionalGeneration(config), processor, shown


def _perception_lm() -> Made:
    words = _words(
        *("<pad>", "<end>", "<|image|>", "<|video|>"),
        image_token="<|image|>",
        video_token="<|video|>",
    )
    config = hf.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_large_patch14_336",
            "model_args": {
                "embed_dim": 32,
                "img_size": [28, 28],
                "depth": 2,
                "num_heads": 4,
                "global_pool": "",
                "use_post_transformer_norm": False,
                "init_values": 0.1,
                "ref_feat_shape": [2, 2],
            },
        },
        text_config={**_TEXT, "model_type": "llama", "vocab_size": len(words)},
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        **_ids(words, image_token_id="<|image|>", video_token_id="<|video|>"),
    )
    processor = hf.PerceptionLMProcessor(
        hf.PerceptionLMVideoProcessor(size=_SIZE),
        hf.PerceptionLMImageProcessor(tile_size=28, max_num_tiles=4),
        words,
        patch_size=14,
        pooling_ratio=2,
    )
    shown = _template("<|image|>", "<|video|>")
    return hf.PerceptionLMForConditionalGeneration(config), processor, shown


_MAKERS: Mapping[str, Callable[[], Made]] = {
    "qwen2_5_vl": _qwen2_5_vl,
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
    "perception_lm": _perception_lm,
}
FAMILIES: Sequence[str] = tuple(_MAKERS)
NEEDS = {"smolvlm": "num2words", "perception_lm": "timm"}
"""Packages that a family's processor or eyes need."""


def can_be_made(family: str) -> bool:
    """Whether what the family needs is installed."""
    return family not in NEEDS or importlib.util.find_spec(NEEDS[family]) is not None


def trainee(family: str, seed: int = 0) -> Trainee:
    """A tiny random model of the family, to train."""
    torch.manual_seed(seed)
    model, processor, template = _MAKERS[family]()
    words = processor.tokenizer
    processor.chat_template = template
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    for parameter in model.parameters():
        if parameter.dim() > 1:  # spread, so that what is shown and asked makes a difference
            torch.nn.init.normal_(parameter, std=0.3)
    chat = TransformersModel(
        model.float(), processor, name=f"tiny {family}", fingerprint=f"{family}-{seed}"
    )
    return Trainee.of_chat(chat)
