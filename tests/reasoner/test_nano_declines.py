"""What a user meets who asks nano about other footage, or in words that it does not know."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from mmreason import Reasoner, models
from mmreason.types import StopReason
from mmreason.video.world import encode, generate


@pytest.fixture(scope="module")
def nano():
    return models.load("nano")


@pytest.fixture(scope="module")
def demo_script(tmp_path_factory) -> Path:
    """The demo world of seed 7: shapes, and a pink star from 16 s to 20 s."""
    return generate.demo(7).save(tmp_path_factory.mktemp("demo") / "demo.json")


def _title(light: float) -> np.ndarray:
    picture = Image.new("RGB", (160, 96))
    font = ImageFont.load_default(size=18)
    ImageDraw.Draw(picture).text((80, 48), "Directed by", fill="white", font=font, anchor="mm")
    return (np.asarray(picture) * np.float32(light)).astype(np.uint8)


def _terminal() -> np.ndarray:
    picture = Image.new("RGB", (160, 96), (14, 14, 16))
    for row in range(8):
        ImageDraw.Draw(picture).text((2, 12 * row), f"epoch {row} loss 0.{row}31", fill="white")
    return np.asarray(picture)


def _photo(light: float) -> np.ndarray:
    y, x = np.mgrid[:96, :160]
    waves = 128 + 60 * np.sin(x / 9 + y / 17) + 50 * np.sin(y / 5 - x / 31)
    return (np.stack([waves, waves * 0.8, waves * 0.6], -1) * light).clip(0, 255).astype(np.uint8)


def _clip(path: Path, picture: np.ndarray) -> Path:
    """Two seconds of one picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.thread_count = 1
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


FOOTAGE = {
    "black": np.zeros((96, 160, 3), np.uint8),
    "title": _title(1.0),
    "dim title": _title(0.2),
    "terminal": _terminal(),
    "photograph": _photo(1.0),
    "dim photograph": _photo(0.15),
}


@pytest.mark.parametrize("name", FOOTAGE)
@pytest.mark.parametrize("question", ["What colour is the star?", "How many objects are there?"])
def test_other_footage_gets_no_answer(nano, tmp_path, name, question):
    path = _clip(tmp_path / "clip.mp4", FOOTAGE[name])
    answer = Reasoner(nano).ask(path, question)
    assert answer.stop_reason is StopReason.ABSTAINED
    assert not any(one.verified for one in answer.evidence)
    assert any("the picture is not of its world" in note for note in answer.settings["notes"])


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("Is there a dog?", "it does not know the word 'dog'"),
        ("How many dogs are there?", "it does not know the word 'dogs'"),
        ("When does the star appear?", "it does not know times"),
        ("Who directed this?", "it does not know the words 'who', 'directed', 'this'"),
    ],
)
def test_what_it_does_not_know_gets_no_answer_on_its_own_world(nano, demo_script, question, why):
    answer = Reasoner(nano).ask(demo_script, question)
    assert answer.stop_reason is StopReason.ABSTAINED
    assert f"declined: {why}" in answer.settings["notes"]


def test_the_larger_of_two_is_one_of_the_two_or_nothing(nano, demo_script):
    question = "Which is larger, the purple ring or the cyan star?"
    answer = Reasoner(nano).ask(demo_script, question)
    is_one = answer.text in ("the purple ring", "the cyan star")
    assert is_one or answer.stop_reason is StopReason.ABSTAINED


def test_a_question_in_plain_words_is_answered_on_its_own_world(nano, tmp_path):
    world = generate.demo(7)
    scene = world.scenes[4].model_copy(update={"start_s": 0.0, "end_s": 4.0, "events": ()})
    small = {"scenes": (scene,), "width_px": 160, "height_px": 96}
    path = encode.write_video(world.model_copy(update=small), tmp_path / "star.mp4")
    answer = Reasoner(nano).ask(path, "what color is the star in this video")
    assert answer.text == "pink"


def test_a_thing_it_does_not_know_is_not_grounded(nano, demo_script):
    found = Reasoner(nano).ground(demo_script, "dog")
    # It did not look, so it says nothing of whether the thing is there.
    assert found.status == "unparsed" and found.boxes == ()
