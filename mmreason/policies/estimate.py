"""What a question would cost, before anything is spent: planned from the tree, nothing decoded.

As ranges. For the greedy way through the tree: at least the opening and one checked look, at most
all that may be read. For models other than nano: at least one checked look at all of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mmreason.memory.tree import Tree
from mmreason.models.base import ClipRecipe
from mmreason.policies.direct import fits_directly, planned_frames
from mmreason.policies.greedy import LOOKS_LIMIT
from mmreason.policies.inspection import INSPECTED_FRAMES
from mmreason.policies.navigate import CAPTIONS_PER_BRANCH
from mmreason.policies.scripted_search import (
    FRAMES_A_SPAN,
    RETRIEVED,
    SAFETY,
    SCORE_FRAMES,
    SPANS,
    STILLS,
)
from mmreason.policies.stills import LEAST_SURVEY_FRAMES, SURVEY_FRAMES
from mmreason.tool_calls import StillFrame
from mmreason.tools.scan import FIRST_MOMENTS, MORE_MOMENTS, is_long
from mmreason.tools.views import caption_views, clip_view
from mmreason.types import Budget
from mmreason.video.content.salient import scan_times
from mmreason.video.types import VideoInfo

LOOKS_EACH = 5
"""Most calls at one place: a look, two to check it, whether the thing is there, a description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Frames and calls of one question, from the fewest to the most; a warm store makes it less."""

    duration_s: float
    branching: int
    depth: int
    leaf_s: float
    scanned_frames: int
    """Small frames that are compared without a model, once for all questions."""
    opening_frames: int
    """For the captions of the top level, which the next question finds in the store."""
    level_frames: int
    """For the captions below one node of the top level."""
    look_frames: int
    """For one look."""
    least_frames: int
    most_frames: int
    least_calls: int
    most_calls: int

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


def estimate_cost(tree: Tree, recipe: ClipRecipe, info: VideoInfo, budget: Budget) -> Estimate:
    """Plan the views of the opening, of one level below and of a look, and add them up."""
    look = len(clip_view(recipe, info, tree.span).times_s)
    # What a scan would find is not known: moments stand in for it, as many as there can be.
    stand_ins = [StillFrame(node.span.middle_s, node.span) for node in tree.children()]
    scanned = is_long(tree)
    # Times a truth value: without a scan no moment stands in.
    first = stand_ins[:1] * FIRST_MOMENTS * scanned
    more = stand_ins[:1] * (MORE_MOMENTS + 1) * scanned
    opening = [
        v for node in tree.children() for v in caption_views(recipe, info, node.span, 0.0, first)
    ]
    below = [
        view
        for node in tree.children((1,) if tree.depth > 1 else ())
        for view in caption_views(recipe, info, node.span, 0.0, more)
    ]
    opening_frames, level_frames = (
        sum(len(view.times_s) for view in views) for views in (opening, below)
    )
    # A look and its check.
    least = opening_frames + 2 * look
    nodes = sum(tree.branching**level for level in range(1, tree.depth + 1))
    # Each opening reads the children of one node; that of the top is counted already.
    levels = max(0, min(CAPTIONS_PER_BRANCH, nodes // tree.branching) - 1) if tree.depth else 0
    most = opening_frames + levels * level_frames + LOOKS_LIMIT * LOOKS_EACH * look
    if budget.frames is not None:
        least, most = min(least, budget.frames), min(most, budget.frames)
    return Estimate(
        duration_s=tree.span.duration_s,
        branching=tree.branching,
        depth=tree.depth,
        leaf_s=tree.leaf_s,
        scanned_frames=sum(len(scan_times(info, node.span)) for node in tree.children() if scanned),
        opening_frames=opening_frames,
        level_frames=level_frames,
        look_frames=look,
        least_frames=least,
        most_frames=most,
        least_calls=len(opening) + 2,
        most_calls=len(opening) + levels * len(below) + LOOKS_LIMIT * LOOKS_EACH,
    )


def estimate_looks(tree: Tree, info: VideoInfo, budget: Budget) -> Estimate:
    """The same for `Auto` with models other than nano: one look over all of it and its check, at
    most a search after that."""
    span = tree.span
    is_direct = fits_directly(span, budget.frames)
    look = planned_frames(span, budget.frames) if is_direct else SURVEY_FRAMES
    least = (look if is_direct else LEAST_SURVEY_FRAMES) + INSPECTED_FRAMES
    # Twice: an answer that is confirmed in part is checked in a wider window.
    check = 2 * INSPECTED_FRAMES
    candidates = RETRIEVED + SAFETY
    search = STILLS + candidates * SCORE_FRAMES + SPANS * FRAMES_A_SPAN + check
    most = look + check + (0 if is_direct else search)
    if budget.frames is not None:
        least, most = min(least, budget.frames), min(most, budget.frames)
    return Estimate(
        duration_s=span.duration_s,
        branching=tree.branching,
        depth=tree.depth,
        leaf_s=tree.leaf_s,
        scanned_frames=0 if is_direct else len(scan_times(info, span)),
        opening_frames=0,
        level_frames=0,
        look_frames=look,
        least_frames=least,
        most_frames=most,
        least_calls=2,
        # Beside the looks: the kind of the question, a ranking, and comparisons of open answers.
        most_calls=4 if is_direct else 10 + STILLS + candidates,
    )
