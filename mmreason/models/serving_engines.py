"""What the servers that speak OpenAI's protocol take, by engine: clips, fields of a request, and
how thinking is switched.

An engine is named by the option `served_by`, or recognised by its URL and the list of its models.
What is not known of a server is tried, and what it refuses is left out (`endpoint_traits.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from mmreason.types import UsageError

EngineName = Literal["vllm", "sglang", "ollama", "lmstudio", "openai", "gemini", "anthropic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingEngine:
    """What one engine takes in a chat request.

    Example:
        >>> ENGINES["vllm"].takes_video, ENGINES["ollama"].takes_video
        (True, False)
    """

    title: str
    takes_video: bool = True
    """Clips as `video_url`; others are shown images."""
    samples_clips: bool = False
    """It samples a clip anew unless two fields tell it to show every frame."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    takes_no: frozenset[str] = frozenset()
    """Fields that it refuses or passes over: they are not sent."""
    thinking: Literal["template", "effort", "budget"] | None = "template"
    """How thinking is switched: an argument of the chat template, `reasoning_effort`, a budget of
    tokens, or in no way that is documented."""
    caution: str = ""
    """What its users should know."""


UNKNOWN_ENGINE = ServingEngine(title="this server", samples_clips=True)
"""May be any: is sent everything, and asked again without what it refuses."""

ENGINES: dict[EngineName, ServingEngine] = {
    "vllm": ServingEngine(title="vLLM", samples_clips=True),
    "sglang": ServingEngine(title="SGLang"),
    "ollama": ServingEngine(
        title="Ollama",
        takes_video=False,
        thinking="effort",
        caution=(
            "Ollama cuts what is longer than its context (OLLAMA_CONTEXT_LENGTH, often 4,096 "
            "tokens) without a word: set it to what the model can do, and the option "
            "context_tokens to the same"
        ),
    ),
    "lmstudio": ServingEngine(title="LM Studio", takes_video=False, thinking=None),
    "openai": ServingEngine(
        title="OpenAI", takes_video=False, token_limit="max_completion_tokens", thinking="effort"
    ),
    "gemini": ServingEngine(
        title="Gemini's OpenAI route",
        takes_video=False,
        takes_no=frozenset(("logprobs", "seed")),
        thinking="effort",
    ),
    "anthropic": ServingEngine(
        title="Anthropic's OpenAI route",
        takes_video=False,
        takes_no=frozenset(("logprobs", "seed")),
        thinking="budget",
    ),
}

_HOSTS: dict[str, EngineName] = {
    "api.openai.com": "openai",
    "generativelanguage.googleapis.com": "gemini",
    "api.anthropic.com": "anthropic",
}
_OWNERS: dict[str, EngineName] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "library": "ollama",
    "organization_owner": "lmstudio",
}
"""`owned_by` of the models that a server lists."""


def find_engine(
    url: str, owners: Collection[str], served_by: EngineName | None = None
) -> ServingEngine:
    """The engine that was named, or is recognised by its host or by the owners of its models.

    Example:
        >>> find_engine("http://127.0.0.1:8000/v1", ["sglang"]).title
        'SGLang'
        >>> find_engine("https://api.anthropic.com/v1", []).title
        "Anthropic's OpenAI route"
    """
    by_host = _HOSTS.get((urlsplit(url).hostname or "").lower())
    by_owner = next((_OWNERS[owner] for owner in owners if owner in _OWNERS), None)
    # What the user names goes first; a host is surer than the word of a server.
    name = served_by or by_host or by_owner
    if name is None:
        return UNKNOWN_ENGINE
    if name not in ENGINES:
        raise UsageError(f"served_by is one of {', '.join(get_args(EngineName))}; got {name!r}")
    return ENGINES[name]


def thinking_fields(engine: ServingEngine, enable: bool, budget_tokens: int) -> dict[str, Any]:
    """The fields of a request that switch thinking on or off. UsageError where the engine has no
    documented field for it.

    Example:
        >>> thinking_fields(ENGINES["vllm"], False, 0)
        {'chat_template_kwargs': {'enable_thinking': False}}
        >>> thinking_fields(ENGINES["openai"], False, 0)
        {'reasoning_effort': 'none'}
    """
    if engine.thinking == "template":
        return {"chat_template_kwargs": {"enable_thinking": enable}}
    if engine.thinking == "effort":
        return {"reasoning_effort": "medium" if enable else "none"}
    if engine.thinking == "budget":
        on = {"type": "enabled", "budget_tokens": budget_tokens}
        return {"thinking": on if enable else {"type": "disabled"}}
    raise UsageError(
        f"option enable_thinking: {engine.title} documents no field for it; switch thinking in "
        "the server, or name the field yourself with the option extra_body"
    )


def is_own_network(url: str) -> bool:
    """Whether the server is on this machine or in a private network, where a call costs no money.

    Example:
        >>> is_own_network("http://192.168.1.4:8000/v1"), is_own_network("https://api.openai.com/v1")
        (True, False)
    """
    host = (urlsplit(url).hostname or "").lower()
    try:
        address = ip_address(host)
    except ValueError:
        # Without a dot a name is one of the local network.
        return "." not in host or host.endswith((".local", ".lan", ".internal", ".localhost"))
    return address.is_loopback or address.is_private
