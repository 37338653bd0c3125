"""Conversations to the token ids of the model that is trained.

Text that the model wrote is never encoded again: where a conversation goes on from it, its own ids
are kept and only what follows is encoded.
"""

from __future__ import annotations

from typing import Any

from mmreason.models.base import Conversation, FramesPart, Message, TextPart
from mmreason.models.hf import TransformersModel
from mmreason.training.rollouts.types import Completion, Media, Prompt
from mmreason.types import UsageError

_MADE_PER_BATCH = frozenset({"input_ids", "attention_mask"})
"""All else that a processor gives is media."""
_TOKEN_TYPES = ("mm_token_type_ids", "token_type_ids")
"""What a processor says of each token, by the names that families give it."""


class ChatCodec:
    """For models with a processor or a chat template. See `Codec`."""

    def __init__(self, chat: TransformersModel):
        self._chat = chat
        config = chat.model.config
        ids = [getattr(config, f"{kind}_token_id", None) for kind in ("image", "video")]
        ends = chat.model.generation_config.eos_token_id
        self._end_ids = frozenset([ends] if isinstance(ends, int) else ends or ())
        self._placeholder_ids = [token for token in ids if isinstance(token, int)]
        self._last: tuple[Conversation, Prompt] | None = None

    def encode_prompt(self, conversation: Conversation) -> Prompt:
        """See `Codec`. UsageError for a processor whose tensors cannot be batched here."""
        return self.encode_conversation(conversation, ask=True)

    def encode_conversation(self, conversation: Conversation, *, ask: bool) -> Prompt:
        """See `Codec`. UsageError for a processor whose tensors cannot be batched here."""
        is_text = ask and not _has_frames(conversation)
        # Rollouts of one question begin one after the other, and alike.
        if is_text and self._last is not None and tuple(conversation) == self._last[0]:
            return self._last[1]
        inputs = self._chat.prepare([conversation], ask=ask)
        ids = tuple(inputs["input_ids"][0].tolist())
        types = {name: inputs[name] for name in _TOKEN_TYPES if name in inputs}
        tensors = {n: inputs[n] for n in inputs if n not in _MADE_PER_BATCH and n not in types}
        if not tensors:
            prompt = Prompt(ids)
            if is_text:
                self._last = (tuple(conversation), prompt)
            return prompt
        # Rollouts are cut and joined by token, which such a tensor could not follow.
        for name, tensor in tensors.items():
            if tuple(tensor.shape) == (1, len(ids)):
                raise UsageError(
                    f"model {self._chat.name!r} needs {name!r} for every token, which rollouts do "
                    "not carry; models with input ids, pixels and grids can be trained"
                )
        counts = {token: ids.count(token) for token in self._placeholder_ids}
        media = Media(
            tensors=tensors,
            placeholder_counts={token: count for token, count in counts.items() if count},
            token_types={name: tuple(tensor[0].tolist()) for name, tensor in types.items()},
        )
        return Prompt(ids, media, tuple(conversation))

    def continue_prompt(
        self,
        prompt: Prompt,
        completion: Completion,
        before: Conversation,
        conversation: Conversation,
    ) -> Prompt:
        """See `Codec`."""
        if not _is_continued(before, completion, conversation):
            return self.encode_prompt(conversation)
        # 1) The template's ids up to the model's turn, and with all that follows it.
        up_to_turn = self._template_ids(conversation[: len(before) + 1], ask=False)
        whole = self._template_ids(conversation, ask=True)
        # Templates may write earlier turns in another way once there are later ones.
        if whole[: len(up_to_turn)] != up_to_turn:
            return self.encode_prompt(conversation)
        # 2) What the template puts behind the turn: the end token too, where the model was cut off.
        ends = [i for i, token in enumerate(up_to_turn) if token in self._end_ids]
        if not ends:
            after = len(up_to_turn)
        else:
            after = ends[-1] + 1 if completion.is_finished else ends[-1]
        following = (*up_to_turn[after:], *whole[len(up_to_turn) :])
        # 3) In front of it, the ids that were read and written.
        ids = (*prompt.token_ids, *completion.token_ids, *following)
        return Prompt(ids, prompt.media, tuple(conversation) if prompt.media is not None else None)

    def _template_ids(self, conversation: Conversation, *, ask: bool) -> tuple[int, ...]:
        if _has_frames(conversation):
            return tuple(self._chat.prepare([conversation], ask=ask)["input_ids"][0].tolist())
        return self._chat.text_ids(conversation, ask=ask)


class TextCodec:
    """For models without a chat template: the texts of a conversation, one after the other."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer

    def encode_conversation(self, conversation: Conversation, *, ask: bool) -> Prompt:
        """See `Codec`. There is no sign that asks for an answer."""
        ids: list[int] = []
        for message in conversation:
            ids += self._encode(_message_text(message))
            if message.role == "assistant":
                ids.append(self._tokenizer.eos_token_id)
        return Prompt(tuple(ids))

    def encode_prompt(self, conversation: Conversation) -> Prompt:
        """See `Codec`."""
        return Prompt(tuple(self._encode("".join(map(_message_text, conversation)))))

    def continue_prompt(
        self,
        prompt: Prompt,
        completion: Completion,
        before: Conversation,
        conversation: Conversation,
    ) -> Prompt:
        """See `Codec`."""
        if not _is_continued(before, completion, conversation):
            return self.encode_prompt(conversation)
        following = self._encode("".join(map(_message_text, conversation[len(before) + 1 :])))
        return Prompt((*prompt.token_ids, *completion.token_ids, *following), prompt.media)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False).input_ids


def _is_continued(before: Conversation, completion: Completion, conversation: Conversation) -> bool:
    """Whether `conversation` is `before`, then exactly the completion, then text alone."""
    n = len(before)
    return (
        len(conversation) > n
        and all(new is old for new, old in zip(conversation, before, strict=False))
        and conversation[n].role == "assistant"
        and _message_text(conversation[n]).strip() == completion.text
        and not _has_frames(conversation[n:])
    )


def _has_frames(conversation: Conversation) -> bool:
    return any(
        isinstance(content, FramesPart) for message in conversation for content in message.parts
    )


def _message_text(message: Message) -> str:
    return "".join(content.text for content in message.parts if isinstance(content, TextPart))
