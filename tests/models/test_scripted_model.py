"""The scripted model with tools: what it is asked, and replies with calls."""

from __future__ import annotations

import pytest

from mmreason.models.base import GenerateRequest, Message, Reply, TextPart, WrittenCall
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError
from tests.models.servers import user

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
CALLING = Reply(
    text="",
    token_ids=(),
    logprobs=(),
    tokens_in=1,
    tokens_out=1,
    calls=(WrittenCall("c1", "look", "{}"), WrittenCall("c2", "look", "{}")),
)


def test_it_calls_tools_and_reads_all_that_they_answer() -> None:
    model = ScriptedModel(
        lambda text, frames: "red" if "one" in text else CALLING, tier="strong", takes_tools=True
    )
    (first,) = model.generate(GenerateRequest([user("What?")], tools=(TOOL,)))
    assert first is CALLING and model.asked[0].tool_names == ("look",)
    turns = [
        *user("What?"),
        Message("assistant", (), calls=first.calls),
        Message("tool", (TextPart("one"),), call_id="c1"),
        Message("tool", (TextPart("two"),), call_id="c2"),
    ]
    (last,) = model.generate(GenerateRequest([turns], tools=(TOOL,)))
    assert last.text == "red" and model.asked[1].text == "one\ntwo"


def test_without_tools_it_refuses_them() -> None:
    model = ScriptedModel({"What?": "red"})
    assert model.tier == "nano"
    with pytest.raises(UsageError, match="takes no tools"):
        model.generate(GenerateRequest([user("What?")], tools=(TOOL,)))
