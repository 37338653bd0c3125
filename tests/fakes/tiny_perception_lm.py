"""A tiny random PerceptionLM, whose eyes are timm's, for `tiny_families.py`."""

from __future__ import annotations

from typing import Any

import transformers as hf

from tests.fakes.tiny_parts import SIZE, TEXT, ids_of, template, words_of


def perception_lm() -> tuple[Any, Any, str]:
    words = words_of(
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
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(words)},
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        **ids_of(words, image_token_id="<|image|>", video_token_id="<|video|>"),
    )
    processor = hf.PerceptionLMProcessor(
        hf.PerceptionLMVideoProcessor(size=SIZE),
        hf.PerceptionLMImageProcessor(tile_size=28, max_num_tiles=4),
        words,
        patch_size=14,
        pooling_ratio=2,
    )
    shown = template("<|image|>", "<|video|>")
    return hf.PerceptionLMForConditionalGeneration(config), processor, shown
