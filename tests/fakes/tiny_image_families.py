"""Tiny random models of families that see single images only, for `tiny_families.py`."""

from __future__ import annotations

from typing import Any

import transformers as hf

from tests.fakes.tiny_parts import CLIP, EYES, TEXT, ids_of, template, words_of

_IMAGES_FIRST = (
    "{% for m in messages %}{{ m['role'] + ': ' }}"
    "{% for c in m['content'] if c['type'] == 'image' %}<image>{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}"
    "{{ '<end>' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
"""As the templates of LLaVA have it: all images of a message before its text."""


def llava_next() -> tuple[Any, Any, str]:
    words = words_of("<pad>", "<end>", "<image>", image_token="<image>")
    grids = [[28, 56], [56, 28], [56, 56]]
    config = hf.LlavaNextConfig(
        vision_config=CLIP,
        text_config={**TEXT, "model_type": "llama", "vocab_size": len(words)},
        image_grid_pinpoints=grids,
        image_seq_length=4,
        **ids_of(words, image_token_index="<image>"),
    )
    eyes = hf.LlavaNextImageProcessor(
        size={"shortest_edge": 28},
        crop_size={"height": 28, "width": 28},
        image_grid_pinpoints=grids,
    )
    processor = hf.LlavaNextProcessor(
        eyes,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.LlavaNextForConditionalGeneration(config), processor, _IMAGES_FIRST


def idefics3() -> tuple[Any, Any, str]:
    """Idefics3, of which SmolVLM's first version is one."""
    words = words_of(
        *("<pad>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>"),
        *(f"<row_{i}_col_{j}>" for i in range(1, 5) for j in range(1, 5)),
        image_token="<image>",
        fake_image_token="<fake_token_around_image>",
        end_of_utterance_token="<end_of_utterance>",
        global_image_token="<global-img>",
    )
    config = hf.Idefics3Config(
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
    eyes = hf.Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = hf.Idefics3Processor(eyes, words, image_seq_len=1)
    return (
        hf.Idefics3ForConditionalGeneration(config),
        processor,
        template("<image>", "").replace("<end>", "<end_of_utterance>"),
    )
