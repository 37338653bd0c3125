"""Tools in chat templates: whether a template writes them, and calls as it takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import TemplateError

from mmreason.models.base import WrittenCall
from mmreason.models.hf_traits import FAILURES
from mmreason.video.json_input import JsonInputError, parse_json

_TOOL = {
    "type": "function",
    "function": {
        "name": "find_probe",
        "description": "Finds a probe.",
        "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    },
}

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]
"""(turns whose content is text, tools) -> the prompt."""


def writes_tools(render: Render) -> bool:
    """Whether a chat template tells the model of tools, and of what it called and was answered: a
    template that drops one of them, or fails, takes none."""
    asked = {"role": "user", "content": "?"}
    call = WrittenCall("callprobe", "find_probe", '{"where": "argument_probe"}')
    called = {"role": "assistant", "content": "", "tool_calls": [as_template_call(call)]}
    answered = {"role": "tool", "content": "answer_probe", "tool_call_id": "callprobe"}
    try:
        prompt, history = render([asked], [_TOOL]), render([asked, called, answered], [_TOOL])
    except (*FAILURES, TemplateError):
        return False
    in_history = ("find_probe", "argument_probe", "answer_probe")
    return "find_probe" in prompt and all(word in history for word in in_history)


def as_template_call(call: WrittenCall, harmless: Callable[[str], str] = str) -> dict[str, Any]:
    """A call as chat templates take it: its arguments are an object where the model wrote one.
    `harmless` breaks words that the tokenizer would obey."""
    arguments: Any = harmless(call.arguments)
    try:
        value = parse_json(arguments)
    except JsonInputError:
        value = None
    return {
        "id": call.id,
        "type": "function",
        "function": {
            "name": harmless(call.name),
            "arguments": value if isinstance(value, dict) else arguments,
        },
    }
