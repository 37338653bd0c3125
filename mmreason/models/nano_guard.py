"""Whether pictures belong to the scripted world that nano knows, measured on their pixels.

A scene of that world has one of six dark grounds, each with the same shade from top to bottom, and
on it flat shapes in nine colours and at most a line of light text at the bottom. So most pixels of
a frame lie within a few levels of one ground, that ground gets darker towards the bottom as it
should, what is not ground is one of the nine colours or the rim of one, and shapes are thicker than
strokes. Footage of other kinds fails one of these. What nano says is read in `nano_replies.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmreason.video.world.render import BACKGROUND_RGB, RGB

GROUND_TOP, GROUND_BOTTOM = 1.15, 0.8
"""A ground is so much lighter at the top, and so much darker at the bottom, than its name says."""
LIGHTS = (0.82, 0.88, 0.94, 1.0, 1.06, 1.12)
"""Lights that a world may be shown in: cameras, displays and encoders change them a little."""
MOST_LIFT = 3.0
GROUND_LEVELS = 4.0
"""Pixels within so many levels of the ground, in each channel, are ground for sure."""
LOOSE_LEVELS = 9.0
"""Pixels within so many may be ground, next to an edge in coded video."""
FIGURE_LEVELS = 36.0
"""Distance in RGB within which a pixel has one of the nine colours, bright or striped."""
STRIPE = 0.28
"""Level of the dark stripes and dots of a colour, over its own."""
BRIGHT = 0.6
"""From this level on a colour is bright, not a stripe."""
RIM_PX = 2
TEXT_FLOOR = 0.72
"""Text stands below this share of the height."""

LEAST_GROUND = 0.40
LEAST_BARE_GROUND = 0.80
"""Of a frame with nothing on it."""
SLOPE = (0.50, 1.75)
"""Measured shade of the ground, over the one it should have."""
MOST_NOISE = 2.1
"""Standard deviation of ground pixels about the ground, in levels."""
MOST_UNEXPLAINED = 0.03
LEAST_FIGURE = 0.004
"""Share of pixels in the nine colours from which on there is something on the ground."""
LEAST_BRIGHT = 0.06
"""Share of figure pixels that are bright."""
LEAST_THICKNESS = 0.10
"""Share of figure pixels above the text whose eight neighbours are figure, too."""
THICKNESS_PIXELS = 160
"""Fewer pixels than these do not tell how thick they are."""
FRAMES_EXCUSED = 8
"""One frame of so many may fail: a cut can leave one smeared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSigns:
    """What was measured of one frame; shares are of its pixels, 0..1."""

    ground: float
    """Share within `GROUND_LEVELS` of the best of the six grounds."""
    slope: float
    """Shade of those pixels from top to bottom over that of the ground, 1 in worlds; nan where too
    few rows show it."""
    noise: float
    """Standard deviation of those pixels about the ground, in levels."""
    unexplained: float
    """Share that is neither ground, nor one of the nine colours, nor next to one."""
    figure: float
    """Share in one of the nine colours, as bright as they are outside of stripes."""
    bright: float
    """Share of that in what is bright or striped; nan where there is neither."""
    thickness: float
    """Share of figure pixels above the text that are not at a rim; nan where they are few."""

    def reason(self) -> str:
        """Why this is no frame of a scripted world, in a few words; empty where it may be one."""
        least = LEAST_GROUND if self.figure >= LEAST_FIGURE else LEAST_BARE_GROUND
        if self.ground < least:
            return f"{self.ground:.0%} of the picture is a plain ground of its world"
        if not SLOPE[0] <= self.slope <= SLOPE[1]:
            return "the ground is not shaded as in its world"
        if self.noise > MOST_NOISE:
            return "the ground is not as even as in its world"
        if self.unexplained > MOST_UNEXPLAINED:
            return f"{self.unexplained:.0%} of the picture has colours that its world does not have"
        if self.bright < LEAST_BRIGHT:
            return "there are only dark colours where its world has bright ones"
        if self.thickness < LEAST_THICKNESS:
            return "there are thin strokes where its world has shapes"
        return ""


def why_outside(frames: np.ndarray) -> str:
    """Why `frames`, uint8 (N, H, W, 3), do not all show a scripted world; empty where they do.

    `why_outside(world.frame(0.0, (144, 80))[None])` is "". One frame in `FRAMES_EXCUSED` may fail.
    """
    reasons = []
    for index, frame in enumerate(frames):
        # Clips of stills repeat a frame, which is measured once.
        if index and np.array_equal(frame, frames[index - 1]):
            reasons.append(reasons[-1])
        else:
            reasons.append(frame_signs(frame).reason())
    failed = [reason for reason in reasons if reason]
    if len(failed) <= len(reasons) // FRAMES_EXCUSED:
        return ""
    return max(failed, key=failed.count)


def frame_signs(frame: np.ndarray) -> FrameSigns:
    """Measure one frame, uint8 (H, W, 3), of any size from 16x16 pixels."""
    # Channels first: sums over the last, short axis would take most of the time.
    levels = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)
    ground = _best_ground(levels)
    off = levels - ground[:, :, None]
    distance = np.abs(off).max(0)
    is_ground = distance <= GROUND_LEVELS
    # Five bits a channel, which is how the tables of colours are indexed.
    cell = tuple(np.moveaxis(frame >> 3, -1, 0))
    is_figure, is_bright = (table[cell] & (distance > LOOSE_LEVELS) for table in _figure_tables())
    explained = (distance <= LOOSE_LEVELS) | _grown(is_figure, RIM_PX)
    return FrameSigns(
        ground=float(is_ground.mean()),
        slope=_slope(levels.mean(0), ground.mean(0), is_ground),
        noise=float(off[:, is_ground].std()) if is_ground.any() else 0.0,
        unexplained=float(1 - explained.mean()),
        figure=float(is_bright.mean()),
        bright=float(is_bright.sum() / is_figure.sum()) if is_figure.any() else math.nan,
        thickness=_thickness(is_figure[: int(TEXT_FLOOR * len(frame))]),
    )


def _best_ground(levels: np.ndarray) -> np.ndarray:
    """float32 (3, H): the ground, in the light and lift, that fits most of a few pixels of
    `levels` (3, H, W)."""
    _, height, width = levels.shape
    # A sample tells the grounds apart; all pixels would take many times as long.
    rows = np.linspace(0, height - 1, min(height, 20)).astype(int)
    columns = np.linspace(0, width - 1, min(width, 36)).astype(int)
    few = levels[:, rows][:, :, columns]
    grounds = _grounds(height)
    off = [few[c][None] - grounds[:, c][:, rows, None] for c in range(3)]
    near = _all_within(off, GROUND_LEVELS + MOST_LIFT)
    # Encoders raise or lower all levels together: the mean difference near a ground tells it.
    lift = ((off[0] + off[1] + off[2]) * near).sum((1, 2)) / np.maximum(3 * near.sum((1, 2)), 1)
    lift = lift.clip(-MOST_LIFT, MOST_LIFT).astype(np.float32)
    lifted = [distance - lift[:, None, None] for distance in off]
    best = int(_all_within(lifted, GROUND_LEVELS).sum((1, 2)).argmax())
    return grounds[best] + lift[best]


def _all_within(off: list[np.ndarray], levels: float) -> np.ndarray:
    """Where all three channels lie within so many levels."""
    first, second, third = (np.abs(distance) <= levels for distance in off)
    return first & second & third


@lru_cache(maxsize=16)
def _grounds(height: int) -> np.ndarray:
    """float32 (grounds x lights, 3, height)."""
    shade = np.linspace(GROUND_TOP, GROUND_BOTTOM, height, dtype=np.float32)
    colours = np.array(list(BACKGROUND_RGB.values()), np.float32)
    lit = np.concatenate([colours * np.float32(light) for light in LIGHTS])
    return lit[:, :, None] * shade


@lru_cache(maxsize=1)
def _figure_tables() -> tuple[np.ndarray, np.ndarray]:
    """bool (32, 32, 32) each: whether a colour, five bits a channel, is one of the nine, bright or
    striped; and whether it is a bright one."""
    # The middle of each cell of eight levels.
    axis = np.arange(32, dtype=np.float32) * 8 + 3.5
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    tables = [np.zeros((32, 32, 32), bool) for _ in range(2)]
    for colour in np.array(list(RGB.values()), np.float32):
        for table, least in zip(tables, (STRIPE, BRIGHT), strict=True):
            dark = least * colour
            along = colour - dark
            # Distance to the line between the darkest stripe and the full colour.
            fraction = ((cells - dark) @ along / (along @ along)).clip(0, 1)
            off = np.linalg.norm(cells - (dark + fraction[..., None] * along), axis=-1)
            table |= off <= FIGURE_LEVELS
    return tables[0], tables[1]


def _slope(light: np.ndarray, target: np.ndarray, is_ground: np.ndarray) -> float:
    """Least-squares slope of row means of ground pixels over the rows' wanted levels."""
    counts = is_ground.sum(1)
    rows = counts >= max(4, 0.05 * light.shape[1])
    if rows.sum() < 0.25 * len(light):
        return math.nan
    means = (light * is_ground).sum(1)[rows] / counts[rows]
    x = target[rows] - target[rows].mean()
    return float((x * (means - means.mean())).sum() / max(float((x * x).sum()), 1e-6))


def _thickness(figure: np.ndarray) -> float:
    count = int(figure.sum())
    # The limit is that of a frame of 144 x 80 pixels and grows with the size.
    if count < THICKNESS_PIXELS * figure.size / (144 * 80):
        return math.nan
    return 1 - float((_grown(~figure, 1) & figure).sum()) / count


def _grown(mask: np.ndarray, reach_px: int) -> np.ndarray:
    """The mask with all pixels within `reach_px` of it, diagonals included."""
    # Along columns, then along rows, which together reach the diagonals.
    for axis in (0, 1):
        grown = mask.copy()
        for step in range(1, reach_px + 1):
            if axis == 0:
                grown[step:] |= mask[:-step]
                grown[:-step] |= mask[step:]
            else:
                grown[:, step:] |= mask[:, :-step]
                grown[:, :-step] |= mask[:, step:]
        mask = grown
    return mask
