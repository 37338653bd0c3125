"""rapidocr as a reader of screens, with the weights of its own wheel or of a folder.

Nothing is downloaded: rapidocr fetches what it is not given, so it is given every file. One thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmreason.video.plain_text import show_line
from mmreason.video.screen_text.types import ReadLine

if TYPE_CHECKING:
    from rapidocr import RapidOCR

NAME = "rapidocr"
_DETECTION, _RECOGNITION = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
_LARGEST_SIDE_PX = 2_000
"""Larger pictures are read smaller, as rapidocr does by itself."""
_NAMES = {"zh": "ch", "ja": "japan", "zh-tw": "chinese_cht"}
"""Usual codes of languages, where rapidocr has another one."""


class RapidReader:
    """A screen reader of rapidocr. Text that is turned on its head is not read.

    Example:
        >>> reader = load_screen_reader()  # doctest: +SKIP
        >>> reader.read_frame(frames.pixels[0])[0].text  # doctest: +SKIP
        'Agenda'
    """

    def __init__(self, ocr: RapidOCR, name: str) -> None:
        """Wrap a loaded `ocr`; people call `load_screen_reader`."""
        self._ocr = ocr
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read_frame(self, rgb: np.ndarray) -> tuple[ReadLine, ...]:
        """The lines of uint8 (H, W, 3) RGB, from top to bottom."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3 or 0 in rgb.shape:
            raise ValueError(f"a picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
        # OpenCV's order of colours is what it expects.
        output: Any = self._ocr(np.ascontiguousarray(rgb[..., ::-1]), use_det=True)
        if output.boxes is None or output.txts is None:
            return ()
        height, width = rgb.shape[:2]
        lines = []
        for corners, text, score in zip(output.boxes, output.txts, output.scores, strict=True):
            x, y = np.clip(corners[:, 0], 0, width), np.clip(corners[:, 1], 0, height)
            text = show_line(text)
            if text:
                box_px = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
                confidence = float(np.clip(score, 0, 1))
                lines.append(ReadLine(text=text, box_px=box_px, confidence=confidence))
        return tuple(lines)


def load_rapid_reader(folder: Path | None, languages: Sequence[str]) -> RapidReader:
    """rapidocr's own small model, or the `*det*.onnx` and `*rec*.onnx` (with the characters in a
    `.txt` where the model does not hold them) of `folder`. Raises ValueError."""
    try:
        import rapidocr
        from rapidocr import RapidOCR
    except ImportError as error:
        raise ValueError(
            "reading screens needs rapidocr: in the clone of mmreason, "
            'pip install ".[ocr]" (no weights to download)'
        ) from error
    if folder is None:
        models = Path(rapidocr.__file__).parent / "models"
        detection, recognition, characters = models / _DETECTION, models / _RECOGNITION, None
        for path in (detection, recognition):
            if not path.is_file():
                raise ValueError(
                    f"{path}: is not there; install rapidocr 3.10 or newer, whose wheel holds it"
                )
        name = f"{NAME}-PP-OCRv6-small"
        _check_languages(RapidOCR, languages)
    else:
        detection, recognition = (_find_file(folder, f"*{kind}*.onnx") for kind in ("det", "rec"))
        texts = sorted(folder.glob("*.txt"))
        characters = texts[0] if texts else None
        if characters is None and not _holds_characters(recognition):
            raise ValueError(
                f"{recognition}: does not hold its characters; put the list of them, one a line, "
                "beside it as a .txt file"
            )
        name = f"{NAME}-{folder.name}"
    ocr = RapidOCR(params=_settings(detection, recognition, characters))
    # Both models are loaded now, so that a broken file is told before any video is opened.
    try:
        for use_detection in (False, True):
            ocr(np.full((48, 64, 3), 255, np.uint8), use_det=use_detection)
    except Exception as error:
        raise ValueError(f"{detection.parent}: rapidocr cannot load it: {error}") from error
    return RapidReader(ocr, name)


def _settings(detection: Path, recognition: Path, characters: Path | None) -> dict[str, Any]:
    return {
        "Global.log_level": "critical",
        # The turn of a line by 180 degrees is another model, for photographs of paper.
        "Global.use_cls": False,
        # Which lines are too unsure is decided by `read_screen`, which says so.
        "Global.text_score": 0.0,
        "Global.max_side_len": _LARGEST_SIDE_PX,
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Det.model_path": str(detection),
        "Rec.model_path": str(recognition),
        "Rec.rec_keys_path": None if characters is None else str(characters),
    }


def _check_languages(ocr: type[RapidOCR], languages: Sequence[str]) -> None:
    readable = set(ocr.list_supported_langs("rec", "PP-OCRv6", "small"))
    for language in languages:
        code = language.lower()
        if _NAMES.get(code, code) not in readable:
            raise ValueError(
                f"language {language!r}: the model in rapidocr's wheel reads "
                f"{', '.join(sorted(readable))}; for others give the folder of a model with "
                "det.onnx and rec.onnx as the name of the reader"
            )


def _find_file(folder: Path, pattern: str) -> Path:
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise ValueError(
            f"{folder}: expected one file {pattern}, found {len(paths)}; a folder of a reader "
            "holds a detection and a recognition model of PaddleOCR as ONNX"
        )
    return paths[0]


def _holds_characters(recognition: Path) -> bool:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(recognition), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class
        raise ValueError(f"{recognition}: onnxruntime cannot load it: {error}") from error
    return "character" in session.get_modelmeta().custom_metadata_map
