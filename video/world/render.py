"""Draws a world at any time and any size, anti-aliased. Same script, same pixels; nothing is kept
between frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmreason.video.world.cutouts import FORMS, shade_cutout
from mmreason.video.world.grounds import draw_ground
from mmreason.video.world.motion import actor_position, colour_at, presence_span
from mmreason.video.world.script import Actor, Background, Event, Scene, World
from mmreason.video.world.shapes import shade_pattern, signed_distance

RGB = {
    "red": (222, 32, 32),
    "orange": (245, 135, 20),
    "yellow": (243, 246, 40),
    "green": (40, 178, 50),
    "cyan": (48, 214, 214),
    "blue": (42, 80, 232),
    "purple": (140, 48, 214),
    "pink": (246, 110, 190),
    "white": (244, 244, 244),
}
"""Neighbouring hues lie at least 30 degrees apart (pink and purple differ in lightness as well)."""

BACKGROUND_RGB: dict[Background, tuple[int, int, int]] = {
    "black": (14, 14, 16),
    "slate": (52, 58, 66),
    "brown": (56, 46, 38),
    "forest": (34, 48, 38),
    "navy": (26, 30, 52),
    "plum": (50, 36, 48),
}
TEXT_HEIGHT = 0.16
"""Height of the letters of on-screen text, in frame heights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawn frame and which actor is seen where."""

    pixels: np.ndarray
    """uint8 (H, W, 3) RGB."""
    coverage: np.ndarray
    """float32 (actors, H, W): share of each pixel that shows the actor (nearer actors hide farther
    ones)."""


def draw_frame(world: World, time_s: float, size_px: tuple[int, int]) -> Drawing:
    """Draw the frame shown at a time of the video, and tell which actor is seen where. `size_px` is
    (width, height); later actors are nearer. Takes memory for a whole frame an actor: `draw_pixels`
    is for those who only look."""
    width, height = size_px
    scene = world.scene_at(world.script_time_s(time_s))
    coverage = np.zeros((len(scene.actors), height, width), np.float32)
    pixels = _paint(world, time_s, size_px, coverage)
    return Drawing(pixels=pixels, coverage=coverage)


def draw_pixels(world: World, time_s: float, size_px: tuple[int, int]) -> np.ndarray:
    """The same frame alone: uint8 (H, W, 3) RGB, in time and memory linear in the actors.

    Example:
        >>> from mmreason.video.world import generate
        >>> draw_pixels(generate.demo(0), 1.0, (64, 36)).shape
        (36, 64, 3)
    """
    return _paint(world, time_s, size_px, None)


def _paint(
    world: World, time_s: float, size_px: tuple[int, int], coverage: np.ndarray | None
) -> np.ndarray:
    """Paint from far to near; fills `coverage` where it is wanted."""
    width, height = size_px
    time_s = world.script_time_s(time_s)
    scene = world.scene_at(time_s)
    column = _background(scene.background, height)
    if scene.ground == "plain":
        image = np.broadcast_to(column, (height, width, 3)).copy()
    else:
        image = column * draw_ground(scene.ground, size_px)
    for index, actor in _by_depth(scene.actors, scene.events):
        if not presence_span(scene, actor).contains(time_s):
            continue
        centre = actor_position(world, scene, actor, time_s)
        stamp = _stamp(world, scene, actor, centre, size_px)
        if stamp is None:
            continue
        window, alpha, light = stamp
        colour = np.array(RGB[colour_at(scene, actor, time_s)], np.float32)
        shade = colour * light[..., None]
        image[window] += alpha[..., None] * (shade - image[window])
        if coverage is not None:
            # What is nearer hides what is behind it: shares of a pixel sum to 1 at most.
            coverage[(slice(None), *window)] *= 1 - alpha
            coverage[(index, *window)] = alpha
    if scene.text:
        _write(image, scene.text)
    return (image + 0.5).clip(0, 255).astype(np.uint8)


def _by_depth(actors: tuple[Actor, ...], events: tuple[Event, ...]) -> list[tuple[int, Actor]]:
    """Actors from far to near: those that occlude another come last."""
    front = {event.actor for event in events if event.kind == "occlude"}
    return sorted(enumerate(actors), key=lambda item: item[1].id in front)


def _stamp(
    world: World, scene: Scene, actor: Actor, centre: tuple[float, float], size_px: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """Window of the frame that an actor covers, its alpha there and how much of its
    colour shows; None off screen."""
    width, height = size_px
    radius = scene.radius(actor)
    # Pixels need not be square: a canvas of another aspect squeezes the world a little.
    scale_x, scale_y = width / world.aspect, float(height)
    # Two pixels more on each side, for edges that are soft.
    x0 = max(0, int((centre[0] - radius) * scale_x) - 2)
    x1 = min(width, int((centre[0] + radius) * scale_x) + 3)
    y0 = max(0, int((centre[1] - radius) * scale_y) - 2)
    y1 = min(height, int((centre[1] + radius) * scale_y) + 3)
    window = (slice(y0, y1), slice(x0, x1))
    if x0 >= x1 or y0 >= y1:
        return None
    x = ((np.arange(x0, x1) + 0.5) / scale_x - centre[0]) / radius
    y = ((np.arange(y0, y1) + 0.5) / scale_y - centre[1]) / radius
    x, y = np.broadcast_to(x, (len(y), len(x))), np.broadcast_to(y[:, None], (len(y), len(x)))
    pixel = 1 / (radius * np.sqrt(scale_x * scale_y))
    alpha = np.clip(0.5 - signed_distance(actor.shape, x, y) / pixel, 0.0, 1.0).astype(np.float32)
    light = 1 - 0.72 * shade_pattern(actor.pattern, x, y, pixel).astype(np.float32)
    if actor.shape in FORMS:
        light *= shade_cutout(actor.shape, x, y)
    return window, alpha, light


@lru_cache(maxsize=64)
def _background(name: Background, height: int) -> np.ndarray:
    """float32 (H, 1, 3): darker towards the floor, even from left to right."""
    shade = np.linspace(1.15, 0.8, height, dtype=np.float32)[:, None, None]
    return np.array(BACKGROUND_RGB[name], np.float32) * shade


@lru_cache(maxsize=64)
def _letters(text: str, height_px: int, most_width_px: int) -> np.ndarray:
    """uint8 (h, w) mask of the beginning of a line of text."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=max(6.0, 1.25 * height_px))
    x_min, y_min, x_max, y_max = font.getbbox(text)
    mask = Image.new("L", (max(1, int(x_max - x_min) + 2), max(1, int(y_max - y_min) + 2)))
    ImageDraw.Draw(mask).text((1 - x_min, 1 - y_min), text, fill=255, font=font, stroke_width=0)
    return np.asarray(mask)[:, :most_width_px].copy()


def _write(image: np.ndarray, text: str) -> None:
    height, width, _ = image.shape
    letters = _letters(text, max(5, round(TEXT_HEIGHT * height)), width)
    mask = letters.astype(np.float32) / 255
    y = max(0, height - mask.shape[0] - max(1, round(0.03 * height)))
    x = (width - mask.shape[1]) // 2
    area = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    area += mask[: area.shape[0], :, None] * (np.float32(250.0) - area)
