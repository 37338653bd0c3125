"""Florence-2: a small sequence model that writes the boxes of a phrase as location tokens."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.detectors.loading import ModelParts, check_phrase
from mmreason.grounding.protocols import Detection
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch

TASK = "<CAPTION_TO_PHRASE_GROUNDING>"
BINS = 1000
"""Locations a side; one means the middle of its bin."""
MOST_TOKENS = 256
"""Of what it writes for a frame: about 60 boxes."""
_TASK_TOKENS = 16
_LOCATED = re.compile(r"([^<>]*)((?:<loc_\d{1,3}>\s*)+)")
_LOCATION = re.compile(r"<loc_(\d{1,3})>")


class FlorenceDetector:
    """Meets `Detector`; detections have no score. Use `load_detector`."""

    def __init__(self, parts: ModelParts, batch: int, most_tokens: int = MOST_TOKENS) -> None:
        self._parts, self._batch, self._most_tokens = parts, batch, most_tokens

    @property
    def name(self) -> str:
        return self._parts.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that moves its boxes."""
        return {"kind": "florence2", "task": TASK, "most_tokens": self._most_tokens, "beams": 1}

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """See `Detector.detect`; in the order in which they are written. Raises GrounderError for a
        phrase that is empty or too long."""
        # A phrase is words: marks of the model's own language in it would be obeyed.
        text = " ".join(re.sub(r"[<>{}]", " ", phrase).split())
        most = self._parts.model.config.text_config.max_position_embeddings
        # The picture and the words of the task are read by the same encoder.
        most -= self._parts.processor.num_image_tokens + _TASK_TOKENS
        check_phrase(self.name, text, self._parts.processor.tokenizer, most)
        rows: list[tuple[Detection, ...]] = []
        for start in range(0, len(frames), self._batch):
            check_stop()
            rows += self._detect_batch(frames.pixels[start : start + self._batch], text)
        return rows

    def _detect_batch(self, pixels: np.ndarray, phrase: str) -> list[tuple[Detection, ...]]:
        import torch

        count, height_px, width_px = pixels.shape[:3]
        inputs = self._parts.processor(
            images=list(pixels),
            text=[TASK + phrase] * count,
            input_data_format="channels_last",
            return_tensors="pt",
        ).to(self._parts.device)
        with torch.inference_mode():
            tokens = self._parts.model.generate(
                **inputs, max_new_tokens=self._most_tokens, num_beams=1, do_sample=False
            )
        texts = self._parts.processor.tokenizer.batch_decode(tokens, skip_special_tokens=False)
        return [parse_located(text, (width_px, height_px), phrase) for text in texts]


def parse_located(text: str, size_px: tuple[int, int], phrase: str = "") -> tuple[Detection, ...]:
    """The boxes in what Florence-2 wrote, in pixels of a frame of `size_px` (width, height). Groups
    of four locations are boxes of the words before them, or of `phrase`; a group that is cut off is
    none. A box counts once, without area it does not count, and corners in the wrong order are put
    right.

    Example:
        >>> parse_located("</s><s>dog<loc_0><loc_0><loc_499><loc_999></s>", (1000, 500))[0].box
        Box(x1_px=0.5, y1_px=0.25, x2_px=499.5, y2_px=499.75)
    """
    detections: dict[Box, Detection] = {}
    # The marks of begin and end are no words, and would part words from their locations.
    plain = re.sub(r"</?s>|<pad>", "", text)
    scale = np.array(size_px * 2) / BINS
    for label, group in _LOCATED.findall(plain):
        bins = np.array([int(digits) for digits in _LOCATION.findall(group)])
        for four in bins[: len(bins) // 4 * 4].reshape(-1, 4):
            x1, y1, x2, y2 = ((four + 0.5) * scale).tolist()
            box = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            if box.area_px2 > 0:
                detections.setdefault(box, Detection(box=box, label=label.strip() or phrase))
    return tuple(detections.values())
