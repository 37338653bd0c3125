"""What an endpoint is sent: plain strings, exact images behind their times, clips with times."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmreason.models.base import ClipRecipe, FramesPart, Message, TextPart
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_messages import WireStyle, as_messages, encode_mp4
from mmreason.models.options import FramesAs, ImageFormat
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import CheckKind, UsageError
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate
from tests.models.servers import batch_of, data_of, frames_of_mp4, running, serving


def clip(times_s: list[float], size_px: tuple[int, int] = (64, 48)) -> FrameBatch:
    """Smooth pictures, each of its own brightness."""
    width, height = size_px
    slope = np.linspace(0, 100, width)[None, :, None] + np.zeros((height, 1, 3))
    light = np.linspace(0, 150, len(times_s))
    return batch_of([(slope + value).astype(np.uint8) for value in light], times_s)


def sent(
    *parts: TextPart | FramesPart, frames_as: FramesAs = "images", image_format: ImageFormat = "png"
) -> list[dict[str, Any]]:
    style = WireStyle(frames_as=frames_as, image_format=image_format)
    return as_messages([Message("user", parts)], style)[0]["content"]


def test_text_alone_is_a_plain_string() -> None:
    turns = [
        Message("system", (TextPart("Be brief."),)),
        Message("user", (TextPart("a"), TextPart("b"))),
    ]
    assert as_messages(turns, WireStyle(image_format="png")) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "ab"},
    ]


def test_frames_of_a_clip_stand_behind_their_times_pixel_by_pixel() -> None:
    batch = clip([0.5, 61.25])
    pieces = sent(FramesPart(batch), TextPart("What?"))
    assert [p.get("text") for p in pieces] == [
        "<0.5 seconds>",
        None,
        "<61.2 seconds>",
        None,
        "What?",
    ]
    for piece, pixels in zip(pieces[1:4:2], batch.pixels, strict=True):
        kind, content = data_of(piece["image_url"]["url"])
        assert kind == "image/png"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)


def test_a_still_image_has_no_time_and_jpeg_is_close() -> None:
    batch = clip([3.0])
    ways: tuple[FramesAs, ...] = ("images", "video")
    for frames_as in ways:
        (piece,) = sent(FramesPart(batch, "image"), frames_as=frames_as, image_format="jpeg")
        kind, content = data_of(piece["image_url"]["url"])
        shown = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        assert kind == "image/jpeg" and np.abs(shown - batch.pixels[0]).max() <= 6


def test_a_clip_as_video_stands_behind_the_times_of_its_frames() -> None:
    text, piece = sent(FramesPart(clip([10.0, 10.5, 11.0])), frames_as="video")
    assert text == {"type": "text", "text": "<frames at 10.0, 10.5, 11.0 seconds>"}
    assert data_of(piece["video_url"]["url"])[0] == "video/mp4"


@settings(max_examples=12)
@given(
    start_s=st.floats(0, 36_000),
    steps_s=st.lists(st.floats(0.01, 20), max_size=12),
    size_px=st.sampled_from([(16, 16), (64, 48), (34, 18)]),
)
def test_the_distances_of_frames_survive_the_video(start_s, steps_s, size_px) -> None:
    times_s = [float(t) for t in start_s + np.cumsum([0.0, *steps_s])]
    batch = clip(times_s, size_px)
    pixels, shown_s = frames_of_mp4(encode_mp4(batch))
    assert shown_s[0] == 0
    assert shown_s == pytest.approx([t - times_s[0] for t in times_s], abs=2e-3)
    assert np.abs(np.stack(pixels).astype(int) - batch.pixels).mean() < 4


def test_even_steps_give_the_mean_rate_that_servers_count_with() -> None:
    import av

    for count in (1, 2, 8):
        content = encode_mp4(clip([5 + 0.25 * i for i in range(count)]))
        with av.open(io.BytesIO(content), "r") as container:
            stream = container.streams.video[0]
            assert stream.frames == count
            assert float(stream.average_rate or 0) == pytest.approx(4 if count > 1 else 1, rel=0.01)


def test_frames_of_one_time_are_all_kept() -> None:
    pixels, _ = frames_of_mp4(encode_mp4(clip([1.0, 1.0, 1.0, 1.2])))
    assert len(pixels) == 4


def test_a_video_needs_even_sides() -> None:
    odd = ClipRecipe(frames=4, size_px=(33, 20), leaf_s=4.0)
    with pytest.raises(UsageError, match="even sides"):
        EndpointModel.connect("http://127.0.0.1:9/v1", clip=odd, options={"frames_as": "video"})


def test_subtitles_that_match_reach_a_model_behind_an_endpoint(tmp_path: Path) -> None:
    script = generate.demo(7).save(tmp_path / "talk.json")
    lines = "1\n00:00:17,000 --> 00:00:19,000\nThe budget is four million.\n"
    (tmp_path / "talk.srt").write_text(lines)
    model = ScriptedModel(
        lambda text, frames: "four million" if "budget" in text else "a star.",
        clip=ClipRecipe(frames=2, size_px=(32, 16), leaf_s=8.0),
    )
    with serving(running(model), "seer") as server:
        endpoint = EndpointModel.connect(server.url, clip=model.clip)
        answer = Reasoner(endpoint).ask(script, "What is the budget?")
        texts = [
            piece["text"]
            for chat in server.chats
            for piece in chat.body["messages"][0]["content"]
            if piece["type"] == "text" and "budget?" in piece["text"]
        ]
    assert texts
    assert all("[0:17.00-0:19.00] The budget is four million.\n" in text for text in texts)
    assert answer.text == "four million"
    assert answer.evidence[-1].check.kind is CheckKind.TRANSCRIPT
    assert answer.settings["subtitles"]["path"].endswith("talk.srt")
