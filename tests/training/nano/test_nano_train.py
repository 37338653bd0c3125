"""Training nano: exact resume, wherever it was killed; what is written; what is refused."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmreason import models
from mmreason.cli import main
from mmreason.models.nano_model import NanoModel
from mmreason.training.nano.cli import PACKAGED_CONFIG
from mmreason.training.nano.config import NanoConfig
from mmreason.training.nano.examples import (
    LABELS,
    OUTSIDE_ANSWER,
    box_answer,
    make_clip_example,
    make_image_example,
)
from mmreason.training.nano.train import Batches, train_nano
from mmreason.types import UsageError


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["learner"]["master"]


@pytest.fixture(scope="module")
def whole_run(tiny_config, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    steps = [p.step for p in train_nano(tiny_config, out, workers=0)]
    assert steps == [1, 2, 3, 4, 5, 6]
    return out


def test_a_killed_run_continues_to_the_same_weights(tiny_config, whole_run, tmp_path):
    """SIGKILL after step 5, with the checkpoint of step 4 on disk."""
    out = tmp_path / "killed"
    (tmp_path / "config.json").write_text(tiny_config.to_json())
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from mmreason.training.nano.config import NanoConfig\n"
        "from mmreason.training.nano.train import train_nano\n"
        "for p in train_nano(NanoConfig.load(Path(sys.argv[1])), Path(sys.argv[2]), workers=0):\n"
        "    if p.step == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "config.json"), str(out)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [p.step for p in train_nano(tiny_config, out, workers=0)] == [5, 6]
    expected = _weights(whole_run)
    for name, value in _weights(out).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.full
def test_the_number_of_workers_changes_nothing(tiny_config, whole_run, tmp_path):
    for _ in train_nano(tiny_config, tmp_path, workers=1):
        pass
    expected = _weights(whole_run)
    assert all(torch.equal(v, expected[k]) for k, v in _weights(tmp_path).items())


def test_the_model_folder_loads_like_a_hub_model(tiny_config, whole_run):
    folder = whole_run / "model"
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    assert type(model).__name__ == "Qwen3VLForConditionalGeneration"
    assert model.dtype == torch.bfloat16
    stored = _weights(whole_run)["model.model.visual.blocks.0.attn.qkv.weight"]
    torch.testing.assert_close(model.model.visual.blocks[0].attn.qkv.weight, stored.bfloat16())
    recipe = json.loads((folder / "mmreason.json").read_text())
    assert recipe["clip_size_px"] == list(tiny_config.size_px)
    assert recipe["trained_steps"] == 6
    guarded = models.load(str(folder))
    assert isinstance(guarded, NanoModel) and not guarded.calibrated
    odd = "naïve Überraschung 你好 \N{GRINNING FACE}"
    assert processor.tokenizer.decode(processor.tokenizer(odd).input_ids) == odd


@pytest.mark.parametrize("name", ["declines.json", "declines_reinforced.json"])
def test_recipes_of_declines_show_all_kinds_beside_worlds(name):
    config = NanoConfig.load(PACKAGED_CONFIG.with_name(name))
    (stage,) = config.stages
    assert stage.outside_kinds == "all" and 0.2 < stage.outside_share < 0.5
    assert config.checkpoint_every < config.steps


@pytest.mark.full
def test_a_run_that_is_stopped_early_keeps_every_step(tiny_config, whole_run, tmp_path):
    """Stopped after three steps, between checkpoints; the log holds every step once."""
    done: list[int] = []
    for progress in train_nano(
        tiny_config, tmp_path, workers=0, should_stop=lambda: len(done) == 2
    ):
        done.append(progress.step)
    assert done == [1, 2, 3]
    assert [p.step for p in train_nano(tiny_config, tmp_path, workers=0)] == [4, 5, 6]
    expected = _weights(whole_run)
    assert all(torch.equal(v, expected[k]) for k, v in _weights(tmp_path).items())
    log = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log == list(range(6))


def test_ctrl_c_ends_the_step_and_saves_it(tiny_config, tmp_path):
    """SIGINT in the third step: exit 130, one line, a checkpoint of exactly three steps."""
    (tmp_path / "config.json").write_text(replace(tiny_config, steps=50).to_json())
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # as at a terminal
        "from mmreason.cli import main\n"
        "from mmreason.training.nano.learner import Learner\n"
        "step = Learner.step\n"
        "def interrupted(self, batch, number):\n"
        "    if number == 2: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self, batch, number)\n"
        "Learner.step = interrupted\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "nano", *words],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip() == "interrupted"
    assert torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["step"] == 3


def test_another_config_in_the_same_folder_is_refused(tiny_config, whole_run):
    with pytest.raises(UsageError, match="another config"):
        next(iter(train_nano(replace(tiny_config, seed=8), whole_run, workers=0)))


@pytest.mark.full
def test_loss_falls_on_one_repeated_batch(tiny_config):
    from mmreason.training.nano.architecture import build_model, build_tokenizer
    from mmreason.training.nano.learner import Learner

    torch.manual_seed(0)
    config = replace(tiny_config, steps=100, warmup_steps=1)
    tokenizer = build_tokenizer(config)
    learner = Learner(build_model(config.architecture, tokenizer), config)
    batch = Batches(config, tokenizer)[0]
    losses = [learner.step(batch, 1)["answer_loss"] for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("not json", "not a nano config"),
        ('{"steps": 3, "speed": 9}', "unknown key"),
        ('{"architecture": {"depth": 3}}', "unknown key"),
    ],
)
def test_a_wrong_config_file_is_one_clear_error(tmp_path, capsys, text, complaint):
    path = tmp_path / "config.json"
    path.write_text(text)
    code = main(["train", "nano", "--config", str(path), "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert code == 2
    assert complaint in error and str(path) in error and len(error.splitlines()) == 1


def test_the_command_trains_and_says_where_the_model_is(tiny_config, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(replace(tiny_config, steps=2).to_json())
    command = ["train", "nano", "--config", str(path), "--out", str(tmp_path / "run"), "--json"]
    assert main(command) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["steps"] == done["of"] == 2
    assert main(command) == 0, "nothing is left to do"
    assert json.loads(capsys.readouterr().out) == done
    assert (Path(done["model"]) / "model.safetensors").is_file()


def test_the_packaged_settings_are_the_defaults():
    from mmreason.training.nano.cli import PACKAGED_CONFIG

    assert NanoConfig.load(PACKAGED_CONFIG) == NanoConfig()
    assert sum(stage.share for stage in NanoConfig().stages) == pytest.approx(1.0)


def test_dense_targets_lie_where_the_actors_are(tiny_config):
    config = replace(tiny_config, size_px=(144, 80))
    seen = 0
    for seed in range(12):
        example = make_clip_example(random.Random(seed), config, config.stages[0])
        shapes = example.labels["shape"]
        assert shapes.shape == (2, 5, 9)
        for name, values in LABELS.items():
            assert example.labels[name].max() <= len(values)
            assert ((example.labels[name] == 0) == (shapes == 0)).all()
        rows, columns = np.nonzero(shapes[0])
        for row, column in zip(rows, columns, strict=True):
            x1, y1, x2, y2 = example.boxes[0, row, column]
            if x2 <= x1:
                continue
            # The token's own square must meet the box of the actor it is said to show.
            assert x1 * 9 < column + 1 and x2 * 9 > column, (x1, x2, column)
            assert y1 * 5 < row + 1 and y2 * 5 > row
            seen += 1
    assert seen > 20


def test_examples_answer_as_the_formats_say(tiny_config):
    stage = replace(tiny_config.stages[0], outside_share=1.0)
    example = make_image_example(random.Random(1), tiny_config, stage)
    assert {answer for _, answer in example.dialogue} == {OUTSIDE_ANSWER}
    assert box_answer((0.1234, 0.2, 0.5, 1.0), "red star") == (
        '```json\n[{"bbox_2d": [120, 200, 500, 1000], "label": "red star"}]\n```'
    )
    assert box_answer(None, "red star") == "```json\n[]\n```"
