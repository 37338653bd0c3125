"""Language models that read text only, for the reasoner's role: what differs from `hf.py`.

LongVideo-R1's published weights are such a model. Generation is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from mmreason.models.base import Conversation, FramesPart, TextPart
from mmreason.models.chat_templates import check_operations, within_limits
from mmreason.models.control_tokens import as_plain_text
from mmreason.models.hf_tools import as_template_call
from mmreason.types import UsageError

_PROBE = "Does this sentence arrive?"


def reads_text_only(source: str, *, local_files_only: bool) -> bool:
    """Whether the weights are of a language model without eyes, by their `config.json`."""
    read = AutoConfig.from_pretrained(
        source, local_files_only=local_files_only, trust_remote_code=False
    )
    config = type(read)
    # Families with eyes may have a class for text alone as well.
    has_eyes = config in AutoModelForImageTextToText._model_mapping
    return not has_eyes and config in AutoModelForCausalLM._model_mapping


def check_template(tokenizer: Any, name: str) -> None:
    """UsageError where the chat template is missing or loses what it is given.

    Some templates turn content that is no plain string into nothing, without a word.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise UsageError(f"model {name!r} has no chat template; a reasoner has to hold a dialogue")
    check_operations(tokenizer.chat_template, name)
    with within_limits(name):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PROBE}], tokenize=False, add_generation_prompt=True
        )
    if _PROBE not in text:
        raise UsageError(f"the chat template of model {name!r} loses what the user says; mend it")


def prepare_text(
    tokenizer: Any,
    conversations: Sequence[Conversation],
    name: str,
    control_ids: Mapping[str, int],
    *,
    ask: bool = True,
    tools: Sequence[Mapping[str, Any]] = (),
    variables: Mapping[str, Any],
) -> Any:
    """The tokenizer's tensors for a batch, left-padded. Content goes as plain strings, in which the
    words of `control_ids` are letters.

    UsageError for frames, which such a model cannot see.
    """
    turns = [_turns(tokenizer, control_ids, conversation, name) for conversation in conversations]
    with within_limits(name):
        return tokenizer.apply_chat_template(
            turns,
            tokenize=True,
            add_generation_prompt=ask,
            return_dict=True,
            return_tensors="pt",
            padding=True,
            tokenizer_kwargs={"padding_side": "left"},
            tools=[dict(tool) for tool in tools] or None,
            **variables,
        )


def _turns(
    tokenizer: Any, control_ids: Mapping[str, int], conversation: Conversation, name: str
) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in conversation:
        if any(isinstance(item, FramesPart) for item in message.parts):
            raise UsageError(
                f"model {name!r} reads text only and was shown frames; give a video model as "
                "observer"
            )
        text = "".join(item.text for item in message.parts if isinstance(item, TextPart))
        content = as_plain_text(tokenizer, control_ids, text)
        turn: dict[str, Any] = {"role": message.role, "content": content}
        if message.calls:
            harmless = partial(as_plain_text, tokenizer, control_ids)
            turn["tool_calls"] = [as_template_call(call, harmless) for call in message.calls]
        if message.call_id:
            turn["tool_call_id"] = message.call_id
        turns.append(turn)
    return turns
