"""Prompts whose frames are made ready by us are those of the model's own processor."""

from __future__ import annotations

import pytest
import torch

from mmreason.models.hf import OWN_PIXELS
from mmreason.video.encoders.preprocess import UnknownProcessor, processors
from tests.fakes import tiny_families
from tests.models.test_families import asked, frames

WITHOUT_A_NOTE = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "internvl")
"""Families all of whose frames are made ready by us."""
CONVERSATIONS = {
    "a clip": asked(frames(4)),
    "three odd frames": asked(frames(3, size_px=(67, 101))),
    "one frame": asked(frames(1)),
    "pictures of two sizes": asked(frames(1, "image"), frames(1, "image", (113, 57))),
    "a wide clip": asked(frames(4, size_px=(112, 56))),
}


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=() if family in WITHOUT_A_NOTE else pytest.mark.full)
        for family in tiny_families.ALL_FAMILIES
        if tiny_families.can_be_made(family)
    ],
)
def test_prompts_equal_those_of_the_models_own_processor(family, monkeypatch):
    chat = tiny_families.chat(family)
    made = []
    prepare = processors.preprocess_frames
    monkeypatch.setattr(
        processors,
        "preprocess_frames",
        lambda *arguments, **settings: made.append(1) or prepare(*arguments, **settings),
    )
    ours = {name: chat.prepare([turns]) for name, turns in CONVERSATIONS.items()}
    notes = [note for note in chat.notes if note.startswith(OWN_PIXELS)]
    # Each family is ours, or says that it is not; a processor that is ours in part does both.
    assert made or notes
    if family in WITHOUT_A_NOTE:
        assert made and not notes
    count = len(made)
    monkeypatch.setattr(processors, "recipe_of", lambda *_: UnknownProcessor("for this test"))
    for name, turns in CONVERSATIONS.items():
        theirs = chat.prepare([turns])
        assert list(theirs) == list(ours[name])
        for key, value in theirs.items():
            assert torch.equal(torch.as_tensor(ours[name][key]), torch.as_tensor(value)), key
    assert len(made) == count
