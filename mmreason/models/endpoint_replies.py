"""What an OpenAI-compatible server answered: the reply with its tool calls, the models it lists.

Pure functions over parsed JSON, which is not trusted: what is longer or larger than it can be is
cut or left out, and a note says so. The wire is `endpoint_http.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeGuard

from mmreason.language.thoughts import split_thought
from mmreason.models.base import Conversation, FramesPart, Reply, TextPart, WrittenCall
from mmreason.models.key_cleaning import KEY_MARK
from mmreason.models.thought_budget import describe_thought_only
from mmreason.models.written_calls import (
    MOST_CALL_CHARACTERS,
    MOST_CALLS,
    arguments_as_text,
    read_written_calls,
)

CHARACTERS_A_TOKEN = 4
TOKEN_SIDE_PX = 32
"""Where a server counts no tokens: a token for four characters, and for 32 x 32 pixels."""

MOST_CHARACTERS_A_TOKEN = 16
SPARE_CHARACTERS = 1000
"""Of a reply and of a thought: what is longer than so many characters for each token that was asked
for, and these in addition, is cut."""
_MOST_SHOWN = 2000
"""Characters of an answer in an error, which is cut further where it is told."""
MOST_TOKENS = 10**9
"""Larger counts are not believed."""
_CONTEXT_KEYS = ("max_model_len", "max_context_length", "context_length", "context_window")
"""Under which servers tell the context of a model that they list."""
MOST_MODELS = 1000
MOST_NAME_LENGTH = 200
"""Of a list of models: how many are read, and how long a name may be."""

NO_LOGPROBS = "the server gives no log-probabilities, so that answers come without confidence"
NO_USAGE = (
    "the server counts no tokens: counts are estimated, one for "
    f"{CHARACTERS_A_TOKEN} characters and one for {TOKEN_SIDE_PX} x {TOKEN_SIDE_PX} pixels"
)


REFUSED_BY_SERVER = "the server's own rules refused the reply"


class SchemaError(ValueError):
    """An answer is JSON, but not what it should be: says what was expected and found."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that a server lists, with what it tells of it.

    Example:
        >>> ListedModel("qwen", "vllm", 32768).context_tokens
        32768
    """

    name: str
    owner: str = ""
    """`owned_by`, which tells engines apart."""
    context_tokens: int | None = None
    """Most tokens of a request and its reply."""


def read_reply(
    answer: dict[str, Any],
    conversation: Conversation,
    max_new_tokens: int,
    clean: Callable[[str], str] = str,
    tool_names: Collection[str] = (),
) -> tuple[Reply, tuple[str, ...]]:
    """The reply in a chat completion to a request for `max_new_tokens`, and notes of what the
    server left open or did not keep to. `clean` takes secrets out of texts that came in pieces.
    Calls are read where the request had tools, called `tool_names`: from the field for them, else
    from the text. A thought that took all tokens is a reply that says nothing, and whose note says
    so.

    SchemaError where `choices[0].message` has neither text, thought nor calls.
    """
    choice, written, told_thought = _choice_and_text(answer)
    # Limited before cleaning and splitting, so that an endless reply costs no more than a long one.
    most = MOST_CHARACTERS_A_TOKEN * max_new_tokens + SPARE_CHARACTERS
    notes = [
        f"the server wrote a {what} of {len(long):,} characters where {max_new_tokens} tokens were "
        f"asked for: the first {most:,} are taken"
        for what, long in (("reply", written), ("thought", told_thought))
        if len(long) > most
    ]
    written, told_thought = clean(written[:most]), clean(told_thought[:most])
    thought, text = split_thought(written)
    raw_text = written if thought else ""
    if told_thought:
        thought, raw_text = told_thought, f"<think>{told_thought}</think>{written}"
    calls: tuple[WrittenCall, ...] = ()
    if tool_names:
        calls = _calls_in(choice["message"], clean)
        # Engines without a parser for this model's format leave its calls in the text.
        if not calls:
            calls, text = read_written_calls(text, tool_names)
    logprobs = _logprobs(choice, most)
    if logprobs is None:
        notes.append(NO_LOGPROBS)
    usage = answer.get("usage")
    tokens_in, tokens_out = (
        _count(usage.get(key) if isinstance(usage, dict) else None)
        for key in ("prompt_tokens", "completion_tokens")
    )
    if tokens_in is None or tokens_out is None:
        notes.append(NO_USAGE)
    state = answer.get("system_fingerprint")
    # Short and printable ones only, since the note is shown in terminals and reports.
    if isinstance(state, str) and state.isprintable() and 0 < len(state) <= 100:
        notes.append(f"the server's system_fingerprint is {state}")
    # The thought was written too, so the estimate counts the raw text where there is one.
    tokens_out = _text_tokens(raw_text or written) if tokens_out is None else tokens_out
    note = ""
    # A reply that the limit cut says nothing even where the engine hides the thought.
    if not text.strip() and not calls and (thought or _is_cut(choice)):
        note = describe_thought_only(tokens_out)
    elif choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
        note = REFUSED_BY_SERVER
    reply = Reply(
        text=text.strip(),
        note=note,
        calls=calls,
        thought=thought,
        raw_text=raw_text,
        token_ids=(),
        logprobs=logprobs or (),
        tokens_in=estimate_tokens(conversation) if tokens_in is None else tokens_in,
        tokens_out=tokens_out,
    )
    return reply, tuple(notes)


def listed_models(answer: dict[str, Any]) -> tuple[ListedModel, ...]:
    """The models with usable names in an answer to GET /models. SchemaError where there is no such
    list."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise SchemaError(f"expected a list of models in 'data', found {_shown(answer)}")
    models: dict[str, ListedModel] = {}
    for entry in data[:MOST_MODELS]:
        name = entry.get("id") if isinstance(entry, dict) else None
        if _is_name(name) and name not in models:
            owner = entry.get("owned_by")
            # Engines name the context differently; the first length that can be believed is taken.
            lengths = (entry.get(key) for key in _CONTEXT_KEYS)
            models[name] = ListedModel(
                name,
                owner if _is_name(owner) else "",
                next((length for length in lengths if _count(length)), None),
            )
    return tuple(models.values())


def _is_name(name: object) -> TypeGuard[str]:
    """A name that can be shown and sent back as it is: one of which a key was cut is none."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MOST_NAME_LENGTH
        and name.isprintable()
        and KEY_MARK not in name
    )


def _choice_and_text(answer: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """The first choice, the text of its message and the thought that the server tells apart."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise SchemaError(f"expected choices[0].message.content, found {_shown(answer)}")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise SchemaError(f"expected a text in choices[0].message.content, found {_shown(choice)}")
    text, thought = _text_of(message.get("content"))
    # A refusal in its own field stands for the text, so that readers see it.
    if text is None and isinstance(message.get("refusal"), str):
        text = message["refusal"]
    # Servers disagree about this field: DeepSeek has the first name, OpenRouter the second.
    thoughts = [message.get(key) for key in ("reasoning_content", "reasoning")]
    thought = thought or next(
        (candidate.strip() for candidate in thoughts if isinstance(candidate, str)), ""
    )
    # No text is right beside calls or a thought, and where the limit cut a hidden thought.
    if text is None and not (thought or _has_calls(message) or _is_cut(choice)):
        raise SchemaError(f"expected a text in choices[0].message.content, found {_shown(choice)}")
    return choice, text or "", thought


def _is_cut(choice: dict[str, Any]) -> bool:
    """Whether the limit of tokens ended the reply: where it is empty, a hidden thought took all."""
    return choice.get("finish_reason") == "length"


def _has_calls(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _calls_in(message: dict[str, Any], clean: Callable[[str], str]) -> tuple[WrittenCall, ...]:
    """The calls in a message's field for them, also where they lack an id or their arguments are an
    object. What has no name is no call."""
    # Older servers tell a single call in `function_call`, which OpenAI has deprecated.
    entries = message.get("tool_calls")
    if not isinstance(entries, list):
        entries = [{"function": message.get("function_call")}]
    calls: list[WrittenCall] = []
    for entry in entries[:MOST_CALLS]:
        function = entry.get("function") if isinstance(entry, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not _is_name(name):
            continue
        arguments = clean(arguments_as_text(function.get("arguments")))[:MOST_CALL_CHARACTERS]
        call_id = entry.get("id")
        # Results go back to calls by id, so each needs one of its own.
        taken = {call.id for call in calls}
        if not _is_name(call_id) or call_id in taken:
            call_id = f"call_{len(calls) + 1}"
        calls.append(WrittenCall(call_id, name, arguments))
    return tuple(calls)


def _text_of(content: object) -> tuple[str | None, str]:
    """(text, thought) of a content that is a text or a list of parts; None where it is neither."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list) or not content:
        return None, ""
    texts: list[str] = []
    thoughts: list[str] = []
    for item in content:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in ("text", "output_text") and isinstance(item.get("text"), str):
            texts.append(item["text"])
        # Mistral nests parts in a thinking part; others put the text under `text`.
        elif kind in ("thinking", "reasoning"):
            inner = item.get(kind, item.get("text"))
            thought = inner if isinstance(inner, str) else _text_of(inner)[0]
            thoughts.append(thought or "")
        # A part of unknown kind may hold the answer, and a text without it would be a wrong one.
        else:
            return None, ""
    return "".join(texts), "\n".join(thoughts).strip()


def _logprobs(choice: dict[str, Any], most: int) -> tuple[float, ...] | None:
    """Log-probabilities of the written tokens, `most` of them, or None where they are not told as
    they should."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not 0 < len(content) <= most:
        return None
    values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    # JSON `true` is an int to Python and no number here.
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    # Rounding may lift a log-probability a little above 0; what lies higher is something else.
    if len(numbers) < len(values) or not all(math.isfinite(v) and v <= 1e-3 for v in numbers):
        return None
    return tuple(min(0.0, v) for v in numbers)


def _count(value: object) -> int | None:
    """A count of tokens, or None where it is none that can be believed."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def estimate_tokens(conversation: Conversation) -> int:
    """Tokens of a conversation where nobody has counted them."""
    total = 0
    for message in conversation:
        for item in message.parts:
            total += _text_tokens(item.text) if isinstance(item, TextPart) else _visual_tokens(item)
    return total


def _text_tokens(text: str) -> int:
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)


def _visual_tokens(frames_part: FramesPart) -> int:
    count, height, width = frames_part.frames.pixels.shape[:3]
    return count * math.ceil(height / TOKEN_SIDE_PX) * math.ceil(width / TOKEN_SIDE_PX)


def _shown(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)[:_MOST_SHOWN]
