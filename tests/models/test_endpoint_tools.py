"""Tools behind an endpoint: sent and read natively, and in words where the server refuses them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mmreason.models.base import (
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    TextPart,
    WrittenCall,
)
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_http import EndpointLimits
from mmreason.models.endpoint_messages import WireStyle, as_messages
from mmreason.models.endpoint_replies import read_reply
from mmreason.models.written_calls import MOST_CALLS
from mmreason.video.types import FrameBatch
from tests.models.servers import Back, Sent, completion, serving, user

QUICK = EndpointLimits(attempts=3, timeout_s=5.0, total_s=8.0, backoff_s=0.01)
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "description": "", "parameters": {}}}
    for name in ("look", "search")
)
NAMES = ("look", "search")
LOOK = '{"start_s": 4}'


def called(*entries: Any, content: Any = None) -> dict[str, Any]:
    """A completion whose message holds these entries of `tool_calls`."""
    message = {"role": "assistant", "content": content, "tool_calls": list(entries)}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}]}


def entry(name: Any, arguments: Any, call_id: Any = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


READ: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]]]] = {
    "as documented": (called(entry("look", LOOK)), [("c1", "look", LOOK)]),
    "an object as arguments": (called(entry("look", {"start_s": 4})), [("c1", "look", LOOK)]),
    "no id": (called(entry("look", LOOK, None)), [("call_1", "look", LOOK)]),
    "the same id twice": (
        called(entry("look", LOOK), entry("search", "{}")),
        [("c1", "look", LOOK), ("call_2", "search", "{}")],
    ),
    "no arguments": (called(entry("look", None)), [("c1", "look", "{}")]),
    "content as a list": (
        called(entry("look", LOOK), content=[{"type": "text", "text": ""}]),
        [("c1", "look", LOOK)],
    ),
    "a tool that does not exist": (called(entry("fly", "{}")), [("c1", "fly", "{}")]),
    "no JSON": (called(entry("look", "{start: 4")), [("c1", "look", "{start: 4")]),
    "no name": (called(entry(None, LOOK), entry("look", LOOK, "c2")), [("c2", "look", LOOK)]),
}


@pytest.mark.parametrize(("answer", "calls"), READ.values(), ids=READ)
def test_calls_are_read_however_a_server_tells_them(answer, calls) -> None:
    reply, _ = read_reply(answer, user(), 96, tool_names=NAMES)
    assert [(call.id, call.name, call.arguments) for call in reply.calls] == calls
    assert reply.text == ""


def test_the_field_of_older_servers_and_the_text_are_read_too() -> None:
    old = {"choices": [{"message": {"function_call": {"name": "look", "arguments": LOOK}}}]}
    assert read_reply(old, user(), 96, tool_names=NAMES)[0].calls[0].arguments == LOOK
    text = f'I look. <tool_call>{{"name": "look", "arguments": {LOOK}}}</tool_call>'
    reply, _ = read_reply(completion(text), user(), 96, tool_names=NAMES)
    assert reply.text == "I look." and reply.calls[0].name == "look"
    # Without tools in the request it is text: nobody waits for a call.
    assert read_reply(completion(text), user(), 96)[0].text == text


def test_a_reply_holds_no_more_calls_than_anybody_can_want() -> None:
    many = called(*(entry("look", LOOK, f"c{i}") for i in range(100)))
    assert len(read_reply(many, user(), 96, tool_names=NAMES)[0].calls) == MOST_CALLS


def tool_turns() -> list[Message]:
    frame = FrameBatch(
        pixels=np.zeros((1, 8, 8, 3), np.uint8), times_s=np.zeros(1), exact=np.ones(1, bool)
    )
    calls = (WrittenCall("c1", "look", LOOK), WrittenCall("c2", "search", '{"text": "<|im_end|>"}'))
    return [
        *user("What is it?"),
        Message("assistant", (), calls=calls),
        Message("tool", (TextPart("a star"), FramesPart(frame)), call_id="c1"),
        Message("tool", (TextPart("nothing <|im_start|>"),), call_id="c2"),
    ]


def test_tool_turns_go_out_in_their_own_roles() -> None:
    _, asked, first, second, shown = as_messages(tool_turns(), WireStyle())
    assert asked["content"] is None and [c["id"] for c in asked["tool_calls"]] == ["c1", "c2"]
    assert asked["tool_calls"][0]["function"] == {"name": "look", "arguments": LOOK}
    assert first == {"role": "tool", "tool_call_id": "c1", "content": "a star"}
    assert second["content"] == "nothing < |im_start|>"
    # Tools answer in text alone: what they show comes after all of them have answered.
    assert shown["role"] == "user" and shown["content"][-1]["type"] == "image_url"
    assert "<|im_end|>" not in json.dumps(asked)


def test_tool_turns_are_words_where_the_server_takes_no_tools() -> None:
    _, asked, first, second, _ = as_messages(tool_turns(), WireStyle(calls_as_text=True))
    assert asked["content"].startswith('<tool_call>{"name": "look", "arguments": {"start_s": 4}}')
    assert "a star" in first["content"]
    assert {first["role"], second["role"]} == {"user"}


def test_tools_are_sent_and_their_calls_come_back() -> None:
    with serving(lambda _: Back(called(entry("look", LOOK))), "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        (reply,) = model.generate(GenerateRequest([user()], tools=TOOLS))
        assert model.takes_tools and reply.calls == (WrittenCall("c1", "look", LOOK),)
        model.generate(GenerateRequest([user()]))
        model.close()
    first, second = (chat.body for chat in server.chats)
    assert first["tools"] == list(TOOLS) and first["tool_choice"] == "auto"
    assert "tools" not in second and "tool_choice" not in second


REFUSALS = {
    "vLLM": (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'),
    "Ollama": (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
    "a router": (404, "No endpoints found that support tool use."),
    "strict": (422, "tool_choice: Extra inputs are not permitted"),
    "falls over it": (500, "Internal Server Error"),
}


def refusing(status: int, words: str, *, after: int = 0):
    """Refuses tools, the first `after` requests excepted, and calls them in words without."""
    asked = [0]

    def script(sent: Sent) -> Back:
        asked[0] += 1
        if "tools" not in sent.body:
            written = f'<tool_call>{{"name": "look", "arguments": {LOOK}}}</tool_call>'
            return Back(completion(written))
        if asked[0] <= after:
            return Back(called(entry("look", LOOK)))
        return Back({"error": {"message": words}}, status)

    return script


@pytest.mark.parametrize(("status", "words"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("after", [0, 1], ids=["at once", "half-way"])
def test_a_server_that_refuses_tools_is_told_of_them_in_words(status, words, after) -> None:
    with serving(refusing(status, words, after=after), "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        for _ in range(after):
            model.generate(GenerateRequest([user()], tools=TOOLS))
        (reply,) = model.generate(GenerateRequest([tool_turns()], tools=TOOLS))
        assert reply.calls[0].name == "look" and not model.takes_tools
        assert [note for note in model.notes if "takes no tools" in note]
        count = len(server.chats)
        model.generate(GenerateRequest([user()], tools=TOOLS))
        model.close()
    assert len(server.chats) == count + 1  # no longer sent, so that nothing is refused again
    last = server.chats[-1].body
    assert "tools" not in last and '"name": "search"' in last["messages"][0]["content"]
    roles = [message["role"] for message in server.chats[-2].body["messages"]]
    assert "tool" not in roles


def test_a_server_that_fails_with_and_without_tools_keeps_its_tools() -> None:
    with serving(lambda _: Back({"error": "down"}, 500), "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        with pytest.raises(ModelError, match="status 500"):
            model.generate(GenerateRequest([user()], tools=TOOLS))
        assert model.takes_tools
        model.close()
