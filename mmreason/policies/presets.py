"""Settings under which weights that were trained to navigate find what they were trained on.

`longvideo_r1` are the published ones; their prompts are not licensed, so the words are this
project's own, which may move results a little. `nano` are those that `mmreason data navigation`
makes samples for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mmreason.memory.tree import TreeRecipe
from mmreason.models.base import ClipRecipe
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How weights that were trained to navigate are to be asked."""

    policy: LongVideoR1
    tree: TreeRecipe

    def adapt_clip(self, clip: ClipRecipe) -> ClipRecipe:
        """The observer's way to watch clips, as those weights expect its captions.

        For the published ones the recipe of arXiv 2602.20913: 32, 64 and 128 frames of 512, 362 and
        256 pixels, lowest level first. A model of fixed frame size keeps its own.

        Example:
            >>> find_preset("longvideo_r1").adapt_clip(ClipRecipe(frames=16, leaf_s=16.0)).frames
            32
        """
        if not self.policy.published or clip.size_px is not None:
            return clip
        return replace(
            clip,
            frames=LONGVIDEO_R1_FRAMES,
            longest_px=LONGVIDEO_R1_LONGEST_PX,
            overview="denser",
        )


def find_preset(compat: str) -> Preset:
    """The settings for `compat`. UsageError for a name that is none.

    Example:
        >>> find_preset("nano").policy.rounds
        12
    """
    if compat == "nano":
        return Preset(policy=NANO_POLICY, tree=TreeRecipe())
    if compat == "longvideo_r1":
        return Preset(policy=LONGVIDEO_R1_POLICY, tree=LONGVIDEO_R1_TREE)
    raise UsageError(f"compat is 'longvideo_r1' or 'nano', got {compat!r}")
