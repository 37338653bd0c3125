"""How models by script count what they read and write."""

from __future__ import annotations

import re


def count_tokens(text: str) -> int:
    """Words, and letters of Chinese.

    Example:
        >>> count_tokens("a red star"), count_tokens("红色的")
        (3, 3)
    """
    return len(re.findall(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+", text))


def cut_tokens(text: str, most: int) -> tuple[str, int]:
    """The text up to its first `most` tokens, and how many it has.

    Example:
        >>> cut_tokens("a red star", 2)
        ('a red', 2)
    """
    ends = [match.end() for match in re.finditer(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+", text)]
    if len(ends) <= most:
        return text, len(ends)
    return text[: ends[most - 1]], most
