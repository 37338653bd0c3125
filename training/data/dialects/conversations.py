"""Rows whose turns are a list: LLaVA, 2U1, VLM-R1 (`conversations`), ShareGPT, ms-swift and plain
messages.

    {"video": "a.mp4", "conversations": [{"from": "human", "value": "<video>\\nWhy?"}, ...]}
    {"videos": ["a.mp4"], "messages": [{"role": "user", "content": "<video>Why?"}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.training.data.dialects.media_values import read_media
from mmreason.training.data.dialects.placeholders import has_placeholder, place_media, put_first
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import (
    RowContext,
    TurnTags,
    check_turns,
    has_value,
    make_sample,
    read_learnt,
    read_list,
    read_role,
    read_text,
)
from mmreason.training.data.dialects.truths import read_truth
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.rewards import Truth

SINGULAR = {"video": "video", "image": "image", "audio": "audio"}
PLURAL = {"videos": "video", "images": "image", "audios": "audio"}


def read_llava(row: Mapping[str, Any], context: RowContext) -> Sample:
    """LLaVA and Qwen: one or several files under `video` or `image`, a placeholder for each. A row
    may name the folder of its files (`data_path`)."""
    return _read_conversations(row, context, needs_placeholders=True)


def read_two_u1(row: Mapping[str, Any], context: RowContext) -> Sample:
    """2U1's GRPO stage, and VLM-R1: the same without placeholders, the files come first. Where a
    row has placeholders, its files stand there."""
    return _read_conversations(row, context, needs_placeholders=False)


def _read_conversations(
    row: Mapping[str, Any], context: RowContext, *, needs_placeholders: bool
) -> Sample:
    messages = read_turns(read_list(row, "conversations"), TurnTags())
    system = read_text(row, "system", default="")
    if system:
        messages = [SampleMessage(role="system", parts=(system,)), *messages]
        check_turns(messages)
    root = context.root / read_text(row, "data_path", default="")
    media = read_media(row, SINGULAR, root)
    has_places = any(has_placeholder(message.text) for message in messages)
    if needs_placeholders or has_places:
        messages = place_media(messages, media)
    else:
        messages = put_first(messages, media)
    used = {"conversations", "system", "data_path", *SINGULAR}
    return make_sample(row, context, messages, truth_of_target(messages), used=used)


def read_sharegpt(row: Mapping[str, Any], context: RowContext) -> Sample:
    """LLaMA-Factory: `conversations` or `messages` with the files in lists, and a system prompt and
    preference pairs beside them."""
    names = {"messages": "conversations", "system": "system", **{name: name for name in PLURAL}}
    names |= {"chosen": "chosen", "rejected": "rejected"} | dict(context.columns)
    field_name = names["messages"] if has_value(row, names["messages"]) else "messages"
    default_tags = TurnTags() if field_name == "conversations" else TurnTags("role", "content")
    tags = context.tags or default_tags
    messages = read_turns(read_list(row, field_name), tags)
    system = read_text(row, names["system"], default="")
    if system:
        messages = [SampleMessage(role="system", parts=(system,)), *messages]
    chosen, rejected = row.get(names["chosen"]), row.get(names["rejected"])
    if chosen is not None and rejected is not None:
        messages += read_turns([chosen], tags)
    check_turns(messages)
    media = read_media(row, {names[name]: kind for name, kind in PLURAL.items()}, context.root)
    placed = place_media(messages, media)
    used = {field_name, *names.values()}
    return make_sample(
        row,
        context,
        placed,
        truth_of_target(placed),
        used=used,
        rejected=() if rejected is None else read_turns([rejected], tags),
    )


def read_turns(values: Sequence[Any], tags: TurnTags) -> list[SampleMessage]:
    """Turns as messages of one text each. Raises BadRow."""
    messages = []
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise BadRow(f"message {number} must be an object, found {describe(value)}")
        # Programs write either pair of names; a row that has neither is told.
        text = value.get(tags.content_field, value.get("content", value.get("value")))
        if not isinstance(text, str):
            raise BadRow(f"message {number} must have a text, found {describe(text)}")
        role = read_role(value.get(tags.role_field, value.get("role", value.get("from"))), tags)
        messages.append(SampleMessage(role=role, parts=(text,), is_learnt=read_learnt(value)))
    check_turns(messages)
    return messages


def truth_of_target(messages: Sequence[SampleMessage]) -> Truth:
    """What the last answer of the assistant says, about the question before it."""
    last = messages[-1]
    asked = messages[:-1] if last.role == "assistant" else messages
    question = next((m.text.strip() for m in reversed(asked) if m.role == "user"), "")
    return read_truth(question, last.text if last.role == "assistant" else None)
