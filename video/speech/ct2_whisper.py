"""Whisper by faster-whisper (CTranslate2): the recogniser that works without a hub."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.speech.recogniser import RecogniserError, make_key
from mmreason.video.speech.transcript import Segment, Word
from mmreason.video.types import Span

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_BASE_TOKENS, _TOKENS_PER_S = 24, 8
"""Fast speech takes seven a second, times included. A text that goes round in a circle ends there
instead of after 448. It is decoded once, without chance: what more tries help in is refused."""
LATENESS_S = {"whisper-tiny.en": 0.06}
"""By how much word starts lie after the audible onset in the median, measured by
`benchmarks/senses_speech.py`; taken off. Models that were not measured are left as they are."""
_INSTALL = 'faster-whisper is not installed; in the clone of mmreason: pip install ".[speech]"'


class FasterWhisperRecogniser:
    """A Whisper model in CTranslate2's form."""

    window_s = 28.0
    """Whisper hears 30 s; the rest is room for rounding."""
    has_word_times = True

    def __init__(
        self,
        name: str,
        model: WhisperModel,
        *,
        hotwords: tuple[str, ...] = (),
        language: str | None = None,
        lateness_s: float = 0.0,
    ) -> None:
        """Wrap a loaded model; people call `load_recogniser`."""
        self._name, self.model = name, model
        self._hotwords, self._lateness_s = hotwords, lateness_s
        many = model.model.is_multilingual
        if language is not None and language not in model.supported_languages:
            languages = "English only" if not many else ", ".join(model.supported_languages)
            raise RecogniserError(
                f"{name}: does not know the language {language!r}; it knows {languages}"
            )
        self._language = language if many else "en"
        self._languages = tuple(model.supported_languages) if many else ("en",)

    @property
    def name(self) -> str:
        """See `Recogniser`."""
        return self._name

    @property
    def key(self) -> str:
        """See `Recogniser`."""
        settings = {
            "hotwords": self._hotwords,
            "language": self._language,
            "lateness_s": self._lateness_s,
        }
        return make_key(f"faster-whisper {self._name}", settings)

    @property
    def languages(self) -> tuple[str, ...]:
        """See `Recogniser`."""
        return self._languages

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        """See `Recogniser`."""
        items, info = self.model.transcribe(
            samples.samples,
            language=self._language,
            beam_size=5,
            temperature=0.0,
            max_new_tokens=_BASE_TOKENS + round(_TOKENS_PER_S * len(samples) / samples.rate_hz),
            word_timestamps=True,
            # Voice activity is found before, over the whole video.
            vad_filter=False,
            hotwords=", ".join(self._hotwords) or None,
        )
        start_s, most_s = samples.start_s, len(samples) / samples.rate_hz
        segments = (self._segment(item, start_s, most_s, info.language) for item in items)
        return tuple(segment for segment in segments if segment is not None)

    def _segment(self, item: Any, start_s: float, most_s: float, language: str) -> Segment | None:
        words = tuple(
            Word(
                self._span(pieces[0].start, pieces[-1].end, start_s, most_s),
                "".join(piece.word for piece in pieces).strip(),
                round(min(float(piece.probability) for piece in pieces), 4),
            )
            for pieces in _group_pieces(item.words or ())
        )
        text = " ".join(item.text.split())
        if not text:
            return None
        span = self._span(item.start, item.end, start_s, most_s)
        if words:
            span = Span(words[0].span.start_s, max(words[0].span.start_s, words[-1].span.end_s))
        confidence = round(min(1.0, math.exp(item.avg_logprob)), 4)
        return Segment(span, text, words, confidence=confidence, language=language)

    def _span(self, first_s: float, last_s: float, start_s: float, most_s: float) -> Span:
        """On the video's clock, inside the window."""
        first_s = min(max(0.0, float(first_s) - self._lateness_s), most_s)
        last_s = min(max(first_s, float(last_s) - self._lateness_s), most_s)
        return Span(round(start_s + first_s, 3), round(start_s + last_s, 3))


def _group_pieces(pieces: Iterable[Any]) -> list[list[Any]]:
    """Pieces of one number together: faster-whisper gives "40,000" as " 40" and ",000". Other
    pieces stay apart: in Chinese and Japanese no word begins with a blank."""
    groups: list[list[Any]] = []
    for piece in pieces:
        if not piece.word.strip():
            continue
        continues = groups and groups[-1][-1].word[-1:].isdigit()
        if continues and re.match(r"[.,:]?\d", piece.word):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def load_faster_whisper(
    name: str, folder: Path | None, *, hotwords: Sequence[str], language: str | None
) -> FasterWhisperRecogniser:
    """The model in `folder`, or for None the one that faster-whisper fetches by `name`. Raises
    RecogniserError."""
    lateness_s = LATENESS_S.get(name, 0.0)
    # A folder is called by its own name, as weights are.
    title = name if folder is None or not Path(name).is_dir() else folder.name
    return FasterWhisperRecogniser(
        title,
        _load_model(name if folder is None else str(folder)),
        hotwords=tuple(hotwords),
        language=language,
        lateness_s=LATENESS_S.get(title, lateness_s),
    )


@lru_cache(maxsize=2)
def _load_model(name: str) -> WhisperModel:
    try:
        from faster_whisper import WhisperModel
    except ImportError as error:
        raise RecogniserError(f"{name}: {_INSTALL}") from error
    # It tells each detected language at INFO, and this is no program's log.
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    try:
        # int8 is as exact as float32 here, and takes two thirds of its time.
        return WhisperModel(name, device="auto", compute_type="int8")
    except Exception as error:  # of the hub's client, of CTranslate2, of the tokenizer
        reason = " ".join(str(error).split())[:200]
        raise RecogniserError(
            f"{name}: no recogniser that can be loaded ({type(error).__name__}: {reason}); give "
            "whisper-tiny.en (`mmreason weights get whisper-tiny.en`), a folder of CTranslate2 or "
            "transformers weights, a size such as small where the hub can be reached, or a URL"
        ) from error
