"""Thoughts in what a server answers, told apart or inside the text, and content in parts."""

from __future__ import annotations

from typing import Any

import pytest

from mmreason.models.endpoint_replies import SchemaError, read_reply
from tests.models.servers import user


def answer(finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish_reason}]}


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("message", "text", "thought"),
    [
        ({"content": "B"}, "B", ""),
        ({"content": ""}, "", ""),
        ({"content": "<think>a</think>\nB"}, "B", "a"),
        ({"content": "a</think>B"}, "B", "a"),
        ({"content": "<think>a"}, "", "a"),
        ({"content": "B", "reasoning_content": "a"}, "B", "a"),
        ({"content": "B", "reasoning": "a"}, "B", "a"),
        ({"content": "B", "reasoning_content": None}, "B", ""),
        ({"content": [text_part("a red "), text_part("star")]}, "a red star", ""),
        ({"content": [{"type": "output_text", "text": "B"}]}, "B", ""),
        ({"content": [{"type": "thinking", "thinking": "a"}, text_part("B")]}, "B", "a"),
        (
            {"content": [{"type": "thinking", "thinking": [text_part("a")]}, text_part("B")]},
            "B",
            "a",
        ),
        ({"content": [{"type": "reasoning", "text": "a"}, text_part("B")]}, "B", "a"),
    ],
)
def test_a_thought_is_no_part_of_the_text(message, text, thought):
    reply, _ = read_reply(answer(**message), [], 96)
    assert (reply.text, reply.thought) == (text, thought)
    assert thought in reply.written and text in reply.written
    assert bool(reply.raw_text) == bool(thought)


def test_a_thought_told_apart_is_written_between_tags():
    reply, _ = read_reply(answer(content="<tool>open(1)</tool>", reasoning_content="a"), [], 96)
    assert reply.written == "<think>a</think><tool>open(1)</tool>"


@pytest.mark.parametrize("content", [None, "", [{"type": "thinking", "thinking": "a"}]])
@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_a_thought_and_no_text_is_an_error_that_says_so(content, finish_reason):
    with pytest.raises(SchemaError, match="all tokens went into thought; switch thinking off"):
        read_reply(answer(finish_reason, content=content, reasoning_content="a"), user(), 96)


@pytest.mark.parametrize(
    "content", [None, 4, [], ["B"], [{"type": "text"}], [{"type": "image_url"}], [{"text": "B"}]]
)
def test_content_that_holds_no_text_is_an_error(content):
    with pytest.raises(SchemaError, match="expected a text in choices"):
        read_reply(answer(content=content), user(), 96)
