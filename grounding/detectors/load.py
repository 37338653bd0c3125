"""Which class reads which detector."""

from __future__ import annotations

from pathlib import Path

from mmreason.grounding.detectors.florence import FlorenceDetector
from mmreason.grounding.detectors.loading import GrounderError, load_parts, read_model_type
from mmreason.grounding.detectors.zero_shot import FAMILIES, ZeroShotDetector
from mmreason.grounding.protocols import Detector


def load_detector(
    name_or_folder: str | Path,
    *,
    device: str = "auto",
    threshold: float | None = None,
    batch: int = 4,
) -> Detector:
    """A detector of transformers from a folder or by its name: Grounding DINO, MM-Grounding-DINO,
    OWL-ViT, OWLv2 (boxes with scores, of `threshold` or more; None for the family's usual one) or
    Florence-2 (no scores, so that a threshold is refused). `batch` frames are looked at together.

    Raises GrounderError, one line, where it cannot be had or is of another kind.

    Example: `load_detector("IDEA-Research/grounding-dino-tiny").detect(frames, "dog")`.
    """
    if batch < 1:
        raise GrounderError(f"batch must be 1 or more, got {batch}")
    if threshold is not None and not 0 <= threshold <= 1:
        raise GrounderError(f"threshold must be from 0 to 1, got {threshold}")
    kind = read_model_type(name_or_folder)
    if kind in FAMILIES:
        parts = load_parts(name_or_folder, "AutoModelForZeroShotObjectDetection", device)
        usual = FAMILIES[kind].threshold
        return ZeroShotDetector(parts, kind, usual if threshold is None else threshold, batch)
    if kind == "florence2":
        if threshold is not None:
            raise GrounderError(
                f"{name_or_folder}: Florence-2 gives no scores; leave the threshold out"
            )
        return FlorenceDetector(
            load_parts(name_or_folder, "Florence2ForConditionalGeneration", device), batch
        )
    kinds = ", ".join([*FAMILIES, "florence2"])
    raise GrounderError(f"{name_or_folder}: is a {kind!r}; detectors are of these kinds: {kinds}")
