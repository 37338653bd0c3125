"""Thoughts in what a server answers, told apart or inside the text, and content in parts."""

from __future__ import annotations

from typing import Any

import pytest

from mmreason.models.base import GenerateRequest
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_replies import SchemaError, read_reply
from mmreason.models.thought_budget import THOUGHT_TOKENS, is_thought_only
from tests.models.servers import Back, Server, fine, in_turn, serving, user


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
def test_a_thought_and_no_text_is_a_reply_that_says_nothing(content, finish_reason):
    reply, _ = read_reply(answer(finish_reason, content=content, reasoning_content="a"), user(), 96)
    assert (reply.text, reply.thought) == ("", "a")
    assert "went into its thought" in reply.note and is_thought_only(reply)


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_reply_that_was_cut_is_a_hidden_thought(content):
    """As hosted models answer, which do not show what they think."""
    reply, _ = read_reply(answer("length", content=content), user(), 96)
    assert reply.text == "" and is_thought_only(reply)
    assert not is_thought_only(read_reply(answer("stop", content=""), user(), 96)[0])


@pytest.mark.parametrize(
    "content", [None, 4, [], ["B"], [{"type": "text"}], [{"type": "image_url"}], [{"text": "B"}]]
)
def test_content_that_holds_no_text_is_an_error(content):
    with pytest.raises(SchemaError, match="expected a text in choices"):
        read_reply(answer(content=content), user(), 96)


CUT = Back({"choices": [{"message": {"content": None}, "finish_reason": "length"}]})


def limits_sent(server: Server) -> list[int]:
    return [chat.body["max_tokens"] for chat in server.chats]


def test_a_model_that_turns_out_to_think_is_asked_again_with_room_for_it() -> None:
    with serving(in_turn(CUT, fine()), "one") as server:
        model = EndpointModel.connect(server.url)
        replies = [model.generate(GenerateRequest([user()]))[0] for _ in range(2)]
        model.close()
    assert [reply.text for reply in replies] == ["a red star"] * 2
    assert limits_sent(server) == [96, 96 + THOUGHT_TOKENS, 96 + THOUGHT_TOKENS]
    assert replies[0].tokens_in > replies[1].tokens_in  # what was tried before is paid for
    assert any("the model thinks" in note for note in model.notes)


def test_an_endless_thought_is_an_empty_reply_after_one_more_try() -> None:
    with serving(in_turn(CUT), "one") as server:
        model = EndpointModel.connect(server.url, options={"thought_tokens": 50})
        (reply,) = model.generate(GenerateRequest([user()]))
        model.close()
    assert reply.text == "" and "went into its thought" in reply.note
    assert limits_sent(server) == [96, 146]


@pytest.mark.parametrize(
    ("name", "options", "limit"),
    [
        ("Qwen3-VL-8B-Thinking", {}, 96 + THOUGHT_TOKENS),
        ("Qwen3-VL-8B-Thinking", {"thought_tokens": 10}, 106),
        ("Qwen3-VL-8B-Thinking", {"enable_thinking": False}, 96),
        ("Qwen3.5-9B", {"enable_thinking": True}, 96 + THOUGHT_TOKENS),
        ("Qwen3-VL-8B-Thinking", {"context_tokens": 1000}, None),
        ("Qwen3-VL-8B-Instruct", {}, 96),
    ],
)
def test_a_thought_does_not_eat_the_answers_tokens(name, options, limit) -> None:
    with serving(in_turn(fine()), name) as server:
        model = EndpointModel.connect(server.url, options=options)
        model.generate(GenerateRequest([user()]))
        model.close()
    (sent,) = limits_sent(server)
    assert sent == limit or (limit is None and 800 < sent < 1000)
    if "enable_thinking" in options:
        template = server.chats[0].body["chat_template_kwargs"]
        assert template == {"enable_thinking": options["enable_thinking"]}
