"""Harmless files that attacks are made of, and files outside, which must not be shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from benchmarks.attacks.harness import Children, Ended

SECRET = "CANARY-4f1d"
"""Stands in texts outside."""
OUTSIDE_SIZE_PX = (214, 118)
"""Of the pictures and the video outside, which are red; nothing inside has this size."""
QUESTION = "What colour is the star?"


@dataclass(frozen=True, slots=True)
class Bench:
    """What every kind is given."""

    children: Children
    folder: Path
    """For material and logs."""
    clip: Path
    """A green video of two seconds, 160 x 120."""
    world: Path
    """A small scripted world with a red star."""
    outside: Path
    """Folder of secret.mp4, secret.png, secret.srt and secret.json, which nobody may read."""
    seed: int


def make_bench(folder: Path, children: Children, seed: int) -> Bench:
    """Write the material into `folder`."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    clip, world = folder / "clip.mp4", folder / "star.json"
    write_clip(clip, (0, 200, 0), (160, 120))
    world.write_text(json.dumps(small_world()))
    write_clip(outside / "secret.mp4", (254, 0, 0), OUTSIDE_SIZE_PX)
    Image.new("RGB", OUTSIDE_SIZE_PX, (254, 0, 0)).save(outside / "secret.png")
    Image.new("RGB", OUTSIDE_SIZE_PX, (254, 0, 0)).save(outside / "secret.jpg")
    (outside / "secret.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,000\nstar {SECRET}\n")
    (outside / "secret.json").write_text(json.dumps(small_world(name=SECRET)))
    return Bench(children, folder, clip, world, outside, seed)


def write_clip(path: Path, colour: tuple[int, int, int], size_px: tuple[int, int]) -> None:
    """Twenty frames of one colour, ten a second."""
    width_px, height_px = size_px
    pixels = np.full((height_px, width_px, 3), colour, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def small_world(**changes: object) -> dict[str, object]:
    """The script of a world in which a red star stands for four seconds."""
    star = {"id": "a", "shape": "star", "colour": "red", "x": 0.4, "y": 0.5}
    return {
        "format": "mmreason-world-1",
        "name": "star",
        "scenes": [{"start_s": 0.0, "end_s": 4.0, "actors": [star]}],
    } | changes


def answers(ended: Ended, expected: str) -> str:
    """A fault unless a child ended with code 0 and printed `expected`: for controls."""
    if ended.code == 0 and expected in ended.out:
        return ""
    return f"expected {expected!r}, got code {ended.code}: {(ended.err or ended.out)[-200:]!r}"
