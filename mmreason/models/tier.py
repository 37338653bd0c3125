"""How much may be left to a model, by its name and the number of its parameters."""

from __future__ import annotations

import re

from mmreason.models.base import Tier
from mmreason.models.folders import PACKAGED

STRONG_PARAMETERS = 14e9
"""A model with more is strong; of a mixture of experts those count that work on one token."""

_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,2})?)b(?![A-Za-z0-9])", re.IGNORECASE)
_ACTIVE = re.compile(r"(?<![A-Za-z0-9])a(\d{1,4}(?:\.\d{1,2})?)b(?![A-Za-z0-9])", re.IGNORECASE)
_EXPERTS = re.compile(r"(?<![A-Za-z0-9])\d{1,3}x(\d{1,3})b(?![A-Za-z0-9])", re.IGNORECASE)
_HOSTED_STRONG = re.compile(
    r"(?:^|[/:])(?:gpt-[45]|o[134](?:$|-)|gemini-|claude-|grok-)", re.IGNORECASE
)
_HOSTED_SMALL = re.compile(r"(?<![a-z])(?:mini|nano|lite|haiku)(?![a-z])", re.IGNORECASE)
_MILLIONS = re.compile(r"(?<![A-Za-z0-9.])\d{1,4}m(?![A-Za-z0-9])", re.IGNORECASE)
_THINKS = re.compile(
    r"think|reason|(?:^|[/:_-])(?:r1|qwq|qvq|o[134]|gpt-5|gpt-oss|kimi-k2)(?:$|[-_.:])|magistral",
    re.IGNORECASE,
)


def tier_of_name(name: str) -> Tier | None:
    """The tier of a model that is known by its name alone; None where the name tells no size.

    Example:
        >>> [tier_of_name(name) for name in ("Qwen3-VL-8B", "Qwen2.5-VL-72B", "30B-A3B", "llava")]
        ['small', 'strong', 'small', None]
    """
    name = _own_name(name)
    if name in PACKAGED:
        return "nano"
    for pattern in (_ACTIVE, _EXPERTS, _SIZE):
        sizes = [float(size) for size in pattern.findall(name)]
        if sizes:
            return tier_of_size(max(sizes) * 1e9)
    if _MILLIONS.search(name):
        return "small"
    if _HOSTED_STRONG.search(name):
        return "small" if _HOSTED_SMALL.search(name) else "strong"
    return None


def tier_of_size(parameter_count: float) -> Tier:
    """The tier of weights with so many parameters.

    Example:
        >>> tier_of_size(7e9), tier_of_size(72e9)
        ('small', 'strong')
    """
    return "strong" if parameter_count > STRONG_PARAMETERS else "small"


def thinks_by_name(name: str) -> bool:
    """Whether a model's name says that it thinks before it answers.

    Example:
        >>> thinks_by_name("Qwen3-VL-8B-Thinking"), thinks_by_name("thinking/Qwen3-VL-8B-Instruct")
        (True, False)
    """
    return _THINKS.search(_own_name(name)) is not None


def _own_name(name: str) -> str:
    """The last part: what a folder above is called says nothing of the model in it."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]
