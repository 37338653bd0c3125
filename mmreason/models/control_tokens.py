"""Control tokens of one tokenizer, and text that holds none of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from mmreason.language.control_words import break_control_words, is_control_word
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

_THOUGHT_TAG = re.compile(r"</?(?:think|thinking|thought|reasoning|seed:think)>")
"""What models write around a thought goes back to them in the history of a dialogue."""


def control_tokens_of(tokenizer: Any, processor: Any) -> dict[str, int]:
    """Tokens that a text must not write, with their ids: the special ones, those that some family
    has for control, and the placeholders of the processor (its attributes `*_token`), which need
    not be among them."""
    processor_tokens = (
        getattr(processor, name, None) for name in dir(processor) if name.endswith("_token")
    )
    tokens = {*tokenizer.all_special_tokens, *processor_tokens, "<image>", "<video>"}
    for token in tokenizer.added_tokens_decoder.values():
        if token.special or is_control_word(token.content):
            tokens.add(token.content)
    written = sorted(token for token in tokens if isinstance(token, str) and len(token.strip()) > 1)
    return {
        token: tokenizer.convert_tokens_to_ids(token)
        for token in written
        if not _THOUGHT_TAG.fullmatch(token)
    }


def as_plain_text(tokenizer: Any, tokens: Mapping[str, int], text: str) -> str:
    """The text with all control words broken, such that the tokenizer makes none of `tokens` of it.

    UsageError where it cannot be broken.
    """
    unknown = tokenizer.unk_token_id
    control_ids = {token_id for token_id in tokens.values() if token_id != unknown}
    broken = break_control_words(text, tokens)
    # Tokenizers may fold letters before they look for a token: wide brackets, capitals.
    folded = break_control_words(unicodedata.normalize("NFKC", broken), tokens)
    apart = re.sub(r"([^\w\s])", r" \1 ", folded)
    for candidate in (broken, folded, apart):
        ids = tokenizer(candidate, add_special_tokens=False)["input_ids"]
        if control_ids.isdisjoint(ids):
            return candidate
    raise UsageError(
        f"the text {show_line(text)[:60]!r} holds a control token of the model that cannot be "
        "written as letters; take it out"
    )
