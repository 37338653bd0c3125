"""What an OpenAI-compatible server answered: the reply, the models it lists, the fields it refuses.

Pure functions over parsed JSON, which is not trusted: what is longer or larger than it can be is
cut or left out, and a note says so. The wire is `endpoint_http.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from typing import Any, TypeGuard

from mmreason.language.thoughts import split_thought
from mmreason.models.base import Conversation, FramesPart, Reply, TextPart
from mmreason.models.key_cleaning import KEY_MARK

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
MOST_MODELS = 1000
MOST_NAME_LENGTH = 200
"""Of a list of models: how many are read, and how long a name may be."""

NO_LOGPROBS = "the server gives no log-probabilities, so that answers come without confidence"
NO_USAGE = (
    "the server counts no tokens: counts are estimated, one for "
    f"{CHARACTERS_A_TOKEN} characters and one for {TOKEN_SIDE_PX} x {TOKEN_SIDE_PX} pixels"
)


_REFUSAL = re.compile(
    r"unsupported|unexpected|unknown|unrecogni[sz]ed|not (?:supported|allowed|permitted)",
    re.IGNORECASE,
)


_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|max_model_len|maximum model length"
    r"|(?:prompt|input|request)\b.{0,20}\btoo (?:long|large)|too many (?:tokens|images)"
    r"|at most \d+ (?:image|video)",
    re.IGNORECASE,
)


class SchemaError(ValueError):
    """An answer is JSON, but not what it should be: says what was expected and found."""


def read_reply(
    answer: dict[str, Any],
    conversation: Conversation,
    max_new_tokens: int,
    clean: Callable[[str], str] = str,
) -> tuple[Reply, tuple[str, ...]]:
    """The reply in a chat completion to a request for `max_new_tokens`, and notes of what the
    server left open or did not keep to. `clean` takes secrets out of texts that came in pieces.

    SchemaError where `choices[0].message.content` is no text.
    """
    choice, written, told_thought = _choice_and_text(answer)
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
    if isinstance(state, str) and state.isprintable() and 0 < len(state) <= 100:
        notes.append(f"the server's system_fingerprint is {state}")
    reply = Reply(
        text=text.strip(),
        thought=thought,
        raw_text=raw_text,
        token_ids=(),
        logprobs=logprobs or (),
        tokens_in=_estimate(conversation) if tokens_in is None else tokens_in,
        tokens_out=_text_tokens(raw_text or text) if tokens_out is None else tokens_out,
    )
    return reply, tuple(notes)


def listed_models(answer: dict[str, Any]) -> tuple[str, ...]:
    """The usable names in an answer to GET /models. SchemaError where there is no such list."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise SchemaError(f"expected a list of models in 'data', found {_shown(answer)}")
    names = [entry.get("id") if isinstance(entry, dict) else None for entry in data[:MOST_MODELS]]
    return tuple(dict.fromkeys(name for name in names if _is_name(name)))


def _is_name(name: object) -> TypeGuard[str]:
    """A name that can be shown and sent back as it is: one of which a key was cut is none."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MOST_NAME_LENGTH
        and name.isprintable()
        and KEY_MARK not in name
    )


def says_too_long(complaint: str) -> bool:
    """Whether a server refuses a request for its length or its number of pictures."""
    return _TOO_LONG.search(complaint) is not None


def refused_field(complaint: str, fields: Collection[str]) -> str | None:
    """Which of `fields` a server says it does not take, or None."""
    if not _REFUSAL.search(complaint):
        return None
    return next((field for field in fields if re.search(rf"\b{field}\b", complaint)), None)


def _choice_and_text(answer: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """The first choice, the text of its message and the thought that the server tells apart."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise SchemaError(f"expected choices[0].message.content, found {_shown(answer)}")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {}
    text, thought = _text_of(message.get("content"))
    thoughts = [message.get(key) for key in ("reasoning_content", "reasoning")]
    thought = thought or next(
        (candidate.strip() for candidate in thoughts if isinstance(candidate, str)), ""
    )
    if text or (text is not None and not thought):
        return choice, text, thought
    if thought or (message and choice.get("finish_reason") == "length"):
        raise SchemaError(
            "expected a text in choices[0].message.content, found none: all tokens went into "
            "thought; switch thinking off for this server (extra_body)"
        )
    raise SchemaError(f"expected a text in choices[0].message.content, found {_shown(choice)}")


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
        elif kind in ("thinking", "reasoning"):
            inner = item.get(kind, item.get("text"))
            thought = inner if isinstance(inner, str) else _text_of(inner)[0]
            thoughts.append(thought or "")
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
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or not all(math.isfinite(v) and v <= 1e-3 for v in numbers):
        return None
    return tuple(min(0.0, v) for v in numbers)


def _count(value: object) -> int | None:
    """A count of tokens, or None where it is none that can be believed."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def _estimate(conversation: Conversation) -> int:
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
