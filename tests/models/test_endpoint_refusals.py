"""Servers that refuse parts of a request: parameters, its length, or the list of their models."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.models.base import (
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    TextPart,
)
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_http import EndpointLimits
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.models.servers import Back, Sent, fine, in_turn, serving, user

QUICK = EndpointLimits(attempts=2, timeout_s=5.0, total_s=8.0, backoff_s=0.01)
FINE = fine()


def shown(count: int) -> Conversation:
    frames = FrameBatch(
        pixels=np.zeros((count, 32, 32, 3), dtype=np.uint8),
        times_s=np.arange(count, dtype=float),
        exact=np.ones(count, dtype=bool),
    )
    return [Message("user", (FramesPart(frames), TextPart("What is this?")))]


def test_a_refused_temperature_is_left_out_and_noted() -> None:
    """In the words of servers of models that think."""
    words = (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
        "(1) value is supported."
    )

    def picky(sent: Sent) -> Back:
        return Back({"error": {"message": words}}, 400) if "temperature" in sent.body else FINE

    with serving(picky, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        assert [one.text for one in model.generate(GenerateRequest([user()]))] == ["a red star"]
        assert any("'temperature', which is left out" in note for note in model.notes)
        model.close()


TOO_LONG = {
    "vLLM": "This model's maximum context length is 4096 tokens. However, you requested 9000.",
    "vLLM, other words": "The decoder prompt (length 9000) is longer than the maximum model length",
    "SGLang": "The input (9000 tokens) is longer than the model's context length (4096 tokens).",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "pictures": "At most 4 image(s) may be provided in one prompt.",
    "hosted": "prompt is too long: 9000 tokens > 4096 maximum",
}


@pytest.mark.parametrize("words", TOO_LONG.values(), ids=TOO_LONG)
def test_fewer_frames_are_shown_where_the_server_takes_no_more(words: str) -> None:
    def short(sent: Sent) -> Back:
        content = sent.body["messages"][0]["content"]
        images = [one for one in content if one["type"] == "image_url"]
        return FINE if len(images) <= 4 else Back({"error": {"message": words}}, 400)

    with serving(short, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        (reply,) = model.generate(GenerateRequest([shown(16)]))
        assert reply.text == "a red star"
        model.close()
    # A server that names its limit is not asked for half of the frames first.
    sent = [len(one.body["messages"][0]["content"]) for one in server.chats]
    assert sent == ([33, 9] if words.startswith("At most") else [33, 17, 9])
    times = [one.get("text") for one in server.chats[-1].body["messages"][0]["content"]]
    assert times[0] == "<0.0 seconds>" and times[6] == "<15.0 seconds>"
    assert "the server takes no 16 frames in one request: 4 are shown" in model.notes
    assert reply.note == "4 of 16 frames were shown: the server takes no more"


def test_a_text_that_is_too_long_is_an_error() -> None:
    with serving(in_turn(Back({"error": {"message": TOO_LONG["vLLM"]}}, 400)), "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK)
        with pytest.raises(ModelError, match="maximum context length"):
            model.generate(GenerateRequest([user()]))
        model.close()
    assert len(server.chats) == 1


@pytest.mark.parametrize("refuses", [False, True])
def test_a_clip_that_goes_as_video_asks_for_every_frame(refuses: bool) -> None:
    def strict(sent: Sent) -> Back:
        refused = refuses and "mm_processor_kwargs" in sent.body
        words = "mm_processor_kwargs: Extra inputs are not permitted"
        return Back({"error": {"message": words}}, 422) if refused else FINE

    with serving(strict, "one") as server:
        model = EndpointModel.connect(server.url, limits=QUICK, options={"frames_as": "video"})
        model.generate(GenerateRequest([shown(4)]))
        model.generate(GenerateRequest([user()]))
        model.close()
    first, last = server.chats[0].body, server.chats[-1].body
    assert first["mm_processor_kwargs"] == {"do_sample_frames": False}
    assert first["media_io_kwargs"] == {"video": {"num_frames": -1}}
    assert "mm_processor_kwargs" not in last
    assert refuses == any("may drop frames" in note for note in model.notes)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_server_that_does_not_list_its_models_is_asked_for_the_one_named(status: int) -> None:
    def script(sent: Sent) -> Back:
        return Back({"error": "no"}, status) if sent.path.endswith("/models") else FINE

    with serving(script) as server:
        model = EndpointModel.connect(server.url, served_model="claude", limits=QUICK)
        assert model.generate(GenerateRequest([user()]))[0].text == "a red star"
        assert any("taken as given" in note for note in model.notes)
        model.close()
        with pytest.raises(UsageError, match=f"cannot be listed.*status {status}"):
            EndpointModel.connect(server.url, limits=QUICK)


def test_a_wrong_key_is_told_at_the_first_request_where_the_list_is_closed() -> None:
    with serving(in_turn(Back({"error": "bad key"}, 401))) as server:
        model = EndpointModel.connect(server.url, served_model="one", limits=QUICK)
        with pytest.raises(ModelError, match="status 401: bad key; check the API key"):
            model.generate(GenerateRequest([user()]))
        model.close()
