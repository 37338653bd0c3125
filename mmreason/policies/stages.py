"""Stages of the policies for models other than nano that can be switched off, each an ablation."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args

from mmreason.types import UsageError
from mmreason.video.plain_text import show_line

Stage = Literal["search", "score", "check", "speech", "screen", "labels"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""search: what was read of the video says where to look; without it, even stretches do.
score: the model scores candidate stretches before it looks; without it, the first are taken.
check: other frames are asked the question again before an answer stands.
speech: subtitles are read, or what a recogniser hears where there are none.
screen: what stands written in the picture is searched. labels: what a classifier named is."""


def stages_without(policy: object) -> frozenset[Stage]:
    """The stages that a policy does without; none for one that knows no stages.

    Example:
        >>> stages_without("any other")
        frozenset()
    """
    return getattr(policy, "without", frozenset())


def check_stages(names: Iterable[str]) -> frozenset[Stage]:
    """The stages of these names. UsageError for a name that is none.

    Example:
        >>> sorted(check_stages(["check", "score"]))
        ['check', 'score']
    """
    if isinstance(names, str):
        raise UsageError(f"without takes a tuple of stages, got the text {show_line(names)!r}")
    names = tuple(names)
    for name in names:
        if name not in STAGES:
            near = difflib.get_close_matches(str(name), STAGES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"there is no stage {show_line(str(name))!r} to do without; the stages are "
                f"{', '.join(STAGES)}{hint}"
            )
    return frozenset(stage for stage in STAGES if stage in names)
