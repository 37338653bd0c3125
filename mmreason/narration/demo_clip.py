"""The clip of `mmreason demo`: a short report with two slides and a photograph. Its speech is
packaged (`demo/speech.opus`, `demo/words.json`), so that it needs no espeak-ng.

`python -m mmreason.narration.demo_clip` speaks it anew, after a sentence has changed.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.narration.maker import list_photographs
from mmreason.narration.questions import PlantedQuestion
from mmreason.narration.render import NarrationTruth
from mmreason.narration.script import NarratedScene, Narration, PannedPhotograph, Slide, SlideLine
from mmreason.narration.speech import SpokenWord
from mmreason.narration.track import SpokenSentence, SpokenTrack, speak_narration
from mmreason.video.types import Span

_RATE_HZ = 48_000
"""Opus decodes to this rate."""
_BIT_RATE = 24_000
_BLOCK = 960
"""Samples of one frame of Opus."""


def demo_narration() -> Narration:
    """The script: a spoken budget, a written opening time, and a cat that nobody mentions.

    Example:
        >>> len(demo_narration().scenes)
        3
    """
    cat = next(path for path in list_photographs() if path.stem == "cat")
    return Narration(
        seed=0,
        voice="en-us",
        words_per_minute=140,
        scenes=(
            NarratedScene(
                ground=Slide(
                    (
                        SlideLine("Village news", 0.0, 40),
                        SlideLine("Plans for the summer", 0.0, 26),
                        SlideLine("Questions at the end", 0.4, 26),
                    ),
                    (24, 34, 54),
                    (240, 240, 240),
                ),
                sentences=(
                    "Good morning and welcome to the village news.",
                    "The budget of the new library is forty thousand euros.",
                ),
                fact_sentence=1,
            ),
            NarratedScene(
                ground=Slide(
                    (
                        SlideLine("What changes in June", 0.0, 36),
                        SlideLine("The bakery opens at 7:00", 0.25, 28),
                        SlideLine("See the notice board", 0.5, 28),
                    ),
                    (250, 244, 226),
                    (50, 30, 20),
                ),
                sentences=("Please look at the screen, and write down the new times.",),
                fact_line=1,
            ),
            NarratedScene(
                ground=PannedPhotograph(cat, "cat", (0.0, 0.0, 1.0), (0.15, 0.1, 0.75)),
                sentences=("And here is a picture from one of our readers. See you next week.",),
            ),
        ),
    )


def read_demo_track() -> SpokenTrack:
    """The packaged speech of `demo_narration`, with the time of every word."""
    folder = resources.files("mmreason.narration") / "demo"
    words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    scenes = tuple(Span(*span) for span in words["scenes"])
    with resources.as_file(folder / "speech.opus") as path:
        samples = _decode_opus(path, round(scenes[-1].end_s * _RATE_HZ))
    return SpokenTrack(samples, _RATE_HZ, tuple(map(_read_sentence, words["sentences"])), scenes)


def list_demo_questions(truth: NarrationTruth) -> tuple[PlantedQuestion, ...]:
    """One question each of what is said, of what is written and of what is shown, and one that the
    clip does not answer."""
    narration = demo_narration()
    spoken = truth.sentences[narration.scenes[0].fact_sentence or 0]
    lines = [line for line in truth.lines if line.scene == 1]
    written = lines[narration.scenes[1].fact_line or 0]
    return (
        PlantedQuestion(
            text="How much money is there for the new library?",
            kind="answerable",
            channel="speech",
            spans=(spoken.span,),
            answer="forty thousand euros",
            accepted=("40,000 euros",),
            quote=spoken.text,
        ),
        PlantedQuestion(
            text="When does the bakery open?",
            kind="answerable",
            channel="screen_text",
            spans=(written.span,),
            answer="7:00",
            quote=written.text,
        ),
        PlantedQuestion(
            text="Which animal is in the picture?",
            kind="answerable",
            channel="label",
            spans=tuple(label.span for label in truth.labels),
            answer="cat",
            quote="cat",
        ),
    )


def write_demo_speech(folder: Path) -> None:
    """Speak `demo_narration` with espeak-ng into `folder`: `speech.opus` and `words.json`."""
    track = speak_narration(demo_narration())
    words: dict[str, Any] = {
        "scenes": [span.to_list() for span in track.scenes],
        "sentences": [
            {
                "text": sentence.text,
                "scene": sentence.scene,
                "words": [
                    [word.text, round(word.span.start_s, 3), round(word.span.end_s, 3)]
                    for word in sentence.words
                ],
            }
            for sentence in track.sentences
        ],
    }
    text = json.dumps(words, indent=1, ensure_ascii=False) + "\n"
    (folder / "words.json").write_text(text, encoding="utf-8")
    _encode_opus(track, folder / "speech.opus")


def _read_sentence(row: dict[str, Any]) -> SpokenSentence:
    words = tuple(SpokenWord(text, Span(start_s, end_s)) for text, start_s, end_s in row["words"])
    span = Span(words[0].span.start_s, words[-1].span.end_s)
    return SpokenSentence(row["text"], span, row["scene"], words)


def _encode_opus(track: SpokenTrack, path: Path) -> None:
    import av

    with av.open(str(path), "w", format="ogg") as container:
        sound = container.add_stream("libopus", rate=_RATE_HZ, layout="mono")
        sound.codec_context.bit_rate = _BIT_RATE
        resampler = av.AudioResampler("flt", "mono", _RATE_HZ, frame_size=_BLOCK)
        whole = av.AudioFrame.from_ndarray(track.samples[None], format="flt", layout="mono")
        whole.sample_rate = track.rate_hz
        for frame in (*resampler.resample(whole), *resampler.resample(None)):
            container.mux(sound.encode(frame))
        container.mux(sound.encode())


def _decode_opus(path: Path, count: int) -> np.ndarray:
    """The first `count` samples, float32, silence where the file is shorter."""
    import av

    samples = np.zeros(count, np.float32)
    resampler = av.AudioResampler("flt", "mono", _RATE_HZ)
    with av.open(str(path)) as container:
        blocks = [
            block.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for block in resampler.resample(frame)
        ]
    spoken = np.concatenate(blocks)[:count]
    samples[: len(spoken)] = spoken
    return samples


if __name__ == "__main__":
    write_demo_speech(Path(str(resources.files("mmreason.narration"))) / "demo")
