"""Completions as TRL hands them to rewards, as the turns that the model wrote.

TRL gives a text, or messages from which its parser has taken thoughts and tool calls out. Leaves
out judging them. Token ids are what is trained on; this text is for rewards alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def written_turns(completion: Any) -> list[str]:
    """The model's own turns in order, thoughts and calls in our tags."""
    if isinstance(completion, str):
        return [completion]
    return [_turn(message) for message in completion if message.get("role") == "assistant"]


def has_tool_replies(completion: Any) -> bool:
    """Whether a tool answered, so that not all of the completion's tokens are the model's."""
    return not isinstance(completion, str) and any(one.get("role") == "tool" for one in completion)


def _turn(message: Mapping[str, Any]) -> str:
    parts = []
    if message.get("reasoning_content"):
        parts.append(f"<think>{message['reasoning_content']}</think>")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    parts.append(content or "")
    for call in message.get("tool_calls") or ():
        parts.append(f"<tool>{json.dumps(call.get('function'), ensure_ascii=False)}</tool>")
    return "".join(parts)
