"""Training on text samples: mask, steps of one play as one row, exact resume, a falling loss."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmreason.cli import main
from mmreason.training.nano.architecture import (
    build_model,
    build_processor,
    build_tokenizer,
    load_weights,
    save_pretrained,
)
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.dialogues import Dialogues, join_steps
from mmreason.training.nano.learner import Learner, forward_packed
from mmreason.training.nano.packing import IGNORED
from mmreason.training.nano.train import train_nano
from mmreason.types import UsageError

TURNS = [
    ("user", "What colour is the star?\n(1) a red star.\n(2) a blue ring."),
    ("assistant", "<think>star: red star</think><tool>open((1))</tool>"),
    ("user", "<information>(1, 1) a red star.</information>"),
    ("assistant", "<think>star: red</think><answer>red</answer>"),
]


def _row(turns: list[tuple[str, str]], play: str) -> str:
    messages = [{"role": role, "content": text} for role, text in turns]
    train = [False] * (len(turns) - 1) + [True]
    return json.dumps({"play": play, "messages": messages, "train": train})


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("dialogues") / "samples.jsonl"
    other = [("user", "Which word is last?\n(1) GO."), ("assistant", "<answer>GO</answer>")]
    rows = [_row(TURNS[:2], "a"), _row(TURNS, "a"), _row(other, "b")]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def tokenizer(tiny_config):
    return build_tokenizer(tiny_config)


@pytest.fixture(scope="module")
def untrained(tiny_config, tokenizer, tmp_path_factory) -> Path:
    """A model folder to start from, so that no run has to learn a tokenizer."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("untrained")
    model = build_model(tiny_config.architecture, tokenizer)
    save_pretrained(model, build_processor(tiny_config, tokenizer), folder)
    (folder / "mmreason.json").write_text('{"trained_steps": 2}')
    return folder


@pytest.fixture(scope="module")
def config(tiny_config, file, untrained) -> NanoConfig:
    stage = Stage(share=1.0, image_share=0.5, dialogue_share=0.5)
    return replace(tiny_config, start=str(untrained), dialogues=str(file), stages=(stage,))


def _load(path: Path, tokenizer, longest: int = 512) -> Dialogues:
    return Dialogues.load(path, tokenizer, batch_tokens=1024, longest=longest)


def test_only_the_assistants_turns_are_learnt(file, tokenizer):
    """Every turn that some sample ends with, and nothing else."""
    batch = _load(file, tokenizer).batch(random.Random(0))
    texts = []
    for row in range(len(batch.targets)):
        wanted = batch.targets[row] != IGNORED
        texts.append(tokenizer.decode(batch.targets[row][wanted]))
        following = torch.roll(batch.input_ids[row], -1)
        assert torch.equal(following[wanted], batch.targets[row][wanted])
    learnt = TURNS[1][1] + "<|im_end|>" + TURNS[3][1] + "<|im_end|>"
    assert sorted(texts) == sorted([learnt, "<answer>GO</answer><|im_end|>"])


def test_the_tokens_are_those_of_the_chat_template(file, tokenizer, tiny_config):
    processor = build_processor(tiny_config, tokenizer)
    messages = [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in TURNS]
    text = processor.apply_chat_template(messages, tokenize=False)
    batch = _load(file, tokenizer).batch(random.Random(0))
    row = max(batch.input_ids, key=lambda ids: int((ids != 0).sum()))
    expected = tokenizer(text).input_ids
    assert row[: len(expected)].tolist() == expected


@torch.no_grad()
def test_joined_steps_are_predicted_as_each_alone(file, tokenizer, tiny_config):
    """The loss of a play's row is that of its samples, one by one, on the stock model."""
    torch.manual_seed(0)
    model = build_model(tiny_config.architecture, tokenizer).eval()
    batch = _load(file, tokenizer).batch(random.Random(0))
    hidden, visual = forward_packed(model, batch)
    assert visual is None
    for row, (messages, _) in zip((1, 0), join_steps(file), strict=True):
        for end in (i + 1 for i, (role, _) in enumerate(messages) if role == "assistant"):
            text = "".join(f"<|im_start|>{r}\n{t}<|im_end|>\n" for r, t in messages[:end])
            ids = torch.tensor([tokenizer(text).input_ids])
            alone = model(input_ids=ids).logits[0]
            together = model.lm_head(hidden[row])[: ids.shape[1]]
            torch.testing.assert_close(together, alone, atol=2e-4, rtol=2e-4)


def test_too_long_dialogues_are_left_out(file, tokenizer):
    assert _load(file, tokenizer).left_out == 0
    longest = max(len(d.ids) for batch in _load(file, tokenizer).batches for d in batch)
    assert _load(file, tokenizer, longest=longest - 1).left_out == 1
    with pytest.raises(UsageError, match="no dialogue of at most 3 tokens"):
        _load(file, tokenizer, longest=3)


def test_a_few_steps_lower_the_loss(config, tokenizer, file):
    torch.manual_seed(0)
    faster = replace(config, steps=40, matrix_lr=5e-3, other_lr=5e-3)
    learner = Learner(build_model(config.architecture, tokenizer), faster)
    batch = _load(file, tokenizer).batch(random.Random(0))
    losses = [learner.step(batch, step)["answer_loss"] for step in range(40)]
    assert losses[-1] < 0.5 * losses[0]


def test_a_mixed_run_resumes_exactly_and_logs_what_it_saw(config, tmp_path):
    done: list[int] = []
    for progress in train_nano(
        config, tmp_path / "cut", workers=0, should_stop=lambda: len(done) == 2
    ):
        done.append(progress.step)
    list(train_nano(config, tmp_path / "cut", workers=0))
    list(train_nano(config, tmp_path / "whole", workers=0))
    saved = [
        torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("cut", "whole")
    ]
    first, second = (one["learner"]["master"] for one in saved)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    log = [json.loads(x) for x in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert {row["shown"] for row in log} >= {"text"} and len({row["shown"] for row in log}) > 1


def test_a_run_goes_on_from_a_model_folder(config, untrained, tokenizer, tmp_path):
    """Weights, tokenizer and count of steps are taken over; another architecture is refused."""
    settings = tmp_path / "settings.json"
    settings.write_text(replace(config, start=None, steps=1).to_json())
    words = ["train", "nano", "--config", str(settings), "--out", str(tmp_path / "run")]
    assert main([*words, "--start", str(untrained)]) == 0
    made = tmp_path / "run" / "model"
    assert json.loads((made / "mmreason.json").read_text())["trained_steps"] == 3
    assert (made / "tokenizer.json").read_text() == (untrained / "tokenizer.json").read_text()
    model = build_model(config.architecture, tokenizer)
    load_weights(model, str(untrained))
    stored = load_file(untrained / "model.safetensors")
    same = [torch.equal(value, stored[name].float()) for name, value in model.named_parameters()]
    assert len(same) > 20 and all(same)
    wider = replace(config.architecture, text_mlp=96)
    with pytest.raises(UsageError, match="architecture is not the config's"):
        load_weights(build_model(wider, tokenizer), str(untrained))
    with pytest.raises(UsageError, match="cannot start from"):
        list(train_nano(replace(config, start=str(tmp_path)), tmp_path / "none", workers=0))


def test_a_run_refuses_other_samples_and_none(config, tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text(Path(str(config.dialogues)).read_text())
    mine = replace(config, steps=2, dialogues=str(path))
    list(train_nano(mine, tmp_path / "run", workers=0))
    path.write_text(path.read_text() + _row(TURNS, "c") + "\n")
    with pytest.raises(UsageError, match="is not the file"):
        list(train_nano(mine, tmp_path / "run", workers=0))
    with pytest.raises(UsageError, match="names no dialogues"):
        list(train_nano(replace(config, dialogues=None), tmp_path / "none", workers=0))
