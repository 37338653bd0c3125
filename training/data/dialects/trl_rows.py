"""Rows of TRL: messages with images, prompt and completion, preference pairs.

{"prompt": "Why?", "completion": "Because."}
{"prompt": [{"role": "user", "content": "Why?"}], "chosen": [...], "rejected": [...]}
{"messages": [...], "images": [...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmreason.training.data.dialects.conversations import PLURAL, SINGULAR, truth_of_target
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import (
    RowContext,
    check_turns,
    has_value,
    make_sample,
    read_list,
    read_text,
)
from mmreason.training.data.dialects.truths import read_truth
from mmreason.training.data.dialects.typed_messages import (
    place_row_media,
    read_message_list,
    read_typed,
)
from mmreason.training.data.sample import Sample, SampleMessage

_ANSWER_FIELDS = ("solution", "ground_truth", "answer")


def read_trl(row: Mapping[str, Any], context: RowContext) -> Sample:
    """A row of any of TRL's kinds. Raises BadRow."""
    if has_value(row, "messages"):
        messages = read_typed(row, "messages", context)
        used = {"messages", *PLURAL, *SINGULAR}
        return make_sample(row, context, messages, truth_of_target(messages), used=used)
    prompt = _read_side(row, "prompt", "user", context) if has_value(row, "prompt") else []
    if has_value(row, "chosen") or has_value(row, "rejected"):
        return _read_pair(row, prompt, context)
    if has_value(row, "completion"):
        messages = [*prompt, *_read_side(row, "completion", "assistant", context)]
        return _finish(row, messages, context, used={"prompt", "completion"})
    # Rows for rewards: the answer stands in a column of its own.
    name = next((name for name in _ANSWER_FIELDS if has_value(row, name)), None)
    answer = "" if name is None else _text_of(row, name)
    check_turns(prompt)
    placed = list(place_row_media(prompt, row, context))
    question = next((m.text.strip() for m in reversed(placed) if m.role == "user"), "")
    if answer:
        placed.append(SampleMessage(role="assistant", parts=(answer,)))
    used = {"prompt", *PLURAL, *SINGULAR} | ({name} if name else set())
    return make_sample(row, context, placed, read_truth(question, answer or None), used=used)


def _text_of(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else read_text(row, name)


def _read_pair(row: Mapping[str, Any], prompt: list[SampleMessage], context: RowContext) -> Sample:
    chosen = _read_side(row, "chosen", "assistant", context)
    rejected = _read_side(row, "rejected", "assistant", context)
    if not prompt:
        # The prompt may stand in both sides: what they have in common, up to the answers.
        common = 0
        while common < min(len(chosen), len(rejected)) - 1 and chosen[common] == rejected[common]:
            common += 1
        prompt, chosen, rejected = chosen[:common], chosen[common:], rejected[common:]
    for name, side in (("chosen", chosen), ("rejected", rejected)):
        if [message.role for message in side] != ["assistant"]:
            raise BadRow(f"{name!r} must end with one answer of the assistant after the prompt")
        check_turns(side)
    if chosen == rejected:
        raise BadRow("'chosen' and 'rejected' are the same answer")
    used = {"prompt", "chosen", "rejected"}
    return _finish(row, [*prompt, *chosen], context, used=used, rejected=rejected)


def _finish(
    row: Mapping[str, Any],
    messages: list[SampleMessage],
    context: RowContext,
    *,
    used: set[str],
    rejected: list[SampleMessage] | None = None,
) -> Sample:
    check_turns(messages)
    placed = place_row_media(messages, row, context)
    used = {*used, *PLURAL, *SINGULAR}
    truth = truth_of_target(placed)
    if has_value(row, "solution"):
        # What rewards read stands above the answer that is learnt.
        truth = read_truth(truth.question, _text_of(row, "solution"))
        used.add("solution")
    return make_sample(row, context, placed, truth, used=used, rejected=rejected or ())


def _read_side(
    row: Mapping[str, Any], name: str, role: str, context: RowContext
) -> list[SampleMessage]:
    """A text of `role`, or messages."""
    value = row.get(name)
    if isinstance(value, str):
        return read_message_list([{"role": role, "content": value}], context)
    if isinstance(value, dict):
        return read_message_list([value], context)
    if not isinstance(value, list):
        raise BadRow(f"{name!r} must be a text or messages, found {describe(value)}")
    return read_message_list(read_list(row, name), context)
