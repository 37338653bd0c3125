"""Which senses this machine has: loads what is installed, and says what would install the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmreason.senses.parts import SENSE_NAMES, Sense, SenseName, Senses, read_sense_names

WHAT_IS_MISSING: dict[SenseName, str] = {
    "shots": "shots are not found",
    "labels": "pictures are not labelled",
    "speech": "speech is not heard",
    "screen": "screens are not read",
}


def load_senses(
    names: Sequence[str] | None = None,
    *,
    asr: str = "whisper-tiny.en",
    hotwords: Sequence[str] = (),
) -> Senses:
    """The senses of these names (None: all), as far as they can be used here; `missing` says why
    the others cannot. Never raises for what is not installed; UsageError for a name that is none.

    `asr` is the recogniser of speech, by name, folder or address; `hotwords` are own names that it
    is to expect.

    Example:
        >>> load_senses(["shots"]).names
        ('shots',)
    """
    loaders: dict[SenseName, Callable[[], Sense]] = {
        "shots": _load_shots,
        "labels": _load_labels,
        "speech": lambda: _load_speech(asr, hotwords),
        "screen": _load_screen,
    }
    parts: list[Sense] = []
    missing: dict[SenseName, str] = {}
    for name in SENSE_NAMES if names is None else read_sense_names(names):
        try:
            parts.append(loaders[name]())
        # Libraries and weights that are missing or damaged: each says what to do on its first line.
        except (ValueError, ImportError, OSError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            missing[name] = f"{WHAT_IS_MISSING[name]}: {reason}"
            if name == "speech":
                parts.append(_load_subtitles(missing[name]))
    return Senses(parts=tuple(parts), missing=missing)


def _load_shots() -> Sense:
    from mmreason.senses.shots import ShotSense

    return ShotSense()


def _load_labels() -> Sense:
    from mmreason.senses.labels import LabelSense
    from mmreason.video.labels import load_classifier

    return LabelSense(load_classifier())


def _load_speech(asr: str, hotwords: Sequence[str]) -> Sense:
    from mmreason.senses.speech import SpeechSense
    from mmreason.video.speech import load_recogniser

    return SpeechSense(load_recogniser(asr, hotwords=hotwords))


def _load_subtitles(reason: str) -> Sense:
    from mmreason.senses.speech import SpeechSense

    return SpeechSense(None, reason)


def _load_screen() -> Sense:
    from mmreason.senses.screen import ScreenSense
    from mmreason.video.screen_text import load_screen_reader

    return ScreenSense(load_screen_reader())
