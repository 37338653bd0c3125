"""Footage that is not a scripted world, made without downloads.

Nano learns from it to say that something is outside its world. "textures" are what the first
recipes were trained with: a window that pans over a still of fractal noise and patches. "all" adds
the drawers of `outside_scenes.py`, every brightness, fades and cuts. Real footage is kept for
evaluation only.
"""

from __future__ import annotations

import random
from typing import Literal

import numpy as np

from mmreason.training.nano import outside_scenes as scenes

OutsideKinds = Literal["textures", "all"]
DARKEST = 0.04
"""Light of the dimmest footage; 1 leaves levels as they are."""


def draw_outside_frames(
    rng: random.Random, frames: int, size_px: tuple[int, int], kinds: OutsideKinds = "textures"
) -> np.ndarray:
    """uint8 (frames, H, W, 3) of footage that is no scripted world; `size_px` is (width,
    height)."""
    if kinds == "textures":
        return _panned(rng, frames, size_px)
    footage = _any_scene(rng, frames, size_px)
    if frames > 2 and rng.random() < 0.2:
        # A cut to another scene inside the clip.
        cut = rng.randint(1, frames - 1)
        footage[cut:] = _any_scene(rng, frames, size_px)[cut:]
    return footage.astype(np.uint8)


def _any_scene(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """float32 (frames, H, W, 3), 0..255: one scene at one light, or fading in or out."""
    # What is listed more than once is drawn more often.
    draw = rng.choice(
        (
            _panned,
            _panned,
            _panned,
            scenes.draw_card,
            scenes.draw_card,
            scenes.draw_terminal,
            scenes.draw_window,
            scenes.draw_flat,
            scenes.draw_noise,
            scenes.draw_sky,
            scenes.draw_pattern,
            scenes.draw_chart,
            scenes.draw_shapes,
        )
    )
    levels = draw(rng, frames, size_px).astype(np.float32)
    # Evenly in the logarithm, so that dim footage comes as often as bright.
    light = 1.0 if rng.random() < 0.4 else float(np.exp(rng.uniform(np.log(DARKEST), 0)))
    contrast = 1.0 if rng.random() < 0.7 else rng.uniform(0.15, 1.0)
    # Contrast shrinks around the mean, light scales everything.
    middle = levels.mean()
    levels = (middle + contrast * (levels - middle)) * light
    if rng.random() < 0.1:
        fade = np.linspace(0, 1, frames) if frames > 1 else np.array([rng.random()])
        levels *= (fade if rng.random() < 0.5 else fade[::-1])[:, None, None, None]
    grain = np.random.default_rng(rng.randrange(1 << 32))
    levels += rng.choice((0.0, rng.uniform(0, 4))) * grain.standard_normal(levels.shape, np.float32)
    return levels.clip(0, 255)


def _panned(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """uint8 (frames, H, W, 3): a window that pans over a random still with moving light."""
    width, height = size_px
    # The still is larger than the window that pans over it.
    still = _still(rng, 3 * width // 2, 3 * height // 2)
    noise = np.random.default_rng(rng.randrange(1 << 32))
    x, y = rng.uniform(0, width / 2), rng.uniform(0, height / 2)
    dx, dy = rng.uniform(-8, 8), rng.uniform(-5, 5)
    out = np.empty((frames, height, width, 3), np.uint8)
    for i in range(frames):
        left_px = int(np.clip(x + dx * i, 0, width // 2))
        top_px = int(np.clip(y + dy * i, 0, height // 2))
        view = still[top_px : top_px + height, left_px : left_px + width]
        light = 1 + 0.15 * np.sin(i * 0.7 + x)
        grain = noise.standard_normal(view.shape, np.float32) * 3
        out[i] = (view * light + grain).clip(0, 255).astype(np.uint8)
    return out


def _still(rng: random.Random, width: int, height: int) -> np.ndarray:
    """float32 (height, width, 3): fractal noise mixed with soft or hard patches and lines."""
    noise = np.random.default_rng(rng.randrange(1 << 32))
    image = _fractal(noise, width, height, rng.uniform(0.4, 0.75))
    for _ in range(rng.randint(0, 12)):
        colour = noise.uniform(0, 255, 3).astype(np.float32)
        mask = _patch(rng, noise, width, height)[..., None]
        image = image * (1 - mask) + mask * (0.7 * colour + 0.3 * image)
    # From nearly grey to the full colours.
    grey = image.mean(-1, keepdims=True)
    return grey + rng.uniform(0.05, 1.0) * (image - grey)


def _fractal(noise: np.random.Generator, width: int, height: int, decay: float) -> np.ndarray:
    import cv2

    total = np.zeros((height, width, 3), np.float32)
    weight, cells = 1.0, 2
    base = noise.uniform(40, 215, 3).astype(np.float32)
    tint = noise.uniform(20, 110, 3).astype(np.float32)
    # Octaves of noise, each finer and weaker than the one before.
    while cells < width:
        grain = noise.standard_normal((cells, cells * 2, 1), np.float32)
        colour = 0.35 * noise.standard_normal((cells, cells * 2, 3), np.float32)
        total += weight * cv2.resize(grain + colour, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= decay
        cells *= 2
    return base + tint * total


def _patch(rng: random.Random, noise: np.random.Generator, width: int, height: int) -> np.ndarray:
    """float32 (height, width) mask of an irregular polygon or a bar, soft or hard at the edge."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    centre = noise.uniform((0, 0), (width, height))
    if rng.random() < 0.3:
        end = centre + noise.uniform(-width, width, 2)
        cv2.line(
            mask, centre.astype(int).tolist(), end.astype(int).tolist(), 255, rng.randint(1, 8)
        )
    else:
        angles = np.sort(noise.uniform(0, 2 * np.pi, rng.randint(5, 11)))
        radii = noise.uniform(0.3, 1.0, len(angles)) * rng.uniform(8, height / 2)
        corners = centre + np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], 255)
    if rng.random() < 0.6:
        # Soft edges are out of focus, hard ones are things.
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 5))
    return mask.astype(np.float32) / 255
