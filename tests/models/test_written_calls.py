"""Tool calls in text: the dialects of models, and what only looks like one."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.models.base import WrittenCall
from mmreason.models.written_calls import MOST_CALLS, read_written_calls, write_calls

NAMES = ("look", "search")
LOOK = '{"name": "look", "arguments": {"start_s": 4, "end_s": 8}}'
ARGUMENTS = {"start_s": 4, "end_s": 8}

DIALECTS = {
    "Hermes, Qwen": f"<tool_call>\n{LOOK}\n</tool_call>",
    "not closed": f"<tool_call>{LOOK}",
    "arguments as text": '<tool_call>{"name": "look", "arguments": "{\\"start_s\\": 4, '
    '\\"end_s\\": 8}"}</tool_call>',
    "parameters": '<tool_call>{"name": "look", "parameters": {"start_s": 4, "end_s": 8}}'
    "</tool_call>",
    "Qwen3-Coder": "<tool_call>\n<function=look>\n<parameter=start_s>\n4\n</parameter>\n"
    "<parameter=end_s>\n8\n</parameter>\n</function>\n</tool_call>",
    "GLM": "<tool_call>look\n<arg_key>start_s</arg_key>\n<arg_value>4</arg_value>\n"
    "<arg_key>end_s</arg_key>\n<arg_value>8</arg_value>\n</tool_call>",
    "Mistral": f"[TOOL_CALLS][{LOOK}]",
    "Mistral, later": '[TOOL_CALLS]look[ARGS]{"start_s": 4, "end_s": 8}',
    "Llama": '<|python_tag|>{"name": "look", "parameters": {"start_s": 4, "end_s": 8}}',
    "a fence": f"```json\n{LOOK}\n```",
    "bare JSON": LOOK,
    "a list": f"[{LOOK}]",
    "OpenAI's own form": f'{{"type": "function", "function": {LOOK}}}',
    "tool as key": '{"tool": "look", "args": {"start_s": 4, "end_s": 8}}',
}


MARKED = [text for text in DIALECTS.values() if not text.startswith(("{", "[{"))]


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS)
def test_each_dialect_is_read(text: str) -> None:
    calls, beside = read_written_calls(text, NAMES)
    assert [call.name for call in calls] == ["look"] and beside == ""
    assert json.loads(calls[0].arguments) == ARGUMENTS


@pytest.mark.parametrize("text", MARKED)
def test_what_stands_before_a_marked_call_is_said_beside_it(text: str) -> None:
    calls, beside = read_written_calls(f"I want to see it.\n{text}", NAMES)
    assert len(calls) == 1 and beside == "I want to see it."


def test_several_calls_of_one_turn_are_read_in_order() -> None:
    search = '{"name": "search", "arguments": {"text": "a red </tool_call> star"}}'
    for text in (
        f"<tool_call>{LOOK}</tool_call>\n<tool_call>{LOOK}</tool_call>",
        f"[TOOL_CALLS][{LOOK}, {LOOK}]",
        f"```json\n{LOOK}\n```\n```json\n{LOOK}\n```",
        f"<|python_tag|>{LOOK}; {LOOK}",
    ):
        calls, beside = read_written_calls(text, NAMES)
        assert [call.id for call in calls] == ["call_1", "call_2"] and beside == ""
    assert read_written_calls(f"{LOOK}\n{search}", NAMES)[0][1].name == "search"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "red",
        '{"answer": "B"}',
        '{"name": "Anna", "arguments": {}}',  # an answer in JSON: no tool has this name
        '```json\n{"animal": "dog"}\n```',
        "<tool_call></tool_call>",
        "<tool_call>I would like to look at it</tool_call>",
        '<tool_call>{"name": 4, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": [1]}</tool_call>',
        "[TOOL_CALLS]",
        "<|python_tag|>import os; os.system('ls')",
        "look(4, 8)",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert read_written_calls(text, NAMES) == ((), text)


def test_unknown_tools_in_marked_calls_are_calls_that_the_agent_can_refuse() -> None:
    calls, _ = read_written_calls('<tool_call>{"name": "fly", "arguments": {}}</tool_call>', NAMES)
    assert calls[0].name == "fly"


def test_a_flood_of_calls_is_bounded_and_quick() -> None:
    began = time.monotonic()
    assert len(read_written_calls(f"<tool_call>{LOOK}</tool_call>" * 1000, NAMES)[0]) == MOST_CALLS
    floods = (
        "<tool_call>" * 18_000,
        "```json\n" * 20_000,
        "[TOOL_CALLS]" * 16_000,
        "<tool_call><function=a>" + "<parameter=b>" * 1500,
        "<tool_call>a" + "<arg_key>b</arg_key><arg_value>" * 600,
        "{" * 190_000,
    )
    assert [len(read_written_calls(text, NAMES)[0]) for text in floods] == [0, 0, 0, 1, 1, 0]
    assert time.monotonic() - began < 5


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read_written_calls(text, NAMES)
    read_written_calls(f"<tool_call>{text}</tool_call>", NAMES)


@given(
    st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=20)), max_size=4)
)
def test_what_is_written_for_the_history_is_read_again(arguments: dict[str, object]) -> None:
    text = json.dumps(arguments)
    if "</tool_call>" not in text and "<tool_call>" not in text:
        calls, _ = read_written_calls(write_calls([WrittenCall("1", "look", text)]), NAMES)
        assert json.loads(calls[0].arguments) == json.loads(text)
