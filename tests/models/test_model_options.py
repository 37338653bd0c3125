"""Options of a model: read from Python, the command line and TOML, checked, and sent."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmreason import models
from mmreason.cli import main
from mmreason.grounding import Dialect
from mmreason.models.base import FramesPart, GenerateRequest, Message, TextPart
from mmreason.models.endpoint import EndpointModel
from mmreason.models.options import OF_OWN_PROCESS, ModelOptions
from mmreason.models.serving_engines import ENGINES, ServingEngine
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.models.servers import Back, Server, fine, in_turn, listing, serving, user

EACH: dict[str, Any] = {
    "tier": "strong",
    "served_by": "vllm",
    "answer_tokens": 8,
    "caption_tokens": 9,
    "overview_tokens": 10,
    "decide_tokens": 11,
    "thought_tokens": 12,
    "context_tokens": 4000,
    "temperature": 0.6,
    "enable_thinking": False,
    "chat_template_kwargs": {"add_vision_id": True},
    "extra_body": {"top_k": 20},
    "mm_processor_kwargs": {"max_pixels": 9000},
    "media_io_kwargs": {"video": {"fps": 2}},
    "frames_as": "video",
    "image_format": "webp",
    "image_quality": 70,
    "longest_px": 320,
    "max_frames": 8,
    "box_dialect": "norm_1",
    "prune": "evs:0.5",
    "vision_cache_mb": 64,
}


OF_SERVERS = {name: value for name, value in EACH.items() if name not in OF_OWN_PROCESS}


def test_each_option_has_a_value_here() -> None:
    assert EACH.keys() == {field.name for field in fields(ModelOptions)}


@pytest.mark.parametrize("name", EACH)
def test_python_command_line_and_toml_read_the_same(name: str, tmp_path: Path) -> None:
    import json

    from_python = ModelOptions.from_mapping({name: EACH[name]})
    text = EACH[name] if isinstance(EACH[name], str) else json.dumps(EACH[name])
    assert ModelOptions.parse([f"{name}={text}"]) == from_python
    file = tmp_path / "options.toml"
    value = EACH[name]
    if isinstance(value, dict):
        inner = ModelOptions.parse(
            [f"{name}.{key}={json.dumps(inner)}" for key, inner in value.items()]
        )
        assert inner == from_python
        lines = [f"{key} = {toml(inner)}" for key, inner in value.items()]
        file.write_text("\n".join([f"[{name}]", *lines]))
    else:
        file.write_text(f"{name} = {toml(value)}\n")
    assert ModelOptions.from_toml(file) == from_python


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("max_frame=8", "max_frame is unknown; did you mean max_frames?"),
        ("zzz=8", "zzz is unknown; the options are tier"),
        ("tier=huge", "tier: .*'nano', 'small' or 'strong'; got 'huge'"),
        ("max_frames=many", "max_frames: .*integer.*got 'many'"),
        ("max_frames=0", "max_frames: expected 1 or more, got 0"),
        ("temperature=-1", "temperature: expected 0.0 or more"),
        ("image_quality=101", "image_quality: expected 1 to 100, got 101"),
        ("extra_body=4", "extra_body: .*got 4"),
        ("extra_body={", "no JSON"),
        ("tier.x=1", "tier has no fields"),
        ("tier", "expected key=value"),
        ("=4", "expected key=value"),
        (f"extra_body{'.a' * 500}=1", "expected key=value"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_it(item: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        ModelOptions.parse([item])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_is_one_line_with_its_name(tmp_path: Path) -> None:
    bad = tmp_path / "o.toml"
    for content in ("tier = ", "tier = 'huge'", "[a]\nb=1"):
        bad.write_text(content)
        with pytest.raises(UsageError, match=r"o\.toml: "):
            ModelOptions.from_toml(bad)
    with pytest.raises(UsageError, match="cannot be read"):
        ModelOptions.from_toml(tmp_path / "none.toml")


def shown(count: int) -> list[Message]:
    frames = FrameBatch(
        pixels=np.zeros((count, 32, 32, 3), np.uint8),
        times_s=np.arange(count, dtype=float),
        exact=np.ones(count, bool),
    )
    return [Message("user", (FramesPart(frames), TextPart("What is this?")))]


def sent_with(options: dict[str, Any], count: int = 4) -> tuple[EndpointModel, dict[str, Any]]:
    """The model, and the body of its request for a clip."""
    with serving(in_turn(fine()), "one") as server:
        model = EndpointModel.connect(server.url, options=options)
        model.generate(GenerateRequest([shown(count)]))
        model.close()
    return model, server.chats[0].body


def test_every_option_reaches_the_request_or_the_recipe() -> None:
    model, body = sent_with(OF_SERVERS)
    assert body["top_k"] == 20 and body["temperature"] == 0.6
    template = body["chat_template_kwargs"]
    assert template == {"enable_thinking": False, "add_vision_id": True}
    # Beside what makes the server show every frame.
    assert body["mm_processor_kwargs"] == {"do_sample_frames": False, "max_pixels": 9000}
    assert body["media_io_kwargs"] == {"video": {"fps": 2}}
    assert body["messages"][0]["content"][1]["type"] == "video_url"
    clip = model.clip
    assert (clip.answer_tokens, clip.caption_tokens, clip.overview_tokens) == (8, 9, 10)
    assert (clip.decide_tokens, clip.frames, clip.longest_px) == (11, 8, 320)
    assert clip.box_dialect is Dialect.NORM_1 and model.tier == "strong"
    _, images = sent_with({"image_format": "webp", "image_quality": 1})
    assert images["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/webp")


def test_image_quality_makes_smaller_images() -> None:
    def size(**options: Any) -> int:
        noise = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
        frames = FrameBatch(pixels=noise, times_s=np.zeros(1), exact=np.ones(1, bool))
        with serving(in_turn(fine()), "one") as server:
            model = EndpointModel.connect(server.url, options=options)
            model.generate(GenerateRequest([[Message("user", (FramesPart(frames),))]]))
            model.close()
        return len(str(server.chats[0].body))

    assert size(image_quality=5) < size(image_quality=50) < size()


def test_options_that_change_replies_change_the_fingerprint() -> None:
    with serving(in_turn(fine()), "one") as server:
        plain = EndpointModel.connect(server.url).fingerprint
        for name, value in OF_SERVERS.items():
            options = {name: value}
            other = EndpointModel.connect(server.url, options=options).fingerprint
            assert other != plain, name  # the tier too: it has limits of its own


def test_nano_refuses_what_it_was_not_taught_and_takes_limits() -> None:
    with pytest.raises(UsageError, match="option max_frames: 'nano' is asked as it was"):
        models.load("nano", options={"max_frames": 4})
    assert models.load("nano", options={"answer_tokens": 5}).clip.answer_tokens == 5


ENGINE_REFUSALS = [
    ("ollama", {"frames_as": "video"}, "Ollama takes no clips"),
    ("openai", {"frames_as": "video"}, "OpenAI takes no clips"),
    ("lmstudio", {"enable_thinking": True}, "LM Studio documents no field"),
]


@pytest.mark.parametrize(("engine", "options", "words"), ENGINE_REFUSALS)
def test_an_engine_refuses_what_it_cannot_do(engine, options, words) -> None:
    with serving(in_turn(fine()), "one") as server, pytest.raises(UsageError, match=words):
        EndpointModel.connect(server.url, options=options | {"served_by": engine})


@pytest.mark.parametrize(
    ("owner", "title"),
    [("vllm", "vLLM"), ("sglang", "SGLang"), ("library", "Ollama"), ("me", "this server")],
)
def test_an_engine_is_recognised_by_the_list_of_its_models(owner: str, title: str) -> None:
    listed = listing("one")
    listed["data"][0] |= {"owned_by": owner, "max_model_len": 4096}

    with serving(lambda s: Back(listed) if s.path.endswith("/models") else fine()) as server:
        model = EndpointModel.connect(server.url)
        model.close()
    assert model.engine.title == title
    assert any("OLLAMA_CONTEXT_LENGTH" in note for note in model.notes) == (owner == "library")


@pytest.mark.parametrize(("name", "engine"), ENGINES.items())
def test_each_engine_is_sent_only_what_it_takes(name: str, engine: ServingEngine) -> None:
    options: dict[str, Any] = {"served_by": name}
    if engine.thinking:
        options["enable_thinking"] = False
    _, body = sent_with(options)
    assert not engine.takes_no & body.keys()
    assert body["max_completion_tokens" if name == "openai" else "max_tokens"] == 96
    switched = {"chat_template_kwargs", "reasoning_effort", "thinking"} & body.keys()
    assert len(switched) == bool(engine.thinking)


def images_in(server: Server) -> list[int]:
    contents = [chat.body["messages"][0]["content"] for chat in server.chats]
    return [sum(piece["type"] == "image_url" for piece in content) for content in contents]


def test_a_known_context_shrinks_the_plan_before_it_is_sent() -> None:
    """Of a server that cuts without a word, as Ollama does."""
    with serving(in_turn(fine()), "one") as server:
        model = EndpointModel.connect(server.url, options={"context_tokens": 60})
        (reply,) = model.generate(GenerateRequest([shown(64)], max_new_tokens=16))
        model.close()
    (count,) = images_in(server)
    assert count < 64 and reply.note.startswith(f"{count} of 64 frames were shown")


def test_what_a_server_counts_shrinks_later_plans() -> None:
    """Its family takes more tokens for a frame than we estimate: known after one reply."""
    listed = listing("one")
    listed["data"][0]["max_model_len"] = 2000
    counted = Back({"choices": [{"message": {"content": "x"}}], "usage": USAGE})
    with serving(lambda s: Back(listed) if s.path.endswith("/models") else counted) as server:
        model = EndpointModel.connect(server.url)
        for count in (4, 64):
            model.generate(GenerateRequest([shown(count)], max_new_tokens=16))
        model.close()
    first, second = images_in(server)
    assert first == 4 and second < 64


USAGE = {"prompt_tokens": 800, "completion_tokens": 1}


def test_the_command_line_takes_options_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmreason.video.world import generate

    script = generate.world(seed=1).save(tmp_path / "world.json")
    file = tmp_path / "o.toml"
    file.write_text("temperature = 0.5\n[extra_body]\ntop_k = 7\n")
    with serving(in_turn(fine()), "Qwen3-VL-8B") as server:
        words = ["--model", server.url, "--options-file", str(file), "--option", "temperature=0.7"]
        store = ["--store", str(tmp_path / "s.sqlite3")]
        assert main(["caption", str(script), *words, *store]) == 0
        body = server.chats[0].body
        assert body["top_k"] == 7 and body["temperature"] == 0.7
        assert main(["ground", str(script), "a star", *words, *store, "--option", "x=1"]) == 2
        assert "option x is unknown" in capsys.readouterr().err
        count = len(server.chats)
        asked = ["ask", str(script), "Which?", "--option", "E=mc2", "--option", "max_frames=2"]
        main([*asked, "--option", "red", *words, *store])
        texts = [str(chat.body["messages"]) for chat in server.chats[count:]]
    assert any("A. E=mc2\\nB. red" in text for text in texts)
    assert not any("max_frames" in text for text in texts)


def test_plain_requests_go_out_as_before() -> None:
    with serving(in_turn(fine()), "one") as server:
        models.load(server.url).generate(GenerateRequest([user()]))
    assert server.chats[0].body.keys() == {
        *("model", "max_tokens", "temperature", "seed", "logprobs", "stream", "messages")
    }
