"""Speech of which every word's time is known, by espeak-ng (extra `narration`)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmreason.video.types import Span

_VOICE_NAMES = {"en-us": "en-us", "en-gb": "en", "de": "de", "es": "es", "fr": "fr"}
"""What the library calls them: British English is its plain English."""
VOICES = tuple(_VOICE_NAMES)
WORDS_PER_MINUTE = (80, 450)
"""The range that espeak-ng takes."""
MOST_CHARACTERS = 2000
_ONSET_S = 0.05
"""Measured: the library reports a word this long before one hears it."""
_TIMEOUT_S = 60


class NarrationError(ValueError):
    """A narration cannot be spoken or drawn as asked. The message says what to do."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word (as written, with its punctuation) and when it is heard, in seconds.

    Example:
        >>> SpokenWord("budget", Span(0.2, 0.6)).span.duration_s
        0.39999999999999997
    """

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Speech:
    """What was spoken: `samples` float32 (n,) within -1 to 1, `rate_hz`, and `words` whose spans
    count from the first sample.

    Example:
        >>> Speech(np.zeros(22_050, np.float32), 22_050, ()).duration_s
        1.0
    """

    samples: np.ndarray
    rate_hz: int
    words: tuple[SpokenWord, ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


def speak_text(text: str, voice: str = "en-us", words_per_minute: int = 150) -> Speech:
    """Speak `text` with one of `VOICES`. The same text always gives the same samples.

    A word's span runs from when it is heard to the next word or the end of its sentence. Words
    that the library joins with others ("of the") share their time by their letters.
    NarrationError where the extra is missing or the text, voice or speed cannot be used.

    Example:
        >>> speech = speak_text("The budget is ten euros.")  # doctest: +SKIP
        >>> [word.text for word in speech.words]  # doctest: +SKIP
        ['The', 'budget', 'is', 'ten', 'euros.']
    """
    _check_request(text, voice, words_per_minute)
    library, data = _find_library()
    child = [sys.executable, "-I", "-S", str(Path(__file__).with_name("espeak_process.py"))]
    finished = subprocess.run(
        [*child, library, data, _VOICE_NAMES[voice], str(words_per_minute)],
        input=text.encode(),
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        reason = finished.stderr.decode(errors="replace").strip().splitlines()
        raise NarrationError(
            f"espeak-ng could not speak {text[:60]!r}: "
            f"{reason[-1] if reason else f'exit code {finished.returncode}'}"
        )
    header, _, pcm = finished.stdout.partition(b"\n")
    events = json.loads(header)
    rate_hz = int(events["rate_hz"])
    samples = (np.frombuffer(pcm, np.int16) / np.float32(32768)).astype(np.float32)
    words = _place_words(
        text,
        [(position, sample / rate_hz) for position, sample in events["words"]],
        [sample / rate_hz for sample in events["ends"]],
        len(samples) / rate_hz,
    )
    return Speech(samples, rate_hz, words)


def _check_request(text: str, voice: str, words_per_minute: int) -> None:
    if voice not in VOICES:
        raise NarrationError(f"voice {voice!r} is not one of {', '.join(VOICES)}")
    slowest, fastest = WORDS_PER_MINUTE
    if not slowest <= words_per_minute <= fastest:
        raise NarrationError(
            f"words_per_minute is {words_per_minute}; espeak-ng takes {slowest} to {fastest}"
        )
    if not text.strip() or len(text) > MOST_CHARACTERS or "\0" in text:
        raise NarrationError(
            f"a text to speak has 1 to {MOST_CHARACTERS} characters and no NUL; "
            f"this one has {len(text)}"
        )


def _find_library() -> tuple[str, str]:
    """Paths of the shared library and of its data."""
    try:
        import espeakng_loader
    except ImportError:
        raise NarrationError(
            'speech needs the extra narration; in the clone of mmreason: pip install ".[narration]"'
        ) from None
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path()


def _place_words(
    text: str, events: list[tuple[int, float]], ends_s: list[float], duration_s: float
) -> tuple[SpokenWord, ...]:
    """Times of the words of `text` (split at blanks) from events (character, seconds)."""
    tokens = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    # A number or a hyphenated word has several events: the first is its start.
    starts_s: list[float | None] = []
    for first, last in tokens:
        inside = [time_s for position, time_s in events if first <= position < last]
        starts_s.append(min(inside, default=None))
    # A word without an event begins between its neighbours, as far in as its letters are.
    filled_s: list[float] = []
    for index, start_s in enumerate(starts_s):
        if start_s is None:
            before = filled_s[-1] if filled_s else 0.0
            following = (
                (number, time_s)
                for number, time_s in enumerate(starts_s[index:], index)
                if time_s is not None
            )
            number, after = next(following, (len(tokens), duration_s))
            origin = tokens[index - 1][0] if index else 0
            stop = tokens[number][0] if number < len(tokens) else len(text)
            part = (tokens[index][0] - origin) / max(1, stop - origin)
            start_s = before + part * (after - before)
        filled_s.append(start_s)
    words = []
    for index, (first, last) in enumerate(tokens):
        start_s = filled_s[index]
        later = [end_s for end_s in (*filled_s[index + 1 : index + 2], *ends_s) if end_s > start_s]
        start_s, end_s = (
            min(time_s + _ONSET_S, duration_s)
            for time_s in (start_s, min(later, default=duration_s))
        )
        words.append(SpokenWord(text[first:last], Span(start_s, end_s)))
    return tuple(words)
