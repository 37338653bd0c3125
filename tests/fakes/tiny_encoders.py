"""Tiny random models of real classes, as folders that `load_encoder` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Processor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)

SIDE_PX = 32
WORDS = ("<pad>", "<unk>", "</s>", "a", "photo", "of", "cat", "person", ".")


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="</s>",
        model_max_length=16,
    )


def sizes() -> dict[str, Any]:
    layer = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    layer["num_attention_heads"] = 2
    text = layer | {"vocab_size": len(WORDS), "max_position_embeddings": 16, "projection_size": 16}
    text |= {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    return {"text_config": text, "vision_config": layer | {"image_size": SIDE_PX, "patch_size": 8}}


def write_clip(folder: Path) -> None:
    CLIPModel(CLIPConfig(**sizes(), projection_dim=16)).save_pretrained(folder)
    side = {"height": SIDE_PX, "width": SIDE_PX}
    images = CLIPImageProcessor(size=side, crop_size=side)
    CLIPProcessor(images, tokenizer()).save_pretrained(folder)


def write_siglip(folder: Path) -> None:
    SiglipModel(SiglipConfig(**sizes())).save_pretrained(folder)
    images = SiglipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX})
    SiglipProcessor(images, tokenizer()).save_pretrained(folder)


def write_siglip2(folder: Path) -> None:
    config = sizes()
    config["vision_config"] |= {"num_patches": 16, "patch_size": 16}
    # Its processor pads sentences to 64 words.
    config["text_config"] |= {"max_position_embeddings": 64}
    Siglip2Model(Siglip2Config(**config)).save_pretrained(folder)
    images = Siglip2ImageProcessor(patch_size=16, max_num_patches=16)
    Siglip2Processor(images, tokenizer()).save_pretrained(folder)


def write_vit(folder: Path) -> None:
    """A plain ViT of timm: 160 x 160, cut from the middle."""
    timm.models.save_for_hf(timm.create_model("test_vit"), str(folder), safe_serialization=True)


def write_naflex(folder: Path) -> None:
    """A ViT of timm that keeps the shape of frames: at most 16 patches."""
    model = timm.create_model(
        "naflexvit_base_patch16_gap", embed_dim=32, depth=1, num_heads=2, num_classes=0
    )
    config = {"input_size": (3, 64, 64), "num_classes": 0}
    timm.models.save_for_hf(model, str(folder), model_config=config, safe_serialization=True)
