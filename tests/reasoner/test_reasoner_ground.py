"""Grounding one expression in images and videos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmreason.grounding import GroundingStatus
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import UsageError
from mmreason.video.types import Span

PROMPT = "Locate the red star. Output its bbox in JSON."
HALF = '```json\n[{"bbox_2d": [0, 0, 500, 1000], "label": "red star"}]\n```'
CLIP = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0)


@pytest.fixture
def reasoner():
    return Reasoner(ScriptedModel({PROMPT: HALF}, clip=CLIP))


def test_array_image_file_and_pillow_image_agree(reasoner, tmp_path):
    pixels = np.zeros((90, 200, 3), np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    results = [reasoner.ground(s, "red star") for s in (pixels, path, str(path), Image.open(path))]
    assert all(r == results[0] for r in results)
    (box,) = results[0].boxes
    assert box.xyxy == (0, 0, 100, 90)
    assert results[0].status is GroundingStatus.FOUND
    assert reasoner.model.asked[0].size_px == (64, 32)
    assert results[0].frame_time_s is None


def test_video_uses_the_middle_frame_of_the_span(reasoner, fake_video):
    video = fake_video((10.0, "a"), (20.0, "b"))
    found = reasoner.ground(video, "red star", span=Span(10, 16))
    assert found.frame_time_s == 13.0
    assert found.size_px == (320, 180)
    assert found.boxes[0].xyxy == (0, 0, 160, 180)


def test_a_failing_model_is_a_status(fake_video):
    def fail(text, batch):
        raise RuntimeError("out of memory")

    found = Reasoner(ScriptedModel(fail, clip=CLIP)).ground(fake_video((4.0, "a")), "red star")
    assert found.status is GroundingStatus.ERROR
    assert "out of memory" in str(found.issues[0])


def test_a_model_that_declines_to_look_has_not_found_that_it_is_absent(fake_video):
    for text, status in (("this is outside my world.", "unparsed"), ("```json\n[]\n```", "none")):
        model = ScriptedModel(lambda asked, batch, text=text: text, clip=CLIP)
        assert Reasoner(model).ground(fake_video((4.0, "a")), "red star").status == status


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4), np.uint8), "uint8"),
        (np.zeros((0, 4, 3), np.uint8), "uint8"),
        ("no_such.png", "no_such.png"),
    ],
)
def test_unusable_images_are_refused(reasoner, source, message):
    with pytest.raises(UsageError, match=message):
        reasoner.ground(source, "red star")


def test_an_image_has_no_span_and_an_expression_is_needed(reasoner):
    with pytest.raises(UsageError, match="span"):
        reasoner.ground(np.zeros((4, 4, 3), np.uint8), "red star", span=Span(0, 1))
    with pytest.raises(UsageError, match="expression is empty"):
        reasoner.ground(np.zeros((4, 4, 3), np.uint8), " ")
