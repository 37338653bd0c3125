"""Tool calls in a model's text, for models and servers that tell them in no field of their own.

Knows the dialects of Qwen and Hermes (JSON or XML in `<tool_call>`), GLM, Mistral, Llama, and JSON
by itself or in a fence. Text is never evaluated: what cannot be read is no call, and stays text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mmreason.models.base import WrittenCall
from mmreason.video.json_input import JsonInputError, parse_json

MOST_CALLS = 32
"""Of one reply; later ones are left in the text."""
MOST_CALL_CHARACTERS = 20_000
"""Of one call: a longer one is no call."""
MOST_CHARACTERS = 200_000
"""Of a reply that is looked through."""

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCED = re.compile(r"```(?:json|tool_call|tool_code)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_CALL = re.compile(r"\s*([\w.-]{1,64})(?:\[CALL_ID\][\w-]{1,64})?\[ARGS\]")
_LLAMA = "<|python_tag|>"
_XML_NAME = re.compile(r"\s*<function=([\w.-]{1,64})>(.*)", re.DOTALL)
_XML_ARGUMENT = re.compile(r"<parameter=([\w.-]{1,64})>\n?(.*?)\n?</parameter>", re.DOTALL)
_GLM_NAME = re.compile(r"\s*([\w.-]{1,64})\s*((?:<arg_key>.*)?)\Z", re.DOTALL)
_GLM_ARGUMENT = re.compile(
    r"<arg_key>\s*([\w.-]{1,64})\s*</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL
)

_NAME_KEYS = ("name", "tool", "tool_name", "function")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input")

_Found = tuple[int, int, list[tuple[str, str]]]
"""(start, end, calls as (name, arguments)) of a stretch of text that is nothing but calls."""


def read_written_calls(
    text: str, tool_names: Collection[str]
) -> tuple[tuple[WrittenCall, ...], str]:
    """(the calls in a reply, what it says beside them). Text by itself, without a mark of a call,
    counts only where it calls one of `tool_names`.

    Example:
        >>> read_written_calls('Yes. <tool_call>{"name": "look", "arguments": {}}</tool_call>', ())
        ((WrittenCall(id='call_1', name='look', arguments='{}'),), 'Yes.')
    """
    if len(text) > MOST_CHARACTERS:
        return (), text
    found = [*_tagged(text), *_mistral(text), *_llama(text)]
    # Beside a marked call, JSON without a mark is an example or part of the answer.
    found = found or list(_unmarked(text, tool_names))
    calls: list[WrittenCall] = []
    beside, end_of_last = [], 0
    for start, end, pairs in sorted(found, key=lambda stretch: stretch[0]):
        # Two forms may match one stretch, which then counts once.
        if start < end_of_last or len(calls) + len(pairs) > MOST_CALLS:
            continue
        calls += [
            WrittenCall(f"call_{number}", name, arguments)
            for number, (name, arguments) in enumerate(pairs, start=len(calls) + 1)
        ]
        beside.append(text[end_of_last:start])
        end_of_last = end
    return tuple(calls), "".join([*beside, text[end_of_last:]]).strip()


def describe_tools(tools: Sequence[Mapping[str, Any]]) -> str:
    """What a model is told of tools in words, where its server takes none in a field."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        "You may call these tools, one or several at a time:\n"
        f"{functions}\n"
        "To call one write nothing but, for each call, a line such as\n"
        '<tool_call>{"name": "...", "arguments": {...}}</tool_call>'
    )


def write_calls(calls: Sequence[WrittenCall]) -> str:
    """The calls as such a model writes them, for the history of its conversation.

    Example:
        >>> write_calls([WrittenCall("1", "look", '{"start_s": 4}')])
        '<tool_call>{"name": "look", "arguments": {"start_s": 4}}</tool_call>'
    """
    return "\n".join(
        f'<tool_call>{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}'
        "</tool_call>"
        for call in calls
    )


def arguments_as_text(arguments: object) -> str:
    """JSON text of the arguments of a call, whether they came as text or as an object.

    Example:
        >>> arguments_as_text({"start_s": 4}), arguments_as_text(None)
        ('{"start_s": 4}', '{}')
    """
    if arguments is None or arguments == "":
        return "{}"
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _tagged(text: str) -> Iterator[_Found]:
    for match in _TAGGED.finditer(text):
        # Families fill one tag in their own ways: JSON (Qwen), XML (Qwen3-Coder), keys (GLM).
        pairs = _calls_in_json(match[1]) or _call_in_xml(match[1]) or _call_of_glm(match[1])
        if pairs:
            yield match.start(), match.end(), pairs


def _mistral(text: str) -> Iterator[_Found]:
    start = text.find(_MISTRAL)
    while start >= 0:
        start_of_next = text.find(_MISTRAL, start + len(_MISTRAL))
        end = len(text) if start_of_next < 0 else start_of_next
        body = text[start + len(_MISTRAL) : end]
        named = _MISTRAL_CALL.match(body)
        if named is None:
            pairs = _calls_in_json(body)
        else:
            arguments = body[named.end() :].strip()
            pairs = [(named[1], arguments)] if _object_in(arguments) is not None else []
        if pairs:
            yield start, end, pairs
        start = start_of_next


def _llama(text: str) -> Iterator[_Found]:
    start = text.find(_LLAMA)
    if start >= 0:
        # Several calls are parted by semicolons; their order is that of the text.
        bodies = text[start + len(_LLAMA) :].split("; {")
        bodies = [bodies[0], *("{" + body for body in bodies[1:])]
        pairs = [pair for body in bodies for pair in _calls_in_json(body)]
        if pairs:
            # Llama writes nothing but calls behind its mark.
            yield start, len(text), pairs


def _unmarked(text: str, tool_names: Collection[str]) -> Iterator[_Found]:
    """JSON in fences, or the whole text: an answer may be JSON too, so that the name decides."""
    fences = [(match.start(), match.end(), match[1]) for match in _FENCED.finditer(text)]
    for start, end, body in fences or [(0, len(text), text)]:
        pairs = _calls_in_json(body)
        if pairs and all(name in tool_names for name, _ in pairs):
            yield start, end, pairs


def _calls_in_json(body: str) -> list[tuple[str, str]]:
    """Calls in an object, in a list of them, or in one object a line. Empty where there is one that
    is none."""
    body = body.strip()
    if not body.startswith(("{", "[")) or len(body) > MOST_CALL_CHARACTERS * MOST_CALLS:
        return []
    value = _json_in(body)
    if value is None and "\n" in body:
        value = [_json_in(line) for line in body.splitlines() if line.strip()]
    values = value if isinstance(value, list) else [value]
    pairs = [_call_of_object(item) for item in values]
    # Where one is no call, the JSON is of another kind.
    return [pair for pair in pairs if pair is not None] if all(pairs) else []


def _call_of_object(value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    # As OpenAI's `tool_calls` are written.
    inner = value.get("function")
    entry: dict[str, Any] = inner if isinstance(inner, dict) else value
    name = next((entry[key] for key in _NAME_KEYS if isinstance(entry.get(key), str)), None)
    arguments = next((entry[key] for key in _ARGUMENT_KEYS if key in entry), None)
    if not name or not isinstance(arguments, str | dict | None):
        return None
    text = arguments_as_text(arguments)
    return (name, text) if len(text) <= MOST_CALL_CHARACTERS else None


def _call_in_xml(body: str) -> list[tuple[str, str]]:
    match = _XML_NAME.match(body)
    if match is None or len(body) > MOST_CALL_CHARACTERS:
        return []
    return [(match[1], _arguments_of_texts(_XML_ARGUMENT.findall(match[2])))]


def _call_of_glm(body: str) -> list[tuple[str, str]]:
    if len(body) > MOST_CALL_CHARACTERS:
        return []
    match = _GLM_NAME.match(body)
    if match is None:
        return []
    return [(match[1], _arguments_of_texts(_GLM_ARGUMENT.findall(match[2])))]


def _arguments_of_texts(texts: Sequence[tuple[str, str]]) -> str:
    """Values that are JSON are taken as such: numbers and lists have no quotes here."""
    values = {name: _json_in(text.strip()) for name, text in texts}
    return json.dumps(
        {name: text if values[name] is None else values[name] for name, text in texts},
        ensure_ascii=False,
    )


def _object_in(text: str) -> dict[str, Any] | None:
    value = _json_in(text)
    return value if isinstance(value, dict) else None


def _json_in(text: str) -> Any:
    """The JSON value that the text is; None where it is none."""
    try:
        return parse_json(text)
    except JsonInputError:
        return None
