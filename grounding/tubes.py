"""Tubes: where one object is through time, and where it is not to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.masks import Mask
from mmreason.video.types import Span

_SAME_TIME_S = 1e-6
"""Times nearer than this are one frame: tubes are written to the microsecond."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A box of one object at each of several times, with explicit absence.

    Raises ValueError where shapes differ, times do not rise, or a box is malformed.

    Example:
        >>> tube = Tube.from_boxes([0.0, 0.2, 0.4], [Box(0, 0, 8, 8), None, Box(4, 0, 12, 8)])
        >>> tube.at(0.4), tube.at(0.2)
        (Box(x1_px=4.0, y1_px=0.0, x2_px=12.0, y2_px=8.0), None)
    """

    times_s: np.ndarray
    """float64 (n,): presentation times of frames, rising."""
    boxes_px: np.ndarray
    """float64 (n, 4): xyxy in pixels of the original frame; rows of absence are zero."""
    present: np.ndarray
    """bool (n,): whether the object is to be seen."""
    observed: np.ndarray
    """bool (n,): whether a box (or an absence) was looked at in that frame; else it was filled in
    between two frames."""
    id: str = ""
    label: str = ""
    scores: np.ndarray | None = None
    """float64 (n,) of the detector, 0 where there is none."""
    masks: tuple[Mask | None, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.times_s)
        shapes = {"times_s": (n,), "boxes_px": (n, 4), "present": (n,), "observed": (n,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} of a tube of {n} times must have shape {shape}, "
                    f"got {getattr(self, name).shape}"
                )
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise ValueError("times of a tube must be finite and rise")
        if (
            not np.isfinite(self.boxes_px).all()
            or (self.boxes_px[:, 2:] < self.boxes_px[:, :2]).any()
        ):
            raise ValueError("boxes of a tube must be finite and not end before they start")
        if self.scores is not None and self.scores.shape != (n,):
            raise ValueError(f"scores of a tube must have shape {(n,)}, got {self.scores.shape}")
        if self.masks is not None and len(self.masks) != n:
            raise ValueError(f"a tube of {n} times needs {n} masks, got {len(self.masks)}")

    @classmethod
    def from_boxes(
        cls,
        times_s: Sequence[float],
        boxes: Sequence[Box | None],
        *,
        observed: Sequence[bool] | None = None,
        id: str = "",
        label: str = "",
    ) -> Tube:
        """From one box a time; None where the object is not to be seen."""
        rows = [(0.0,) * 4 if box is None else box.xyxy for box in boxes]
        return cls(
            times_s=np.asarray(times_s, np.float64),
            boxes_px=np.asarray(rows, np.float64).reshape(-1, 4),
            present=np.array([box is not None for box in boxes], bool),
            observed=np.ones(len(boxes), bool) if observed is None else np.asarray(observed, bool),
            id=id,
            label=label,
        )

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def span(self) -> Span | None:
        """From the first to the last time at which it is to be seen; None where it never is."""
        seen = np.flatnonzero(self.present)
        if not len(seen):
            return None
        return Span(float(self.times_s[seen[0]]), float(self.times_s[seen[-1]]))

    def at(self, time_s: float, tolerance_s: float = 0.05) -> Box | None:
        """The box at the nearest time of the tube; None where the object is absent then, or no
        time of the tube is within `tolerance_s`."""
        if not len(self):
            return None
        index = int(np.abs(self.times_s - time_s).argmin())
        if not self.present[index] or abs(self.times_s[index] - time_s) > tolerance_s:
            return None
        return Box(*(float(value) for value in self.boxes_px[index]))

    def resample(self, times_s: Sequence[float] | np.ndarray, max_gap_s: float = 1.0) -> Tube:
        """The tube at other times, which must rise.

        At a time of its own (to the microsecond) everything stays. Between two neighbours that both
        show the object, not more than `max_gap_s` apart, its box lies on the line between theirs,
        and `observed` is False. At all other times it is absent and not observed: nothing is filled
        in over an absence, over a longer gap, or beyond the ends. Masks are never filled in.

        Example:
            >>> tube = Tube.from_boxes([0.0, 1.0], [Box(0, 0, 8, 8), Box(4, 0, 12, 8)])
            >>> half = tube.resample([0.5])
            >>> half.at(0.5), bool(half.observed[0])
            (Box(x1_px=2.0, y1_px=0.0, x2_px=10.0, y2_px=8.0), False)
        """
        asked_s = np.asarray(times_s, np.float64).reshape(-1)
        n, m = len(self), len(asked_s)
        if not n:
            return Tube.from_boxes(
                asked_s.tolist(), [None] * m, observed=[False] * m, id=self.id, label=self.label
            )
        after = np.clip(np.searchsorted(self.times_s, asked_s), 0, n - 1)
        before = np.clip(after - 1, 0, n - 1)
        to_after = np.abs(self.times_s[after] - asked_s)
        to_before = np.abs(self.times_s[before] - asked_s)
        nearest = np.where(to_after <= to_before, after, before)
        is_own = np.abs(self.times_s[nearest] - asked_s) <= _SAME_TIME_S
        gap_s = self.times_s[after] - self.times_s[before]
        is_between = (
            ~is_own
            & (self.times_s[before] < asked_s)
            & (asked_s < self.times_s[after])
            & self.present[before]
            & self.present[after]
            & (gap_s <= max_gap_s + _SAME_TIME_S)
        )
        part = np.where(is_between, to_before / np.where(gap_s > 0, gap_s, 1.0), 0.0)
        own = is_own[:, None]
        between = self.boxes_px[before] * (1 - part)[:, None] + self.boxes_px[after] * part[:, None]
        boxes_px = np.where(own, self.boxes_px[nearest], between * is_between[:, None])
        scores = None
        if self.scores is not None:
            line = self.scores[before] * (1 - part) + self.scores[after] * part
            scores = np.where(is_own, self.scores[nearest], line * is_between)
        masks = None
        if self.masks is not None:
            masks = tuple(
                self.masks[index] if is_same else None
                for index, is_same in zip(nearest, is_own, strict=True)
            )
        return Tube(
            times_s=asked_s,
            boxes_px=boxes_px,
            present=np.where(is_own, self.present[nearest], is_between),
            observed=np.where(is_own, self.observed[nearest], False),
            id=self.id,
            label=self.label,
            scores=scores,
            masks=masks,
        )

    def iou(self, other: Tube, max_gap_s: float = 1.0) -> float:
        """Spatio-temporal overlap, 0..1: IoU of the boxes summed over the times at which both are
        to be seen, divided by the number of times at which either is (vIoU of TubeDETR, arXiv
        2203.16434, on the union; the smaller of the two, as its first code had it, is wrong).

        The times are those of both tubes. Where one has no entry at a time of the other it is
        filled in as `resample` does. 0 where neither is ever to be seen.

        Example:
            >>> a = Tube.from_boxes([0, 1], [Box(0, 0, 8, 8), Box(0, 0, 8, 8)])
            >>> a.iou(a), a.iou(Tube.from_boxes([0, 1], [Box(0, 0, 8, 8), None]))
            (1.0, 0.5)
        """
        times_s = _merge_times(self.times_s, other.times_s)
        a, b = self.resample(times_s, max_gap_s), other.resample(times_s, max_gap_s)
        either = int((a.present | b.present).sum())
        if not either:
            return 0.0
        corner = np.maximum(a.boxes_px[:, :2], b.boxes_px[:, :2])
        sides = np.clip(np.minimum(a.boxes_px[:, 2:], b.boxes_px[:, 2:]) - corner, 0, None)
        shared = sides.prod(axis=1)
        union = _areas(a.boxes_px) + _areas(b.boxes_px) - shared
        overlap = np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
        return float(overlap[a.present & b.present].sum() / either)

    @classmethod
    def from_dict(cls, value: Any) -> Tube:
        """What `to_dict` wrote. Raises ValueError, which names the field, for anything else.

        Example:
            >>> tube = Tube.from_boxes([0.0, 1.0], [Box(0, 0, 8, 8), None], id="3")
            >>> Tube.from_dict(tube.to_dict()).present.tolist()
            [True, False]
            >>> Tube.from_dict({"times_s": [0.0]})
            Traceback (most recent call last):
            ...
            ValueError: tube: boxes_px is missing
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"tube: expected an object, found {type(value).__name__}")
        for name in ("times_s", "boxes_px"):
            if name not in value:
                raise ValueError(f"tube: {name} is missing")
        times_s = _read_numbers(value["times_s"], "times_s")
        n = len(times_s)
        rows = _read_list(value["boxes_px"], "boxes_px", n)
        boxes_px = np.zeros((n, 4))
        for index, row in enumerate(rows):
            if row is None:
                continue
            numbers = _read_numbers(row, f"boxes_px[{index}]")
            if len(numbers) != 4:
                raise ValueError(f"tube: boxes_px[{index}] has {len(numbers)} numbers, not 4")
            boxes_px[index] = numbers
        observed = _read_list(value.get("observed", [True] * n), "observed", n)
        if not all(isinstance(item, bool) for item in observed):
            raise ValueError("tube: observed holds something else than true and false")
        scores, masks = value.get("scores"), value.get("masks")
        if scores is not None and len(scores_read := _read_numbers(scores, "scores")) != n:
            raise ValueError(f"tube: scores has {len(scores_read)} entries, times_s {n}")
        texts = {name: value.get(name, "") for name in ("id", "label")}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"tube: {name} is no text")
        try:
            return cls(
                times_s=times_s,
                boxes_px=boxes_px,
                present=np.array([row is not None for row in rows], bool),
                observed=np.array(observed, bool),
                scores=None if scores is None else scores_read,
                masks=None
                if masks is None
                else tuple(
                    None if mask is None else Mask.from_dict(mask)
                    for mask in _read_list(masks, "masks", n)
                ),
                **texts,
            )
        except ValueError as error:
            raise ValueError(f"tube: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; `boxes_px` holds null where the object is absent."""
        return {
            "id": self.id,
            "label": self.label,
            "times_s": [round(float(time_s), 6) for time_s in self.times_s],
            "boxes_px": [
                [round(float(value), 3) for value in row] if present else None
                for row, present in zip(self.boxes_px, self.present, strict=True)
            ],
            "observed": [bool(value) for value in self.observed],
            "scores": None if self.scores is None else [round(float(v), 6) for v in self.scores],
            "masks": None
            if self.masks is None
            else [None if mask is None else mask.to_dict() for mask in self.masks],
        }

    def _repr_html_(self) -> str:
        """When it is to be seen, in a notebook."""
        from mmreason.grounding.drawing.page import tube_fragment

        return tube_fragment(self)


def _areas(boxes_px: np.ndarray) -> np.ndarray:
    return (boxes_px[:, 2] - boxes_px[:, 0]) * (boxes_px[:, 3] - boxes_px[:, 1])


def _merge_times(a_s: np.ndarray, b_s: np.ndarray) -> np.ndarray:
    """The times of both, rising; two that are the same frame to the microsecond are one."""
    times_s = np.union1d(a_s, b_s)
    keep = np.ones(len(times_s), bool)
    keep[1:] = np.diff(times_s) > _SAME_TIME_S
    return times_s[keep]


def _read_list(value: Any, name: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"tube: {name} is no list")
    if length is not None and len(value) != length:
        raise ValueError(f"tube: {name} has {len(value)} entries, times_s {length}")
    return list(value)


def _read_numbers(value: Any, name: str) -> np.ndarray:
    numbers = _read_list(value, name)
    # A whole number beyond what a float holds would raise in the conversion.
    if not all(type(item) in (int, float) and abs(item) < 1e15 for item in numbers):
        raise ValueError(f"tube: {name} holds something else than finite numbers")
    return np.array(numbers, np.float64)
