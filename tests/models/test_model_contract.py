"""One contract for every model: scripted, in this process, and behind an endpoint.

Two endpoints run the packaged nano: `transformers serve` (images; it takes no clip without sound),
and a small server of ours, which decodes clips too. The answers are those of nano in this process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmreason.agent.provenance import standing_notes
from mmreason.models.base import (
    ChatModel,
    ClipRecipe,
    Constraint,
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    TextPart,
    time_label,
)
from mmreason.models.endpoint import EndpointModel
from mmreason.models.endpoint_replies import NO_LOGPROBS
from mmreason.models.folders import NANO_FOLDER
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from mmreason.types import StopReason, UsageError
from mmreason.video import Video
from mmreason.video.types import FrameBatch
from mmreason.video.world import World, generate
from tests.models.servers import running, serving

ENDPOINTS = [
    "served images",
    "served video",
    pytest.param("transformers serve", marks=pytest.mark.slow),
]
KINDS = ["scripted", "nano", *ENDPOINTS]
CAPTION = "Describe the clip."
QUESTION = "What colour is the star?"


def _scripted(text: str, frames: FrameBatch | None) -> str:
    return f"{len(text)} letters and {0 if frames is None else frames.pixels.sum()} light"


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Iterator[ChatModel]:
    kind = request.param
    nano = request.getfixturevalue("nano")
    if kind == "scripted":
        yield ScriptedModel(_scripted, clip=ClipRecipe(frames=4, size_px=(32, 16), leaf_s=2.0))
    elif kind == "nano":
        yield nano
    elif kind == "transformers serve":
        yield behind(request.getfixturevalue("serve_url"), nano, served_model=str(NANO_FOLDER))
    else:
        with serving(running(nano), "nano") as server:
            frames_as = kind.removeprefix("served ")
            loaded = behind(server.url, nano, frames_as=frames_as)
            yield loaded
            loaded.close()


def behind(url: str, nano: ChatModel, **settings: Any) -> EndpointModel:
    frames_as = settings.pop("frames_as", "images")
    options = {"image_format": "png", "frames_as": frames_as, "tier": nano.tier}
    return EndpointModel.connect(url, clip=nano.clip, options=options, **settings)


@pytest.fixture(scope="module")
def world() -> World:
    """The demo world of seed 7: its only star is pink and shown from 16 s to 20 s."""
    return generate.demo(7).model_copy(update={"width_px": 320, "height_px": 180})


@pytest.fixture(scope="module")
def star(world: World, tmp_path_factory: pytest.TempPathFactory) -> FrameBatch:
    """Six frames of the star."""
    script = world.save(tmp_path_factory.mktemp("world") / "demo.json")
    video = Video.open(str(script))
    with video:
        return video.frames_at(np.linspace(16.5, 19.0, 6), (144, 80))


def user(*parts: str | FramesPart) -> list[Message]:
    return [Message("user", tuple(TextPart(p) if isinstance(p, str) else p for p in parts))]


def conversations(star: FrameBatch) -> list[Conversation]:
    clip, still = FramesPart(star), FramesPart(part_of(star, 2), "image")
    return [
        user(clip, CAPTION),
        user("Is anything here?"),
        user(still, "Locate the pink star. Output its bbox in JSON."),
        user(FramesPart(part_of(star, 0)), QUESTION),
        [*user(clip, QUESTION), Message("assistant", (TextPart("pink"),)), *user("Which shape?")],
    ]


def part_of(batch: FrameBatch, i: int) -> FrameBatch:
    one = slice(i, i + 1)
    return FrameBatch(pixels=batch.pixels[one], times_s=batch.times_s[one], exact=batch.exact[one])


def test_it_says_what_it_is(model: ChatModel) -> None:
    assert model.name and len(model.fingerprint) == 64 and int(model.fingerprint, 16)
    assert model.fingerprint == model.fingerprint
    assert model.clip.frames >= 1
    assert all(note and "\n" not in note for note in model.notes)


def test_nothing_in_nothing_out(model: ChatModel) -> None:
    assert model.generate(GenerateRequest([])) == []


def test_one_reply_each_in_order(model: ChatModel, star: FrameBatch) -> None:
    asked = conversations(star)
    together = model.generate(GenerateRequest(asked, max_new_tokens=40))
    alone = [model.generate(GenerateRequest([one], max_new_tokens=40))[0] for one in asked]
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.text for one in alone}) >= 3
    assert [one.tokens_in for one in together] == [one.tokens_in for one in alone]


def test_replies_hold_together(model: ChatModel, star: FrameBatch) -> None:
    for reply in model.generate(GenerateRequest(conversations(star), max_new_tokens=40)):
        assert reply.text == reply.text.strip()
        assert 0 < reply.tokens_out <= 40 and reply.tokens_in > 0
        assert len(reply.token_ids) in (0, reply.tokens_out)
        assert len(reply.logprobs) in (0, reply.tokens_out)
        assert all(value <= 0 for value in reply.logprobs)
        assert reply.confidence is None or 0 < reply.confidence <= 1
        assert (reply.confidence is None) == (not reply.logprobs)
        assert reply.logprobs or NO_LOGPROBS in model.notes


def test_the_limit_of_tokens_is_kept(model: ChatModel, star: FrameBatch) -> None:
    reply = model.generate(GenerateRequest([user(FramesPart(star), CAPTION)], max_new_tokens=2))[0]
    assert reply.tokens_out == 2


def test_a_reply_ends_before_the_first_stop_text(model: ChatModel, star: FrameBatch) -> None:
    asked = conversations(star)
    whole = model.generate(GenerateRequest(asked, max_new_tokens=40))
    stop = ("a", "e")
    for reply, ended in zip(whole, model.generate(GenerateRequest(asked, stop=stop)), strict=True):
        assert ended.text == re.split("[ae]", reply.text)[0].strip()
        assert not set(stop) & set(ended.text)
        assert 0 < ended.tokens_out <= reply.tokens_out
        assert len(ended.token_ids) in (0, ended.tokens_out)


def test_what_a_model_cannot_do_is_refused_by_name(model: ChatModel) -> None:
    refused: dict[str, dict[str, Any]] = {"constraint": {"constraint": Constraint(("yes", "no"))}}
    if not model.takes_tools:
        tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
        refused["tools"] = {"tools": (tool,)}
    for name, extra in refused.items():
        with pytest.raises(UsageError, match=f"takes no {name}"):
            model.generate(GenerateRequest([user(QUESTION)], **extra))


def test_frames_cost_tokens(model: ChatModel, star: FrameBatch) -> None:
    text, one, six = model.generate(
        GenerateRequest(
            [
                user(QUESTION),
                user(FramesPart(part_of(star, 0)), QUESTION),
                user(FramesPart(star), QUESTION),
            ]
        )
    )
    assert text.tokens_in < one.tokens_in < six.tokens_in


def test_greedy_replies_repeat_and_a_seed_decides_the_others(
    model: ChatModel, star: FrameBatch
) -> None:
    asked = [user(FramesPart(star), CAPTION)] * 2
    assert (
        model.generate(GenerateRequest(asked, seed=1))[0].text
        == model.generate(GenerateRequest(asked, seed=2))[1].text
    )
    drawn = [
        [one.text for one in model.generate(GenerateRequest(asked, temperature=1.5, seed=3))]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]


def test_the_reasoner_works_with_it(model: ChatModel, world: World, tmp_path) -> None:
    script = world.save(tmp_path / "demo.json")
    reasoner = Reasoner(model)
    answer = reasoner.ask(script, QUESTION)
    assert answer.stop_reason in (StopReason.ANSWERED, StopReason.ABSTAINED)
    assert not [s for s in answer.trace if s.observation.error]
    assert answer.cost.tokens_in > 0 < answer.cost.tokens_out
    assert answer.settings["model"]["fingerprint"] == model.fingerprint
    assert answer.settings["notes"] == standing_notes(model)
    assert reasoner.ask(script, QUESTION).cost.model_calls == 0
    if not isinstance(model, ScriptedModel):
        assert answer.text == "pink" and answer.stop_reason is StopReason.ANSWERED
        assert any(
            e.check.agreed and e.span.start_s < 20 and e.span.end_s > 16 for e in answer.evidence
        )


@pytest.mark.parametrize("model", ENDPOINTS, indirect=True)
def test_behind_an_endpoint_nano_answers_as_here(
    model: EndpointModel, nano: ChatModel, star: FrameBatch
) -> None:
    for asked in conversations(star):
        there = model.generate(GenerateRequest([asked], max_new_tokens=40))[0]
        here = nano.generate(GenerateRequest([_as_sent(asked, model)], max_new_tokens=40))[0]
        assert (there.text, there.tokens_in, there.tokens_out) == (
            here.text,
            here.tokens_in,
            here.tokens_out,
        )
        # A clip has gone through a lossy codec, images have not.
        close = 0.05 if model.wire_style.frames_as == "video" else 1e-5
        assert not there.logprobs or there.logprobs == pytest.approx(here.logprobs, abs=close)


def _as_sent(conversation: Conversation, model: EndpointModel) -> Conversation:
    """What an endpoint is sent, in our own words: labelled images, or a clip behind its times."""
    turns = []
    for message in conversation:
        parts: list[TextPart | FramesPart] = []
        for part in message.parts:
            if isinstance(part, TextPart) or part.kind == "image":
                parts.append(part)
            elif model.wire_style.frames_as == "video":
                frames = part.frames
                times = ", ".join(f"{t:.1f}" for t in frames.times_s)
                shifted = replace(frames, times_s=frames.times_s - frames.times_s[0])
                parts += [TextPart(f"<frames at {times} seconds>"), FramesPart(shifted)]
            else:
                for i, time_s in enumerate(part.frames.times_s):
                    still = FramesPart(part_of(part.frames, i), "image")
                    parts += [TextPart(time_label(float(time_s))), still]
        turns.append(Message(message.role, tuple(parts)))
    return turns


@pytest.mark.parametrize("model", ENDPOINTS, indirect=True)
def test_a_box_found_through_an_endpoint_is_nanos_own(
    model: EndpointModel, nano: ChatModel, world: World, tmp_path
) -> None:
    script = world.save(tmp_path / "demo.json")
    span = Video.open(str(script)).info.span
    there, here = (
        Reasoner(one).ground(script, "the pink star", span=replace(span, start_s=16.5, end_s=19.5))
        for one in (model, nano)
    )
    assert there.boxes == here.boxes and len(there.boxes) == 1
