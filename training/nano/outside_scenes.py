"""Pictures that are no scripted world, drawn without downloads: cards, terminals, windows, fades,
noise, night skies, test patterns, charts, blurred and foreign shapes.

Each drawer takes (rng, frames, (width, height) in pixels) and returns uint8 (frames, H, W, 3).
Light, fades and cuts are added in `outside.py`. Nothing here is used to evaluate: the evaluation's
own pictures are drawn by other code, with other fonts.
"""

from __future__ import annotations

import random
import string

import numpy as np

FONTS = (0, 1, 2, 3, 4, 5, 6, 7)
"""OpenCV's stroke fonts."""


def draw_card(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """A few centred lines of text on a flat or shaded ground: titles, slides, end credits."""
    canvas, ink = _ground(rng, size_px), _ink(rng)
    width, height = size_px
    # Large letters leave room for few lines.
    scale = rng.uniform(0.25, 1.1)
    lines = rng.randint(1, max(1, int(3 / scale)))
    step = height / (lines + rng.uniform(0.3, 2))
    top = (height - step * (lines - 1)) / 2
    # End credits rise, titles mostly stand.
    rise = rng.choice((0.0, 0.0, rng.uniform(-6, 6)))
    font = rng.choice(FONTS)
    texts = [_random_words(rng, rng.randint(1, 4)) for _ in range(lines)]
    pictures = []
    for frame in range(frames):
        picture = canvas.copy()
        for i, text in enumerate(texts):
            x = width / 2 - 9 * scale * len(text)
            _write(picture, text, (x, top + step * i + rise * frame), scale, ink, font)
        pictures.append(picture)
    return np.stack(pictures)


def draw_terminal(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Rows of small text from the left edge that grow or scroll: shells, logs, code."""
    canvas = _ground(rng, size_px)
    height = size_px[1]
    scale, step = rng.uniform(0.14, 0.34), rng.randint(4, 10)
    inks = [_ink(rng) for _ in range(rng.randint(1, 4))]
    # More rows than fit, so that they can scroll.
    rows = [_random_words(rng, rng.randint(0, 7)) for _ in range(height // step + 3 * frames)]
    # Indented like code.
    left_px = [2 + 6 * rng.choice((0, 0, 1, 2)) for _ in rows]
    speed = rng.choice((0, 0, 1, 2))
    grows = rng.random() < 0.3
    pictures = []
    for frame in range(frames):
        picture = canvas.copy()
        first = frame * speed
        count = height // step if not grows else max(1, (frame + 1) * height // step // frames)
        for i in range(count):
            row = first + i
            ink = inks[row % len(inks)]
            _write(picture, rows[row], (left_px[row], (i + 1) * step - 1), scale, ink, 0)
        pictures.append(picture)
    return np.stack(pictures)


def draw_window(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Panels, bars, buttons and rows of text; a pointer that moves: desktops, pages, games."""
    import cv2

    width, height = size_px
    canvas = _ground(rng, size_px)
    for _ in range(rng.randint(2, 14)):
        x, y = rng.randrange(width), rng.randrange(height)
        w, h = rng.randint(3, width), rng.choice((rng.randint(2, 8), rng.randint(4, height)))
        # Bars reach from side to side.
        if rng.random() < 0.4:
            x, w = 0, width
        filled = rng.choice((-1, -1, 1))
        cv2.rectangle(canvas, (x, y), (min(x + w, width), min(y + h, height)), _ink(rng), filled)
    for _ in range(rng.randint(0, 12)):
        corner = (rng.uniform(0, width * 0.8), rng.uniform(4, height))
        _write(
            canvas,
            _random_words(rng, rng.randint(1, 3)),
            corner,
            rng.uniform(0.15, 0.4),
            _ink(rng),
            0,
        )
    # The pointer is all that moves on a desktop.
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    dx, dy, ink = rng.uniform(-9, 9), rng.uniform(-6, 6), _ink(rng)
    pictures = []
    for frame in range(frames):
        picture = canvas.copy()
        corner = np.array([x + dx * frame, y + dy * frame])
        arrow = corner + np.array([(0, 0), (0, 7), (2, 5), (5, 5)])
        cv2.fillPoly(picture, [arrow.astype(np.int32)], ink)
        pictures.append(picture)
    return np.stack(pictures)


def draw_flat(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """One colour or a smooth shade, with nothing on it: black, white, the middle of a fade."""
    return np.repeat(_ground(rng, size_px)[None], frames, 0)


def draw_noise(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Grain, static, coloured or grey, new in each frame: no signal, high gain at night."""
    width, height = size_px
    grain = np.random.default_rng(rng.randrange(1 << 32))
    # Coarse grain is what a codec leaves of fine grain.
    cell = rng.choice((1, 1, 2, 4))
    shape = (frames, -(-height // cell), -(-width // cell), rng.choice((1, 3)))
    base, spread = rng.uniform(0, 180), rng.uniform(8, 120)
    values = grain.standard_normal(shape) if rng.random() < 0.6 else 2 * grain.random(shape) - 1
    # Salt, as dead pixels and snow on a screen are.
    if rng.random() < 0.2:
        values = np.where(grain.random(shape) < rng.uniform(0.01, 0.3), 2.0, 0.0)
    values = np.broadcast_to(values, (*shape[:3], 3)).repeat(cell, 1).repeat(cell, 2)
    tint = np.array([rng.uniform(0.5, 1) for _ in range(3)])
    levels = (base + spread * values[:, :height, :width]) * tint
    return levels.clip(0, 255).astype(np.uint8)


def draw_sky(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Points and soft glows on black, drifting: stars, galaxies, city lights, lamps at night."""
    width, height = size_px
    grain = np.random.default_rng(rng.randrange(1 << 32))
    count = rng.randint(3, 160)
    # Beyond the edges too, so that glows drift in and out.
    centres = grain.uniform((-20, -20), (width + 20, height + 20), (count, 2))
    radius = np.abs(grain.standard_normal(count)) * rng.uniform(0.3, 3) + 0.5
    bright = grain.uniform(30, 255, count)
    tint = 1 - rng.uniform(0, 0.8) * grain.random((count, 3))
    drift = np.array([rng.uniform(-3, 3), rng.uniform(-2, 2)]) * rng.choice((0, 1))
    x, y = np.arange(width), np.arange(height)
    ground = _ground(rng, size_px) * rng.uniform(0, 0.15)
    pictures = []
    for frame in range(frames):
        drifted = centres + drift * frame
        # Round glows are products of two profiles: no (n, H, W) array is made.
        along = np.exp(-(((x[None] - drifted[:, :1]) / radius[:, None]) ** 2))
        down = np.exp(-(((y[None] - drifted[:, 1:]) / radius[:, None]) ** 2))
        light = np.einsum("nh,nw,nc->hwc", down, along, bright[:, None] * tint)
        pictures.append(np.minimum(ground + light, 255))
    return np.stack(pictures).astype(np.uint8)


def draw_pattern(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Bars, checks, grids, rings and waves: test cards, fabrics, fences, keyboards."""
    width, height = size_px
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.choice((0.0, np.pi / 2, rng.uniform(0, np.pi)))
    period, speed = rng.uniform(3, 60), rng.choice((0.0, rng.uniform(-4, 4)))
    colours = np.stack([_colour(rng) for _ in range(rng.randint(2, 8))])
    kind = rng.choice(("bars", "checks", "rings", "wave", "grid"))
    pictures = []
    for frame in range(frames):
        # Coordinates turned by the pattern's angle; moving is a shift along one of them.
        along = np.cos(angle) * x + np.sin(angle) * y + speed * frame
        across = np.cos(angle) * y - np.sin(angle) * x
        if kind == "rings":
            along = np.hypot(x - width / 2, y - height / 2) + speed * frame
        cell = np.floor(along / period).astype(int)
        if kind == "checks":
            cell = cell + np.floor(across / period).astype(int)
        # Waves have no cells: two colours flow into each other.
        if kind == "wave":
            mix = 0.5 + 0.5 * np.sin(2 * np.pi * along / period)[..., None]
            pictures.append(mix * colours[0] + (1 - mix) * colours[1])
            continue
        if kind == "grid":
            line = (along % period < 1.2) | (across % period < 1.2)
            cell = np.where(line, 0, 1)
        pictures.append(colours[cell % len(colours)])
    return np.stack(pictures).astype(np.uint8)


def draw_chart(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Axes with lines, bars or dots, still or growing: plots, maps, drawings."""
    import cv2

    width, height = size_px
    canvas, kind = _ground(rng, size_px), rng.choice(("lines", "bars", "dots"))
    left_px, bottom_px = rng.randint(4, 24), height - rng.randint(4, 16)
    ink = _ink(rng)
    cv2.line(canvas, (left_px, bottom_px), (width - 4, bottom_px), ink, 1)
    cv2.line(canvas, (left_px, bottom_px), (left_px, 4), ink, 1)
    series = rng.randint(1, 4)
    inks = [_ink(rng) for _ in range(series)]
    points = rng.randint(4, 24)
    # Random walks look like measurements.
    walk = np.cumsum([[rng.gauss(0, 9) for _ in range(series)] for _ in range(points)], 0)
    levels = (bottom_px - 4 - np.abs(walk)).clip(3, bottom_px)
    xs = np.linspace(left_px + 2, width - 6, points)
    grows = rng.random() < 0.3
    pictures = []
    for frame in range(frames):
        picture = canvas.copy()
        count = points if not grows else max(2, points * (frame + 1) // frames)
        for s in range(series):
            line = np.stack([xs[:count], levels[:count, s]], 1).astype(np.int32)
            if kind == "lines":
                cv2.polylines(picture, [line], False, inks[s], rng.choice((1, 1, 2)), cv2.LINE_AA)
            for x, y in line.tolist():
                if kind == "bars":
                    # Bars of several series stand beside each other.
                    x += 2 * s
                    cv2.rectangle(picture, (x, y), (x + 2, bottom_px), inks[s], -1)
                elif kind == "dots":
                    cv2.circle(picture, (x, y), 1 + s % 2, inks[s], -1)
        pictures.append(picture)
    return np.stack(pictures)


def draw_shapes(rng: random.Random, frames: int, size_px: tuple[int, int]) -> np.ndarray:
    """Blocks, ovals and strokes in colours and on grounds that worlds do not have, sharp or out of
    focus: cartoons, logos, lamps and people behind glass."""
    import cv2

    width, height = size_px
    canvas = _pale_or_vivid(rng, size_px)
    things = [
        (
            np.array([rng.uniform(0, width), rng.uniform(0, height)]),
            np.array([rng.uniform(-7, 7), rng.uniform(-4, 4)]) * rng.choice((0, 1)),
            (rng.randint(2, 40), rng.randint(2, 30)),
            _ink(rng),
            rng.choice(("oval", "block", "stroke")),
            rng.uniform(0, 180),
        )
        for _ in range(rng.randint(1, 14))
    ]
    # Two in three are sharp.
    blur = rng.choice((0.0, 0.0, rng.uniform(1, 8)))
    pictures = []
    for frame in range(frames):
        picture = canvas.copy()
        for start, step, half, ink, kind, turn in things:
            x, y = (start + step * frame).astype(int).tolist()
            if kind == "oval":
                cv2.ellipse(picture, (x, y), half, turn, 0, 360, ink, -1, cv2.LINE_AA)
            elif kind == "block":
                cv2.rectangle(picture, (x - half[0], y - half[1]), (x + half[0], y), ink, -1)
            else:
                end = (x + 2 * half[0] - 40, y + 2 * half[1] - 30)
                cv2.line(picture, (x, y), end, ink, 1 + half[0] // 8, cv2.LINE_AA)
        pictures.append(cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture)
    return np.stack(pictures)


def _ground(rng: random.Random, size_px: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3): black, white, grey or coloured, flat or with a smooth shade."""
    width, height = size_px
    kind = rng.random()
    first = np.full(3, rng.choice((0.0, 0.0, 255.0, rng.uniform(0, 255))))
    if kind > 0.45:
        first = _colour(rng) * rng.choice((0.25, 1.0))
    if rng.random() < 0.7:
        return np.full((height, width, 3), first.astype(np.uint8))
    second = _colour(rng) * rng.choice((0.2, 1.0))
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mix = np.clip(0.5 + 0.5 * (np.cos(angle) * x + np.sin(angle) * y), 0, 1)[..., None]
    return (first * mix + second * (1 - mix)).astype(np.uint8)


def _pale_or_vivid(rng: random.Random, size_px: tuple[int, int]) -> np.ndarray:
    """A ground that is lighter or stronger in colour than those of worlds, which are all dark."""
    lift = rng.uniform(80, 200)
    return (lift + _ground(rng, size_px) * ((255 - lift) / 255)).astype(np.uint8)


def _colour(rng: random.Random) -> np.ndarray:
    return np.array([rng.uniform(0, 255) for _ in range(3)], np.float32)


def _ink(rng: random.Random) -> tuple[float, float, float]:
    # Most text is black, white or nearly so.
    grey = rng.choice((0.0, 255.0, 230.0, rng.uniform(0, 255)))
    if rng.random() < 0.5:
        return (grey, grey, grey)
    r, g, b = _colour(rng).tolist()
    return (r, g, b)


def _random_words(rng: random.Random, count: int) -> str:
    letters = rng.choice((string.ascii_lowercase, string.ascii_uppercase, string.printable[:94]))
    return " ".join("".join(rng.choices(letters, k=rng.randint(1, 9))) for _ in range(count))


def _write(
    picture: np.ndarray,
    text: str,
    corner: tuple[float, float],
    scale: float,
    ink: tuple[float, float, float],
    font: int,
) -> None:
    import cv2

    # Thicker strokes would run small letters together.
    weight = 1 if scale < 0.7 else 2
    cv2.putText(
        picture, text, (int(corner[0]), int(corner[1])), font, scale, ink, weight, cv2.LINE_AA
    )
