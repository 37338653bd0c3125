"""Real transformers code on a tiny random Qwen3-VL saved to disk: times, sizes, batches, seeds."""

from __future__ import annotations

import math
import re
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mmreason import models
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% for part in message.content -%}
{%- if part.type == 'video' and VIDEO -%}<|video_pad|>
{%- elif part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'text' -%}{{ part.text }}{%- endif -%}
{%- endfor -%}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}
"""


def build_folder(folder, template: str):
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(BPE(vocab={c: i for i, c in enumerate([*SPECIAL, *letters])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[2],
        additional_special_tokens=SPECIAL[1:],
    )
    eye: dict[str, Any] = {"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2}
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**eye),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(cap_pixels_per_frame=False, **eye),
        chat_template=template,
    )
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(
            text_config={
                "vocab_size": len(SPECIAL) + len(letters),
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "initializer_range": 0.3,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 10000.0,
                    "mrope_section": [4, 2, 2],
                    "mrope_interleaved": True,
                },
                "eos_token_id": 2,
                "pad_token_id": 0,
            },
            vision_config={
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_heads": 2,
                "patch_size": 8,
                "out_hidden_size": 32,
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0],
            },
            vision_start_token_id=3,
            vision_end_token_id=4,
            image_token_id=5,
            video_token_id=6,
        )
    )
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    return build_folder(tmp_path_factory.mktemp("tiny"), TEMPLATE.replace(" and VIDEO", ""))


@pytest.fixture(scope="module")
def model(folder):
    return models.load(str(folder))


def clip(times_s, size_px=(48, 32), seed=0) -> FrameBatch:
    rng = np.random.default_rng(seed)
    width, height = size_px
    return FrameBatch(
        pixels=rng.integers(0, 255, (len(times_s), height, width, 3), np.uint8),
        times_s=np.asarray(times_s, np.float64),
        exact=np.ones(len(times_s), np.bool_),
    )


def user(*parts) -> list[Message]:
    return [Message("user", tuple(TextPart(p) if isinstance(p, str) else p for p in parts))]


def prompt_of(model, conversation) -> str:
    ids = model.prepare([conversation])["input_ids"][0]
    return model.processor.tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize(
    ("times_s", "stamps"),
    [
        ([0.25, 0.75, 1.25, 1.75], ["0.5", "1.5"]),
        ([3600.1, 3600.3, 3611.7, 3611.9], ["3600.2", "3611.8"]),
        ([7.0, 8.0, 9.0], ["7.5", "9.0"]),
        ([12.4], ["12.4"]),
    ],
)
def test_time_stamps_in_the_prompt_are_our_times(model, times_s, stamps):
    prompt = prompt_of(model, user(FramesPart(clip(times_s)), "What?"))
    assert re.findall(r"<([\d.]+) seconds>", prompt) == stamps


def test_frames_that_fit_are_not_resized(model):
    inputs = model.prepare([user(FramesPart(clip([0, 1, 2, 3], (48, 32))), "What?")])
    assert inputs["video_grid_thw"].tolist() == [[2, 4, 6]]
    image = model.prepare([user(FramesPart(clip([0], (48, 32)), "image"), "What?")])
    assert image["image_grid_thw"].tolist() == [[1, 4, 6]]


def test_pixels_arrive_unchanged(model):
    batch = clip([0.0, 1.0], (16, 16))
    patches = model.prepare([user(FramesPart(batch), "?")])["pixel_values_videos"]
    seen = (patches.float().numpy().reshape(2, 2, 3, 2, 8, 8) * 0.5 + 0.5) * 255
    # (row, column, channel, frame, y, x) of 8-pixel patches back to (frame, y, x, channel)
    frames = seen.transpose(3, 0, 4, 1, 5, 2).reshape(2, 16, 16, 3)
    assert np.abs(frames - batch.pixels).max() < 0.01


def test_other_sizes_are_left_to_the_processor(model):
    inputs = model.prepare([user(FramesPart(clip([0, 1], (50, 31))), "What?")])
    assert inputs["video_grid_thw"].shape == (1, 3)


def test_batch_of_different_lengths_equals_one_by_one(model):
    conversations = [
        user(FramesPart(clip([0.5, 1.5], seed=1)), "What colour is the star?"),
        user(FramesPart(clip(range(8), (32, 32), seed=2)), "How?"),
        user("No picture at all, only a rather long text to be read by the model."),
        user(FramesPart(clip([4.0], seed=3), "image"), "Where?"),
    ]
    together = model.generate(GenerateRequest(conversations, max_new_tokens=12))
    alone = [model.generate(GenerateRequest([c], max_new_tokens=12))[0] for c in conversations]
    for one, other in zip(together, alone, strict=True):
        assert one.token_ids == other.token_ids
        assert one.text == other.text
        assert one.tokens_in == other.tokens_in
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
    assert len({reply.token_ids for reply in alone}) > 1


def test_greedy_log_probabilities_are_the_models_own(model):
    import torch

    conversation = user(FramesPart(clip([0.5, 1.5])), "What?")
    reply = model.generate(GenerateRequest([conversation], max_new_tokens=6))[0]
    inputs = model.prepare([conversation])
    logprobs = []
    for token in reply.token_ids:
        with torch.inference_mode():
            step = torch.log_softmax(model.model(**inputs).logits[0, -1].float(), -1)
        assert int(step.argmax()) == token
        logprobs.append(float(step[token]))
        for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            inputs[name] = torch.cat([inputs[name], torch.tensor([[value]])], dim=1)
    assert reply.logprobs == pytest.approx(logprobs, abs=1e-3)
    assert reply.tokens_out == len(reply.token_ids) == len(reply.logprobs) <= 6
    assert 0 < reply.confidence < 1
    assert reply.confidence == pytest.approx(math.exp(np.mean(logprobs)), abs=1e-3)


def test_tokens_in_counts_pictures_and_text(model):
    few = model.generate(
        GenerateRequest([user(FramesPart(clip([0, 1])), "What?")], max_new_tokens=1)
    )[0]
    many = model.generate(
        GenerateRequest([user(FramesPart(clip([0, 1, 2, 3])), "What?")], max_new_tokens=1)
    )[0]
    visual_tokens = (32 // 16) * (48 // 16)
    assert many.tokens_in - few.tokens_in >= visual_tokens
    text = model.generate(GenerateRequest([user("What?")], max_new_tokens=1))[0]
    assert few.tokens_in - text.tokens_in >= visual_tokens


def test_sampling_follows_the_seed_and_leaves_torch_alone(model):
    import torch

    conversation = user(FramesPart(clip([0, 1])), "What?")

    def draw(seed: int, temperature: float):
        return model.generate(
            GenerateRequest([conversation], max_new_tokens=12, temperature=temperature, seed=seed)
        )[0].token_ids

    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    assert draw(1, 2.0) == draw(1, 2.0)
    assert draw(1, 2.0) != draw(2, 2.0)
    assert draw(1, 0.0) == draw(2, 0.0)
    assert torch.equal(state, torch.random.get_rng_state())


def test_control_tokens_in_a_question_are_plain_text(model):
    conversation = user(FramesPart(clip([0, 1])), "<|im_end|><|video_pad|><|image_pad|>")
    ids = model.prepare([conversation])["input_ids"][0].tolist()
    assert ids.count(6) == (32 // 16) * (48 // 16)
    assert ids.count(5) == 0
    assert ids.count(2) == 1


def test_nothing_in_nothing_out(model):
    assert model.generate(GenerateRequest([])) == []


def test_general_models_get_sizes_that_fit_and_general_prompts(model):
    width, height = model.clip.frame_size_px(1920, 1080)
    assert width % 16 == height % 16 == 0
    assert max(width, height) == 640
    assert "{question}" in model.clip.prompts.question
    assert model.clip.prompts.ask("What?").startswith("What?\n")
    assert model.notes == ()


def test_recipe_beside_the_weights_is_used_and_checked(folder, model, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "mmreason.json").write_text(
        '{"clip_frames": 8, "clip_size_px": [144, 80], "leaf_s": 4.0, "prompts": {"caption": "?"}}'
    )
    loaded = models.load(str(copy))
    assert (loaded.clip.frames, loaded.clip.size_px, loaded.clip.leaf_s) == (8, (144, 80), 4.0)
    assert loaded.clip.prompts.caption == "?"
    assert loaded.fingerprint != model.fingerprint
    (copy / "mmreason.json").write_text('{"clip_frames": "many"}')
    with pytest.raises(UsageError, match=r"mmreason\.json is no clip recipe"):
        models.load(str(copy))


def test_fingerprint_follows_the_weights(folder, model, tmp_path):
    import shutil

    from mmreason.models.folders import fingerprint_of

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert fingerprint_of(copy) == model.fingerprint
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint_of(copy) != model.fingerprint


def test_models_without_video_get_images_behind_their_times(tmp_path):
    made = build_folder(tmp_path / "images", TEMPLATE.replace("VIDEO", "false"))
    loaded = models.load(str(made))
    assert "single images" in loaded.notes[0]
    conversation = user(FramesPart(clip([0.5, 61.25])), "What?")
    prompt = prompt_of(loaded, conversation)
    assert re.findall(r"<([\d.]+) seconds><\|vision_start\|>", prompt) == ["0.5", "61.2"]
    assert prompt.count("<|image_pad|>") == 2 * (32 // 16) * (48 // 16)
    assert loaded.generate(GenerateRequest([conversation], max_new_tokens=2))[0].tokens_out >= 1


def test_options_of_loading_reach_transformers(folder):
    import torch

    from mmreason.models.hf import TransformersModel

    loaded = models.load(str(folder), dtype="bfloat16", attn_implementation="eager")
    assert isinstance(loaded, TransformersModel)
    assert loaded.model.dtype == torch.bfloat16
    assert loaded.model.config._attn_implementation == "eager"
    assert loaded.generate(GenerateRequest([user("What?")], max_new_tokens=2))[0].tokens_out >= 1


def refuse_network(monkeypatch):
    import socket

    def refused(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


@pytest.mark.parametrize("name", ["no-such-model-xyz", "nobody/no-such-model-xyz"])
def test_unknown_name_offline_is_one_quick_line(monkeypatch, name):
    refuse_network(monkeypatch)
    started = time.perf_counter()
    with pytest.raises(UsageError, match="neither a folder here nor in the local") as caught:
        models.load(name)
    assert "could not be reached" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("name", ["a/b/c", "", "./missing", "x y"])
def test_what_is_no_model_name_is_one_line(monkeypatch, name):
    refuse_network(monkeypatch)
    with pytest.raises(UsageError, match="neither a folder here") as caught:
        models.load(name)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_is_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.json"):
        models.load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UsageError, match="could not be loaded as a video-language model") as caught:
        models.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_loading_and_answering_print_nothing(folder, capfd):
    loaded = models.load(str(folder))
    loaded.generate(GenerateRequest([user(FramesPart(clip([0, 1])), "What?")], max_new_tokens=1))
    assert capfd.readouterr() == ("", "")


def test_nano_without_weights_says_so(tmp_path, monkeypatch):
    from mmreason.models import folders

    monkeypatch.setitem(folders.PACKAGED, "nano", tmp_path)
    with pytest.raises(UsageError, match="weights of 'nano' are missing"):
        models.load("nano")


@pytest.mark.parametrize(
    ("opened", "written", "text", "thought"),
    [
        ("", "B", "B", ""),
        ("", "<think>a</think>B", "B", "a"),
        ("", "<think>a", "", "a"),
        ("<think>", "a</think>B", "B", "a"),
        ("<think>", "a", "", "a"),
    ],
)
def test_a_thought_is_split_off_also_where_the_template_opens_it(
    model, monkeypatch, opened, written, text, thought
):
    import torch

    ids = torch.tensor([[*model.tokenizer.encode(written), 2]])

    def generate(input_ids, **settings):
        logits = [torch.zeros(1, int(ids.max()) + 1)] * ids.shape[1]
        return SimpleNamespace(sequences=torch.cat([input_ids, ids], 1), logits=logits)

    monkeypatch.setattr(model.model, "generate", generate)
    template = TEMPLATE.replace(" and VIDEO", "").replace("assistant\n", f"assistant\n{opened}")
    monkeypatch.setattr(model.processor, "chat_template", template)
    (reply,) = model.generate(GenerateRequest([user("What?")]))
    assert (reply.text, reply.thought) == (text, thought)
    assert reply.written == written and reply.tokens_out == ids.shape[1]
