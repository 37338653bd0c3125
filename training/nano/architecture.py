"""Builds nano: a small Qwen3-VL, its tokenizer (byte-level, so any text can be asked), chat
template and processor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from mmreason.models.folders import PACKAGED, locate_weights
from mmreason.training.nano.config import Architecture, NanoConfig, Stage
from mmreason.training.nano.examples import OUTSIDE_ANSWER, make_clip_example, make_image_example
from mmreason.types import UsageError

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content -%}
{%- if part.type == 'video' -%}<|video_pad|>
{%- elif part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- else -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""
PATCH_PX = 8


def build_model(
    shape: Architecture, tokenizer: PreTrainedTokenizerFast
) -> Qwen3VLForConditionalGeneration:
    """A `Qwen3VLForConditionalGeneration` with random weights, in float32."""

    def token(text: str) -> int:
        number = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(number, int)
        return number

    # Time, height and width share the rotary dimensions about evenly.
    half = shape.text_head_dim // 2
    mrope = [half - 2 * (half // 3), half // 3, half // 3]
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.text_width,
            "intermediate_size": shape.text_mlp,
            "num_hidden_layers": shape.text_depth,
            "num_attention_heads": shape.text_width // shape.text_head_dim,
            "num_key_value_heads": shape.text_width // shape.text_head_dim,
            "head_dim": shape.text_head_dim,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": mrope,
                "mrope_interleaved": True,
            },
            # Tied, since the vocabulary is a large part of so small a model.
            "tie_word_embeddings": True,
            "pad_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "bos_token_id": None,
        },
        vision_config={
            "depth": shape.vision_depth,
            "hidden_size": shape.vision_width,
            "intermediate_size": shape.vision_mlp,
            "num_heads": shape.vision_width // shape.vision_head_dim,
            "patch_size": PATCH_PX,
            "out_hidden_size": shape.text_width,
            # A grid of 16 x 16, which the model interpolates to that of a frame.
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": list(shape.deepstack_layers),
        },
        tie_word_embeddings=True,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = token("<|im_end|>")
    model.generation_config.pad_token_id = token("<|endoftext|>")
    model.generation_config.do_sample = False
    return model


def build_tokenizer(config: NanoConfig) -> PreTrainedTokenizerFast:
    """Byte-level BPE learned from what worlds say; single digits, so numbers are read digit by
    digit."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.architecture.vocabulary,
        special_tokens=list(SPECIAL),
        # Every byte is in the vocabulary, so that no text is unknown.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(config), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=4096,
        # Text comes back as it was written, spaces before full stops too.
        clean_up_tokenization_spaces=False,
    )


def _sentences(config: NanoConfig) -> Iterator[str]:
    # A small world says the same words as a large one and is drawn faster.
    stage = Stage(share=1.0, image_share=0.5, multi_scene_share=0.3)
    small = NanoConfig(seed=config.seed, clip_frames=2, size_px=(32, 16))
    for index in range(1500):
        rng = random.Random(f"tokenizer/{config.seed}/{index}")
        make = make_image_example if index % 2 else make_clip_example
        for question, answer in make(rng, small, stage).dialogue:
            yield question
            yield answer
    # Stamps and the chat's own words come in every prompt: they get tokens of their own.
    for _ in range(50):
        yield f"<1.5 seconds> user\n assistant\n {OUTSIDE_ANSWER}"


def build_processor(config: NanoConfig, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    """Qwen3-VL's own processor with nano's sizes: a clip of frames at `size_px` passes through
    unscaled."""
    width, height = config.size_px
    common = {
        "patch_size": PATCH_PX,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    area = width * height
    image = Qwen2VLImageProcessor(size={"shortest_edge": area, "longest_edge": area}, **common)
    video = Qwen3VLVideoProcessor(
        # Limits of a clip count the pixels of all frames; two is the least, as a token covers two.
        size={"shortest_edge": 2 * area, "longest_edge": config.clip_frames * area},
        cap_pixels_per_frame=False,
        **common,
    )
    return Qwen3VLProcessor(
        image_processor=image,
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=CHAT_TEMPLATE,
    )


def start_folder(name_or_path: str) -> Path:
    """The folder of a model to go on from, or the name of a packaged one. UsageError where it is no
    folder of this machine."""
    source, _ = locate_weights(name_or_path) if name_or_path in PACKAGED else (name_or_path, True)
    folder = Path(source)
    if not (folder / "model.safetensors").is_file():
        raise UsageError(
            f"cannot start from {name_or_path!r}: it is no folder with model.safetensors; give "
            "'nano' or the model folder of another run"
        )
    return folder


def load_weights(model: Qwen3VLForConditionalGeneration, name_or_path: str) -> None:
    """Copy the weights of a model folder into `model` (float32). UsageError where shapes differ."""
    stored = Qwen3VLForConditionalGeneration.from_pretrained(
        start_folder(name_or_path), local_files_only=True, dtype=torch.float32
    )
    try:
        model.load_state_dict(stored.state_dict())
    except RuntimeError as error:
        raise UsageError(
            f"cannot start from {name_or_path!r}: its architecture is not the config's "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error


def save_pretrained(
    model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, folder: Path
) -> None:
    """Write a folder that `AutoProcessor` and `AutoModelForImageTextToText` load offline; weights
    in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    # A copy: training goes on in float32.
    half = Qwen3VLForConditionalGeneration(model.config).bfloat16()
    half.load_state_dict(model.state_dict())
    half.generation_config = model.generation_config
    half.save_pretrained(folder)
    processor.save_pretrained(folder)
