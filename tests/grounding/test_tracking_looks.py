"""What a frame encoder adds to a tracker: textures, where colours are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmreason.video.world
from mmreason.grounding import Box, Detection
from mmreason.grounding.tracking.appearance import ColourEncoder, LooksEncoder
from mmreason.grounding.tracking.tracker import KalmanTracker
from mmreason.video.encoders import load_encoder
from mmreason.video.types import FrameBatch, VideoError

SIDE_PX = 80


@pytest.fixture(scope="module")
def textures() -> list[np.ndarray]:
    """Two of uint8 (80, 80, 3) in the same greys: colours say nothing."""
    pictures = Path(mmreason.video.world.__file__).parent / "pictures"
    shades = np.linspace(40, 215, SIDE_PX**2).astype(np.uint8)
    made = []
    for name in ("brick.png", "grass.png"):
        grey = np.asarray(Image.open(pictures / name).convert("L").resize((SIDE_PX, SIDE_PX)))
        flat = np.empty(SIDE_PX**2, np.uint8)
        flat[np.argsort(grey, axis=None, kind="stable")] = shades
        made.append(np.repeat(flat.reshape(SIDE_PX, SIDE_PX, 1), 3, axis=2))
    return made


def test_textures_keep_apart_two_of_one_colour_that_meet_and_turn_back(
    textures: list[np.ndarray], real_weights: Callable[[str], Path]
) -> None:
    pixels = np.zeros((20, 120, 640, 3), np.uint8)
    rows, ways = [], []
    for i in range(20):
        shift = 16 * min(i, 19 - i)
        boxes = [Box(x - 40, 20, x + 40, 100) for x in (160 + shift, 480 - shift)]
        for box, texture in zip(boxes, textures, strict=True):
            pixels[i, 20:100, int(box.xyxy[0]) : int(box.xyxy[2])] = texture
        ways.append(boxes)
        rows.append([Detection(box=box, score=0.9) for box in boxes])
    frames = FrameBatch(pixels=pixels, times_s=np.arange(20) * 0.1, exact=np.ones(20, bool))
    encoder = LooksEncoder(load_encoder(str(real_weights("efficientnet-lite0"))))
    tubes = KalmanTracker(encoder=encoder).track(frames, rows)
    assert [tube.at(1.9) for tube in tubes] == ways[0]
    by_colour = KalmanTracker(encoder=ColourEncoder()).track(frames, rows)
    assert [tube.at(1.9) for tube in by_colour] == ways[0][::-1], "they pass through each other"


def test_a_crop_that_is_none_is_refused(real_weights: Callable[[str], Path]) -> None:
    encoder = LooksEncoder(load_encoder(str(real_weights("efficientnet-lite0"))))
    with pytest.raises(VideoError, match="crop 0"):
        encoder.encode([np.zeros((0, 4, 3), np.uint8)])
