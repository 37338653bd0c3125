"""What turns sound into segments of text: the protocol, loading by name, and a scripted one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.speech.transcript import Segment
from mmreason.video.types import VideoError

MOST_HOTWORDS, MOST_HOTWORD = 200, 100
"""Of names that a recogniser is told, and characters of each."""


class RecogniserError(VideoError):
    """A recogniser cannot be loaded or does not answer. The message says what to do."""


class Recogniser(Protocol):
    """Hears at most `window_s` seconds at a time."""

    @property
    def name(self) -> str:
        """What people call it, such as `whisper-tiny.en`."""
        ...

    @property
    def key(self) -> str:
        """Its name and all settings that change what it writes: what results are stored by."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of all languages that it knows; empty where it tells none."""
        ...

    @property
    def window_s(self) -> float:
        """Longest sound that it is given at a time."""
        ...

    @property
    def has_word_times(self) -> bool:
        """Whether segments carry words; without them each stretch of speech is heard by itself."""
        ...

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        """What is said in `samples` (16,000 a second), in order, on their clock. Raises
        RecogniserError."""
        ...


def load_recogniser(
    name: str | Path = "whisper-tiny.en",
    *,
    hotwords: Sequence[str] = (),
    language: str | None = None,
    api_key: str | None = None,
    served_model: str = "whisper-1",
) -> Recogniser:
    """A recogniser by name, kept for the next videos: loading takes a moment.

    `name` is `whisper-tiny.en` or another weight that `mmreason weights` knows, a size that
    faster-whisper knows (`small`, `large-v3`; fetched from the hub), a folder in CTranslate2's or
    transformers' form, a hub id of a transformers model, or `http(s)://host/v1` of a server with
    OpenAI's `/audio/transcriptions`, which is sent `api_key` and asked for `served_model`.
    `hotwords` are names to be recognised, where the recogniser takes them. `language` is a code
    such as `de` for a model of many languages; None has it find out.
    Raises RecogniserError, and WeightsMissingError with the line that fetches them.

    Example:
        >>> load_recogniser("small", language="de").name  # doctest: +SKIP
        'small'
    """
    hotwords = checked_hotwords(hotwords)
    text = str(name)
    if text.startswith(("http://", "https://")):
        from mmreason.video.speech.endpoint import EndpointRecogniser

        return EndpointRecogniser(
            text, model=served_model, api_key=api_key, hotwords=hotwords, language=language
        )
    folder = _find_folder(text)
    if (folder is not None and not (folder / "model.bin").is_file()) or _is_hub_id(text, folder):
        from mmreason.video.speech.transformers_asr import load_transformers

        return load_transformers(folder or text, hotwords=hotwords, language=language)
    from mmreason.video.speech.ct2_whisper import load_faster_whisper

    return load_faster_whisper(text, folder, hotwords=hotwords, language=language)


def checked_hotwords(hotwords: Sequence[str]) -> tuple[str, ...]:
    """`hotwords` without white space around them, each once. Raises RecogniserError."""
    names = tuple(dict.fromkeys(" ".join(word.split()) for word in hotwords if word.strip()))
    if len(names) > MOST_HOTWORDS or any(len(name) > MOST_HOTWORD for name in names):
        raise RecogniserError(
            f"hotwords: {len(names)} names, the longest of {max(map(len, names))} characters; the "
            f"limits are {MOST_HOTWORDS} and {MOST_HOTWORD}"
        )
    return names


def make_key(name: str, settings: Mapping[str, object]) -> str:
    """A recogniser's key: its name and settings.

    Example:
        >>> make_key("tiny", {"beam": 5})
        'tiny {"beam": 5}'
    """
    return f"{name} {json.dumps(settings, sort_keys=True, ensure_ascii=False)}"


def _find_folder(name: str) -> Path | None:
    """A folder that was named, or one of weights that are known by `name`."""
    if Path(name).is_dir():
        return Path(name)
    from mmreason.weights import find_weights, list_weights

    return find_weights(name) if name in {source.name for source in list_weights()} else None


def _is_hub_id(name: str, folder: Path | None) -> bool:
    # faster-whisper's own ids name the form in which they are.
    return folder is None and "/" in name and "faster-" not in name and "ct2" not in name.lower()


@dataclass(frozen=True)
class ScriptedRecogniser:
    """Says what it was told is said: for tests and for videos of which everything is known.

    Example:
        >>> import numpy as np
        >>> from mmreason.video.types import Span
        >>> known = ScriptedRecogniser((Segment(Span(1, 3), "hello"),))
        >>> sound = AudioSamples(samples=np.zeros(16_000, np.float32), rate_hz=16_000, start_s=1.5)
        >>> known.recognise(sound)[0].text
        'hello'
    """

    segments: tuple[Segment, ...]
    name: str = "scripted"
    languages: tuple[str, ...] = ("en",)
    window_s: float = 28.0
    has_word_times: bool = False

    @property
    def key(self) -> str:
        """See `Recogniser`."""
        return make_key(self.name, {"segments": [str(s.span) + s.text for s in self.segments]})

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        """The segments whose middle is in `samples`, cut to them."""
        span = samples.span
        return tuple(
            replace(segment, span=segment.span.clip(span))
            for segment in self.segments
            if span.contains(segment.span.middle_s)
        )
