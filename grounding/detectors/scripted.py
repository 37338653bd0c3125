"""A detector of known error rates: it reads the truth, and misses, adds and jitters on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.protocols import Detection
from mmreason.grounding.tubes import Tube
from mmreason.video.types import FrameBatch
from mmreason.video.world.script import World
from mmreason.video.world.truth import boxes_at

_WORDS_OF_ALL = {"object", "objects", "shape", "shapes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedDetector:
    """Meets `Detector`. What it errs in depends on the seed and on the time of a frame alone: the
    same frame gives the same detections in any batch.

    Raises ValueError where a rate is not 0..1.

    Example:
        >>> tube = Tube.from_boxes([0.0], [Box(0, 0, 8, 8)], label="red star")
        >>> frames = FrameBatch(
        ...     pixels=np.zeros((1, 36, 64, 3), np.uint8),
        ...     times_s=np.zeros(1),
        ...     exact=np.ones(1, bool),
        ... )
        >>> ScriptedDetector(truth=(tube,)).detect(frames, "star")[0][0].label
        'red star'
    """

    truth: tuple[Tube, ...]
    """True tubes, with their labels. A phrase finds those that have all its words; "object" and
    "shape" are words of all."""
    miss_rate: float = 0.0
    """How likely it is that an object is missed in a frame, 0..1."""
    false_rate: float = 0.0
    """Boxes of nothing for every true box, on average, 0..1."""
    jitter: float = 0.0
    """Standard deviation of each side, in sides of the box."""
    unsure_rate: float = 0.0
    """How likely a true box has a score below a half, 0..1."""
    seed: int = 0
    tolerance_s: float = 0.02
    """How far a frame may be from a time of the truth."""

    def __post_init__(self) -> None:
        for name in ("miss_rate", "false_rate", "unsure_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def settings(self) -> dict[str, float]:
        """Its rates and its seed."""
        return {
            "miss_rate": self.miss_rate,
            "false_rate": self.false_rate,
            "unsure_rate": self.unsure_rate,
            "jitter": self.jitter,
            "seed": self.seed,
        }

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """See `Detector.detect`."""
        phrase_words = set(phrase.lower().split()) - _WORDS_OF_ALL
        meant = [tube for tube in self.truth if phrase_words <= set(tube.label.lower().split())]
        height_px, width_px = frames.pixels.shape[1:3]
        return [
            self._detect_frame(meant, float(time_s), phrase, (width_px, height_px))
            for time_s in frames.times_s
        ]

    def _detect_frame(
        self, tubes: Sequence[Tube], time_s: float, phrase: str, size_px: tuple[int, int]
    ) -> tuple[Detection, ...]:
        milliseconds = round(abs(time_s) * 1000)
        random = np.random.default_rng((self.seed, milliseconds))
        detections = []
        for tube in tubes:
            box = tube.at(time_s, self.tolerance_s)
            # Drawn for every object, so that the errors of one do not depend on the others.
            miss, false, unsure, score = random.random(4)
            noise = random.normal(0.0, self.jitter, 4) if self.jitter else np.zeros(4)
            wrong = self._draw_wrong(random, box, phrase, size_px)
            if box is None:
                continue
            if false < self.false_rate:
                detections.append(wrong)
            if miss >= self.miss_rate:
                low, high = (0.15, 0.45) if unsure < self.unsure_rate else (0.6, 0.95)
                moved = _move_sides(box, noise)
                score = round(low + (high - low) * score, 3)
                detections.append(Detection(box=moved, score=score, label=tube.label))
        return tuple(detections)

    def _draw_wrong(
        self, random: np.random.Generator, box: Box | None, phrase: str, size_px: tuple[int, int]
    ) -> Detection:
        """A box of nothing: as large as `box`, anywhere in the frame."""
        width_px, height_px = size_px
        x, y, score = random.random(3)
        w, h = (8.0, 8.0) if box is None else (box.x2_px - box.x1_px, box.y2_px - box.y1_px)
        x1, y1 = x * max(width_px - w, 0.0), y * max(height_px - h, 0.0)
        # Half of them are as sure as true ones.
        score = round(0.3 + 0.5 * score, 3)
        return Detection(box=Box(x1, y1, x1 + w, y1 + h), score=score, label=phrase)


def tubes_of_world(world: World, times_s: Sequence[float] | np.ndarray) -> tuple[Tube, ...]:
    """True tubes of all actors of a world at `times_s` (seconds, rising), in pixels of its frames.

    An id is "scene/actor", a label "colour shape" as the script names it. What another actor hides
    is present: the script knows where it is.

    Example:
        >>> from mmreason.video.world import generate
        >>> tubes_of_world(generate.world(0, duration_s=4.0), [0.0, 1.0])[0].id
        '0/a0'
    """
    boxes: dict[str, list[Box | None]] = {}
    labels: dict[str, str] = {}
    numbers = {scene.start_s: number for number, scene in enumerate(world.scenes)}
    scale = np.array([world.width_px, world.height_px] * 2, np.float64)
    for index, time_s in enumerate(times_s):
        scene = world.scene_at(float(time_s))
        for actor_id, box in boxes_at(world, float(time_s)).items():
            key = f"{numbers[scene.start_s]}/{actor_id}"
            actor = scene.actor(actor_id)
            labels[key] = f"{actor.colour} {actor.shape}"
            row = boxes.setdefault(key, [None] * len(times_s))
            row[index] = Box(*(np.array(box) * scale).tolist())
    return tuple(
        Tube.from_boxes(list(times_s), row, id=key, label=labels[key]) for key, row in boxes.items()
    )


def _move_sides(box: Box, noise: np.ndarray) -> Box:
    """`box` with each side moved by `noise` (4,), in sides of the box."""
    width, height = box.x2_px - box.x1_px, box.y2_px - box.y1_px
    x1, x2 = sorted((box.x1_px + noise[0] * width, box.x2_px + noise[2] * width))
    y1, y2 = sorted((box.y1_px + noise[1] * height, box.y2_px + noise[3] * height))
    return Box(float(x1), float(y1), float(x2), float(y2))
