"""Mask trackers of the real classes with random weights: plumbing, memory, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmreason.grounding import Box, Detection, Mask
from mmreason.grounding.detectors.loading import GrounderError, load_parts
from mmreason.grounding.recipes import seed_and_propagate
from mmreason.grounding.tracking.concepts import load_concept_tracker
from mmreason.grounding.tracking.mask_trackers import (
    MaskTracker,
    PreparedFrames,
    drop_features,
    load_mask_tracker,
)
from mmreason.grounding.tracking.windows import TrackingError
from mmreason.video.types import FrameBatch
from tests.grounding import tiny_grounders as tiny
from tests.grounding.test_tracking_windows import FlatVideo

SEED = Detection(box=Box(5, 5, 20, 20), score=0.8, label="dog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_sam2_video(tmp_path_factory.mktemp("sam2") / "model")


@pytest.fixture(scope="module")
def tracker(folder: Path) -> MaskTracker:
    return load_mask_tracker(folder, device="cpu")


@pytest.fixture(scope="module")
def sam3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_sam3_video(tmp_path_factory.mktemp("sam3") / "model")


def make_frames(count: int, size_px: tuple[int, int] = (64, 36)) -> FrameBatch:
    width, height = size_px
    pixels = np.random.default_rng(1).integers(0, 255, (count, height, width, 3), dtype=np.uint8)
    return FrameBatch(pixels=pixels, times_s=np.arange(count) * 0.1, exact=np.ones(count, bool))


@pytest.mark.parametrize("kind", ["Sam2VideoModel", "EdgeTamVideoModel"])
def test_masks_are_those_of_the_library_although_features_are_dropped(folder, tmp_path, kind):
    import torch

    if kind == "EdgeTamVideoModel":
        folder = tiny.write_sam2_video(tmp_path / "edgetam", edgetam=True)
    frames, row = make_frames(10), 4
    seeds = [(SEED,) if index == row else () for index in range(10)]
    (tube,) = load_mask_tracker(folder, device="cpu").track(frames, seeds)
    # The library's own way: all frames prepared at once, all features held.
    parts = load_parts(folder, kind, "cpu")
    expected: dict[int, np.ndarray] = {}
    for reverse in (False, True):
        session = parts.processor.init_video_session(video=list(frames.pixels))
        parts.processor.add_inputs_to_inference_session(
            inference_session=session, frame_idx=row, obj_ids=1,
            input_boxes=[[list(SEED.box.xyxy)]],
        )  # fmt: skip
        with torch.inference_mode():
            parts.model(session, frame_idx=row)
            for output in parts.model.propagate_in_video_iterator(
                session, start_frame_idx=row, reverse=reverse
            ):
                (masks,) = parts.processor.post_process_masks(
                    [output.pred_masks], original_sizes=[[36, 64]], binarize=True
                )
                expected[output.frame_idx] = masks[0, 0].numpy()
    assert tube.masks is not None and sorted(expected) == list(range(10))
    for frame, pixels in expected.items():
        mask = tube.masks[frame]
        ours = np.zeros_like(pixels) if mask is None else mask.to_array()
        np.testing.assert_array_equal(ours, pixels)
    assert tube.label == "dog" and tube.observed.all()


@pytest.mark.full
def test_concepts_are_those_of_the_library_although_features_are_dropped(sam3_folder):
    import torch

    frames = make_frames(8)
    tubes = load_concept_tracker(sam3_folder, device="cpu").track_concept(frames, "dog")
    parts = load_parts(sam3_folder, "Sam3VideoModel", "cpu")
    session = parts.processor.init_video_session(video=list(frames.pixels))
    parts.processor.add_text_prompt(session, "dog")
    expected: dict[int, dict[int, np.ndarray]] = {}
    with torch.inference_mode():
        for output in parts.model.propagate_in_video_iterator(session):
            result = parts.processor.postprocess_outputs(session, output)
            for number, mask in zip(result["object_ids"], result["masks"], strict=True):
                if mask.any():
                    expected.setdefault(int(number), {})[output.frame_idx] = mask.numpy()
    assert tubes and len(tubes) == len(expected)
    for tube, masks in zip(tubes, expected.values(), strict=True):
        assert tube.masks is not None and tube.scores is not None and tube.label == "dog"
        assert np.flatnonzero(tube.present).tolist() == sorted(masks)
        for frame, pixels in masks.items():
            mask = tube.masks[frame]
            assert mask is not None
            np.testing.assert_array_equal(mask.to_array(), pixels)
            assert tube.scores[frame] > 0


def test_a_phrase_of_more_than_32_tokens_is_refused_since_the_model_would_cut_it(sam3_folder):
    concepts = load_concept_tracker(sam3_folder, device="cpu")
    with pytest.raises(GrounderError, match="may have 32 tokens"):
        concepts.track_concept(
            make_frames(2), "the dog that runs off first when the others sit down"
        )
    with pytest.raises(GrounderError, match="no word"):
        concepts.track_concept(make_frames(2), " ")
    assert concepts.track_concept(make_frames(0), "dog") == ()
    assert concepts.settings["hotstart_delay"] == 2


def test_concepts_that_stop_in_the_middle_are_kept(sam3_folder, monkeypatch):
    concepts = load_concept_tracker(sam3_folder, device="cpu")

    def stop_late(frames, phrase):
        for frame in range(6):
            yield frame, [3], np.ones((1, 36, 64), bool), [0.7]
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(concepts, "_propagate", stop_late)
    with pytest.raises(TrackingError, match="out of memory") as error:
        concepts.track_concept(make_frames(8), "dog")
    assert error.value.tubes
    for tube in error.value.tubes:
        assert tube.observed.tolist() == [True] * 6 + [False] * 2


@pytest.mark.full
def test_sam3_follows_boxes_with_the_weights_of_the_same_folder(sam3_folder):
    tracker = load_mask_tracker(sam3_folder, device="cpu")
    (tube,) = tracker.track(make_frames(3), [(), (SEED,), ()])
    assert tube.observed.all() and tracker.settings["kind"] == "sam3_video"


def test_only_sam3_tracks_concepts(folder):
    with pytest.raises(GrounderError, match="'sam3_video' alone"):
        load_concept_tracker(folder)


def test_boxes_are_those_of_the_masks_and_absence_has_neither(tracker):
    (tube,) = tracker.track(make_frames(4), [(SEED,), (), (), ()])
    assert tube.masks is not None and tube.scores is not None
    for frame, mask in enumerate(tube.masks):
        assert tube.present[frame] == (mask is not None)
        if mask is not None and mask.box is not None:
            assert mask.size_px == (64, 36)
            np.testing.assert_allclose(tube.boxes_px[frame], mask.box.xyxy)


def test_features_behind_the_models_reach_are_dropped(tracker):
    parts = tracker._parts
    frames = make_frames(12)
    session = parts.processor.init_video_session(dtype=None)
    outputs = {
        "cond_frame_outputs": {0: {}},
        "non_cond_frame_outputs": {i: {} for i in range(1, 12)},
    }
    session.output_dict_per_obj = {0: outputs}
    drop_features(session, 11, 3)
    assert sorted(outputs["non_cond_frame_outputs"]) == [8, 9, 10, 11]
    assert outputs["cond_frame_outputs"] == {0: {}}
    prepared = PreparedFrames(parts.processor, frames.pixels)
    assert len(prepared) == 12 and prepared[3].shape == (3, 128, 128)


def test_a_later_seed_that_is_new_begins_its_own_object_and_a_known_one_does_not(tracker):
    class Scripted(MaskTracker):
        """Each seed is followed as its own box, everywhere."""

        def __init__(self) -> None:
            super().__init__(tracker._parts, "scripted")

        def _propagate(self, frames, row, seeds, reverse):
            order = range(row, -1, -1) if reverse else range(row, len(frames))
            for frame in order:
                masks = np.zeros((len(seeds), 36, 64), bool)
                for number, seed in enumerate(seeds):
                    x1, y1, x2, y2 = (int(v) for v in seed.box.xyxy)
                    masks[number, y1:y2, x1:x2] = True
                yield frame, masks

    late = Detection(box=Box(40, 10, 50, 30), label="cat")
    known = Detection(box=Box(6, 5, 20, 21), label="dog again")
    tubes = Scripted().track(make_frames(6), [(), (SEED,), (), (known, late), (), (late,)])
    assert [tube.label for tube in tubes] == ["dog", "cat"]
    assert all(tube.present.all() for tube in tubes)
    assert tubes[1].at(0.0) == late.box


def test_a_seed_with_a_mask_and_one_with_a_box_go_together(tracker):
    pixels = np.zeros((36, 64), bool)
    pixels[4:30, 30:60] = True
    seeds = (SEED, Detection(box=Box(30, 4, 60, 30), mask=Mask.from_array(pixels), label="cat"))
    tubes = tracker.track(make_frames(3), [seeds, (), ()])
    assert [tube.label for tube in tubes] == ["dog", "cat"]
    again = tracker.track(make_frames(3), [seeds, (), ()])
    assert [tube.to_dict() for tube in again] == [tube.to_dict() for tube in tubes]


def test_a_model_that_stops_in_the_middle_gives_what_it_had(tracker, monkeypatch):
    model, calls = tracker._parts.model, []
    forward = model.forward

    def stop_at_third(session, frame_idx, reverse):
        calls.append(frame_idx)
        if len(calls) == 3:
            raise RuntimeError("CUDA out of memory")
        return forward(session, frame_idx=frame_idx, reverse=reverse)

    monkeypatch.setattr(model, "forward", stop_at_third)
    with pytest.raises(TrackingError, match="out of memory") as error:
        tracker.track(make_frames(6), [(SEED,), (), (), (), (), ()])
    (partial,) = error.value.tubes
    assert partial.observed.tolist() == [True, True, False, False, False, False]


def test_a_seed_is_carried_through_windows_both_ways(tracker):
    times_s = np.arange(9) / 5
    result = seed_and_propagate(FlatVideo(), times_s, tracker, [SEED], 0.8, most_frames=4)
    assert not [note for note in result.notes if note.kind == "failed"]
    assert result.tubes and all(tube.masks is not None for tube in result.tubes)
    assert result.settings["tracker"] == tracker.name


def test_one_pixel_and_one_frame_are_tracked(tracker):
    seed = Detection(box=Box(0, 0, 1, 1))
    (tube,) = tracker.track(make_frames(1, (1, 1)), [(seed,)])
    assert len(tube) == 1
    assert tracker.track(make_frames(2), [(), ()]) == ()
    with pytest.raises(ValueError, match="1 rows for 2 frames"):
        tracker.track(make_frames(2), [()])


def test_too_many_objects_are_refused_with_what_to_do(tracker):
    seeds = [Detection(box=Box(3 * i, 0, 3 * i + 2, 2)) for i in range(21)]
    with pytest.raises(TrackingError, match="more than 20 objects"):
        tracker.track(make_frames(1), [tuple(seeds)])


def test_weights_that_give_nan_are_told(folder):
    import torch

    parts = load_parts(folder, "Sam2VideoModel", "cpu")
    with torch.no_grad():
        for parameter in parts.model.mask_decoder.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(TrackingError, match="not finite"):
        MaskTracker(parts, "sam2_video").track(make_frames(2), [(SEED,), ()])


def test_a_folder_of_another_kind_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(GrounderError, match="is a 'bert'; mask trackers are"):
        load_mask_tracker(tmp_path)
