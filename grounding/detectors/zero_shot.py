"""Zero-shot detectors of transformers: a phrase in, boxes with scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.detectors.loading import GrounderError, ModelParts, check_phrase
from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.protocols import Detection
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch

SAME_BOX_IOU = 0.8
"""Of two boxes that overlap so much, the one with the lower score is a double."""


@dataclass(frozen=True, slots=True)
class Family:
    """How a kind of zero-shot detector is asked.

    Example:
        >>> FAMILIES["owlv2"].prompt.format("dog")
        'a photo of a dog'
    """

    prompt: str
    """What the phrase is put in."""
    threshold: float
    """Lowest score of a box, where none is given."""
    text_threshold: float | None
    """Lowest score of a word of the phrase for it to be in a label; None where the phrase is asked
    as a whole."""


FAMILIES: Mapping[str, Family] = {
    "grounding-dino": Family("{}.", 0.25, 0.25),
    "mm-grounding-dino": Family("{}.", 0.25, 0.25),
    "owlvit": Family("a photo of a {}", 0.1, None),
    "owlv2": Family("a photo of a {}", 0.1, None),
}


class ZeroShotDetector:
    """Meets `Detector`. Use `load_detector`."""

    def __init__(self, parts: ModelParts, kind: str, threshold: float, batch: int) -> None:
        self._parts, self._kind, self._batch = parts, kind, batch
        self._family = FAMILIES[kind]
        self._threshold = threshold

    @property
    def name(self) -> str:
        return self._parts.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that moves its boxes."""
        return {
            "kind": self._kind,
            "prompt": self._family.prompt,
            "threshold": self._threshold,
            "text_threshold": self._family.text_threshold,
            "same_box_iou": SAME_BOX_IOU,
        }

    def detect(self, frames: FrameBatch, phrase: str) -> list[tuple[Detection, ...]]:
        """See `Detector.detect`; the best first, in pixels of `frames`. Raises GrounderError for a
        phrase that the model cannot read whole, and for a model that gives no numbers."""
        text = self._family.prompt.format(phrase.strip().lower().rstrip("."))
        # The phrase too, since the prompt has words of its own.
        for checked in (phrase, text):
            check_phrase(self.name, checked, self._parts.processor.tokenizer, self._most_tokens())
        rows: list[tuple[Detection, ...]] = []
        for start in range(0, len(frames), self._batch):
            check_stop()
            rows += self._detect_batch(
                frames.pixels[start : start + self._batch],
                frames.times_s[start : start + self._batch],
                text,
                phrase,
            )
        return rows

    def _detect_batch(
        self, pixels: np.ndarray, times_s: np.ndarray, text: str, phrase: str
    ) -> list[tuple[Detection, ...]]:
        import torch

        count, height_px, width_px = pixels.shape[:3]
        whole = self._family.text_threshold is None
        inputs = self._parts.processor(
            images=list(pixels),
            text=[[text]] * count if whole else [text] * count,
            # Said, since two rows of pixels, or one, may be read as channels.
            input_data_format="channels_last",
            return_tensors="pt",
        ).to(self._parts.device)
        with torch.inference_mode():
            outputs = self._parts.model(**inputs)
        # Boxes below the threshold are dropped by comparison, and so NaN would be dropped unseen.
        if outputs.logits.isnan().any() or not outputs.pred_boxes.isfinite().all():
            raise GrounderError(
                f"{self.name}: gives numbers that are not finite for frames from "
                f"{times_s[0]:.2f} s; its weights are damaged"
            )
        sizes = [(height_px, width_px)] * count
        text_options = {} if whole else {
            "input_ids": inputs["input_ids"], "text_threshold": self._family.text_threshold,
        }  # fmt: skip
        results = self._parts.processor.post_process_grounded_object_detection(
            outputs, threshold=self._threshold, target_sizes=sizes, **text_options
        )
        return [
            to_detections(
                result["boxes"].cpu().numpy(),
                result["scores"].cpu().numpy(),
                self._clean_labels(result.get("text_labels"), len(result["boxes"]), phrase),
                (width_px, height_px),
            )
            for result in results
        ]

    def _clean_labels(self, labels: Sequence[str] | None, count: int, phrase: str) -> list[str]:
        """Words of the phrase, without marks of the tokenizer; the phrase where none are left."""
        if labels is None:
            return [phrase] * count
        marks = self._parts.processor.tokenizer.all_special_tokens
        label_words = [[word for word in label.split() if word not in marks] for label in labels]
        return [" ".join(row).strip(" .") or phrase for row in label_words]

    def _most_tokens(self) -> int:
        config = self._parts.model.config
        most = config.text_config.max_position_embeddings
        return min(most, getattr(config, "max_text_len", most))


def to_detections(
    boxes_px: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str],
    size_px: tuple[int, int],
) -> tuple[Detection, ...]:
    """Boxes (n, 4) of a model as detections, best first: cut at the frame of `size_px` (width,
    height), without those that lie outside and without doubles.

    Example:
        >>> boxes = np.array([[-2.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 8.0], [70.0, 0.0, 80.0, 8.0]])
        >>> [d.score for d in to_detections(boxes, np.array([0.5, 0.7, 0.9]), ["a"] * 3, (64, 36))]
        [0.7]
    """
    inside: list[tuple[float, str, Box]] = []
    for box_px, score, label in zip(boxes_px.tolist(), scores.tolist(), labels, strict=True):
        box = Box(*box_px).clip(*size_px)
        if box.area_px2 > 0:
            inside.append((score, label, box))
    inside.sort(key=lambda row: -row[0])
    overlap = pairwise_iou([box for *_, box in inside], [box for *_, box in inside])
    alone: list[int] = []
    for row in range(len(inside)):
        if not alone or overlap[row, alone].max() < SAME_BOX_IOU:
            alone.append(row)
    return tuple(
        Detection(box=inside[row][2], score=round(inside[row][0], 6), label=inside[row][1])
        for row in alone
    )
