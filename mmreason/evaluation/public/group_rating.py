"""The grouped rating of Video-MME-v2: four questions about one video are rated together.

As in "test_video_mme_v2" of `MME-Benchmarks/Video-MME-v2`. In a relevance group the score is the
square of the share that is right. In a logic group it is that of the chain of right answers from
its start; two questions that stand beside each other in the chain may stand in for each other once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_RELEVANCE = tuple(right**2 / 16 for right in range(5))
_LOGIC: Mapping[str, tuple[float, ...]] = {
    "[1,2,3,4]": _RELEVANCE,
    "[1,[2,3],4]": (0.0, 1 / 12, 4 / 12, 7 / 12, 1.0),
    "[[1,2],3,4]": (0.0, 1 / 10, 2 / 10, 5 / 10, 1.0),
}
"""Score by the length of the chain, by structure as it is published, without its blanks."""
QUESTIONS = 4


def rate_group(kind: str, structure: str, right: Sequence[bool]) -> float:
    """Score of one group, 0 to 1. ValueError for another number of questions or structure.

    Example:
        >>> rate_group("relevance", "", [True, True, False, False])
        0.25
        >>> rate_group("logic", "[1, 2, 3, 4]", [True, False, True, True])
        0.0625
    """
    if len(right) != QUESTIONS:
        raise ValueError(f"a group has {QUESTIONS} questions, found {len(right)}")
    if kind == "relevance":
        return _RELEVANCE[sum(right)]
    key = "".join(structure.split())
    if key not in _LOGIC:
        raise ValueError(f"no known structure of a logic group: {structure[:60]!r}")
    length = next((position for position, is_right in enumerate(right) if not is_right), QUESTIONS)
    # 2 and 3, or 1 and 2, stand beside each other: the second may be right in place of the first.
    if (key == "[1,[2,3],4]" and length == 1 and right[2]) or (
        key == "[[1,2],3,4]" and length == 0 and right[1]
    ):
        length += 1
    return _LOGIC[key][length]
