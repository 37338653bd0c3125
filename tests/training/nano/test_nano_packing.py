"""The packed training batch says exactly what the processor and the stock model would say."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from transformers.video_utils import VideoMetadata

from mmreason.training.nano.architecture import build_model, build_processor, build_tokenizer
from mmreason.training.nano.config import Architecture, NanoConfig, Stage
from mmreason.training.nano.examples import make_clip_example, make_image_example
from mmreason.training.nano.learner import forward_packed
from mmreason.training.nano.packing import IGNORED, pack_examples
from mmreason.video.encoders.attention import pack_vision_towers

SMALL = Architecture(
    vision_width=64, vision_depth=2, vision_mlp=96, text_width=64, text_depth=2, text_mlp=96
)
STAGE = Stage(share=1.0, image_share=0.5, multi_scene_share=0.5)


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    config = NanoConfig(architecture=SMALL, questions=3)
    tokenizer = build_tokenizer(config)
    model = build_model(SMALL, tokenizer).eval()
    return config, model, build_processor(config, tokenizer)


def _processed(example, processor, question, answer):
    """The same exchange through the public processor."""
    kind = "image" if example.is_image else "video"
    content = [{"type": kind}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    text += answer + "<|im_end|>"
    if example.is_image:
        return processor(text=[text], images=[example.frames[0]], return_tensors="pt")
    stamps = [round(t * 1000) for t in example.times_s]
    metadata = VideoMetadata(total_num_frames=stamps[-1] + 1, fps=1000.0, frames_indices=stamps)
    return processor(
        text=[text],
        videos=[example.frames],
        video_metadata=[metadata],
        do_sample_frames=False,
        return_tensors="pt",
    )


@pytest.mark.parametrize("make", [make_clip_example, make_image_example])
@torch.no_grad()
def test_packed_answers_equal_answers_asked_alone(parts, make):
    config, model, processor = parts
    examples = [make(random.Random(seed), config, STAGE) for seed in (3, 4)]
    batch = pack_examples(examples, processor.tokenizer)
    hidden, _ = forward_packed(model, batch)
    for row, example in enumerate(examples):
        wanted = batch.targets[row] != IGNORED
        packed_logits = model.lm_head(hidden[row][wanted])
        at = 0
        for question, answer in example.dialogue:
            inputs = _processed(example, processor, question, answer)
            logits = model(**inputs).logits[0]
            said = processor.tokenizer(answer + "<|im_end|>").input_ids
            n = len(said)
            assert batch.targets[row][wanted][at : at + n].tolist() == said
            torch.testing.assert_close(
                packed_logits[at : at + n], logits[-n - 1 : -1], atol=2e-4, rtol=2e-4
            )
            at += n
        assert at == int(wanted.sum())


def test_patches_equal_the_processors(parts):
    config, _, processor = parts
    example = make_clip_example(random.Random(5), config, STAGE)
    batch = pack_examples([example], processor.tokenizer)
    inputs = _processed(example, processor, *example.dialogue[0])
    assert batch.grid_thw.tolist() == inputs["video_grid_thw"].tolist()
    np.testing.assert_allclose(batch.patches, inputs["pixel_values_videos"], atol=1e-5)


@torch.no_grad()
def test_batched_segments_equal_the_stock_loop(parts):
    _config, model, _processor = parts
    patches = torch.randn(3 * 180, 384)
    grid = torch.tensor([[2, 10, 18], [1, 10, 18]])
    stock = model.model.visual(patches, grid_thw=grid).pooler_output
    ragged_grid = torch.tensor([[2, 10, 18], [1, 12, 10]])
    ragged = model.model.visual(patches[: 2 * 180 + 120], grid_thw=ragged_grid).pooler_output
    pack_vision_towers(model.model.visual)
    fast = model.model.visual(patches, grid_thw=grid).pooler_output
    same = model.model.visual(patches[: 2 * 180 + 120], grid_thw=ragged_grid).pooler_output
    torch.testing.assert_close(fast, stock, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, ragged)
