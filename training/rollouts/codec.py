"""Conversations to the token ids of the model that is trained.

Text that the model wrote is never encoded again: where a conversation goes on from it, its own ids
are kept and only what follows is encoded. Leaves out reading frames and running the model.
"""

from __future__ import annotations

from typing import Any

from mmreason.models.base import Conversation, FramesPart, Message, TextPart
from mmreason.models.hf import TransformersModel
from mmreason.training.rollouts.types import Media, Prompt, Written
from mmreason.types import UsageError

_MADE_ANEW = frozenset({"input_ids", "attention_mask"})
"""For each batch; all else that a processor gives is media."""
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
        self._place_ids = [token for token in ids if isinstance(token, int)]
        self._last: tuple[Conversation, Prompt] | None = None

    def prompt(self, conversation: Conversation) -> Prompt:
        """See `Codec`. UsageError for a processor whose tensors cannot be batched here."""
        is_text = not _has_frames(conversation)
        # Attempts at one question begin one after the other, and alike.
        if is_text and self._last is not None and tuple(conversation) == self._last[0]:
            return self._last[1]
        inputs = self._chat.prepare([conversation])
        ids = tuple(inputs["input_ids"][0].tolist())
        types = {name: inputs[name] for name in _TOKEN_TYPES if name in inputs}
        tensors = {n: inputs[n] for n in inputs if n not in _MADE_ANEW and n not in types}
        if not tensors:
            prompt = Prompt(ids)
            if is_text:
                self._last = (tuple(conversation), prompt)
            return prompt
        for name, tensor in tensors.items():
            if tuple(tensor.shape) == (1, len(ids)):
                raise UsageError(
                    f"model {self._chat.name!r} needs {name!r} for every token, which rollouts do "
                    "not carry; models with input ids, pixels and grids can be trained"
                )
        places = {token: ids.count(token) for token in self._place_ids}
        media = Media(
            tensors=tensors,
            places={token: count for token, count in places.items() if count},
            token_types={name: tuple(tensor[0].tolist()) for name, tensor in types.items()},
        )
        return Prompt(ids, media)

    def continued(
        self, prompt: Prompt, written: Written, before: Conversation, conversation: Conversation
    ) -> Prompt:
        """See `Codec`."""
        if not _goes_on(before, written, conversation):
            return self.prompt(conversation)
        so_far = self._ids(conversation[: len(before) + 1], ask=False)
        whole = self._ids(conversation, ask=True)
        # Templates may write earlier turns in another way once there are later ones.
        if whole[: len(so_far)] != so_far:
            return self.prompt(conversation)
        ends = [i for i, token in enumerate(so_far) if token in self._end_ids]
        after = ends[-1] + 1 if ends and written.ended else ends[-1] if ends else len(so_far)
        rest = (*so_far[after:], *whole[len(so_far) :])
        return Prompt((*prompt.token_ids, *written.token_ids, *rest), prompt.media)

    def _ids(self, conversation: Conversation, *, ask: bool) -> tuple[int, ...]:
        if _has_frames(conversation):
            return tuple(self._chat.prepare([conversation], ask=ask)["input_ids"][0].tolist())
        return self._chat.text_ids(conversation, ask=ask)


class TextCodec:
    """For models without a chat template: the texts of a conversation, one after the other."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer

    def prompt(self, conversation: Conversation) -> Prompt:
        """See `Codec`."""
        return Prompt(tuple(self._encode("".join(map(_text, conversation)))))

    def continued(
        self, prompt: Prompt, written: Written, before: Conversation, conversation: Conversation
    ) -> Prompt:
        """See `Codec`."""
        if not _goes_on(before, written, conversation):
            return self.prompt(conversation)
        rest = "".join(map(_text, conversation[len(before) + 1 :]))
        return Prompt((*prompt.token_ids, *written.token_ids, *self._encode(rest)), prompt.media)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False).input_ids


def _goes_on(before: Conversation, written: Written, conversation: Conversation) -> bool:
    """Whether `conversation` is `before`, then exactly what was written, then text alone."""
    n = len(before)
    return (
        len(conversation) > n
        and all(new is old for new, old in zip(conversation, before, strict=False))
        and conversation[n].role == "assistant"
        and _text(conversation[n]).strip() == written.text
        and not _has_frames(conversation[n:])
    )


def _has_frames(conversation: Conversation) -> bool:
    return any(isinstance(part, FramesPart) for message in conversation for part in message.parts)


def _text(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))
