"""Trackers that carry a mask from one frame to all others: SAM 2, EdgeTAM, SAM 3 by transformers.

Frames are prepared one at a time, features of frames that are left behind are dropped, and masks
leave as run lengths: what is held does not grow with the window but by its pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmreason.grounding.boxes import Box
from mmreason.grounding.detectors.loading import (
    GrounderError,
    ModelParts,
    load_parts,
    read_model_type,
)
from mmreason.grounding.masks import Mask
from mmreason.grounding.metrics.arrays import pairwise_iou
from mmreason.grounding.protocols import Detection
from mmreason.grounding.tracking.windows import TrackingError, describe_error
from mmreason.grounding.tubes import Tube
from mmreason.video.stopping import check_stop
from mmreason.video.types import FrameBatch

KNOWN_IOU = 0.5
"""A seed that overlaps so much with an object that is tracked already is that object."""
MOST_OBJECTS = 20
"""Of one window: each takes its share of the time."""

_KINDS = {
    "sam2_video": ("Sam2VideoModel", "AutoProcessor"),
    "edgetam_video": ("EdgeTamVideoModel", "AutoProcessor"),
    "sam3_tracker_video": ("Sam3TrackerVideoModel", "AutoProcessor"),
    # The checkpoint of SAM 3 holds both: what follows boxes, and what finds a concept.
    "sam3_video": ("Sam3TrackerVideoModel", "Sam3TrackerVideoProcessor"),
}


def load_mask_tracker(name_or_folder: str | Path, *, device: str = "auto") -> MaskTracker:
    """A tracker from a folder or by its name, such as "facebook/sam2.1-hiera-tiny",
    "yonigozlan/EdgeTAM-hf" or "facebook/sam3". Raises GrounderError, one line.

    Example: `load_mask_tracker("facebook/sam2.1-hiera-tiny").track(frames, seeds)`.
    """
    kind = read_model_type(name_or_folder)
    if kind not in _KINDS:
        raise GrounderError(
            f"{name_or_folder}: is a {kind!r}; mask trackers are of these kinds: "
            f"{', '.join(_KINDS)}"
        )
    model_class, processor_class = _KINDS[kind]
    parts = load_parts(name_or_folder, model_class, device, processor_class)
    return MaskTracker(parts, kind)


class MaskTracker:
    """Meets `Tracker`. Use `load_mask_tracker`.

    Objects of the first frame with seeds are followed to both ends of the window; a seed of a later
    frame that is none of them begins an object of its own, which is followed both ways too.
    """

    def __init__(self, parts: ModelParts, kind: str) -> None:
        self._parts, self._kind = parts, kind

    @property
    def name(self) -> str:
        return self._parts.name

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that moves its masks."""
        return {"kind": self._kind, "known_iou": KNOWN_IOU, "most_objects": MOST_OBJECTS}

    def track(self, frames: FrameBatch, seeds: Sequence[Sequence[Detection]]) -> tuple[Tube, ...]:
        """See `Tracker.track`; tubes have masks. Raises ValueError where seeds and frames do not go
        together, and TrackingError with what there is where the model stops in the middle."""
        if len(seeds) != len(frames):
            raise ValueError(
                f"a tracker needs one row of seeds a frame: got {len(seeds)} rows for "
                f"{len(frames)} frames"
            )
        objects: list[TrackedObject] = []
        try:
            for row, detections in enumerate(seeds):
                begun = _new_seeds(objects, row, detections)
                fresh = [TrackedObject(seed.label, seed.score) for seed in begun]
                if len(objects) + len(fresh) > MOST_OBJECTS:
                    raise GrounderError(
                        f"more than {MOST_OBJECTS} objects in one window; name the thing that is "
                        f"meant more closely, or raise the detector's threshold"
                    )
                objects += fresh
                if fresh:
                    self._follow(frames, row, begun, fresh)
        except Exception as error:
            # Models may raise anything, out of memory above all. What asked for an end is asked
            # again at once.
            check_stop()
            tubes = [build_tube(item, frames.times_s) for item in objects if item.masks]
            raise TrackingError(f"{self.name}: {describe_error(error)}", tubes) from error
        return tuple(build_tube(item, frames.times_s) for item in objects)

    def _follow(
        self,
        frames: FrameBatch,
        row: int,
        seeds: Sequence[Detection],
        objects: Sequence[TrackedObject],
    ) -> None:
        """Carry `seeds` of frame `row` to both ends; masks go into `objects`."""
        for reverse in (False, True):
            if reverse and row == 0:
                break
            for frame, masks in self._propagate(frames, row, seeds, reverse):
                for item, pixels in zip(objects, masks, strict=True):
                    item.masks[frame] = Mask.from_array(pixels) if pixels.any() else None

    def _propagate(
        self, frames: FrameBatch, row: int, seeds: Sequence[Detection], reverse: bool
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(index of a frame, masks bool (objects, H, W)) from `row` on."""
        import torch

        processor, model = self._parts.processor, self._parts.model
        height, width = frames.pixels.shape[1:3]
        session = processor.init_video_session(
            inference_device=self._parts.device,
            inference_state_device="cpu",
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        session.processed_frames = PreparedFrames(processor, frames.pixels)
        session.video_height, session.video_width = height, width
        _add_seeds(processor, session, row, seeds)
        reach = max(model.config.num_maskmem, model.config.max_object_pointers_in_encoder) + 1
        with torch.inference_mode():
            order = range(row, -1, -1) if reverse else range(row, len(frames))
            for frame in order:
                check_stop()
                output = model(session, frame_idx=frame, reverse=reverse)
                if not output.object_score_logits.isfinite().all():
                    raise GrounderError(
                        "gives numbers that are not finite; its weights are damaged"
                    )
                (masks,) = processor.post_process_masks(
                    [output.pred_masks], original_sizes=[[height, width]], binarize=True
                )
                yield frame, masks[:, 0].cpu().numpy()
                drop_features(session, frame, reach)


class PreparedFrames(Mapping[int, Any]):
    """Frames as the model takes them, prepared when they are asked for: a prepared frame is larger
    than its pixels by far (12 MB at 1,024 x 1,024), and only one is needed at a time.

    Example: `session.processed_frames = PreparedFrames(processor, frames.pixels)`.
    """

    def __init__(self, processor: Any, pixels: np.ndarray) -> None:
        self._processor, self._pixels = processor, pixels

    def __getitem__(self, index: int) -> Any:
        prepared = self._processor.video_processor(
            videos=[self._pixels[index : index + 1]],
            input_data_format="channels_last",
            return_tensors="pt",
        )
        return prepared.pixel_values_videos[0][0]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._pixels)))

    def __len__(self) -> int:
        return len(self._pixels)


@dataclass(slots=True)
class TrackedObject:
    """One object of a window, as far as it has been followed.

    Example:
        >>> TrackedObject("dog", 0.8).box(3) is None
        True
    """

    label: str
    score: float | None
    masks: dict[int, Mask | None] = field(default_factory=dict)
    """By index of the frame; None where it is not to be seen."""

    def box(self, frame: int) -> Box | None:
        mask = self.masks.get(frame)
        return None if mask is None else mask.box


def _new_seeds(
    objects: Sequence[TrackedObject], row: int, detections: Sequence[Detection]
) -> list[Detection]:
    """Those of frame `row` that are no object that is followed already."""
    boxes = [box for item in objects if (box := item.box(row)) is not None]
    if not boxes or not detections:
        return list(detections)
    overlap = pairwise_iou([seed.box for seed in detections], boxes).max(axis=1)
    return [seed for seed, most in zip(detections, overlap, strict=True) if most < KNOWN_IOU]


def _add_seeds(processor: Any, session: Any, row: int, seeds: Sequence[Detection]) -> None:
    """Give the seeds of one frame to a session, as objects 1, 2, ...: by mask where there is one,
    else by box."""
    numbers = list(range(1, len(seeds) + 1))
    for number, seed in zip(numbers, seeds, strict=True):
        prompt: dict[str, Any] = (
            {"input_boxes": [[list(seed.box.xyxy)]]}
            if seed.mask is None
            else {"input_masks": [seed.mask.to_array()]}
        )
        processor.add_inputs_to_inference_session(
            inference_session=session, frame_idx=row, obj_ids=[number], **prompt
        )
    # Each call forgets the ones before it.
    session.obj_with_new_inputs = numbers


def drop_features(session: Any, frame: int, reach: int) -> None:
    """Forget what is further from `frame` than the model looks back; the seed's frame stays."""
    for outputs in session.output_dict_per_obj.values():
        frames = outputs["non_cond_frame_outputs"]
        for old in [index for index in frames if abs(index - frame) > reach]:
            del frames[old]


def build_tube(item: TrackedObject, times_s: np.ndarray, scores: np.ndarray | None = None) -> Tube:
    """Over all times; frames that were not reached are not observed. `scores`, float64 (n,), are
    those of the frames; without them the seed's counts wherever the object is to be seen."""
    count = len(times_s)
    tube = Tube.from_boxes(
        times_s.tolist(),
        [item.box(frame) for frame in range(count)],
        observed=[frame in item.masks for frame in range(count)],
        label=item.label,
    )
    if scores is None and item.score is not None:
        scores = np.where(tube.present, item.score, 0.0)
    masks = tuple(item.masks.get(frame) for frame in range(count))
    return replace(tube, scores=scores, masks=masks)
