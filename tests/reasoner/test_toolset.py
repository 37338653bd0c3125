"""The tools as typed functions: schemas, calls, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.memory.tree import Tree
from mmreason.tool_calls import Caption
from mmreason.tools.schema import (
    QUESTION_LIMIT,
    TEXT_LIMIT,
    TOOLS,
    make_call,
    read_call,
    tool_schemas,
)
from mmreason.types import UsageError
from mmreason.video.types import Span

TREE = Tree(Span(0, 64), 4, 2)
ARGUMENTS = {
    "caption": {"node": [2, 1]},
    "look": {"start_s": 4, "end_s": 8.5, "question": "what?"},
    "focus": {"start_s": 4, "end_s": 8.5, "question": "what?"},
    "skim": {"start_s": 4, "end_s": 8.5},
    "search": {"text": "PARK"},
}


def test_every_tool_has_a_schema_without_bound_state():
    told = tool_schemas()
    assert [one["function"]["name"] for one in told] == [tool.__name__ for tool in TOOLS]
    assert json.loads(json.dumps(told)) == told
    for one in told:
        function = one["function"]
        parameters = function["parameters"]
        assert one["type"] == "function" and function["description"]
        assert parameters["type"] == "object" and parameters["additionalProperties"] is False
        assert set(parameters["properties"]) == set(ARGUMENTS[function["name"]])
        assert set(parameters["required"]) == set(parameters["properties"])
        assert "tree" not in json.dumps(parameters).lower()
        assert "$ref" not in json.dumps(parameters)


def test_schemas_say_what_is_allowed():
    by_name = {one["function"]["name"]: one["function"]["parameters"] for one in tool_schemas()}
    node = by_name["caption"]["properties"]["node"]
    assert node["type"] == "array" and node["items"] == {"minimum": 1, "type": "integer"}
    assert (node["minItems"], node["maxItems"]) == (1, 8)
    look = by_name["look"]["properties"]
    assert (look["start_s"]["type"], look["start_s"]["minimum"]) == ("number", 0)
    assert (look["question"]["minLength"], look["question"]["maxLength"]) == (1, QUESTION_LIMIT)


def test_schemas_accept_what_calls_accept():
    """By a validator that is not ours, where one is installed."""
    jsonschema = pytest.importorskip("jsonschema")
    for one in tool_schemas():
        parameters = one["function"]["parameters"]
        jsonschema.Draft202012Validator.check_schema(parameters)
        good = ARGUMENTS[one["function"]["name"]]
        jsonschema.validate(good, parameters)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | {"zoom": 1}, parameters)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_calls_by_name_and_by_json_are_the_same(name):
    call = make_call(TREE, name, ARGUMENTS[name])
    assert call.name == name
    assert isinstance(call.span, Span)
    assert call == read_call(TREE, json.dumps({"name": name, "arguments": ARGUMENTS[name]}))


def test_ids_become_spans():
    call = make_call(TREE, "caption", {"node": [2, 1]})
    assert call == Caption(span=Span(16, 20), node=(2, 1))


def test_spans_are_cut_to_the_video():
    call = make_call(TREE, "skim", {"start_s": 60, "end_s": 90})
    assert call.span == Span(60, 64)
    assert make_call(TREE, "search", {"text": "x"}).span == TREE.span


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("zoom", {}, r"no tool 'zoom'; the tools are caption, look, focus, skim, search"),
        ("z" * 500, {}, r"no tool 'z{60}'"),
        ("caption", {}, r"caption: node: Field required"),
        ("caption", {"node": []}, r"caption: node: .*at least 1"),
        ("caption", {"node": [1] * 9}, r"caption: node: .*at most 8"),
        ("caption", {"node": [1, 0]}, r"caption: node\.1: .*greater than or equal to 1"),
        ("caption", {"node": [1.5]}, r"caption: node\.0: .*integer"),
        ("caption", {"node": [1.0]}, r"caption: node\.0: .*integer"),
        ("caption", {"node": [True]}, r"caption: node\.0: .*integer"),
        ("caption", {"node": ["1"]}, r"caption: node\.0: .*integer"),
        ("caption", {"node": "1"}, r"caption: node: .*list"),
        ("caption", {"node": [5]}, r"not in a tree of depth 2 and branching 4"),
        ("caption", {"node": [1, 1, 1]}, r"not in a tree of depth 2"),
        ("caption", {"node": [10**50]}, r"not in a tree"),
        ("look", {"start_s": 4, "end_s": 4, "question": "q"}, r"end_s must be after start_s"),
        ("look", {"start_s": 8, "end_s": 4, "question": "q"}, r"end_s must be after start_s"),
        ("look", {"start_s": -1, "end_s": 4, "question": "q"}, r"start_s: .*equal to 0"),
        ("look", {"start_s": 0, "end_s": math.inf, "question": "q"}, r"end_s: .*finite"),
        ("look", {"start_s": 0, "end_s": math.nan, "question": "q"}, r"end_s: "),
        ("look", {"start_s": 0, "end_s": 10**400, "question": "q"}, r"end_s: "),
        ("look", {"start_s": 0, "end_s": 4, "question": ""}, r"question: .*at least 1"),
        ("look", {"start_s": 0, "end_s": 4, "question": "q" * 2001}, r"question: .*at most"),
        ("look", {"start_s": 0, "end_s": 4}, r"question: Field required"),
        ("skim", {"start_s": 64, "end_s": 70}, r"outside the video"),
        ("search", {"text": "x", "tree": 1}, r"search: tree: Extra"),
        ("search", {"text": 3}, r"text: .*string"),
    ],
)
def test_what_cannot_be_called_is_one_clear_line(name, arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        make_call(TREE, name, arguments)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ('{"name": "skim"', "no JSON"),
        ("[1]", "write one object"),
        ("null", "write one object"),
        ('{"name": "skim", "arguments": null}', "write one object"),
        ('{"name": "skim", "arguments": "x"}', "write one object"),
        ('{"arguments": {}}', "no tool 'None'"),
        ('{"name": ["skim"], "arguments": {}}', "no tool"),
        ('{"name": "skim"}', "Field required"),
        ('{"a":' * 3000, "no JSON"),
        ("[" * 10_000, "no JSON"),
        ('{"name": "search", "arguments": {"text": "\\ud800"}}', "text: "),
        ('{"name": "search", "arguments": {"text": "x", "a\\nb": 1}}', "Extra"),
        (" " * (TEXT_LIMIT + 1), "20,001 characters"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_call(TREE, text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
names = st.sampled_from([*ARGUMENTS, "answer", ""])
keys = st.sampled_from(["node", "start_s", "end_s", "question", "text", "tree"])


@given(names, st.dictionaries(keys, json_values, max_size=4))
def test_any_arguments_make_a_call_inside_the_video_or_a_line(name, arguments):
    try:
        call = make_call(TREE, name, arguments)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        span = call.span
        assert TREE.span.start_s <= span.start_s < span.end_s <= TREE.span.end_s
