"""Readers of screens by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmreason.video.screen_text.types import ScreenReader


def load_screen_reader(name: str = "rapidocr", *, languages: Sequence[str] = ()) -> ScreenReader:
    """The reader `name`: "rapidocr" with the model of its own wheel, or the path of a folder with
    PaddleOCR's models as ONNX (`*det*.onnx`, `*rec*.onnx`), for other scripts.

    `languages` are codes that it has to read ("en", "de", "zh"): one that the wheel's model does
    not read is refused here instead of read as nonsense. Raises ValueError with what to install or
    give; downloads nothing.

    Example:
        >>> load_screen_reader(languages=("en", "de")).name  # doctest: +SKIP
        'rapidocr-PP-OCRv6-small'
    """
    from mmreason.video.screen_text.rapid import NAME, load_rapid_reader

    if name == NAME:
        return load_rapid_reader(None, languages)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"{name!r} is no reader of screens: give {NAME!r} or a folder with *det*.onnx and "
            "*rec*.onnx"
        )
    return load_rapid_reader(folder, languages)
