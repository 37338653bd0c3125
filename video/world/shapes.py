"""Signed distances of the shapes and the shading of the patterns, on unit coordinates (radius 1).

Distances are negative inside. Exact for circle, ring and polygons, so edges can be anti-aliased at
any size.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from mmreason.video.world.cutouts import FORMS
from mmreason.video.world.script import Form, Pattern


def _regular_star(points: int, inner: float) -> np.ndarray:
    angles = -math.pi / 2 + np.arange(2 * points) * math.pi / points
    radii = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def _cross(arm: float) -> np.ndarray:
    a, r = arm, 0.95
    corners = [(-a, -r), (a, -r), (a, -a), (r, -a), (r, a), (a, a)]
    corners += [(a, r), (-a, r), (-a, a), (-r, a), (-r, -a), (-a, -a)]
    return np.array(corners)


_SIDE = 0.82
POLYGONS = {
    "square": np.array([(-_SIDE, -_SIDE), (_SIDE, -_SIDE), (_SIDE, _SIDE), (-_SIDE, _SIDE)]),
    "triangle": np.array([(0.0, -1.0), (0.98, 0.75), (-0.98, 0.75)]),
    "star": _regular_star(5, 0.42),
    "cross": _cross(0.32),
} | {str(name): form.corners for name, form in FORMS.items()}
EXTENT = {
    "circle": (-1.0, -1.0, 1.0, 1.0),
    "ring": (-1.0, -1.0, 1.0, 1.0),
} | {
    name: (*map(float, corners.min(0)), *map(float, corners.max(0)))
    for name, corners in POLYGONS.items()
}
"""Tight box of each shape in unit coordinates: x1, y1, x2, y2 (y down)."""


def signed_distance(shape: Form, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance at points (x, y) of any equal shape, in radii; negative inside.

    Example:
        >>> signed_distance("circle", np.array([0.0, 2.0]), np.array([0.0, 0.0])).tolist()
        [-1.0, 1.0]
    """
    if shape == "circle":
        return np.hypot(x, y) - 1.0
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.75) - 0.25
    return _polygon_distance(POLYGONS[shape], x, y)


def _polygon_distance(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, bool)
    previous = corners[-1]
    for corner in corners:
        ex, ey = corner - previous
        wx, wy = x - previous[0], y - previous[1]
        # Nearest point of the edge; a ray to the right crosses an odd number of edges from inside.
        along = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0.0, 1.0)
        nearest = np.minimum(nearest, (wx - ex * along) ** 2 + (wy - ey * along) ** 2)
        if ey != 0:
            crosses = ((previous[1] <= y) & (y < corner[1])) | (
                (corner[1] <= y) & (y < previous[1])
            )
            inside ^= crosses & (wx < ex * wy / ey)
        previous = corner
    nearest = np.sqrt(nearest)
    return np.where(inside, -nearest, nearest)


@lru_cache(maxsize=4096)
def touching_distance(
    shape: Form, radius: float, other: Form, other_radius: float, angle: float
) -> float:
    """How far apart the centres of two shapes are when their edges first meet, as the first comes
    from the direction `angle` (radians, y down) towards the other. In the unit of the radii."""
    outline = radius * find_outline(shape)
    direction = np.array([math.cos(angle), math.sin(angle)])
    # Halve the distance at which the outlines meet; 24 halvings are exact to a pixel of any size.
    near, far = 0.0, radius + other_radius
    for _ in range(24):
        middle = (near + far) / 2
        points = (outline + middle * direction) / other_radius
        if _any_inside(other, points) or _holds_corner(
            shape, radius, other, other_radius, middle * direction
        ):
            near = middle
        else:
            far = middle
    return far


def _holds_corner(
    shape: Form, radius: float, other: Form, other_radius: float, centre: np.ndarray
) -> bool:
    """Whether the outline of `other` (at the origin) enters `shape` at `centre`."""
    points = (other_radius * find_outline(other) - centre) / radius
    return _any_inside(shape, points)


def _any_inside(shape: Form, points: np.ndarray) -> bool:
    """Whether any of (n, 2) points in radii lies inside a shape: all edges and points at once,
    where a distance would cost ten times as much."""
    x, y = points[:, 0], points[:, 1]
    if shape not in POLYGONS:
        return bool(signed_distance(shape, x, y).min() <= 0)
    corners = POLYGONS[shape]
    x1, y1 = corners.T[:, :, None]
    x2, y2 = np.roll(corners, 1, axis=0).T[:, :, None]
    crosses = (y1 <= y) != (y2 <= y)
    # A level edge is crossed by no ray to the right.
    slope = (x2 - x1) / np.where(y2 == y1, 1.0, y2 - y1)
    crossings = (crosses & (x < x1 + slope * (y - y1))).sum(0)
    return bool((crossings % 2 == 1).any())


@lru_cache(maxsize=16)
def find_outline(shape: Form) -> np.ndarray:
    """(n, 2) points on the outer edge of a shape, radius 1.

    Example:
        >>> find_outline("square").shape
        (64, 2)
    """
    if shape in POLYGONS:
        corners = POLYGONS[shape]
        following = np.roll(corners, -1, axis=0)
        # Cut-outs have many short edges.
        count = 16 if len(corners) <= 12 else 4
        steps = np.linspace(0, 1, count, endpoint=False)[:, None, None]
        return (corners + steps * (following - corners)).reshape(-1, 2)
    turns = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    return np.stack([np.cos(turns), np.sin(turns)], 1)


def shade_pattern(pattern: Pattern, x: np.ndarray, y: np.ndarray, softness: float) -> np.ndarray:
    """How dark the pattern is at a point: 0 plain colour, 1 fully dark. `softness` is a pixel in
    radii."""
    if pattern == "plain":
        return np.zeros(x.shape)
    if pattern == "striped":
        period = 0.62
        phase = np.abs(((x + y) / math.sqrt(2)) % period - period / 2)
        edge = period / 4 - phase
    else:
        period = 0.62
        dx = (x + period / 2) % period - period / 2
        dy = (y + period / 2) % period - period / 2
        edge = 0.36 * period - np.hypot(dx, dy)
    return np.clip(0.5 + edge / softness, 0.0, 1.0)
