"""Footage that is no scripted world, drawn to measure whether nano declines it.

Cards, terminals, pages, charts, lights at night, blurs and fades come from Pillow with its own
font; test patterns, fractals, noise and automata from FFmpeg's sources. Training draws its own
pictures by other code, with other fonts and other random numbers
(`training/nano/outside_scenes.py`); neither imports the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE_PX = (288, 160)
"""(width, height): twice the size that nano watches."""
FRAMES = 8

Draw = Callable[[], np.ndarray]
"""Draws uint8 (FRAMES, H, W, 3)."""

LINES = (
    "Chapter One", "The End", "Directed by A. Meyer", "Quarterly results", "Thank you",
    "Questions?", "No signal", "Please stand by", "Loading...", "Intermission", "Part 2",
    "Copyright 2019", "Introduction to Botany", "Agenda", "To be continued", "Episode 7",
    "All rights reserved", "Exit", "Battery low", "Welcome back",
)  # fmt: skip
CODE = (
    "$ make test", "def area(w, h):", "    return w * h", "for (i = 0; i < n; i++) {", "}",
    "error: expected ';'", "epoch 12 loss 0.318", "epoch 13 loss 0.305", "ls -la /var/log",
    "drwxr-xr-x  2 root root", "import os", "Traceback (most recent call):", "200 OK 12 ms",
    "warning: unused variable", "git commit -m 'fix'", "1 file changed, 3 insertions(+)",
)  # fmt: skip
GROUNDS = (
    (0, 0, 0), (8, 8, 10), (12, 12, 12), (20, 22, 40), (0, 43, 54), (48, 10, 36), (40, 42, 54),
    (30, 30, 30), (255, 255, 255), (250, 244, 230), (24, 60, 120), (120, 20, 30), (200, 210, 220),
)  # fmt: skip
INKS = (
    (255, 255, 255), (230, 230, 230), (0, 255, 70), (255, 200, 60), (130, 200, 255), (255, 90, 90),
    (180, 180, 180),
)  # fmt: skip
LAVFI = (
    "testsrc", "testsrc2", "smptebars", "smptehdbars", "pal75bars", "pal100bars", "rgbtestsrc",
    "yuvtestsrc", "colorspectrum", "zoneplate", "mandelbrot", "sierpinski=seed=2",
    "sierpinski=seed=5:type=triangle", "cellauto=seed=4", "cellauto=rule=30:seed=9", "life=seed=3",
    "life=seed=6:mold=10", "gradients=seed=3", "gradients=seed=8:type=radial",
    "gradients=seed=4:c0=black:c1=navy", "perlin=random_mode=seed:seed=1",
    "perlin=random_mode=seed:seed=2:octaves=4",
    "color=black,noise=alls=20:allf=t:all_seed=1", "color=gray,noise=alls=80:allf=t:all_seed=2",
    "color=0x202030,noise=alls=12:allf=t:all_seed=3", "color=black,drawgrid=w=24:h=24:c=white@0.6",
    "color=white,drawgrid=w=40:h=20:c=black", "color=navy,drawbox=40:40:90:60:orange:fill",
    "color=black,drawbox=100:50:80:60:white:fill", "color=0x303030,drawbox=20:20:60:60:red:fill",
)  # fmt: skip


def drawn_sources() -> dict[str, Draw]:
    """All drawn footage by name; each draws the same frames every time."""
    kinds: dict[str, tuple[Callable[[random.Random], np.ndarray], int]] = {
        "card": (_card, 20),
        "terminal": (_terminal, 14),
        "page": (_page, 14),
        "chart": (_chart, 12),
        "night": (_night, 12),
        "blur": (_blur, 10),
        "fade": (_fade, 12),
    }
    drawn: dict[str, Draw] = {}
    for kind, (draw, count) in kinds.items():
        for index in range(count):
            name = f"drawn/{kind}-{index:02d}"
            drawn[name] = partial(_seeded, draw, name)
    for index, graph in enumerate(LAVFI):
        drawn[f"drawn/pattern-{index:02d}"] = partial(_lavfi, graph)
    return drawn


def _seeded(draw: Callable[[random.Random], np.ndarray], name: str) -> np.ndarray:
    return draw(random.Random(name))


def _card(rng: random.Random) -> np.ndarray:
    picture = Image.new("RGB", SIZE_PX, rng.choice(GROUNDS))
    pen, ink = ImageDraw.Draw(picture), _ink_on(picture, rng)
    count = rng.choice((1, 1, 2, 3, 4))
    size = rng.choice((14, 18, 24, 32)) if count < 3 else rng.choice((10, 13, 16))
    for i, line in enumerate(rng.sample(LINES, count)):
        y = SIZE_PX[1] * (i + 1) / (count + 1)
        pen.text((SIZE_PX[0] / 2, y), line, fill=ink, font=_font(size), anchor="mm")
    return _still(picture)


def _terminal(rng: random.Random) -> np.ndarray:
    # More rows than fit, so that a terminal can scroll.
    rows = [rng.choice(CODE) for _ in range(40)]
    ground, size = rng.choice(GROUNDS[:8]), rng.choice((7, 9, 11))
    inks = rng.sample(INKS, 3)
    speed = rng.choice((0, 0, 1, 2))
    frames = []
    for frame in range(FRAMES):
        picture = Image.new("RGB", SIZE_PX, ground)
        pen = ImageDraw.Draw(picture)
        for i in range(SIZE_PX[1] // (size + 3)):
            row = i + frame * speed
            corner_px = (4, 2 + i * (size + 3))
            pen.text(corner_px, rows[row % 40], fill=inks[row % 5 % 3], font=_font(size))
        frames.append(np.asarray(picture))
    return np.stack(frames)


def _page(rng: random.Random) -> np.ndarray:
    """A window with a bar, a side panel, rows of text and buttons."""
    dark = rng.random() < 0.5
    ground, panel = ((36, 36, 40), (52, 52, 58)) if dark else ((246, 246, 246), (225, 228, 232))
    ink = (210, 210, 210) if dark else (40, 40, 40)
    accent = rng.choice(((53, 132, 228), (224, 27, 36), (46, 194, 126), (145, 65, 172)))
    picture = Image.new("RGB", SIZE_PX, ground)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, SIZE_PX[0], 16), fill=panel)
    pen.rectangle((0, 16, rng.randint(30, 90), SIZE_PX[1]), fill=panel)
    for _ in range(rng.randint(3, 12)):
        corner_px = (rng.randint(4, 180), rng.randint(18, 146))
        pen.text(corner_px, rng.choice(LINES + CODE), fill=ink, font=_font(rng.choice((8, 10, 14))))
    for _ in range(rng.randint(1, 4)):
        x, y = rng.randint(90, 220), rng.randint(20, 140)
        pen.rounded_rectangle((x, y, x + rng.randint(24, 60), y + 14), 4, fill=accent)
    return _still(picture)


def _chart(rng: random.Random) -> np.ndarray:
    picture = Image.new(
        "RGB", SIZE_PX, rng.choice(((255, 255, 255), (17, 17, 17), (234, 234, 242)))
    )
    pen, ink = ImageDraw.Draw(picture), _ink_on(picture, rng)
    pen.line((30, 10, 30, 140, 280, 140), fill=ink)
    for tick in range(6):
        pen.text((8, 130 - 24 * tick), str(tick * 20), fill=ink, font=_font(8))
    colours = rng.sample(((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40)), 3)
    for colour in colours[: rng.randint(1, 3)]:
        phase, high = rng.uniform(0, 6), rng.uniform(10, 50)
        points = [
            (30 + 10 * i, 75 - high * math.sin(phase + i / rng.uniform(2, 6))) for i in range(25)
        ]
        if rng.random() < 0.5:
            pen.line(points, fill=colour, width=2)
        else:
            for x, y in points:
                pen.rectangle((x, y, x + 5, 139), fill=colour)
    return _still(picture)


def _night(rng: random.Random) -> np.ndarray:
    """Lamps, windows and stars in the dark, with glow."""
    picture = Image.new("RGB", SIZE_PX, rng.choice(((0, 0, 0), (6, 8, 16), (10, 10, 14))))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(2, 90)):
        x, y, r = rng.uniform(0, 288), rng.uniform(0, 160), rng.choice((0.5, 0.5, 1, 2, 5))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(INKS))
    # Light at night bleeds: without it lamps look like the shapes of a world.
    glow = picture.filter(ImageFilter.GaussianBlur(rng.choice((0.5, 2, 5))))
    return _still(Image.blend(picture, glow, 0.7))


def _blur(rng: random.Random) -> np.ndarray:
    """Something out of focus that moves."""
    ground = tuple(rng.randint(0, 160) for _ in range(3))
    x, y, step = rng.uniform(40, 240), rng.uniform(30, 120), rng.uniform(-12, 12)
    size, ink = rng.uniform(10, 50), tuple(rng.randint(0, 255) for _ in range(3))
    frames = []
    for frame in range(FRAMES):
        picture = Image.new("RGB", SIZE_PX, ground)
        centre_x_px = x + step * frame
        ImageDraw.Draw(picture).ellipse(
            (centre_x_px - size, y - size * 1.6, centre_x_px + size, y + size), fill=ink
        )
        frames.append(np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.choice((8, 12))))))
    return np.stack(frames)


def _fade(rng: random.Random) -> np.ndarray:
    """Black, white, a card or a shade that comes up from black."""
    kind = rng.choice(("black", "grey", "white", "card", "shade"))
    if kind == "card":
        full = _card(rng).astype(float)
    elif kind == "shade":
        ramp = Image.linear_gradient("L").resize(SIZE_PX).rotate(rng.choice((0, 180)))
        tint = np.array([rng.uniform(0.1, 1) for _ in range(3)])
        full = np.asarray(ramp, float)[None, ..., None].repeat(FRAMES, 0) * tint
    else:
        level = {"black": rng.choice((0, 4, 12)), "grey": rng.randint(16, 90), "white": 255}[kind]
        full = np.full((FRAMES, SIZE_PX[1], SIZE_PX[0], 3), float(level))
    if kind in ("card", "shade") or rng.random() < 0.5:
        full = full * np.linspace(rng.uniform(0, 0.3), 1, FRAMES)[:, None, None, None]
    return full.astype(np.uint8)


def _lavfi(graph: str) -> np.ndarray:
    import av

    head, *filters = graph.split(",")
    # The first option of a filter follows `=`, further ones follow `:`.
    join = ":" if "=" in head else "="
    size = f"{head}{join}size={SIZE_PX[0]}x{SIZE_PX[1]}:rate=4"
    frames: list[np.ndarray] = []
    with av.open(",".join([size, *filters]), format="lavfi") as source:
        for frame in source.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == FRAMES:
                break
    # Some sources end early; their last picture stays.
    return np.stack([frames[min(i, len(frames) - 1)] for i in range(FRAMES)])


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)


def _ink_on(picture: Image.Image, rng: random.Random) -> tuple[int, int, int]:
    """An ink that can be read on the picture's ground."""
    light = sum(picture.getpixel((0, 0))) > 380  # type: ignore[arg-type]  # RGB: a tuple of three
    return (20, 20, 30) if light else rng.choice(INKS)


def _still(picture: Image.Image) -> np.ndarray:
    return np.repeat(np.asarray(picture)[None], FRAMES, 0)
