"""A language model without eyes can be the reasoner: found by its config, told plain strings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from mmreason import models
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.folders import NANO_FOLDER
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate

PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_model(folder: Path, template: str | None) -> str:
    """A tiny random Qwen3 with nano's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(NANO_FOLDER)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=template is None)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return str(folder)


def said(text: str) -> list[Message]:
    return [Message("user", (TextPart(text),))]


def test_a_text_model_is_found_and_answers_in_batches_as_alone(tmp_path):
    model = models.load(save_model(tmp_path, PLAIN))
    assert any("reads text only" in note for note in model.notes)
    together = model.generate(
        GenerateRequest([said("hi"), said("a much longer thing to say")], max_new_tokens=5)
    )
    alone = model.generate(GenerateRequest([said("hi")], max_new_tokens=5))[0]
    assert together[0].token_ids == alone.token_ids
    assert together[0].logprobs == pytest.approx(alone.logprobs, abs=1e-4)
    assert together[0].tokens_in == alone.tokens_in < together[1].tokens_in
    assert alone.tokens_visual == 0


def test_frames_are_refused_with_what_to_do(tmp_path):
    model = models.load(save_model(tmp_path, PLAIN))
    frames = FrameBatch(
        pixels=np.zeros((1, 32, 32, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, bool)
    )
    with pytest.raises(UsageError, match="give a video model as observer"):
        model.generate(GenerateRequest([[Message("user", (FramesPart(frames), TextPart("?")))]]))


def test_a_template_that_loses_what_is_said_is_refused_at_loading(tmp_path):
    losing = PLAIN.replace("{{ m.content }}", "{{ '' if m.content is string else m.content }}")
    with pytest.raises(UsageError, match="loses what the user says"):
        models.load(save_model(tmp_path, losing))


def test_nano_counts_its_visual_tokens():
    world = generate.demo(7)
    pixels = np.stack([world.frame(t, (144, 80)) for t in np.arange(8) / 4])
    frames = FrameBatch(pixels=pixels, times_s=np.arange(8.0), exact=np.ones(8, bool))
    question = TextPart("How many objects are there?")
    conversation = [Message("user", (FramesPart(frames), question))]
    reply = models.load("nano").generate(GenerateRequest([conversation], max_new_tokens=2))[0]
    assert reply.tokens_visual == 4 * (80 // 16) * (144 // 16)
    assert reply.tokens_visual < reply.tokens_in


def test_runs_learn_on_a_model_without_eyes_though_it_has_no_cache_of_features(
    tmp_path: Path,
) -> None:
    from mmreason.models.options import ModelOptions
    from mmreason.training.learner.policy_model import PolicyModel

    folder = save_model(tmp_path, PLAIN)
    GenerationConfig(eos_token_id=0).save_pretrained(folder)
    # Runs load every model with a cache of no size; a size is refused, as nothing would use it.
    assert PolicyModel.load(folder).name == folder
    with pytest.raises(UsageError, match="vision_cache_mb"):
        models.load(folder, options=ModelOptions(vision_cache_mb=64))
