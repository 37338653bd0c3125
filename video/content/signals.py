"""What small frames tell about changes of shot: sudden jumps, gradual blends, flashes, light.

Pure arithmetic on arrays, frame after frame, holding a few seconds of frames only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NOISE, _FULL = 6, 60
"""Differences of a pixel up to the first are noise, from the second on it has changed fully."""
_LEAST_JUMP = 0.05
_LEAST_BLEND = 0.2
_BLEND_RATIO = 0.3
"""Frames half-way through a dissolve are the mean of its ends; movement and cuts are far off."""
_BLEND_CALM = 2.0
_BLEND_LAGS_S = (0.2, 0.4, 0.8)
"""Half lengths of the dissolves looked for."""
_FLASH_S = 0.25
_SAME_STRUCTURE = 0.65
"""Correlation of the edges from which on two frames show the same thing in another light."""
_PAN_PX = 4
"""How far a picture may move during a change of light."""
_LEVEL_ROWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A frame that differs from the one before."""

    row: int
    change: float
    """Share of the picture that changes, 0..1."""
    is_flash: bool
    """Whether the picture of before comes back at once."""
    is_lighting: bool
    """Whether the same edges are seen in another light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A frame that is the mean of those `lag` rows before and after it, which differ."""

    row: int
    lag: int
    change: float
    outside: float
    """Change in stretches of the same length before and after."""

    def clarity(self) -> float:
        return self.change - self.outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a whole scan found."""

    rate_hz: float
    """Frames a second that were looked at."""
    times_s: np.ndarray
    """float64 (N,): presentation times of the frames."""
    change: np.ndarray
    """float32 (N,): share of the picture that differs from the frame before, 0..1."""
    detail: np.ndarray
    """float32 (N,): spread of the luma, 0 for a flat picture."""
    jumps: tuple[Jump, ...]
    blends: tuple[Blend, ...]

    def level(self, row: int) -> float:
        """How much frames around `row` change, one or two cuts among them left aside."""
        first = max(1, row - _LEVEL_ROWS)
        around = np.r_[self.change[first:row], self.change[row + 1 : row + 1 + _LEVEL_ROWS]]
        return float(np.quantile(around, 0.8)) if len(around) else 0.0


class Scan:
    """Takes frames in order and keeps those that later ones are still compared with."""

    def __init__(self, rate_hz: float) -> None:
        """`rate_hz`: frames a second of what will be pushed."""
        self._rate_hz = rate_hz
        # At slow rates some lengths of dissolves are the same number of frames.
        self._lags = sorted({max(2, round(lag_s * rate_hz)) for lag_s in _BLEND_LAGS_S})
        self._flash = max(1, round(_FLASH_S * rate_hz))
        # Planes stay for the furthest look back: a blend compares three lags to each side.
        self._reach = max(3 * self._lags[-1], self._flash + 1)
        self._planes: np.ndarray | None = None
        self._offset = 0
        """Row of the first plane that is kept."""
        self._done = 0
        """Rows whose signals are known."""
        self._times: list[np.ndarray] = []
        self._change: list[np.ndarray] = []
        self._detail: list[np.ndarray] = []
        self._jumps: list[Jump] = []
        self._blends: list[Blend] = []

    def push(self, pixels: np.ndarray, times_s: np.ndarray) -> None:
        """Take the next frames: uint8 (N, H, W, 3) RGB, small, and their times (N,) in seconds."""
        new = _planes(pixels)
        self._planes = new if self._planes is None else np.concatenate((self._planes, new))
        self._times.append(np.asarray(times_s, np.float64))
        self._detail.append(new[:, 0].std(axis=(1, 2), dtype=np.float32) / 255)
        # Signals of a frame need some later ones: the last few wait. What no later one is compared
        # with is dropped, so that memory does not grow.
        end = self._offset + len(self._planes)
        self._advance(end - self._reach)
        drop = max(0, self._done - self._reach - self._offset)
        self._planes = self._planes[drop:].copy()
        self._offset += drop

    def finish(self) -> Signals:
        """The signals of everything pushed. Raises ValueError where nothing was."""
        if self._planes is None:
            raise ValueError("at least one frame is needed to look for shots")
        self._advance(self._offset + len(self._planes))
        return Signals(
            rate_hz=self._rate_hz,
            times_s=np.concatenate(self._times),
            change=np.concatenate(self._change),
            detail=np.concatenate(self._detail),
            jumps=tuple(self._jumps),
            blends=tuple(self._blends),
        )

    def _at(self, rows: np.ndarray) -> np.ndarray:
        """Planes of `rows`; beyond the ends of the video its first and last."""
        assert self._planes is not None
        return self._planes[np.clip(rows - self._offset, 0, len(self._planes) - 1)]

    def _advance(self, end: int) -> None:
        if end <= self._done:
            return
        rows = np.arange(self._done, end)
        change = _change(self._at(rows - 1), self._at(rows))
        self._change.append(change)
        for row in rows[change >= _LEAST_JUMP]:
            self._jumps.append(self._jump(int(row), float(change[row - self._done])))
        # A dissolve shows at several rows around its middle: every few are enough.
        for lag in self._lags:
            self._look_for_blends(rows[rows % max(1, lag // 3) == 0], lag)
        self._done = end

    def _jump(self, row: int, change: float) -> Jump:
        # A flash: the picture of before is soon back, or the new one was there before.
        steps = np.arange(1, self._flash + 1)
        before, now = self._at(np.array([row - 1])), self._at(np.array([row]))
        comes_back = _change(before, self._at(row + steps)).min()
        came_back = _change(now, self._at(row - 1 - steps)).min()
        return Jump(
            row=row,
            change=change,
            is_flash=bool(min(comes_back, came_back) < 0.4 * change),
            is_lighting=bool(_same_structure(before, now, 1)[0]),
        )

    def _look_for_blends(self, rows: np.ndarray, lag: int) -> None:
        first, last = self._at(rows - lag), self._at(rows + lag)
        change = _change(first, last)
        big = change >= _LEAST_BLEND
        if not big.any():
            return
        rows, first, last, change = rows[big], first[big], last[big], change[big]
        # How far the middle frame is from the mean of both ends, against how far these are apart.
        mixed = np.abs(2 * self._at(rows) - (first + last)).mean(axis=(1, 2, 3)) / 2
        ratio = mixed / np.abs(first - last).mean(axis=(1, 2, 3)).clip(1e-6)
        # A dissolve lies between two calm stretches; movement goes on outside.
        outside = np.maximum(
            _change(self._at(rows - 3 * lag), first), _change(last, self._at(rows + 3 * lag))
        )
        good = (ratio < _BLEND_RATIO) & (change >= _BLEND_CALM * outside)
        # A pan blends too, as a moved picture with the same edges: no transition.
        good[good] = ~_same_structure(first[good], last[good], _PAN_PX)
        self._blends += [
            Blend(row=int(rows[i]), lag=lag, change=float(change[i]), outside=float(outside[i]))
            for i in np.flatnonzero(good)
        ]


def _planes(pixels: np.ndarray) -> np.ndarray:
    """int16 (N, 3, H, W): luma and the differences of red and blue from it."""
    red, green, blue = (pixels[..., i].astype(np.int32) for i in range(3))
    luma = (77 * red + 150 * green + 29 * blue) >> 8
    return np.stack((luma, red - luma, blue - luma), axis=1).astype(np.int16)


def _change(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float32 (N,): share of `second` that is not found in `first` within a pixel, 0..1. One frame
    is compared with many."""
    height, width = first.shape[2:]
    padded = np.pad(first, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    least = np.full((max(len(first), len(second)), height, width), _FULL, np.int16)
    # Within a pixel: noise and slow movement are no change.
    for y in range(3):
        for x in range(3):
            apart = np.abs(second - padded[..., y : y + height, x : x + width])
            furthest = np.maximum(np.maximum(apart[:, 0], apart[:, 1]), apart[:, 2])
            np.minimum(least, furthest, out=least)
    changed = np.maximum(least, _NOISE) - _NOISE
    return changed.mean(axis=(1, 2), dtype=np.float32) / (_FULL - _NOISE)


def _same_structure(first: np.ndarray, second: np.ndarray, shift_px: int) -> np.ndarray:
    """bool (N,): whether two frames have the same edges, up to a shift, whatever their light."""
    a, b = _edges(first[:, 0]), _edges(second[:, 0])
    height, width = a.shape[1:3]
    # Normalised correlation of edges, the best over small shifts (a moving camera).
    norms = np.sqrt((a * a).sum(axis=(1, 2, 3)) * (b * b).sum(axis=(1, 2, 3))).clip(1e-6)
    padded = np.pad(a, ((0, 0), (shift_px, shift_px), (shift_px, shift_px), (0, 0)))
    best = np.zeros(len(a), np.float32)
    for y in range(2 * shift_px + 1):
        for x in range(2 * shift_px + 1):
            shifted = padded[:, y : y + height, x : x + width]
            best = np.maximum(best, np.einsum("nhwc,nhwc->n", shifted, b))
    return best > _SAME_STRUCTURE * norms


def _edges(luma: np.ndarray) -> np.ndarray:
    """float32 (N, H - 1, W - 1, 2): differences to the next pixel across and down."""
    luma = luma.astype(np.float32)
    corner = luma[:, :-1, :-1]
    return np.stack((luma[:, :-1, 1:] - corner, luma[:, 1:, :-1] - corner), axis=-1)
