"""One utterance by libespeak-ng, in a process of its own: `python espeak_process.py LIBRARY DATA
VOICE WORDS_PER_MINUTE` reads the text (UTF-8) on stdin and writes a line of JSON, then the samples
(int16) to stdout.

The library keeps state from one utterance to the next: the same text sounds a little different the
second time, and its words start elsewhere. A fresh process always starts alike. Standard library
only, so that it starts in a few hundredths of a second.
"""

from __future__ import annotations

import ctypes
import json
import sys

_RETRIEVAL = 1
"""espeak_AUDIO_OUTPUT: samples go to the callback, nothing is played."""
_DO_NOT_EXIT = 0x8000
_CHARACTERS = 1
"""espeak_POSITION_TYPE."""
_UTF8 = 1
_RATE_PARAMETER = 1
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_END = 0, 1, 5


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


def speak(library: str, data: str, voice: str, words_per_minute: int, text: str) -> int:
    """Write the utterance to stdout; returns an exit code (1: the library refused)."""
    espeak = ctypes.CDLL(library)
    rate_hz = espeak.espeak_Initialize(_RETRIEVAL, 0, data.encode(), _DO_NOT_EXIT)
    if rate_hz <= 0:
        print(f"espeak-ng cannot start with the data of {data}", file=sys.stderr)
        return 1
    samples = bytearray()
    words: list[tuple[int, int]] = []
    ends: list[int] = []

    def collect(wave: ctypes.c_void_p, count: int, events: ctypes.Array[_Event]) -> int:
        if count > 0:
            samples.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            event = events[index]
            if event.type == _EVENT_WORD:
                words.append((event.text_position - 1, event.sample))
            elif event.type == _EVENT_END:
                ends.append(event.sample)
            index += 1
        return 0

    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event)
    )
    callback = callback_type(collect)
    espeak.espeak_SetSynthCallback(callback)
    # Breath and fricatives are noise of a generator that would start from the clock.
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
    if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        print(f"espeak-ng has no voice {voice}", file=sys.stderr)
        return 1
    espeak.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
    encoded = text.encode() + b"\0"
    espeak.espeak_Synth(
        encoded,
        ctypes.c_size_t(len(encoded)),
        0,
        _CHARACTERS,
        0,
        _UTF8,
        None,
        None,
    )
    espeak.espeak_Synchronize()
    header = {"rate_hz": rate_hz, "words": words, "ends": ends}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + bytes(samples))
    return 0


if __name__ == "__main__":
    _, library_path, data_path, voice_name, speed, *_ = sys.argv
    sys.exit(
        speak(library_path, data_path, voice_name, int(speed), sys.stdin.buffer.read().decode())
    )
