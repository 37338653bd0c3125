"""The tools a reasoning model may call, as typed functions; their JSON schemas and the text that
describes them to a model are derived from them.

Each function checks its arguments and returns the `ToolCall` to make. They hold no state and touch
no video: ids become spans here, frames are chosen in `toolbox.py`. Their names are the tools'.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from functools import cache
from inspect import Parameter
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, ValidationError, create_model

from mmreason.memory.tree import Tree
from mmreason.tool_calls import AgentCall, Focus, Look, Search, Skim, ToolCall
from mmreason.tools.scan import caption_call
from mmreason.types import UsageError
from mmreason.video.types import Span

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
QUESTION_LIMIT = 2_000
Text = Annotated[str, Field(min_length=1, max_length=QUESTION_LIMIT)]
Ids = Annotated[list[Annotated[int, Field(ge=1, strict=True)]], Field(min_length=1, max_length=8)]
TEXT_LIMIT = 20_000
"""Characters of one call that are read at all."""


def caption(tree: Tree, node: Ids) -> ToolCall:
    """Describe one node of the tree. `node` is its id, such as [2, 1]."""
    return caption_call(tree.node(tuple(node)))


def look(tree: Tree, start_s: Seconds, end_s: Seconds, question: Text) -> ToolCall:
    """Look at one stretch, from start_s to end_s in seconds, with a question."""
    span = clip_span(tree.span, start_s, end_s)
    return Look(span=span, question=question, shift=0.0)


def focus(tree: Tree, start_s: Seconds, end_s: Seconds, question: Text) -> ToolCall:
    """Look closely at up to four short clips of a stretch, each with the question."""
    span = clip_span(tree.span, start_s, end_s)
    return Focus(span=span, question=question)


def skim(tree: Tree, start_s: Seconds, end_s: Seconds) -> ToolCall:
    """Describe any stretch from few frames."""
    return Skim(span=clip_span(tree.span, start_s, end_s))


def search(tree: Tree, text: Text) -> ToolCall:
    """Find words in what has been described so far and in the subtitles."""
    return Search(span=tree.span, text=text)


Tool = Callable[..., AgentCall]
"""Its first parameter is ours to give, such as the tree; the others are what a model gives."""
TOOLS: tuple[Tool, ...] = (caption, look, focus, skim, search)


def tool_schemas(tools: Sequence[Tool] = TOOLS) -> list[dict[str, Any]]:
    """The tools in the form chat templates and endpoints take: name, description, JSON schema."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.__name__,
                "description": inspect.getdoc(tool),
                "parameters": _arguments_model(tool).model_json_schema(),
            },
        }
        for tool in tools
    ]


def argument_names(tool: Tool) -> tuple[str, ...]:
    """What a model gives, in order.

    Example:
        >>> argument_names(look)
        ('start_s', 'end_s', 'question')
    """
    return tuple(inspect.signature(tool).parameters)[1:]


def describe_tool(tool: Tool) -> str:
    """One line for a model that is told of tools in words; texts stand in quotes.

    Example:
        >>> describe_tool(search)
        'search("text"): find words in what has been described so far and in the subtitles.'
    """
    hints = inspect.get_annotations(tool, eval_str=True)
    names = (f'"{name}"' if hints[name] == Text else name for name in argument_names(tool))
    text = inspect.getdoc(tool) or ""
    return f"{tool.__name__}({', '.join(names)}): {text[:1].lower()}{text[1:]}"


def read_call(tree: Tree, text: str) -> ToolCall:
    """The call that `{"name": ..., "arguments": {...}}` asks for.

    Raises UsageError with one line for the model: what was wrong and what was expected.

    Example:
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> str(read_call(tree, '{"name": "skim", "arguments": {"start_s": 4, "end_s": 8}}'))
        'skim(span=0:04.00-0:08.00)'
    """
    if len(text) > TEXT_LIMIT:
        raise UsageError(f"the call has {len(text):,} characters; write one short JSON object")
    try:
        data = json.loads(text)
    # Brackets that are nested too deep end the parser by recursion.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the call is no JSON ({error})") from error
    if not isinstance(data, dict) or not isinstance(data.get("arguments", {}), dict):
        raise UsageError('write one object: {"name": ..., "arguments": {...}}')
    return make_call(tree, str(data.get("name")), data.get("arguments", {}))


def make_call(tree: Tree, name: str, arguments: dict[str, Any]) -> ToolCall:
    """The call of a tool of the tree by name with plain arguments. UsageError as in `read_call`."""
    return cast("ToolCall", call_tool(TOOLS, tree, name, arguments))


def call_tool(
    tools: Sequence[Tool], first: object, name: str, arguments: dict[str, Any]
) -> AgentCall:
    """The call that one of `tools` makes of a model's arguments, with what is ours to give `first`.
    UsageError with one line for the model where they do not fit."""
    tool = next((tool for tool in tools if tool.__name__ == name), None)
    if tool is None:
        names = ", ".join(tool.__name__ for tool in tools)
        raise UsageError(f"there is no tool {name[:60]!r}; the tools are {names}")
    try:
        checked = _arguments_model(tool).model_validate(arguments).model_dump()
        return tool(first, **checked)
    except ValidationError as error:
        # One mistake at a time: the model has to mend it before the next is worth telling.
        first = error.errors()[0]
        argument = ".".join(map(str, first["loc"])) or "arguments"
        # Names are the model's own, and go into terminals and back into prompts.
        argument = argument if argument.isprintable() else ascii(argument)
        raise UsageError(f"{name}: {argument[:60]}: {first['msg']}") from error
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


@cache
def _arguments_model(tool: Tool) -> Any:
    """A pydantic model of the parameters that are the model's to give."""
    hints = inspect.get_annotations(tool, eval_str=True)
    parameters = inspect.signature(tool).parameters
    fields: dict[str, Any] = {
        name: (
            hints[name],
            ... if (value := parameters[name].default) is Parameter.empty else value,
        )
        for name in argument_names(tool)
    }
    strict = ConfigDict(extra="forbid")
    return create_model(tool.__name__, __config__=strict, **fields)


def clip_span(video: Span, start_s: float, end_s: float) -> Span:
    """The stretch inside the video. UsageError where there is none."""
    if end_s <= start_s:
        raise UsageError(f"end_s must be after start_s, got {start_s} and {end_s}")
    span = Span(start_s, end_s).clip(video)
    if span.duration_s <= 0:
        raise UsageError(f"{start_s} to {end_s} s lies outside the video, which is {video}")
    return span
