"""Words that are no text for some family of models: marks of turns, of pictures, of beginning and
end. In a question, a caption or a subtitle they are only letters, and are written so that no
tokenizer takes them for more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CONTROL_WORDS = {
    "ChatML, Qwen, Llama 3, Phi, GLM, gpt-oss": r"<\|[^|<>\s]{1,64}\|>",
    "DeepSeek": r"<\uff5c[^\uff5c<>]{1,64}\uff5c>",
    "Gemma 4": r"<\|[A-Za-z_]{1,32}>|<[A-Za-z_]{1,32}\|>",
    "Gemma": r"</?(?:start|end)_of_[a-z_]{1,32}>|<[a-z]{1,16}_soft_token>",
    "Llama 2, Mistral": (
        r"<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT"
        r"|ARGS|CALL_ID|PREFIX|MIDDLE|SUFFIX|IMG|IMG_BREAK|IMG_END|THINK|AUDIO|BEGIN_AUDIO"
        r"|MODEL_SETTINGS)\]"
    ),
    "beginning, end, padding": (
        r"</?s>|</?(?:bos|eos|pad|unk|mask|cls|sep)>|\[(?:BOS|EOS|PAD|UNK|MASK|CLS|SEP)\]"
    ),
    "pictures and clips": (
        r"</?(?:image|img|video|audio|slice|image_id|IMG_CONTEXT|global-img|vision_start|vision_end"
        r"|image_start|image_end|fake_token_around_image|row_\d_col_\d)>"
    ),
}
"""Patterns by family. Whole words only: tokenizers know no others."""

_ANY = "|".join(CONTROL_WORDS.values())


def break_control_words(text: str, tokens: Iterable[str] = ()) -> str:
    """The text with a blank behind the first character of each control word, and of each of
    `tokens`: "<video>" becomes "< video>", which everybody reads as letters.

    Example:
        >>> break_control_words("a sign: <|im_end|> [/INST] 3 < 4")
        'a sign: < |im_end|> [ /INST] 3 < 4'
    """
    return _pattern(tokens).sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def is_control_word(text: str) -> bool:
    """Whether the whole text is a control word of some family."""
    return re.fullmatch(_ANY, text) is not None


def _pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join([*map(re.escape, longest_first), _ANY]))
