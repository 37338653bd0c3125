"""Conversations with their answers to token sequences that are learnt: the assistant's turns alone.

Where a turn begins and ends is told by the template itself: by what it writes for the conversation
up to there. A template that writes earlier turns in another way once later ones follow gives no
such borders, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.models.base import Conversation
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rollouts.types import Role, TokenSequence
from mmreason.types import UsageError


def encode_dialogue(
    policy: PolicyModel, conversation: Conversation, learnt: Sequence[bool]
) -> TokenSequence:
    """The conversation as one row: `ASSISTANT` on the tokens of learnt messages with the end token
    behind each, `PROMPT` on all others.

    `learnt` has one value a message. UsageError where nothing is to be learnt, where a message that
    is not the assistant's is, and for templates whose turns have no borders.
    """
    if len(learnt) != len(conversation):
        raise UsageError(f"expected a flag for each of {len(conversation)} messages")
    turns = [i for i, is_learnt in enumerate(learnt) if is_learnt]
    if not turns:
        raise UsageError("nothing to learn: no message of the assistant")
    for i in turns:
        if conversation[i].role != "assistant":
            raise UsageError(
                f"message {i + 1} is of the {conversation[i].role}, and cannot be learnt"
            )
    whole = policy.codec.encode_conversation(conversation, ask=False)
    ids = whole.token_ids
    roles = [Role.PROMPT] * len(ids)
    for i in turns:
        before = policy.codec.encode_conversation(conversation[:i], ask=True).token_ids
        is_last = i == len(conversation) - 1
        through = ids
        if not is_last:
            through = policy.codec.encode_conversation(conversation[: i + 1], ask=False).token_ids
        if ids[: len(before)] != before or ids[: len(through)] != through:
            raise UsageError(
                f"the chat template of {policy.name!r} writes message {i + 1} in another way once "
                "others follow: give such a row up to that message"
            )
        start, end = len(before), _end_of_turn(ids, len(before), len(through), policy.end_ids)
        roles[start:end] = [Role.ASSISTANT] * (end - start)
    return TokenSequence(token_ids=ids, roles=tuple(roles), logprobs=None, media=whole.media)


def _end_of_turn(ids: Sequence[int], start: int, stop: int, end_ids: Sequence[int]) -> int:
    """Behind the end token of the turn; templates may write a line feed after it, which the model
    never does."""
    ends = [i for i in range(start, stop) if ids[i] in end_ids]
    return ends[-1] + 1 if ends else stop
