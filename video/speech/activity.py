"""Where somebody speaks: stretches of sound that are worth a recogniser's time, found as it comes.

Silero's detector of faster-whisper scores each 32 ms. Speech goes on until it has been quiet for
2 s, gets 0.8 s on each side (shorter padding cuts first words), and is cut at its quietest moment
where it is longer than a window. What was given is forgotten: memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from mmreason.video.audio.samples import AudioSamples
from mmreason.video.types import Span

RATE_HZ = 16_000
FRAME = 512
"""Samples that get one score: 32 ms."""
_FRAME_S = FRAME / RATE_HZ
_BEGINS, _ENDS = 0.5, 0.35
"""Speech begins at a score from the first on, and ends where scores stay below the second."""
_QUIET_FRAMES = round(2.0 / _FRAME_S)
_PAD_FRAMES = round(0.8 / _FRAME_S)
_OVERLAP_FRAMES = round(0.6 / _FRAME_S)
"""On both sides of a cut where nobody pauses."""
_WARM_FRAMES = 32
"""Scored again before each block: the detector has a memory of its own."""
_SMOOTH_FRAMES = 9
_LOUD = 10 ** (-45 / 20)
"""-45 dB of full scale: what counts as loud where no detector is installed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretch:
    """Sound in which somebody speaks."""

    start_s: float
    samples: np.ndarray
    """float32 (n,) at `RATE_HZ`."""
    scores: np.ndarray
    """float32 (frames,): how much each 32 ms sounds like speech, 0 to 1."""
    counted: Span
    """Words whose middle is inside count; two stretches overlap where nobody pauses at the cut."""

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ

    @property
    def span(self) -> Span:
        return Span(self.start_s, self.start_s + self.duration_s)

    def score_over(self, span: Span) -> float:
        """Mean of the upper half of the scores over `span`, 0 to 1: pauses do not count."""
        first, last = ((t - self.start_s) / _FRAME_S for t in (span.start_s, span.end_s))
        inside = self.scores[max(0, int(first)) : max(int(first), int(last)) + 1]
        loudest = np.sort(inside)[len(inside) // 2 :]
        return float(loudest.mean()) if len(loudest) else 0.0


class ActivityDetector(Protocol):
    """Scores sound: how much it is like speech."""

    @property
    def note(self) -> str:
        """What is to be told of it, "" for nothing."""
        ...

    def score(self, samples: np.ndarray) -> np.ndarray:
        """float32 (n // FRAME,), 0 to 1, for float32 (n,) at `RATE_HZ`."""
        ...


class SileroDetector:
    """The neural detector that comes with faster-whisper."""

    note = ""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._model = get_vad_model()

    def score(self, samples: np.ndarray) -> np.ndarray:
        """See `ActivityDetector.score`."""
        whole = samples[: len(samples) // FRAME * FRAME]
        return np.asarray(self._model(whole), np.float32).reshape(-1)


class LoudnessDetector:
    """Takes what is loud for speech: for recognisers that are used without faster-whisper."""

    note = (
        "speech was told from other sound by loudness alone; for a detector: "
        'in the clone of mmreason: pip install ".[speech]"'
    )

    def score(self, samples: np.ndarray) -> np.ndarray:
        """See `ActivityDetector.score`."""
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
        return (np.sqrt(np.square(frames).mean(1)) > _LOUD).astype(np.float32)


def load_detector() -> ActivityDetector:
    """Silero's where faster-whisper is installed, else by loudness."""
    return SileroDetector() if find_spec("faster_whisper") else LoudnessDetector()


def find_speech(
    blocks: Iterable[AudioSamples], detector: ActivityDetector, most_s: float
) -> Iterator[Stretch]:
    """Stretches of speech of `most_s` seconds at most in `blocks`, which follow each other without
    a gap at `RATE_HZ`."""
    finder: _Finder | None = None
    for block in blocks:
        finder = finder or _Finder(detector, block.start_s, most_s)
        yield from finder.take(block.samples, is_last=False)
    if finder is not None:
        yield from finder.take(np.zeros(0, np.float32), is_last=True)


class _Finder:
    """Holds the sound that is not decided yet."""

    def __init__(self, detector: ActivityDetector, start_s: float, most_s: float) -> None:
        self._detector, self._start_s = detector, start_s
        self._most_frames = int(most_s / _FRAME_S)
        self._samples = np.zeros(0, np.float32)
        self._scores = np.zeros(0, np.float32)
        self._first = 0
        """Frames before what is held."""
        self._counted_from = 0
        """The frame of the last cut."""

    def take(self, samples: np.ndarray, *, is_last: bool) -> Iterator[Stretch]:
        """The stretches that are decided after `samples`."""
        self._samples = np.concatenate([self._samples, samples])
        if is_last:
            missing = -len(self._samples) % FRAME
            self._samples = np.concatenate([self._samples, np.zeros(missing, np.float32)])
        self._score()
        ranges, keep_from = split_speech(
            self._scores, self._most_frames, self._counted_from - self._first, is_last=is_last
        )
        for speech in ranges:
            yield self._stretch(speech)
            self._counted_from = self._first + speech.counted_end
        self._samples = self._samples[keep_from * FRAME :]
        self._scores = self._scores[keep_from:]
        self._first += keep_from

    def _score(self) -> None:
        done = len(self._scores)
        warm = max(0, done - _WARM_FRAMES)
        scores = self._detector.score(self._samples[warm * FRAME :])
        self._scores = np.concatenate([self._scores, scores[done - warm :]])

    def _stretch(self, speech: SpeechRange) -> Stretch:
        return Stretch(
            start_s=self._time_s(speech.start),
            samples=self._samples[speech.start * FRAME : speech.end * FRAME].copy(),
            scores=self._scores[speech.start : speech.end].copy(),
            counted=Span(self._time_s(speech.counted_start), self._time_s(speech.counted_end)),
        )

    def _time_s(self, frame: int) -> float:
        return self._start_s + (self._first + frame) * _FRAME_S


@dataclass(frozen=True, slots=True)
class SpeechRange:
    """Frames `[start, end)` to listen to, of which `[counted_start, counted_end)` count."""

    start: int
    end: int
    counted_start: int
    counted_end: int


def split_speech(
    scores: np.ndarray, most_frames: int, counted_from: int = 0, *, is_last: bool
) -> tuple[list[SpeechRange], int]:
    """The stretches of `scores` (frames,) that are decided, and the frame from which on scores are
    still needed. Before `counted_from` all was given, though sound of it may be heard again.

    Example:
        >>> scores = np.r_[np.zeros(100), np.ones(50), np.zeros(200)].astype(np.float32)
        >>> split_speech(scores, 900, is_last=False)
        ([SpeechRange(start=75, end=175, counted_start=75, counted_end=175)], 325)
    """
    ranges: list[SpeechRange] = []
    counted_until = max(0, counted_from)
    for start, end in _spoken(scores):
        is_open = len(scores) - end < _QUIET_FRAMES and not is_last
        # After a cut without a pause, what is held begins before the cut, and is heard again.
        begin = max(0, start - _PAD_FRAMES)
        padded = max(counted_until, begin)
        stop = len(scores) if is_open else min(len(scores), end + _PAD_FRAMES)
        while stop - begin > most_frames:
            cut, pauses = _quietest(scores, begin, begin + most_frames)
            over = 0 if pauses else _OVERLAP_FRAMES
            ranges.append(SpeechRange(begin, min(stop, cut + over), padded, cut))
            counted_until = padded = cut
            begin = max(0, cut - over)
        if is_open:
            return ranges, begin
        if stop > padded:
            ranges.append(SpeechRange(begin, stop, padded, stop))
            counted_until = stop
    return ranges, max(0, counted_until, len(scores) - _PAD_FRAMES) if not is_last else len(scores)


def _spoken(scores: np.ndarray) -> list[tuple[int, int]]:
    """Frames `[start, end)` of speech: ends where it stays quiet for long enough."""
    spoken: list[tuple[int, int]] = []
    start, last_loud = None, 0
    for frame, score in enumerate(scores.tolist()):
        if start is None:
            if score >= _BEGINS:
                start, last_loud = frame, frame
        elif score >= _ENDS:
            last_loud = frame
        elif frame - last_loud >= _QUIET_FRAMES:
            spoken.append((start, last_loud + 1))
            start = None
    if start is not None:
        spoken.append((start, last_loud + 1))
    return spoken


def _quietest(scores: np.ndarray, start: int, end: int) -> tuple[int, bool]:
    """The frame in the second half of `[start, end)` around which it is most quiet, and whether
    somebody pauses there."""
    first = start + (end - start) // 2
    kernel = np.ones(_SMOOTH_FRAMES) / _SMOOTH_FRAMES
    smooth = np.convolve(scores[first : end - _OVERLAP_FRAMES], kernel, "same")
    # Of equals the latest, so that windows are long and few.
    frame = first + len(smooth) - 1 - int(np.argmin(smooth[::-1]))
    return frame, float(smooth[frame - first]) < _ENDS
