"""What every planner shares: the span it chooses from, and making a `SamplePlan` of its choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Protocol

import numpy as np

from mmreason.video.plan.budget import FrameBudget, Shape, fit_shape
from mmreason.video.plan.families import Family, FamilyName, family_of
from mmreason.video.types import SamplePlan, Span, VideoInfo


class HasInfo(Protocol):
    """Anything that knows what video it is, such as `Video`."""

    @property
    def info(self) -> VideoInfo: ...


@dataclass(frozen=True, slots=True)
class PlanScope:
    """The stretch to plan for and what is known of its frames."""

    span: Span
    size_px: tuple[int, int] | None
    """(width, height) before a family resizes; None where only a span was given."""
    is_own_size: bool
    """Whether that is the video's own size rather than one asked for."""

    def fit(
        self,
        n: int,
        family: Family | FamilyName | None,
        budget: FrameBudget | None,
        *,
        multiple: int = 1,
    ) -> Shape:
        """At most `n` frames within `budget`; see `budget.fit_shape`."""
        return fit_shape(
            n,
            self.size_px,
            family_of(family),
            budget or FrameBudget(),
            keep_size=self.is_own_size,
            multiple=multiple,
        )


def resolve_scope(
    video_or_span: HasInfo | Span, size_px: tuple[int, int] | None, within: Span | None = None
) -> PlanScope:
    """Where to plan: the whole, or the part of it `within` a span.

    Raises ValueError for an empty span and for sizes below 1.

    Example:
        >>> resolve_scope(Span(0, 60), (640, 360), within=Span(50, 70)).span
        Span(start_s=50, end_s=60)
    """
    if size_px is not None and min(size_px) < 1:
        raise ValueError(f"size_px must be (width, height) of 1 or more, got {size_px}")
    if isinstance(video_or_span, Span):
        span, own_px = video_or_span, None
    else:
        info = video_or_span.info
        span, own_px = info.span, (info.width_px, info.height_px)
    if within is not None:
        span = within.clip(span)
    if span.duration_s <= 0:
        raise ValueError(
            f"cannot sample an empty span ({span}); give one that ends after it starts"
        )
    return PlanScope(span, size_px or own_px, is_own_size=size_px is None)


def checked_count(n: int) -> int:
    """`n` as an int. Raises ValueError below 1."""
    if index(n) < 1:
        raise ValueError(f"n must be 1 or more frames, got {n}")
    return index(n)


def middle_times(span: Span, n: int) -> list[float]:
    """The middles of `n` equal parts of `span`, in seconds.

    Example:
        >>> middle_times(Span(0, 4), 2)
        [1.0, 3.0]
    """
    return [span.start_s + (k + 0.5) * span.duration_s / n for k in range(n)]


def build_plan(
    times_s: Sequence[float],
    reasons: Sequence[str],
    *,
    method: str,
    shape: Shape,
    settings: Mapping[str, Any],
    span: Span | None,
    family: Family | FamilyName | None,
    budget: FrameBudget | None,
    frames_asked: int,
    moved: tuple[bool, ...] = (),
) -> SamplePlan:
    """The plan; its settings also say which budget it kept and how many frames it cost."""
    assert len(times_s) == shape.frames, (len(times_s), shape)
    model_family = family_of(family)
    extra: dict[str, Any] = {}
    if budget is not None and budget.to_dict():
        extra["budget"] = budget.to_dict()
    if shape.frames < frames_asked:
        # Told only where fewer came out: a plan that did as asked has nothing to explain.
        extra["frames_asked"] = frames_asked
    return SamplePlan(
        times_s=tuple(float(t) for t in times_s),
        size_px=shape.size_px,
        method=method,
        reasons=tuple(reasons),
        settings=dict(settings) | extra,
        span=span,
        token_count=shape.token_count,
        family=None if model_family is None else model_family.name,
        moved=moved,
    )


def checked_candidates(
    times_s: Sequence[float] | np.ndarray, values: np.ndarray, name: str
) -> np.ndarray:
    """`times_s` as float64 (T,), one for each row of `values`. Raises ValueError unless they are
    strictly ascending, finite and as many, and `values` are finite."""
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1 or len(times) != len(values):
        raise ValueError(
            f"{name} and times_s must be as long as each other, got {len(values)} and "
            f"{times.shape[0] if times.ndim == 1 else times.shape}"
        )
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError("times_s must be finite seconds, each later than the one before")
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(f"{name} must be finite numbers, got nan or infinity at candidate {bad}")
    return times


def checked_vector(values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    """`values` as float64 (T,). Raises ValueError for another shape."""
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} must be one number a candidate, got shape {vector.shape}")
    return vector


def fit_candidates(
    available: int,
    budget: FrameBudget,
    size_px: tuple[int, int] | None,
    family: Family | FamilyName | None,
) -> Shape:
    """The shape of a plan that takes frames out of `available` candidates."""
    return fit_shape(available, size_px, family_of(family), budget)


def build_chosen(
    chosen: Mapping[int, str],
    times_s: np.ndarray,
    *,
    method: str,
    shape: Shape,
    settings: Mapping[str, Any],
    family: Family | FamilyName | None,
    budget: FrameBudget,
) -> SamplePlan:
    """A plan of the chosen candidates (index -> reason), in order of time."""
    order = sorted(chosen)
    span = Span(float(times_s[0]), float(times_s[-1])) if len(times_s) else None
    return build_plan(
        times_s[order].tolist(),
        [chosen[i] for i in order],
        method=method,
        shape=shape,
        settings=dict(settings) | {"candidates": len(times_s)},
        span=span,
        family=family,
        budget=budget,
        frames_asked=0,
    )
