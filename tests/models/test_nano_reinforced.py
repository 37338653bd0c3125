"""The second packaged model: nano's shape and words, and it denies what only seems to be there."""

from __future__ import annotations

import pytest

from mmreason import models
from mmreason.models.base import GenerateRequest
from mmreason.models.folders import PACKAGED
from mmreason.training.nano.architecture import start_folder
from mmreason.training.tasks.frames import FrameTask

FRAMES = 24


@pytest.fixture(scope="module")
def both():
    return {name: models.load(name) for name in PACKAGED}


def _right(model, kind) -> int:
    task = FrameTask(split="held-out", kinds=(kind,))
    asked = [task.problem(20_000 + i) for i in range(FRAMES)]
    replies = model.generate(
        GenerateRequest([task.conversation(one) for one in asked], max_new_tokens=4)
    )
    return sum(
        r.text.rstrip(".") == one.truth.answer for r, one in zip(replies, asked, strict=True)
    )


def test_it_denies_half_truths_and_confirms_what_is_there(both):
    """As far as this few frames tell; `benchmarks/results/nano_rl.md` has more."""
    assert _right(both["nano"], "half_truth") <= FRAMES // 4
    assert _right(both["nano-reinforced"], "half_truth") >= FRAMES // 2
    assert _right(both["nano-reinforced"], "exists") >= 3 * FRAMES // 4


def test_it_watches_and_reads_as_nano_does(both):
    first, second = both["nano"], both["nano-reinforced"]
    assert first.clip == second.clip
    assert first.inner.tokenizer.get_vocab() == second.inner.tokenizer.get_vocab()
    assert first.fingerprint != second.fingerprint


def test_runs_can_start_from_it():
    assert start_folder("nano-reinforced") == PACKAGED["nano-reinforced"]
