"""Clips with fewer visual tokens: what is read, where it stands, and what is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmreason.models import FramesPart, GenerateRequest, Message, ModelOptions, TextPart, load
from mmreason.models.hf import TransformersModel
from mmreason.models.nano_model import NanoModel
from mmreason.models.pruned_clips import check_prunable, prune_prompts, pruned_clips
from mmreason.types import UsageError
from mmreason.video import FrameBatch
from mmreason.video.encoders.pruning import PruneSettings
from tests.fakes import tiny_families

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")
HALF = PruneSettings("evs", 0.5)


def make_clip(frames: int, side_px: int, seed: int, kind: Any = "video") -> FramesPart:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, side_px, side_px, 3), np.uint8)
    return FramesPart(
        FrameBatch(
            pixels=pixels, times_s=np.arange(frames) * 1.0, exact=np.ones(frames, dtype=bool)
        ),
        kind,
    )


def ask(*parts: FramesPart, text: str = "what is that?") -> list[Message]:
    return [Message("user", (*parts, TextPart(text)))]


@pytest.fixture(scope="module", params=FAMILIES)
def chat(request) -> TransformersModel:
    return tiny_families.chat(request.param)


@pytest.fixture(scope="module")
def inputs(chat) -> Any:
    """Two rows of different lengths, the first with two clips and a picture."""
    side = chat._writer.factor * 2
    first = ask(
        make_clip(8, side, 0), make_clip(1, side, 1, "image"), make_clip(4, side, 2), text="who?"
    )
    return chat.prepare([first, ask(make_clip(6, 2 * side, 3))])


@torch.no_grad()
def test_keeping_all_changes_nothing(chat, inputs):
    whole = chat.model(**inputs).logits
    with pruned_clips(chat.model, inputs, PruneSettings("evs", 1.0)) as pruned:
        assert torch.equal(chat.model(**pruned).logits, whole)
        again = chat.model.generate(**pruned, max_new_tokens=4, do_sample=False)
    assert torch.equal(again, chat.model.generate(**inputs, max_new_tokens=4, do_sample=False))


@pytest.mark.parametrize("method", ["evs", "dycoke"])
@torch.no_grad()
def test_what_is_left_is_read_as_if_the_rest_were_masked(chat, inputs, method):
    if chat.model.config.model_type == "qwen3_5":
        pytest.skip("its linear attention has no mask that hides a token from those behind it")
    prompts = prune_prompts(chat.model, inputs, PruneSettings(method, 0.5))
    # The oracle: all tokens at their places, those that were dropped hidden from everybody.
    positions, _ = chat.model.model.get_rope_index(
        **{k: v for k, v in inputs.items() if "pixel" not in k}
    )
    left = torch.zeros_like(inputs["attention_mask"])
    for row, mask in enumerate(inputs["attention_mask"].tolist()):
        kept = prompts.positions[:, row, prompts.inputs["attention_mask"][row].bool()].T.tolist()
        # Positions tell the tokens of a row apart: three axes, and text is on the diagonal.
        places = set(map(tuple, kept))
        columns = zip(mask, positions[:, row].T.tolist(), strict=True)
        left[row] = torch.tensor([bool(real) and tuple(p) in places for real, p in columns])
        assert int(left[row].sum()) == len(kept), "positions that are not unique"
    masked = chat.model(**{**inputs, "attention_mask": left}, position_ids=positions).logits
    with pruned_clips(chat.model, inputs, PruneSettings(method, 0.5)) as pruned:
        logits = chat.model(**pruned).logits
    kept = pruned["attention_mask"].bool()
    torch.testing.assert_close(logits[kept], masked[left.bool()], atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_a_row_is_answered_as_it_is_alone(chat, inputs):
    side = chat._writer.factor * 2
    alone = chat.prepare([ask(make_clip(6, 2 * side, 3))])
    with pruned_clips(chat.model, alone, HALF) as one:
        expected = chat.model(**one).logits[0, -1]
    with pruned_clips(chat.model, inputs, HALF) as two:
        torch.testing.assert_close(chat.model(**two).logits[1, -1], expected, atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_what_is_written_goes_on_from_the_end_of_the_whole_clip(chat, inputs):
    prompts = prune_prompts(chat.model, inputs, HALF)
    with pruned_clips(chat.model, inputs, HALF) as pruned:
        first = chat.model.generate(**pruned, max_new_tokens=3, do_sample=False)
        # The same with the tokens written so far as part of the prompt, in one forward pass.
        width = pruned["input_ids"].shape[1]
        written = first[:, width:]
        longer = {
            **pruned,
            "input_ids": first[:, :-1],
            "attention_mask": torch.cat(
                [pruned["attention_mask"], torch.ones_like(written[:, :-1])], dim=1
            ),
            "mm_token_type_ids": torch.cat(
                [pruned["mm_token_type_ids"], torch.zeros_like(written[:, :-1])], dim=1
            ),
        }
        behind = (
            width
            + torch.arange(2)
            + prompts.deltas
            - (width - pruned["attention_mask"].sum(dim=1, keepdim=True))
        )
        positions = torch.cat([prompts.positions, behind.expand(3, -1, -1)], dim=2)
        logits = chat.model(**longer, position_ids=positions).logits
    assert torch.equal(logits[:, width - 1 :].argmax(dim=-1), written)


def test_gradients_reach_the_eyes_through_what_was_kept(chat, inputs):
    with pruned_clips(chat.model, inputs, PruneSettings("tome", 0.5)) as pruned:
        chat.model(**pruned).logits.square().mean().backward()
    grads = [p.grad for p in chat.model.model.visual.parameters() if p.grad is not None]
    assert any(bool(grad.abs().sum() > 0) for grad in grads)
    chat.model.zero_grad()


def test_a_reply_counts_the_tokens_that_were_read(chat):
    whole = TransformersModel(
        chat.model, chat.processor, name="tiny", fingerprint="a", options=ModelOptions()
    )
    halved = TransformersModel(
        chat.model,
        chat.processor,
        name="tiny",
        fingerprint="a",
        options=ModelOptions(prune="evs:0.5"),
    )
    request = GenerateRequest([ask(make_clip(8, chat._writer.factor * 2, 0))], max_new_tokens=2)
    (full,), (half,) = whole.generate(request), halved.generate(request)
    assert full.tokens_visual == 2 * half.tokens_visual
    assert full.tokens_in - half.tokens_in == half.tokens_visual
    assert "50% of the visual tokens of a clip are read: prune=evs:0.5" in halved.notes
    assert halved.fingerprint != whole.fingerprint
    told = f"prune=evs:0.5: {half.tokens_visual} of {full.tokens_visual} visual tokens were read"
    assert told in half.note and not full.note


def test_conversations_without_clips_are_asked_as_they_are(chat):
    inputs = chat.prepare([ask(make_clip(1, chat._writer.factor * 2, 0, "image"))])
    with pruned_clips(chat.model, inputs, HALF) as pruned:
        assert pruned is inputs


def test_other_families_are_refused_by_name():
    chat = tiny_families.chat("internvl")
    with pytest.raises(UsageError, match=r"prune=evs:0\.5: clips of model 'tiny' \(internvl\)"):
        check_prunable(chat.model, HALF, "tiny", takes_video=True)


def test_nano_takes_the_option_and_a_server_does_not():
    assert load("nano", options={"prune": "evs:0.5"}).notes
    with pytest.raises(UsageError, match="option prune: of models of this process"):
        load("http://127.0.0.1:9/v1", options={"prune": "evs:0.5"})
    with pytest.raises(UsageError, match=r"option prune: expected .* got 'evs'"):
        load("nano", options={"prune": "evs"})


def test_a_second_question_does_not_look_again():
    nano = load("nano")
    assert isinstance(nano, NanoModel)
    tower = nano.inner.model.model.visual
    calls = []
    tower.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    clip = make_clip(4, 224, 0)

    def ask_now(model: Any, text: str) -> Any:
        request = GenerateRequest([ask(clip, text=text)], max_new_tokens=8)
        return model.inner.generate(request)

    first, second = ask_now(nano, "what shape?"), ask_now(nano, "what colour?")
    assert len(calls) == 1
    without = load("nano", options={"vision_cache_mb": 0})
    assert isinstance(without, NanoModel)
    assert [first, second] == [ask_now(without, "what shape?"), ask_now(without, "what colour?")]
    # Weights that were changed since see for themselves.
    with torch.no_grad():
        tower.merger.linear_fc2.weight.mul_(0.5)
    assert ask_now(nano, "what colour?") != second and len(calls) == 2
