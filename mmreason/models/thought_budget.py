"""Tokens for thoughts: a model that thinks gets more than its answer may have, and a reply that is
all thought is told as one."""

from __future__ import annotations

from dataclasses import replace

from mmreason.models.base import Reply

THOUGHT_TOKENS = 4096
"""For a thought, in addition to those of the answer, unless the option `thought_tokens` says more
or less."""
_SPARE_TOKENS = 64
"""Of the context: counts of prompts are estimates."""

_THOUGHT_ONLY = "the model said nothing: all {tokens} tokens went into its thought"


def tokens_with_thought(
    max_new_tokens: int, thought_tokens: int, tokens_in: int, context_tokens: int | None
) -> int:
    """Most tokens to write, with room for a thought as far as the context has it, and never less
    than the answer may have.

    Example:
        >>> tokens_with_thought(96, 4096, 500, None), tokens_with_thought(96, 4096, 500, 1000)
        (4192, 436)
    """
    most = max_new_tokens + thought_tokens
    if context_tokens is None:
        return most
    return max(max_new_tokens, min(most, context_tokens - tokens_in - _SPARE_TOKENS))


def describe_thought_only(tokens_out: int) -> str:
    """The note of a reply that is all thought, of so many tokens."""
    return _THOUGHT_ONLY.format(tokens=tokens_out)


def is_thought_only(reply: Reply) -> bool:
    """Whether all of a reply went into a thought, told or hidden."""
    return (
        not reply.text
        and not reply.calls
        # A thought that the engine hides is known by its note alone.
        and (bool(reply.thought) or reply.note.startswith(_THOUGHT_ONLY.partition("{")[0]))
    )


def add_cost(reply: Reply, before: Reply | None) -> Reply:
    """The reply, with what the one before it cost, which was all thought."""
    if before is None:
        return reply
    return replace(
        reply,
        tokens_in=reply.tokens_in + before.tokens_in,
        tokens_out=reply.tokens_out + before.tokens_out,
    )
