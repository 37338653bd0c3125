"""The sound of a narration, and with it when each scene begins and each word is spoken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmreason.narration.script import NarratedScene, Narration
from mmreason.narration.speech import Speech, SpokenWord, speak_text
from mmreason.video.types import Span

LEAST_SCENE_S = 4.0
_LEAD_S, _GAP_S, _TAIL_S = 0.4, 0.3, 0.4
"""Silence before the first sentence of a scene, between two, and after the last."""


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence with its words in absolute seconds, and the scene (from 0) over which it is
    spoken.

    Example:
        >>> SpokenSentence("Hello.", Span(1, 2), 0, ()).scene
        0
    """

    text: str
    span: Span
    scene: int
    words: tuple[SpokenWord, ...]


@dataclass(frozen=True, slots=True)
class SpokenTrack:
    """The whole sound: `samples` float32 (n,), `rate_hz`, the sentences, and the span of each
    scene; scenes follow each other without gaps from 0 to the end."""

    samples: np.ndarray
    rate_hz: int
    sentences: tuple[SpokenSentence, ...]
    scenes: tuple[Span, ...]

    @property
    def duration_s(self) -> float:
        return self.scenes[-1].end_s


def speak_narration(narration: Narration) -> SpokenTrack:
    """Speak all sentences; NarrationError where the extra `narration` is missing."""
    blocks: list[np.ndarray] = []
    sentences: list[SpokenSentence] = []
    spans: list[Span] = []
    start_s, rate_hz = 0.0, 0
    for number, scene in enumerate(narration.scenes):
        speeches = _speak_scene(scene, narration)
        rate_hz = speeches[0].rate_hz
        length_s, at_s = 0.0, start_s + _LEAD_S
        for text, speech in zip(scene.sentences, speeches, strict=True):
            words = tuple(
                SpokenWord(word.text, Span(at_s + word.span.start_s, at_s + word.span.end_s))
                for word in speech.words
            )
            span = Span(words[0].span.start_s, words[-1].span.end_s)
            sentences.append(SpokenSentence(text, span, number, words))
            at_s += speech.duration_s + _GAP_S
        length_s = max(LEAST_SCENE_S, at_s - _GAP_S + _TAIL_S - start_s)
        # Whole tenths: a scene changes on a frame at 10 frames a second.
        length_s = np.ceil(length_s * 10) / 10
        blocks.append(_join_speeches(speeches, rate_hz, float(length_s)))
        spans.append(Span(round(start_s, 3), round(start_s + float(length_s), 3)))
        start_s = spans[-1].end_s
    return SpokenTrack(np.concatenate(blocks), rate_hz, tuple(sentences), tuple(spans))


def _speak_scene(scene: NarratedScene, narration: Narration) -> list[Speech]:
    return [
        speak_text(text, narration.voice, narration.words_per_minute) for text in scene.sentences
    ]


def _join_speeches(speeches: list[Speech], rate_hz: int, length_s: float) -> np.ndarray:
    """Samples of one scene, with its silences."""
    block = np.zeros(round(length_s * rate_hz), np.float32)
    first = round(_LEAD_S * rate_hz)
    for speech in speeches:
        block[first : first + len(speech.samples)] = speech.samples
        first += len(speech.samples) + round(_GAP_S * rate_hz)
    return block
