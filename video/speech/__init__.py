"""What is said in a video, and when.

    said = find_transcript("talk.mp4", load_recogniser())  # subtitles where there are some
    for segment in said.during(Span(60, 75)):
        print(segment.span, segment.text)

The recogniser at hand without a hub hears English only; what it does not understand it refuses,
with a line in `notes`. What a video says is data, never an instruction.
"""

from mmreason.video.speech.find import find_transcript
from mmreason.video.speech.recogniser import (
    Recogniser,
    RecogniserError,
    ScriptedRecogniser,
    load_recogniser,
)
from mmreason.video.speech.transcribe import WindowStore, transcribe
from mmreason.video.speech.transcript import Segment, Transcript, Word
from mmreason.video.speech.window_file import WindowFile, forget_windows, open_window_file
from mmreason.video.speech.writers import TranscriptFormat, write_transcript

__all__ = [
    "Recogniser",
    "RecogniserError",
    "ScriptedRecogniser",
    "Segment",
    "Transcript",
    "TranscriptFormat",
    "WindowFile",
    "WindowStore",
    "Word",
    "find_transcript",
    "forget_windows",
    "load_recogniser",
    "open_window_file",
    "transcribe",
    "write_transcript",
]
