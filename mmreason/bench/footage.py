"""Made footage that is about as hard to decode as filmed one, and cheap to draw.

Scenes of 2 to 14 seconds: a textured ground that pans, zooms and shakes, textured things that move
across it, light that drifts, grain in some. Each frame carries its number as a bar code. Textures
have the spectrum of natural pictures (amplitude falls with about the 1.3th power of frequency).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from mmreason.bench import bar_code

_CANVASES = 4
_SPECTRUM_POWER = 1.3
_GRAIN_LEVELS = 3.0
_GRAIN_ROOM_PX = 64
_SCENE_S = (2.0, 14.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """A textured square; pixels, and pixels a frame."""

    canvas: int
    place_px: tuple[float, float]
    speed_px: tuple[float, float]
    side_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    first: int
    """Number of its first frame."""
    ground: int
    start_px: tuple[float, float]
    speed_px: tuple[float, float]
    """A frame."""
    zoom: float
    """A frame."""
    shake_px: float
    light: float
    """Levels a frame."""
    grain: bool
    things: tuple[_Thing, ...]


class Footage:
    """Frames in a fixed order from a fixed seed.

    Example:
        >>> next(Footage((64, 36), frames=2, fps_hz=30).planes()).shape
        (54, 64)
    """

    def __init__(self, size_px: tuple[int, int], frames: int, fps_hz: int, seed: int = 0) -> None:
        """`size_px` is (width, height), both even."""
        self.size_px, self.frames, self.fps_hz = size_px, frames, fps_hz
        self._noise = np.random.default_rng(seed)
        width, height = size_px
        self._canvases = [self._canvas() for _ in range(_CANVASES)]
        room = (height + _GRAIN_ROOM_PX, width + _GRAIN_ROOM_PX)
        # Drawn once, larger than a frame: a random cut of it costs nothing and never repeats.
        grain = self._noise.normal(128, _GRAIN_LEVELS, room)
        self._grain = grain.clip(0, 255).astype(np.uint8)
        self._scenes = self._script()

    def planes(self) -> Iterator[np.ndarray]:
        """Each frame as planar 4:2:0, uint8 (3 * height / 2, width)."""
        ends = [*(scene.first for scene in self._scenes[1:]), self.frames]
        for scene, end in zip(self._scenes, ends, strict=True):
            for number in range(scene.first, end):
                yield self._frame(scene, number)

    def _canvas(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Luma, half the size red and blue differences; half as large again as a frame."""
        width, height = (side * 3 // 2 for side in self.size_px)
        luma = 118 + self._noise.uniform(35, 50) * _texture(self._noise, height, width)
        # Colour at half the size, as video stores it.
        half = (height // 2, width // 2)
        chroma = [128 + 14 * _texture(self._noise, *half) for _ in range(2)]
        first, second, third = (p.clip(16, 235).astype(np.uint8) for p in (luma, *chroma))
        return first, second, third

    def _script(self) -> list[_Scene]:
        noise, (width, height) = self._noise, self.size_px
        scenes, first = [], 0
        # Scenes of random length: encoders then choose their own key frames.
        while first < self.frames:
            things = tuple(self._thing() for _ in range(noise.integers(1, 5)))
            scenes.append(
                _Scene(
                    first=first,
                    ground=len(scenes) % _CANVASES,
                    start_px=(noise.uniform(0, width / 2), noise.uniform(0, height / 2)),
                    speed_px=(noise.normal(0, 0.0012 * width), noise.normal(0, 0.0006 * width)),
                    zoom=float(noise.normal(0, 0.0004)),
                    shake_px=float(noise.choice([0.0, 0.0, 0.6])),
                    light=float(noise.normal(0, 0.03)),
                    grain=bool(noise.random() < 0.4),
                    things=things,
                )
            )
            first += round(noise.uniform(*_SCENE_S) * self.fps_hz)
        return scenes

    def _thing(self) -> _Thing:
        noise, (width, height) = self._noise, self.size_px
        return _Thing(
            canvas=int(noise.integers(_CANVASES)),
            place_px=(noise.uniform(0, width), noise.uniform(0, height)),
            speed_px=(noise.normal(0, 0.004 * width), noise.normal(0, 0.004 * width)),
            side_px=int(noise.uniform(0.08, 0.25) * height),
        )

    def _frame(self, scene: _Scene, number: int) -> np.ndarray:
        width, height = self.size_px
        frames_in = number - scene.first
        out = np.empty((height * 3 // 2, width), np.uint8)
        luma = out[:height]
        chroma = out[height:].reshape(2, height // 2, width // 2)
        shift = np.asarray(scene.start_px) + frames_in * np.asarray(scene.speed_px)
        # A hand that holds the camera.
        shift += self._noise.normal(0, 1, 2) * scene.shake_px
        scale = 1 + scene.zoom * frames_in
        for plane, source, size_ratio in zip(
            (luma, *chroma), self._canvases[scene.ground], (1.0, 0.5, 0.5), strict=True
        ):
            move = np.array([[scale, 0, shift[0] * size_ratio], [0, scale, shift[1] * size_ratio]])
            size = (plane.shape[1], plane.shape[0])
            # The matrix leads from the frame to the canvas, which spares an inversion.
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            plane[:] = cv2.warpAffine(source, move, size, None, flags, cv2.BORDER_REFLECT)
        for thing in scene.things:
            self._paste(luma, chroma, thing, frames_in)
        if scene.light * frames_in:
            luma[:] = cv2.convertScaleAbs(luma, None, 1.0, scene.light * frames_in)
        if scene.grain:
            down, right = self._noise.integers(0, _GRAIN_ROOM_PX, 2)
            grain = self._grain[down : down + height, right : right + width]
            # A byte has no sign, so that grain is kept about 128.
            luma[:] = cv2.addWeighted(luma, 1, grain, 1, -128)
        # Last, on top of grain and light, with no colour below it.
        bar_code.draw_number(number, luma)
        chroma[:, : bar_code.band_rows(height) // 2 + 1] = 128
        return out

    def _paste(self, luma: np.ndarray, chroma: np.ndarray, thing: _Thing, frames_in: int) -> None:
        """Draw `thing` where it is `at` frames into its scene; it bounces off the edges."""
        height, width = luma.shape
        half = thing.side_px // 2
        side = 2 * half
        rooms = (width - side, height - side)
        # In whole pixels of the chroma planes, of which each covers two of luma.
        left, top = (
            int(_bounce(place + frames_in * speed, room) / 2)
            for place, speed, room in zip(thing.place_px, thing.speed_px, rooms, strict=True)
        )
        first, second, third = self._canvases[thing.canvas]
        # Inverted and with swapped colours, or it would vanish on a ground of its own canvas.
        luma[2 * top : 2 * top + side, 2 * left : 2 * left + side] = 255 - first[:side, :side]
        for plane, source in zip(chroma, (third, second), strict=True):
            plane[top : top + half, left : left + half] = source[:half, :half]


def _bounce(position: float, room: int) -> float:
    """`place` folded into 0..room."""
    # A triangle wave: there and back within twice the room.
    position %= 2 * room
    return min(position, 2 * room - position)


def _texture(noise: np.random.Generator, height: int, width: int) -> np.ndarray:
    """float64 (height, width), mean 0, standard deviation 1."""
    down, across = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    falling = 1 / np.maximum(np.hypot(down, across), 1.0) ** _SPECTRUM_POWER
    spectrum = np.fft.rfft2(noise.normal(size=(height, width))) * falling
    texture = np.fft.irfft2(spectrum, s=(height, width))
    texture -= texture.mean()
    return texture / texture.std()
