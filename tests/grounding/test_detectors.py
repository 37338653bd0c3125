"""Detectors of the real classes with random weights, loaded from a folder as users load theirs."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmreason.grounding import Box, Tube
from mmreason.grounding.detectors import load_detector
from mmreason.grounding.detectors.florence import FlorenceDetector, parse_located
from mmreason.grounding.detectors.loading import GrounderError, load_parts
from mmreason.grounding.detectors.scripted import ScriptedDetector, tubes_of_world
from mmreason.grounding.detectors.zero_shot import ZeroShotDetector, to_detections
from mmreason.grounding.protocols import Detector
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate
from tests.grounding import tiny_grounders as tiny

ZERO_SHOT = ("grounding-dino", "mm-grounding-dino", "owlv2")


def make_frames(count: int = 3, size_px: tuple[int, int] = (64, 36)) -> FrameBatch:
    width, height = size_px
    pixels = np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8)
    return FrameBatch(pixels=pixels, times_s=np.arange(count) * 0.1, exact=np.ones(count, bool))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the folder of a kind, written on first use."""
    base = tmp_path_factory.mktemp("detectors")
    writers: dict[str, Callable[[Path], Path]] = {
        "grounding-dino": tiny.write_grounding_dino,
        "mm-grounding-dino": lambda folder: tiny.write_grounding_dino(folder, mm=True),
        "owlv2": tiny.write_owlv2,
        "florence2": tiny.write_florence,
    }

    def get(kind: str) -> Path:
        return base / kind if (base / kind).exists() else writers[kind](base / kind)

    return get


@pytest.fixture(scope="module")
def detectors(folders: Callable[[str], Path]) -> Callable[[str], Detector]:
    loaded: dict[str, Detector] = {}

    def get(kind: str) -> Detector:
        if kind not in loaded:
            if kind == "florence2":
                parts = load_parts(folders(kind), "Florence2ForConditionalGeneration", "cpu")
                loaded[kind] = FlorenceDetector(parts, 2, most_tokens=20)
            else:
                loaded[kind] = load_detector(folders(kind), device="cpu", threshold=0.0, batch=2)
        return loaded[kind]

    return get


@pytest.mark.parametrize("kind", [*ZERO_SHOT, "florence2"])
def test_every_kind_gives_a_row_a_frame_inside_of_it_and_the_same_again(detectors, kind):
    frames = make_frames()
    detector = detectors(kind)
    rows = detector.detect(frames, "Dog")
    assert len(rows) == 3 and any(rows)
    for detection in itertools.chain(*rows):
        x1, y1, x2, y2 = detection.box.xyxy
        assert 0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 36
        assert detection.label
    assert detector.detect(frames, "Dog") == rows
    assert json.dumps(detector.settings)


@pytest.mark.parametrize("kind", [*ZERO_SHOT, "florence2"])
def test_a_frame_gives_the_same_alone_and_in_a_batch(detectors, kind):
    frames = make_frames()
    alone = FrameBatch(pixels=frames.pixels[2:], times_s=frames.times_s[2:], exact=frames.exact[2:])
    together, single = (detectors(kind).detect(part, "dog") for part in (frames, alone))
    assert len(together[2]) == len(single[0])
    for a, b in zip(together[2], single[0], strict=True):
        np.testing.assert_allclose(a.box.xyxy, b.box.xyxy, atol=1e-3)


@pytest.mark.parametrize("kind", [*ZERO_SHOT, "florence2"])
@pytest.mark.parametrize("size_px", [(1, 1), (3, 1), (1, 40)])
def test_frames_of_one_pixel_are_read(detectors, kind, size_px):
    (row,) = detectors(kind).detect(make_frames(1, size_px), "dog")
    assert all(d.box.x2_px <= size_px[0] and d.box.y2_px <= size_px[1] for d in row)
    assert detectors(kind).detect(make_frames(0, size_px), "dog") == []


@pytest.mark.parametrize("kind", ZERO_SHOT)
def test_boxes_are_scaled_back_by_height_and_width_of_the_frame_not_of_what_was_shown(
    folders, detectors, kind
):
    import torch

    frames = make_frames(1, (64, 36))
    parts = load_parts(folders(kind), "AutoModelForZeroShotObjectDetection", "cpu")
    prompt = [["a photo of a dog"]] if kind == "owlv2" else ["dog."]
    inputs = parts.processor(images=[frames.pixels[0]], text=prompt, return_tensors="pt")
    with torch.inference_mode():
        outputs = parts.model(**inputs)
    # OWLv2 pads to a square below and on the right; the others see the frame as it is.
    sides = np.array([64, 64] if kind == "owlv2" else [64, 36], np.float64)
    x, y, w, h = outputs.pred_boxes[0].double().numpy().T
    corners = np.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), axis=1)
    limit = np.array([64.0, 36.0] * 2)
    expected = np.clip(corners * np.tile(sides, 2), 0, limit)
    (row,) = detectors(kind).detect(frames, "dog")
    for detection in row:
        away = np.abs(expected - np.array(detection.box.xyxy)).max(axis=1)
        assert away.min() < 1e-3


def test_a_threshold_leaves_out_what_is_below_and_is_in_the_settings(folders, detectors):
    frames = make_frames(1)
    (everything,) = detectors("owlv2").detect(frames, "dog")
    scores = sorted(d.score or 0.0 for d in everything)
    strict = load_detector(folders("owlv2"), device="cpu", threshold=scores[len(scores) // 2])
    (fewer,) = strict.detect(frames, "dog")
    assert 0 < len(fewer) < len(everything)
    assert isinstance(strict, ZeroShotDetector)
    assert strict.settings["threshold"] == scores[len(scores) // 2]
    assert [d.score for d in fewer] == sorted((d.score or 0.0 for d in fewer), reverse=True)


def test_florence_has_no_scores_and_refuses_a_threshold(folders, detectors):
    rows = detectors("florence2").detect(make_frames(1), "dog")
    assert {d.score for d in rows[0]} == {None}
    assert isinstance(detectors("florence2"), FlorenceDetector)
    with pytest.raises(GrounderError, match="gives no scores"):
        load_detector(folders("florence2"), threshold=0.3)
    assert isinstance(load_detector(folders("florence2")), FlorenceDetector)


@pytest.mark.parametrize("kind", [*ZERO_SHOT, "florence2"])
@pytest.mark.parametrize("phrase", ["", " . ", "dog " * 10_000])
def test_a_phrase_that_is_empty_or_too_long_is_refused_not_cut(detectors, kind, phrase):
    with pytest.raises(GrounderError, match=r"tokens|no word"):
        detectors(kind).detect(make_frames(1), phrase)


def test_marks_of_the_models_own_language_in_a_phrase_are_words(detectors):
    frames = make_frames(1)
    plain, marked = (detectors("florence2").detect(frames, p) for p in ("OD dog", "<OD> {dog}"))
    assert plain == marked


@pytest.mark.parametrize("kind", ["grounding-dino", "owlv2"])
def test_weights_that_give_nan_are_told_and_not_an_empty_answer(folders, kind):
    import torch

    parts = load_parts(folders(kind), "AutoModelForZeroShotObjectDetection", "cpu")
    with torch.no_grad():
        for parameter in parts.model.parameters():
            parameter.fill_(float("nan"))
    detector = ZeroShotDetector(parts, kind, 0.1, 2)
    with pytest.raises(GrounderError, match="not finite"):
        detector.detect(make_frames(1), "dog")


def test_a_folder_that_is_missing_empty_or_of_another_kind_is_one_line(tmp_path):
    with pytest.raises(GrounderError, match="is no folder"):
        load_detector(tmp_path / "nothing")
    with pytest.raises(GrounderError, match="cannot be loaded") as error:
        load_detector(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(GrounderError, match="is a 'bert'; detectors are"):
        load_detector(tmp_path)


def test_code_in_a_folder_is_never_run(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass C: pass\n")
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil.C"}})
    )
    with pytest.raises(GrounderError):
        load_detector(tmp_path)
    assert not marker.exists()


def test_pickled_weights_are_not_read(folders, tmp_path):
    for path in folders("owlv2").iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(GrounderError, match="cannot be loaded"):
        load_detector(tmp_path)


def test_weights_that_lack_a_tensor_are_refused_not_filled_with_random_numbers(folders, tmp_path):
    from safetensors.numpy import load_file, save_file

    for path in folders("owlv2").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("box_head.dense0.weight")
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(GrounderError, match=r"lack 1 tensors, 'box_head\.dense0\.weight'"):
        load_detector(tmp_path, device="cpu")


def test_loading_leaves_progress_bars_as_they_were(folders, capfd):
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.is_progress_bar_enabled()
    load_detector(folders("owlv2"), device="cpu")
    assert transformers_logging.is_progress_bar_enabled() == before
    assert "Loading" not in capfd.readouterr().err
    assert logging.getLogger("transformers") is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog<loc_0><loc_0><loc_999><loc_999>", [(0.032, 0.018, 63.968, 35.982)]),
        ("dog<loc_9><loc_9><loc_2><loc_2>", [(0.16, 0.09, 0.608, 0.342)]),
        ("<s>dog</s><loc_0><loc_0><loc_9><loc_9><loc_1><loc_1>", [(0.032, 0.018, 0.608, 0.342)]),
        ("dog<loc_1><loc_1><loc_3><loc_3>" * 3, [(0.096, 0.054, 0.224, 0.126)]),
        ("dog<loc_5><loc_5><loc_5><loc_5>", []),
        ("dog<loc_1000><loc_1><loc_2><loc_3>", []),
        ("no such thing", []),
        ("<loc_", []),
    ],
)  # fmt: skip
def test_locations_are_read_whole_or_not_at_all(text, expected):
    boxes = [detection.box.xyxy for detection in parse_located(text, (64, 36))]
    assert boxes == [pytest.approx(box) for box in expected]


def test_doubles_go_and_the_best_stays():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10.5], [30, 0, 40, 10], [-9, -9, -1, -1]])
    detections = to_detections(boxes, np.array([0.5, 0.6, 0.1, 0.9]), list("abcd"), (64, 36))
    assert [d.label for d in detections] == ["b", "c"]


def test_scripted_errors_come_as_often_as_asked_and_depend_on_the_frame_alone():
    times_s = np.arange(2000) * 0.1
    tube = Tube.from_boxes(times_s.tolist(), [Box(10, 10, 20, 20)] * 2000, label="red dog")
    detector = ScriptedDetector(
        truth=(tube,), miss_rate=0.1, false_rate=0.05, jitter=0.02, unsure_rate=0.2, seed=3
    )
    frames = FrameBatch(
        pixels=np.zeros((2000, 36, 64, 3), np.uint8), times_s=times_s, exact=np.ones(2000, bool)
    )
    rows = detector.detect(frames, "dog")
    true = [d for row in rows for d in row if d.label == "red dog"]
    false = [d for row in rows for d in row if d.label != "red dog"]
    assert len(true) == pytest.approx(1800, abs=60) and len(false) == pytest.approx(100, abs=40)
    assert sum((d.score or 0) < 0.5 for d in true) == pytest.approx(360, abs=60)
    sides = np.array([d.box.xyxy for d in true]) - np.array([10, 10, 20, 20])
    assert sides.std() == pytest.approx(0.2, rel=0.1)
    part = FrameBatch(
        pixels=frames.pixels[500:510], times_s=times_s[500:510], exact=frames.exact[500:510]
    )
    assert detector.detect(part, "dog") == rows[500:510]
    assert detector.detect(part, "cat") == [()] * 10
    with pytest.raises(ValueError, match="miss_rate"):
        ScriptedDetector(truth=(), miss_rate=1.5)


def test_tubes_of_a_world_are_where_its_actors_are():
    world = generate.world(4, duration_s=8.0, scene_s=4.0, most_actors=3)
    times_s = np.arange(80) / 10
    tubes = tubes_of_world(world, times_s)
    assert {tube.id.split("/")[0] for tube in tubes} == {"0", "1"}
    for tube in tubes:
        scene, actor_id = tube.id.split("/")
        actor = world.scenes[int(scene)].actor(actor_id)
        assert tube.label == f"{actor.colour} {actor.shape}"
        assert tube.boxes_px[tube.present].max() <= world.width_px
