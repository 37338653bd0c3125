"""Text that stands in the picture, with its times and places.

    from mmreason.video.screen_text import load_screen_reader, read_screen
    text = read_screen(Video.open("talk.mp4"), load_screen_reader())

The reader is rapidocr (extra `ocr`), whose wheel holds its weights.
"""

from mmreason.video.screen_text.load import load_screen_reader
from mmreason.video.screen_text.read import read_screen
from mmreason.video.screen_text.scripted import ScriptedReader
from mmreason.video.screen_text.types import ReadLine, ScreenLine, ScreenReader, ScreenText

__all__ = [
    "ReadLine",
    "ScreenLine",
    "ScreenReader",
    "ScreenText",
    "ScriptedReader",
    "load_screen_reader",
    "read_screen",
]
