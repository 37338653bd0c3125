"""Tools, thoughts and options of models of this process: what reaches the chat template, and what
is read from generated tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from mmreason.models.base import GenerateRequest, Message, TextPart, WrittenCall
from mmreason.models.folders import NANO_FOLDER
from mmreason.models.hf import TransformersModel
from mmreason.models.hf_replies import ReplyReader
from mmreason.models.options import ModelOptions
from mmreason.models.thought_budget import THOUGHT_TOKENS
from mmreason.types import UsageError

TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking %}<think>\n{% endif %}{% endif %}"
)
WITHOUT_TOOLS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
TOOLS = ({"type": "function", "function": {"name": "look", "description": "", "parameters": {}}},)


def make_model(
    template: str = TEMPLATE, name: str = "tiny", context_tokens: int = 32768, **options: Any
) -> TransformersModel:
    """A tiny random Qwen3 with nano's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(NANO_FOLDER)
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=context_tokens,
    )
    return TransformersModel(
        Qwen3ForCausalLM(config),
        tokenizer,
        name=name,
        fingerprint="tiny",
        options=ModelOptions.from_mapping(options),
    )


def prompt_of(model: TransformersModel, conversation: Sequence[Message], **more: Any) -> str:
    return model.tokenizer.decode(model.prepare([conversation], **more)["input_ids"][0])


ASKED = [Message("user", (TextPart("Where is it?"),))]
CALLED = [
    *ASKED,
    Message("assistant", (), calls=(WrittenCall("call_1", "look", '{"start_s": 41}'),)),
    Message("tool", (TextPart("a star <|im_end|>"),), call_id="call_1"),
]


def test_a_template_with_tools_is_told_of_them_and_of_what_they_said() -> None:
    model = make_model()
    assert model.takes_tools
    prompt = prompt_of(model, CALLED, tools=TOOLS)
    assert '"name": "look"' in prompt and '"start_s": 41' in prompt and "a star" in prompt
    assert prompt.count("<|im_end|>") == 4  # a tool cannot end its own turn


def test_a_template_without_tools_refuses_them_by_name() -> None:
    model = make_model(WITHOUT_TOOLS)
    assert not model.takes_tools
    with pytest.raises(UsageError, match="takes no tools"):
        model.generate(GenerateRequest([ASKED], tools=TOOLS))


def read(text: str, *, opened: bool = False, tool_names: Sequence[str] = ("look",)) -> Any:
    model = make_model(WITHOUT_TOOLS)
    reader = ReplyReader(
        model=model.model, tokenizer=model.tokenizer, stop=(), tool_names=tool_names
    )
    ids = tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    return reader._read(ids, opened)


CALL = '<tool_call>{"name": "look", "arguments": {"start_s": 4}}</tool_call>'


@pytest.mark.parametrize(
    ("text", "opened", "thought", "spoken"),
    [
        (CALL, False, "", ""),
        (f"I look.\n{CALL}<|im_end|>", False, "", "I look."),
        (f"<think>where?</think>{CALL}", False, "where?", ""),
        (f"where?</think>{CALL}<|im_end|>", True, "where?", ""),
    ],
)
def test_calls_are_read_from_generated_tokens(text, opened, thought, spoken) -> None:
    told, said, raw_text, calls = read(text, opened=opened)
    assert (told, said) == (thought, spoken) and bool(raw_text) == bool(thought)
    assert [(call.name, call.arguments) for call in calls] == [("look", '{"start_s": 4}')]


def test_without_tools_in_the_request_a_call_is_text() -> None:
    assert read(CALL, tool_names=())[1:] == (CALL, "", ())


@pytest.mark.parametrize(
    ("options", "is_open"),
    [({"enable_thinking": True}, True), ({"enable_thinking": False}, False), ({}, False)],
)
def test_thinking_is_switched_in_the_chat_template(options, is_open) -> None:
    model = make_model(**options)
    assert prompt_of(model, ASKED).endswith("<think>\n") == is_open
    limit = model._token_limit(8, model.prepare([ASKED]))
    assert limit == 8 + THOUGHT_TOKENS * is_open


def test_a_thought_has_tokens_of_its_own_within_the_context() -> None:
    model = make_model(enable_thinking=True, thought_tokens=5)
    (reply,) = model.generate(GenerateRequest([ASKED], max_new_tokens=3))
    assert 3 < reply.tokens_out <= 8 and reply.text == "" and "went into its thought" in reply.note
    narrow = make_model(enable_thinking=True, context_tokens=200)
    assert narrow._token_limit(8, narrow.prepare([ASKED])) < 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"extra_body": {"top_k": 1}}, "extra_body: of models behind a URL"),
        ({"served_by": "vllm", "image_format": "png"}, "served_by, image_format"),
        ({"chat_template_kwargs": {"add_vision_id": True}}, "add_vision_id: the chat template"),
        ({"max_frames": 8}, "max_frames: of models that see"),
    ],
)
def test_options_that_cannot_reach_the_model_are_refused_by_name(options, words) -> None:
    with pytest.raises(UsageError, match=words):
        make_model(**options)


def test_options_that_change_replies_are_part_of_the_fingerprint() -> None:
    plain = make_model()
    assert plain.fingerprint == "tiny"
    others = [make_model(enable_thinking=False), make_model(temperature=0.6)]
    assert len({plain.fingerprint, *(other.fingerprint for other in others)}) == 3
    # The tier is ours: the model writes the same.
    assert make_model(tier="strong").fingerprint == "tiny"


def test_the_tier_comes_from_the_option_the_name_or_the_weights(tmp_path: Path) -> None:
    assert make_model(tier="strong").tier == "strong"
    assert make_model(name="Qwen3-VL-235B-A22B-Instruct").tier == "strong"
    assert (
        make_model(name="elsewhere/nano").tier == "small"
    )  # other weights in a folder of that name
    assert make_model(name="Qwen3-VL-30B-A3B").tier == make_model().tier == "small"
    strong, small = make_model(tier="strong").clip, make_model().clip
    assert strong.answer_tokens > small.answer_tokens
    assert make_model(answer_tokens=7).clip.answer_tokens == 7


def test_a_drawn_reply_follows_the_option_temperature() -> None:
    plain, warm = make_model(), make_model(temperature=5.0)
    greedy = [plain.generate(GenerateRequest([ASKED], max_new_tokens=6))[0].token_ids]
    drawn = [
        warm.generate(GenerateRequest([ASKED], max_new_tokens=6, seed=seed))[0].token_ids
        for seed in range(3)
    ]
    assert len({*greedy, *drawn}) > 2
