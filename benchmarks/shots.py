"""Precision and recall of shot detection on films whose cuts are known, beside PySceneDetect's.

    python benchmarks/shots.py --films 5

Films are written here, from scenes of scripted worlds and from pans over rough textures: with cuts,
dissolves, fades through black, flashes and changes of light. PySceneDetect is measured on the same
files with its defaults where it is installed. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mmreason.video.types import Span

SIZE_PX = (320, 180)
FPS_HZ = 25
TOLERANCE_S = 0.12
"""How far a boundary may be found from the true one: three frames."""
FIRST_SEED = 100
"""Films with lower seeds served to set the thresholds."""
KINDS = ("cuts", "dissolves", "fades", "flashes", "lights")

Detect = Callable[[Path], list[float]]
"""Times of the boundaries in a file."""
Draw = Callable[[float], np.ndarray]
"""Draws a shot at a time (seconds from its start): float32 (H, W, 3) in 0..255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFilm:
    """Shots one after the other, and where they are parted."""

    shots: tuple[Draw, ...]
    starts_s: tuple[float, ...]
    """When the shots begin, and the end of the film as the last entry."""
    kind: str
    blend_s: tuple[float, ...]
    """Length of the transition before each shot, 0 for a cut and for the first."""
    flashes_s: tuple[float, ...]
    seed: int

    @property
    def truth(self) -> tuple[Span, ...]:
        """When one shot gives way to the next: empty spans for cuts."""
        pairs = zip(self.starts_s[1:-1], self.blend_s[1:], strict=True)
        return tuple(Span(at_s - blend / 2, at_s + blend / 2) for at_s, blend in pairs)

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 (H, W, 3) at 25 Hz."""
        # Grain keeps detectors from finding a cut in two equal frames.
        grain = np.random.default_rng(self.seed)
        for index in range(round(self.starts_s[-1] * FPS_HZ)):
            pixels = self._frame(index / FPS_HZ) + grain.normal(0, 1.5, (*SIZE_PX[::-1], 1))
            yield (pixels + 0.5).clip(0, 255).astype(np.uint8)

    def _frame(self, time_s: float) -> np.ndarray:
        shot = int(np.searchsorted(self.starts_s[1:-1], time_s + 1e-6, "right"))
        # Near an edge the neighbour shows too: mixed in a dissolve, through black in a fade.
        pixels = self._shot(shot, time_s)
        for other, edge_s in ((shot - 1, self.starts_s[shot]), (shot + 1, self.starts_s[shot + 1])):
            if not 0 <= other < len(self.shots):
                continue
            # A transition belongs to the shot that it leads to.
            half_s = self.blend_s[max(shot, other)] / 2
            apart_s = abs(time_s - edge_s)
            if apart_s >= half_s:
                continue
            if self.kind == "fades":
                # Black for a fifth of the way on both sides of the border.
                pixels = pixels * max(0.0, (apart_s / half_s - 0.2) / 0.8)
            else:
                weight = 0.5 - apart_s / half_s / 2
                pixels = (1 - weight) * pixels + weight * self._shot(other, time_s)
        return self._lit(pixels, time_s)

    def _shot(self, shot: int, time_s: float) -> np.ndarray:
        # A second in, since a transition shows a shot before its start.
        return self.shots[shot](max(0.0, time_s - self.starts_s[shot] + 1.0))

    def _lit(self, pixels: np.ndarray, time_s: float) -> np.ndarray:
        for flash_s in self.flashes_s:
            # Flashes and changes of light are no cuts: detectors that take them for one lose
            # precision.
            after_s = time_s - flash_s
            if self.kind == "flashes" and 0 <= after_s < 0.12:
                return pixels * 0.25 + 190
            if self.kind == "lights":
                pixels = pixels * (1 + 0.8 * float(np.clip(after_s / 0.4, 0, 1)) * (after_s < 1.0))
        return pixels


def make_film(kind: str, seed: int, shots: int = 12) -> CutFilm:
    """A film of one of `KINDS`; half of its shots are worlds, half are textures."""
    rng = random.Random(f"film/{kind}/{seed}")
    starts_s = [0.0]
    for _ in range(shots):
        starts_s.append(round(starts_s[-1] + rng.uniform(1.6, 3.2), 2))
    pictures = tuple(
        _world_shot(rng, starts_s[i + 1] - starts_s[i]) if i % 2 else _texture_shot(rng)
        for i in _order(rng, shots)
    )
    gradual = kind in ("dissolves", "fades")
    lit = kind in ("flashes", "lights")
    return CutFilm(
        shots=pictures,
        starts_s=tuple(starts_s),
        kind=kind,
        blend_s=(0.0, *(rng.uniform(0.4, 1.2) if gradual else 0.0 for _ in range(shots - 1))),
        flashes_s=tuple(start_s + 0.5 for start_s in starts_s[:-1]) if lit else (),
        seed=seed,
    )


def _order(rng: random.Random, shots: int) -> list[int]:
    kinds = list(range(shots))
    rng.shuffle(kinds)
    return kinds


def _world_shot(rng: random.Random, length_s: float) -> Draw:
    from mmreason.video.world import generate
    from mmreason.video.world.script import World

    scene = generate.scene(rng, 0.0, length_s + 2.0, actors=rng.randint(1, 3))
    world = World(scenes=(scene,), width_px=SIZE_PX[0], height_px=SIZE_PX[1])
    return lambda time_s: world.frame(time_s).astype(np.float32)


def _texture_shot(rng: random.Random) -> Draw:
    """A pan over noise with the spectrum of natural pictures, in colour."""
    noise = np.random.default_rng(rng.randrange(2**32))
    width, height = SIZE_PX[0] * 2, SIZE_PX[1] * 2
    y, x = np.fft.fftfreq(height)[:, None] * height, np.fft.fftfreq(width)[None] * width
    falling = 1 / np.maximum(np.hypot(x, y), 1.0) ** 1.1
    planes = [
        np.fft.ifft2(np.fft.fft2(noise.normal(size=(height, width))) * falling).real
        for _ in range(3)
    ]
    # Mostly one plane for all three, as the colours of a thing go together.
    mixed = np.stack([planes[0] + 0.4 * plane for plane in planes], axis=-1)
    centre, spread = noise.uniform(60, 180, 3), noise.uniform(25, 55)
    canvas = (centre + spread * mixed / mixed.std()).clip(0, 255).astype(np.float32)
    speed_x, speed_y = rng.uniform(-60, 60), rng.uniform(-20, 20)

    def draw(time_s: float) -> np.ndarray:
        shift = (round(speed_y * time_s), round(speed_x * time_s))
        # Rolled round, so that a pan never runs out of picture.
        return np.roll(canvas, shift, axis=(0, 1))[: SIZE_PX[1], : SIZE_PX[0]]

    return draw


def write_film(film: CutFilm, path: Path) -> Path:
    """Encode a film as H.264 with the encoder's own choice of key frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS_HZ, options={"preset": "veryfast"})
        stream.width, stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in film.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True, slots=True)
class Score:
    """Boundaries found of those there are. Scores add up with `+`.

    Example:
        >>> (Score(hits=2, found=2, true=4) + Score(hits=1, found=2, true=1)).precision
        0.75
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.hits / self.true if self.true else 1.0


def score_boundaries(found_s: Sequence[float], truth: Sequence[Span]) -> Score:
    """Each true boundary takes the nearest time found within it (and the tolerance), once.

    Example:
        >>> score_boundaries([2.0, 9.0], [Span(2.05, 2.05), Span(5, 6)])
        Score(hits=1, found=2, true=2)
    """
    # A time counts for one boundary: two hits on one cut are one hit and one false alarm.
    unmatched_s = sorted(found_s)
    hits = 0
    for span in truth:
        near = [
            t for t in unmatched_s if span.start_s - TOLERANCE_S <= t <= span.end_s + TOLERANCE_S
        ]
        if near:
            hits += 1
            unmatched_s.remove(min(near, key=lambda t: abs(t - span.middle_s)))
    return Score(hits, len(found_s), len(truth))


def detect_ours(path: Path) -> list[float]:
    from mmreason.video import Video
    from mmreason.video.content import shots

    with Video.open(path) as video:
        return [transition.time_s for transition in shots.detect(video).transitions]


def detect_without_hints(path: Path) -> list[float]:
    """Our detector where the encoder gives none away."""
    from mmreason.video import Video
    from mmreason.video.content import shots

    with Video.open(path) as video:
        detected = shots.detect(_Unhinted(video))
    return [transition.time_s for transition in detected.transitions]


class _Unhinted:
    """A video that keeps its key frames to itself."""

    keyframe_times_s: tuple[float, ...] = ()

    def __init__(self, video) -> None:
        self.info, self.frames_at = video.info, video.frames_at


def _scenedetect(name: str) -> Detect:
    def detect(path: Path) -> list[float]:
        scenedetect = import_module("scenedetect")
        scenes = scenedetect.detect(str(path), getattr(scenedetect, name)())
        # The first scene begins with the film, which is no boundary.
        return [first.seconds for first, _ in scenes[1:]]

    return detect


def list_detectors() -> dict[str, Detect]:
    """What is measured: name -> times of the boundaries it finds in a file."""
    table: dict[str, Detect] = {"mmreason": detect_ours, "mmreason, no hints": detect_without_hints}
    if find_spec("scenedetect") is None:
        return table
    version = import_module("scenedetect").__version__
    for name in ("AdaptiveDetector", "ContentDetector"):
        table[f"PySceneDetect {version} {name}"] = _scenedetect(name)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure shot detection on made films.")
    parser.add_argument("--films", type=int, default=5, help="films of each kind")
    films = parser.parse_args().films
    table = list_detectors()
    print(f"{films} films of each kind, 12 shots each; precision / recall / seconds in all\n")
    print("| films | " + " | ".join(table) + " |")
    print("|---" * (len(table) + 1) + "|")
    for kind in KINDS:
        print(f"| {kind} | " + " | ".join(_row(kind, films, table)) + " |", flush=True)


def _row(kind: str, films: int, table: dict[str, Detect]) -> list[str]:
    totals, seconds = dict.fromkeys(table, Score()), dict.fromkeys(table, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(FIRST_SEED, FIRST_SEED + films):
            film = make_film(kind, seed)
            path = write_film(film, Path(folder) / f"{seed}.mp4")
            for name, detect in table.items():
                began = time.perf_counter()
                totals[name] += score_boundaries(detect(path), film.truth)
                seconds[name] += time.perf_counter() - began
    return [f"{totals[n].precision:.2f} / {totals[n].recall:.2f} / {seconds[n]:.1f}" for n in table]


if __name__ == "__main__":
    main()
