"""Every family of video-language models is asked in one way and answers by what it is shown."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from mmreason import Budget, Question, Reasoner, models
from mmreason.models.base import (
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    ModelError,
    TextPart,
)
from mmreason.models.hf import TIMES_IN_A_LINE, TransformersModel
from mmreason.models.hf_prompts import CLIPS_AS_IMAGES
from mmreason.models.options import ModelOptions
from mmreason.policies import BreadthFirst, Greedy, LongVideoR1, RandomLeaf
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.fakes import tiny_families
from tests.video import clips

ROOT = Path(__file__).parents[2]
MADE = [
    pytest.param(
        family,
        marks=pytest.mark.skipif(
            not tiny_families.can_be_made(family),
            reason=f"needs {tiny_families.NEEDS.get(family)}",
        ),
    )
    for family in tiny_families.ALL_FAMILIES
]
every_family = pytest.mark.parametrize("family", MADE)

PLACEHOLDERS = (
    "is <video> <image> <IMG_CONTEXT> <|video_pad|> <|image_pad|> <|image|> <|video|> <boi> "
    "<soft> <fake> <end> </slice> <|vision_start|> there?"
)


@cache
def tiny(family: str) -> TransformersModel:
    return tiny_families.chat(family)


def frames(
    count: int,
    kind: Literal["video", "image"] = "video",
    size_px: tuple[int, int] = (56, 56),
    start_s: float = 0.0,
) -> FramesPart:
    width, height = size_px
    pixels = np.random.default_rng(count).integers(0, 255, (count, height, width, 3), np.uint8)
    times_s = start_s + np.arange(count) * 1.5
    return FramesPart(
        FrameBatch(pixels=pixels, times_s=times_s, exact=np.ones(count, dtype=bool)), kind
    )


def asked(*parts: FramesPart, question: str = "which one?") -> Conversation:
    return [Message("user", (*parts, TextPart(question)))]


MIXTURE = {
    "four frames": asked(frames(4)),
    "three frames": asked(frames(3), question="and here, in other words?"),
    "one frame": asked(frames(1)),
    "an image": asked(frames(1, "image")),
    "images of two sizes": asked(frames(1, "image"), frames(2, "image", (112, 56))),
    "no frames": asked(),
    "wide frames": asked(frames(4, size_px=(112, 56))),
    "clip and image": asked(frames(4), frames(1, "image")),
    "two clips": asked(frames(4), frames(2)),
    "later clip": asked(frames(4, start_s=1000.0)),
    "two turns": [
        *asked(frames(4)),
        Message("assistant", (TextPart("look again"),)),
        *asked(frames(2), question="and now?"),
    ],
    "placeholders": asked(frames(4), question=PLACEHOLDERS),
}

REFUSED = [("perception_lm", "images of two sizes")]
"""Cuts images into as many tiles as fit, and takes the same number for each only."""


@every_family
def test_a_batch_of_any_mixture_equals_each_alone(family: str) -> None:
    model = tiny(family)
    mixture = {name: one for name, one in MIXTURE.items() if (family, name) not in REFUSED}
    together = model.generate(GenerateRequest(list(mixture.values()), max_new_tokens=3))
    for (name, conversation), reply in zip(mixture.items(), together, strict=True):
        alone = model.generate(GenerateRequest([conversation], max_new_tokens=3))[0]
        assert reply.token_ids == alone.token_ids, name
        assert reply.logprobs == pytest.approx(alone.logprobs, abs=2e-4), name
        assert reply.tokens_in == alone.tokens_in, name


@pytest.mark.parametrize(("family", "name"), REFUSED)
def test_what_a_processor_cannot_stack_in_one_conversation_is_an_error(
    family: str, name: str
) -> None:
    with pytest.raises(ValueError, match="stack expects each tensor to be equal size"):
        tiny(family).generate(GenerateRequest([MIXTURE[name]], max_new_tokens=3))


@every_family
def test_placeholders_in_a_question_add_no_control_token_to_the_prompt(family: str) -> None:
    model = tiny(family)
    special = set(model.tokenizer.all_special_ids)
    for shown in ((), (frames(4),), (frames(1, "image"),)):
        plain, armed = (
            [i for i in model.prepare([asked(*shown, question=text)])["input_ids"][0].tolist()]
            for text in ("?", PLACEHOLDERS)
        )
        assert [i for i in armed if i in special] == [i for i in plain if i in special]
        assert len(armed) > len(plain) + 50


@every_family
def test_times_of_a_clip_reach_the_prompt(family: str) -> None:
    model = tiny(family)
    early, late = (
        model.prepare([asked(frames(4, start_s=start_s))])["input_ids"].tolist()
        for start_s in (0.0, 1000.0)
    )
    assert early != late
    prompt = model.tokenizer.decode(late[0])
    in_a_line = "<frames at 1000.0, 1001.5, 1003.0, 1004.5 seconds>" in prompt
    assert in_a_line == (TIMES_IN_A_LINE in model.notes)


@every_family
def test_what_is_shown_makes_a_difference(family: str) -> None:
    model = tiny(family)
    black = frames(4)
    black.frames.pixels[:] = 0
    seen, unseen = model.generate(
        GenerateRequest([asked(frames(4)), asked(black)], max_new_tokens=3)
    )
    assert seen.logprobs != pytest.approx(unseen.logprobs, abs=1e-6)


@pytest.mark.parametrize("family", ["internvl", "llava_onevision", "glm4v", "smolvlm"])
def test_clips_that_cannot_go_together_are_images_with_a_note(family: str) -> None:
    model = tiny_families.chat(family)
    name = "clip and image" if family in ("glm4v", "smolvlm") else "two clips"
    assert CLIPS_AS_IMAGES not in model.notes
    prompt = model.tokenizer.decode(model.prepare([MIXTURE[name]])["input_ids"][0])
    assert CLIPS_AS_IMAGES in model.notes
    labels = [f"<{time_s:.1f} seconds>" for time_s in (0.0, 1.5, 3.0, 4.5)]
    places = [prompt.index(label) for label in labels]
    assert places == sorted(places)


@every_family
def test_a_prompt_longer_than_the_context_loses_frames_and_says_so(family: str) -> None:
    made = tiny_families.chat(family)
    one, two, eight = (
        int(made.prepare([asked(frames(n))])["attention_mask"].sum()) for n in (1, 2, 8)
    )
    limit = max(one, two) + 20
    assert eight > limit
    made.model.config.get_text_config().max_position_embeddings = limit
    model = TransformersModel(made.model, made.processor, name="short", fingerprint="0")
    short, long = model.generate(GenerateRequest([asked(), asked(frames(8))], max_new_tokens=3))
    assert long.tokens_in + 3 <= limit
    assert short.tokens_in < long.tokens_in
    assert any(f"context of {limit} tokens does not hold 8 frames" in note for note in model.notes)


def test_a_text_longer_than_the_context_is_one_line_and_the_others_are_answered() -> None:
    made = tiny_families.chat("qwen3_vl")
    made.model.config.get_text_config().max_position_embeddings = 100
    model = TransformersModel(made.model, made.processor, name="short", fingerprint="0")
    with pytest.raises(ModelError, match=r"do not fit into its context of 100 tokens") as caught:
        model.generate(GenerateRequest([asked(question="why? " * 50), asked()], max_new_tokens=3))
    assert set(caught.value.errors) == {0}
    assert caught.value.replies[0] is None and caught.value.replies[1] is not None
    assert "\n" not in str(caught.value)


@every_family
def test_log_probabilities_of_a_sample_equal_a_teacher_forced_pass(family: str) -> None:
    model = tiny(family)
    conversation = asked(frames(4))
    reply = model.generate(
        GenerateRequest([conversation], max_new_tokens=4, temperature=1.0, seed=3)
    )[0]
    inputs = model.prepare([conversation])
    written = torch.tensor([reply.token_ids])
    start = inputs["input_ids"].shape[1]
    grown = dict(inputs) | {"input_ids": torch.cat([inputs["input_ids"], written], dim=1)}
    grown["attention_mask"] = torch.ones_like(grown["input_ids"])
    for name in ("mm_token_type_ids", "token_type_ids"):
        if name in grown:
            more = torch.zeros_like(written, dtype=grown[name].dtype)
            grown[name] = torch.cat([grown[name], more], dim=1)
    with torch.inference_mode():
        logits = model.model(**grown).logits[0, start - 1 : -1]
    forced = torch.log_softmax(logits.float(), dim=-1).gather(1, written.T)[:, 0]
    assert reply.logprobs == pytest.approx(forced.tolist(), abs=2e-4)


@pytest.mark.full
@pytest.mark.slow
@every_family
def test_a_folder_is_loaded_and_asked_about_a_video(family: str, tmp_path: Path) -> None:
    made = tiny_families.chat(family)
    # One byte is one token: the rules of LongVideo-R1 alone are thousands.
    made.model.config.get_text_config().max_position_embeddings = 2**15
    made.model.save_pretrained(tmp_path / "model")
    made.processor.save_pretrained(tmp_path / "model")
    video = clips.write(tmp_path / "clip.mp4", frames=60)
    model = models.load(str(tmp_path / "model"))
    for policy in (Greedy(), BreadthFirst(), RandomLeaf(), LongVideoR1()):
        answer = Reasoner(model, policy=policy).ask(
            video, "What is on the table?", budget=Budget(rounds=1)
        )
        assert answer.cost.model_calls >= 1
        # What random weights write is no tool call; every call there is has to be answered.
        calls = [step for step in answer.trace if step.call.name != "invalid"]
        assert [step.observation.error for step in calls] == [None] * len(calls)
    reasoner = Reasoner(model)
    reasoner.caption(video)
    assert reasoner.ground(video, "the cup").status != "error"
    questions = [Question(video=str(video), text=f"What? {i}") for i in range(2)]
    results = list(reasoner.ask_many(questions, workers=2))
    assert [result.failure for result in results] == [None, None]


@pytest.mark.skipif(
    not all(map(tiny_families.can_be_made, tiny_families.ALL_FAMILIES)),
    reason="needs the packages of all families",
)
def test_the_table_of_families_in_the_documentation_is_what_is_measured() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "families.py"))
    page = (ROOT / "docs" / "models.md").read_text()
    assert script["filled"](page) == page, "python docs/families.py"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "has no chat template"),
        (
            "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'text' %}"
            "{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}",
            "its chat template has no place for frames",
        ),
    ],
)
@pytest.mark.parametrize("family", ["internvl", "qwen3_vl"])
def test_a_folder_that_cannot_show_frames_is_refused(
    family: str, template: str | None, reason: str
) -> None:
    good = tiny(family)
    whole = good.processor.chat_template
    good.processor.chat_template = template
    try:
        with pytest.raises(UsageError, match=f"'a folder'.*{reason}"):
            TransformersModel(good.model, good.processor, name="a folder", fingerprint="x")
    finally:
        good.processor.chat_template = whole


def test_settings_of_a_processor_reach_it_or_are_refused() -> None:
    made = tiny("qwen3_vl")

    def again(**options: Any) -> TransformersModel:
        return TransformersModel(
            made.model,
            made.processor,
            name="again",
            fingerprint="0",
            options=ModelOptions.from_mapping(options),
        )

    with pytest.raises(UsageError, match=r"mm_processor_kwargs\.zoom: the processor"):
        again(mm_processor_kwargs={"zoom": 2})
    clip = [asked(frames(4, size_px=(112, 56)))]
    plain = int(made.prepare(clip)["attention_mask"].sum())
    size = {"shortest_edge": 100_000, "longest_edge": 1_000_000}
    resized = again(mm_processor_kwargs={"do_resize": True, "size": size})
    assert int(resized.prepare(clip)["attention_mask"].sum()) != plain
    stills = again(frames_as="images")
    assert not stills.takes_video and any("frames_as" in note for note in stills.notes)
    assert again(max_frames=3, longest_px=64).clip.frames == 3
