"""SAM 3 for video: masks and identities of everything that a short noun phrase names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmreason.grounding.detectors.loading import (
    GrounderError,
    ModelParts,
    check_phrase,
    load_parts,
    read_model_type,
)
from mmreason.grounding.masks import Mask
from mmreason.grounding.tracking.mask_trackers import (
    PreparedFrames,
    TrackedObject,
    build_tube,
    drop_features,
)
from mmreason.grounding.tracking.windows import TrackingError, describe_error
from mmreason.grounding.tubes import Tube
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch

MOST_TOKENS = 32
"""Of a phrase. The model cuts longer ones without a word; here they are refused."""


def load_concept_tracker(name_or_folder: str | Path, *, device: str = "auto") -> ConceptMaskTracker:
    """SAM 3 for video from a folder or by its name ("facebook/sam3"). Raises GrounderError.

    Example: `load_concept_tracker("facebook/sam3").track_concept(frames, "dog")`.
    """
    kind = read_model_type(name_or_folder)
    if kind != "sam3_video":
        raise GrounderError(
            f"{name_or_folder}: is a {kind!r}; concepts are tracked by 'sam3_video' alone"
        )
    return ConceptMaskTracker(load_parts(name_or_folder, "Sam3VideoModel", device))


class ConceptMaskTracker:
    """Meets `ConceptTracker`. Use `load_concept_tracker`."""

    def __init__(self, parts: ModelParts) -> None:
        self._parts = parts

    @property
    def name(self) -> str:
        return self._parts.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that moves its masks."""
        config = self._parts.model.config
        names = ("score_threshold_detection", "new_det_thresh", "hotstart_delay")
        return {"kind": "sam3_video"} | {name: getattr(config, name) for name in names}

    def track_concept(self, frames: FrameBatch, phrase: str) -> tuple[Tube, ...]:
        """See `ConceptTracker.track_concept`; tubes have masks and scores. Give the head noun of an
        expression: the text may have 32 tokens, and words beside the noun are read as attributes.

        Raises GrounderError for a longer phrase, and TrackingError with what there is where the
        model stops in the middle.
        """
        check_phrase(self.name, phrase, self._parts.processor.tokenizer, MOST_TOKENS)
        if not len(frames):
            return ()
        objects: dict[int, TrackedObject] = {}
        scores: dict[int, dict[int, float]] = {}
        reached = 0
        try:
            for frame, ids, masks, confidences in self._propagate(frames, phrase):
                reached = frame + 1
                for number, pixels, score in zip(ids, masks, confidences, strict=True):
                    item = objects.setdefault(number, TrackedObject(phrase, None))
                    item.masks[frame] = Mask.from_array(pixels) if pixels.any() else None
                    scores.setdefault(number, {})[frame] = score
        except Exception as error:
            # Models may raise anything. What asked for an end is asked again at once.
            check_stop()
            tubes = _build_tubes(objects, scores, frames.times_s, reached)
            raise TrackingError(f"{self.name}: {describe_error(error)}", tubes) from error
        return _build_tubes(objects, scores, frames.times_s, reached)

    def _propagate(self, frames: FrameBatch, phrase: str) -> Any:
        """(frame, ids, masks bool (n, H, W), scores) for every frame, in order."""
        import torch

        processor, model = self._parts.processor, self._parts.model
        session = processor.init_video_session(
            inference_device=self._parts.device,
            inference_state_device="cpu",
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        session.processed_frames = PreparedFrames(processor, frames.pixels)
        session.video_height, session.video_width = frames.pixels.shape[1:3]
        processor.add_text_prompt(session, phrase)
        tracker = model.config.tracker_config
        reach = max(tracker.num_maskmem, tracker.max_object_pointers_in_encoder) + 1
        with torch.inference_mode():
            for output in model.propagate_in_video_iterator(session):
                check_stop()
                result = processor.postprocess_outputs(session, output)
                yield (
                    int(output.frame_idx),
                    [int(number) for number in result["object_ids"]],
                    result["masks"].cpu().numpy(),
                    [float(score) for score in result["scores"]],
                )
                # Frames are given out some frames late, when it is known that an object is one.
                drop_features(session, int(output.frame_idx), reach + model.hotstart_delay)


def _build_tubes(
    objects: dict[int, TrackedObject],
    scores: dict[int, dict[int, float]],
    times_s: np.ndarray,
    reached: int,
) -> tuple[Tube, ...]:
    tubes = []
    for number, item in objects.items():
        # What is not named in a frame that was reached is not to be seen there.
        for frame in range(reached):
            item.masks.setdefault(frame, None)
        row = np.array([scores[number].get(frame, 0.0) for frame in range(len(times_s))])
        tube = build_tube(item, times_s, row)
        if tube.present.any():
            tubes.append(tube)
    return tuple(tubes)
