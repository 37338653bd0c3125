"""Speech of which every word's time is known."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from mmreason.narration import VOICES, NarrationError, speak_text

TEXT = "It rained in the middle of the night. The well-known budget is 4,200 euros."


def test_every_word_has_its_time_in_order_and_all_letters_are_kept() -> None:
    speech = speak_text(TEXT)
    assert [word.text for word in speech.words] == TEXT.split()
    starts = [word.span.start_s for word in speech.words]
    assert starts == sorted(starts) and len(set(starts)) == len(starts)
    assert all(0 < word.span.duration_s < 2 for word in speech.words)
    assert speech.words[-1].span.end_s <= speech.duration_s


def test_a_word_begins_where_its_sound_does() -> None:
    """After a full stop there is silence, so that the next onset can be measured."""
    speech = speak_text("Stop. Take it. Peter came.")
    for number in (1, 3):
        start_s = speech.words[number].span.start_s
        before = slice(int((start_s - 0.25) * speech.rate_hz), int(start_s * speech.rate_hz))
        after = slice(before.stop, before.stop + int(0.15 * speech.rate_hz))
        silence, sound = (float(np.abs(speech.samples[part]).mean()) for part in (before, after))
        assert sound > 4 * silence


@pytest.mark.parametrize("voice", VOICES)
def test_the_same_text_always_sounds_the_same(voice: str) -> None:
    first, second = speak_text("Das ist es.", voice), speak_text("Das ist es.", voice)
    assert first.samples.dtype == np.float32 and 0.05 < np.abs(first.samples).max() <= 1
    assert np.array_equal(first.samples, second.samples) and first.words == second.words


def test_voices_and_speeds_differ() -> None:
    american, british = speak_text(TEXT, "en-us"), speak_text(TEXT, "en-gb")
    fast = speak_text(TEXT, "en-us", words_per_minute=220)
    assert not np.array_equal(american.samples[:20_000], british.samples[:20_000])
    assert fast.duration_s < 0.8 * american.duration_s


@pytest.mark.parametrize(
    "speak, message",
    [
        (lambda: speak_text("Hello.", "xx"), "'xx' is not one of en-us"),
        (lambda: speak_text("Hello.", words_per_minute=10), "80 to 450"),
        (lambda: speak_text("   "), "1 to 2000 characters"),
        (lambda: speak_text("a\0b"), "no NUL"),
        (lambda: speak_text("word " * 500), "2500"),
    ],
)
def test_what_cannot_be_spoken_is_refused(speak: Callable[[], object], message: str) -> None:
    with pytest.raises(NarrationError, match=message):
        speak()


def test_without_the_extra_the_line_that_installs_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(NarrationError, match=r'pip install "\.\[narration\]"'):
        speak_text("Hello.")
