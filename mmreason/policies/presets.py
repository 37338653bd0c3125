"""Settings under which weights that were trained to navigate find what they were trained on.

`longvideo_r1` are the published ones; their prompts are not licensed, so the words are this
project's own, which may move results a little. `nano` are those that `mmreason data navigation`
makes samples for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mmreason.agent.protocol import Policy
from mmreason.memory.tree import TreeRecipe
from mmreason.models.base import ChatModel
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.types import UsageError

Compat = Literal["longvideo_r1", "nano"]
LONGVIDEO_R1_FRAMES = 32
"""Frames of a caption of the lowest level; 64 and 128 above it."""
LONGVIDEO_R1_LONGEST_PX = 512
LONGVIDEO_R1_TREE = TreeRecipe(depth=3)
LONGVIDEO_R1_POLICY = LongVideoR1(published=True, scan=False, rounds=30, context_tokens=32_768)
NANO_POLICY = LongVideoR1(system="", rounds=12, max_new_tokens=96, context_tokens=4096)
"""How a small model plays: nothing is told that it does not need."""


def compatible(compat: str, observer: ChatModel) -> tuple[Policy, TreeRecipe]:
    """Policy and tree for `compat`. "longvideo_r1" also gives the observer the frame recipe of
    arXiv 2602.20913 (32, 64 and 128 frames of 512, 362 and 256 pixels, lowest level first).

    A model of fixed frame size keeps its own recipe. UsageError for a name that is none.
    """
    if compat == "nano":
        return NANO_POLICY, TreeRecipe()
    if compat != "longvideo_r1":
        raise UsageError(f"compat is 'longvideo_r1' or 'nano', got {compat!r}")
    if observer.clip.size_px is None:
        observer.clip = replace(  # pyright: ignore[reportAttributeAccessIssue]
            observer.clip,
            frames=LONGVIDEO_R1_FRAMES,
            longest_px=LONGVIDEO_R1_LONGEST_PX,
            overview="denser",
        )
    return LONGVIDEO_R1_POLICY, LONGVIDEO_R1_TREE
