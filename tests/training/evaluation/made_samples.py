"""Samples over videos that are drawn, and models whose score on them is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage, SourceLine
from mmreason.training.rewards import Truth
from mmreason.video.types import FrameBatch

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220), "white": (240,) * 3}
QUESTION = "What colour is the screen?"


def draw_pictures(folder: Path) -> dict[str, Path]:
    """A picture of each colour."""
    paths = {}
    for name, colour in COLOURS.items():
        paths[name] = folder / f"{name}.png"
        Image.new("RGB", (32, 24), colour).save(paths[name])
    return paths


def ask_colour(paths: dict[str, Path], number: int, *, channel: str = "colours") -> Sample:
    """Question `number`: the colour of a picture, with its four options in an order of its own."""
    names = list(COLOURS)
    right = names[number % 4]
    shift = (number // 4) % 4
    options = tuple(names[shift:] + names[:shift])
    lines = [f"{'ABCD'[i]}. {option}" for i, option in enumerate(options)]
    text = "\n".join([QUESTION, *lines])
    picture = MediaRef(kind=MediaKind.IMAGE, paths=(str(paths[right]),))
    choice = options.index(right)
    return Sample(
        id=f"q{number}",
        messages=(
            SampleMessage(role="user", parts=(picture, text)),
            SampleMessage(role="assistant", parts=("ABCD"[choice],)),
        ),
        truth=Truth(question=QUESTION, options=options, choice=choice),
        channel=channel,
        source=SourceLine("made.jsonl", number + 1),
    )


def ask_colours(folder: Path, count: int = 16) -> tuple[Sample, ...]:
    """`count` questions; of 16 each letter is right four times, and each picture is asked about
    four times."""
    paths = draw_pictures(folder)
    return tuple(ask_colour(paths, number) for number in range(count))


def options_of(text: str) -> list[str]:
    """The options in a question, in order."""
    return [line[3:] for line in text.splitlines() if line[1:3] == ". "]


def colour_of(frames: FrameBatch | None) -> str | None:
    """The colour that is shown; None without frames."""
    if frames is None:
        return None
    shown = frames.pixels.reshape(-1, 3).mean(0)
    return min(COLOURS, key=lambda name: float(np.abs(shown - COLOURS[name]).sum()))


def perfect(text: str, frames: FrameBatch | None) -> str:
    """Names the letter of the colour that is shown, and A where nothing is."""
    colour = colour_of(frames)
    return "A" if colour is None else "ABCD"[options_of(text).index(colour)]


def first_option(text: str, frames: FrameBatch | None) -> str:
    """Looks at nothing, and takes the first option."""
    return "A"


def says_red(text: str, frames: FrameBatch | None) -> str:
    """Looks at nothing, and says one colour in words."""
    return "I believe the answer is red."


def longest_option(text: str, frames: FrameBatch | None) -> str:
    """Reads the options, and takes the longest."""
    options = options_of(text)
    return "ABCD"[max(range(len(options)), key=lambda i: len(options[i]))]


def scripted(
    script: Callable[[str, FrameBatch | None], str], name: str = "scripted"
) -> ScriptedModel:
    """A model with this script."""
    return ScriptedModel(script, ClipRecipe(frames=2, leaf_s=4.0, longest_px=32), name=name)


def ids(rows: Sequence[Sample]) -> list[str]:
    """Of samples."""
    return [row.id for row in rows]
