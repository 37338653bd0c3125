"""Which frames of a stretch a model is shown: one clip, a sparse overview, or several clips.

Pure arithmetic over a `ClipRecipe`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.models.base import ClipRecipe
from mmreason.tool_calls import StillFrame
from mmreason.video import plan
from mmreason.video.types import Span, VideoInfo

CLIP_LEAVES = 1.5
"""Stretches up to this many leaves long are shown as one ordinary clip."""
DOUBLINGS = 2
"""An overview has at most 2 ** this times the frames of a clip."""
LEVEL_RATIO = 5.0
"""How much longer a stretch is one level further up: about the branching of the tree."""
LEAST_OVERVIEW_PX = 140
"""The frames of an overview are never made smaller than this (longest side)."""
MANY_FRAMES = 32
"""Frames of one clip that are shown at full size; more share the same area."""
FOCUS_CLIPS = 4
"""Most clips of one `focus`."""


@dataclass(frozen=True, slots=True)
class View:
    """The frames of one request to a model.

    Example:
        >>> View(Span(0, 4), (1.0, 3.0), (64, 32)).pixel_count
        4096
    """

    span: Span
    """The stretch that the reply speaks for."""
    times_s: tuple[float, ...]
    size_px: tuple[int, int]
    """(width, height)"""

    @property
    def pixel_count(self) -> int:
        return len(self.times_s) * self.size_px[0] * self.size_px[1]


def clip_view(recipe: ClipRecipe, info: VideoInfo, span: Span, shift: float = 0.0) -> View:
    """One clip over `span`: bin centres, moved by `shift` (-0.5..0.5) of a bin.

    Never more frames than the stretch has.
    """
    size_px = recipe.frame_size_px(info.width_px, info.height_px)
    return View(span, _times_s(info, span, recipe.frames, shift), size_px)


def caption_views(
    recipe: ClipRecipe,
    info: VideoInfo,
    span: Span,
    shift: float = 0.0,
    stills: Sequence[StillFrame] = (),
) -> tuple[View, ...]:
    """What to show for a caption of `span`: a clip where it is short, else an overview.

    An overview is one view of frames that double in number while their area halves with each level
    of length, so that every caption costs about the same (LongVideo-R1's recipe), or one view a
    frame for recipes of stills. Of `stills`, the most telling first, such recipes show all and
    nothing else; other overviews show the first of them in each even step instead of its middle.
    """
    # 1. Short: one clip at the rate that the model sees best.
    if span.duration_s <= CLIP_LEAVES * recipe.leaf_s:
        return (clip_view(recipe, info, span, shift),)
    # 2. A model that loses track across cuts sees one frame at a time.
    if recipe.overview == "stills":
        size_px = recipe.frame_size_px(info.width_px, info.height_px)
        if stills:
            return stills_views(recipe, info, sorted(stills, key=lambda still: still.time_s))
        times_s = _times_s(info, span, recipe.frames, shift)
        # Each frame speaks up to half-way to its neighbours.
        edges_s = [span.start_s, *((a + b) / 2 for a, b in itertools.pairwise(times_s))]
        edges_s.append(span.end_s)
        return tuple(
            View(Span(edges_s[i], edges_s[i + 1]), (time_s,), size_px)
            for i, time_s in enumerate(times_s)
        )
    # 3. A model of fixed frame size cannot trade size for number.
    if recipe.size_px is not None:
        return (clip_view(recipe, info, span, shift),)
    # 4. More and smaller frames, the longer the stretch.
    level = math.log(span.duration_s / recipe.leaf_s, LEVEL_RATIO)
    doublings = min(DOUBLINGS, max(0, round(level)))
    size_px = _smaller(recipe, info, doublings)
    times_s = _times_s(info, span, recipe.frames * 2**doublings, shift)
    return (View(span, _nearer(times_s, span, [still.time_s for still in stills]), size_px),)


def spans_view(
    recipe: ClipRecipe, info: VideoInfo, spans: Sequence[Span], frames: int, shift: float = 0.0
) -> View:
    """One clip that joins even frames of several stretches: `frames` in all, dealt out by length,
    at least one each. More than `MANY_FRAMES` are shown smaller, so that a model's context holds
    them.

    Example:
        >>> recipe, spans = ClipRecipe(frames=8, leaf_s=4), (Span(0, 10), Span(60, 90))
        >>> spans_view(recipe, video.info, spans, frames=8).times_s  # doctest: +SKIP
        (2.5, 7.5, 62.5, 67.5, 72.5, 77.5, 82.5, 87.5)
    """
    counts = _deal_out(max(frames, len(spans)), [span.duration_s for span in spans])
    times_s = [
        time_s
        for span, count in zip(spans, counts, strict=True)
        for time_s in _times_s(info, span, count, shift)
    ]
    # Half the area for twice the frames: the tokens of a clip stay about the same.
    halvings = math.ceil(math.log2(max(1.0, len(times_s) / MANY_FRAMES)))
    size_px = _smaller(recipe, info, min(DOUBLINGS, halvings)) if recipe.size_px is None else None
    size_px = size_px or recipe.frame_size_px(info.width_px, info.height_px)
    return View(Span(spans[0].start_s, spans[-1].end_s), tuple(times_s), size_px)


def _deal_out(count: int, lengths_s: Sequence[float]) -> list[int]:
    """How many of `count` each of these gets: one, and of the others by length."""
    # Stretches without length, such as single frames, may not divide by 0.
    total_s = sum(lengths_s) or 1.0
    extra = count - len(lengths_s)
    quotas = [extra * length_s / total_s for length_s in lengths_s]
    dealt = [int(quota) for quota in quotas]
    # The largest remainders first, so that the counts add up exactly.
    by_rest = sorted(range(len(quotas)), key=lambda i: dealt[i] - quotas[i])
    for i in by_rest[: extra - sum(dealt)]:
        dealt[i] += 1
    return [1 + more for more in dealt]


def stills_views(
    recipe: ClipRecipe, info: VideoInfo, stills: Sequence[StillFrame]
) -> tuple[View, ...]:
    """One view a frame."""
    size_px = recipe.frame_size_px(info.width_px, info.height_px)
    return tuple(View(still.span, (still.time_s,), size_px) for still in stills)


def focus_views(recipe: ClipRecipe, info: VideoInfo, span: Span) -> tuple[View, ...]:
    """Up to `FOCUS_CLIPS` clips of the length the model sees best, evenly over `span`."""
    # The tolerance keeps exact multiples of a leaf from getting a clip more.
    count = min(FOCUS_CLIPS, max(1, math.ceil(span.duration_s / recipe.leaf_s - 1e-9)))
    part_s = span.duration_s / count
    return tuple(
        clip_view(recipe, info, center_span(span.start_s + (i + 0.5) * part_s, recipe.leaf_s, span))
        for i in range(count)
    )


def center_span(time_s: float, length_s: float, within: Span) -> Span:
    """A stretch of `length_s` centred on `time_s`, moved to lie inside `within`.

    Example:
        >>> center_span(1.0, 4.0, within=Span(0, 60))
        Span(start_s=0, end_s=4.0)
    """
    length_s = min(length_s, within.duration_s)
    start_s = min(max(time_s - length_s / 2, within.start_s), within.end_s - length_s)
    return Span(start_s, start_s + length_s).clip(within)


def _times_s(info: VideoInfo, span: Span, count: int, shift: float) -> tuple[float, ...]:
    if span.duration_s <= 0:
        return (span.start_s,)
    # No frame twice: it would count as two, and a model may take it for a pause.
    if info.mean_fps_hz > 0:
        count = min(count, max(1, round(span.duration_s * info.mean_fps_hz)))
    step_s = span.duration_s / count
    return tuple(t + shift * step_s for t in plan.uniform(span, count).times_s)


def _nearer(times_s: tuple[float, ...], span: Span, telling_s: list[float]) -> tuple[float, ...]:
    """Each of the middles `times_s` of equal steps, or the first of `telling_s` in its step."""
    step_s = span.duration_s / len(times_s)
    chosen_s = list(times_s)
    # Backwards: the first of those that fall into one step is written last, and stays.
    for time_s in reversed(telling_s):
        step = int((time_s - span.start_s) / step_s)
        chosen_s[min(len(chosen_s) - 1, max(0, step))] = time_s
    return tuple(chosen_s)


def _smaller(recipe: ClipRecipe, info: VideoInfo, halvings: int) -> tuple[int, int]:
    """Frame size with the area halved so many times."""
    width, height = recipe.frame_size_px(info.width_px, info.height_px)
    longest = max(width, height)
    # The root, as it is the area that is halved; a small frame is never enlarged.
    target_px = min(longest, max(LEAST_OVERVIEW_PX, longest / math.sqrt(2**halvings)))
    step = recipe.multiple_px
    scale = target_px / longest / step
    return max(step, round(width * scale) * step), max(step, round(height * scale) * step)
