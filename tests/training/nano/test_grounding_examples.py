"""What nano learns of referring expressions: answers are true, in the taught form, and of seeds
that no test uses."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from transformers import AutoProcessor

from mmreason.grounding import Dialect, GroundingStatus, parse_boxes
from mmreason.grounding.refadv import TRAINING_SEEDS
from mmreason.models.nano_expressions import understand_referring
from mmreason.training.nano.architecture import start_folder
from mmreason.training.nano.cli import PACKAGED_CONFIG
from mmreason.training.nano.config import NanoConfig, Stage
from mmreason.training.nano.examples import CAPTION_PROMPT
from mmreason.training.nano.grounding_examples import (
    PROMPTS,
    draw_item,
    make_still_example,
    make_tube_example,
)
from mmreason.training.nano.muon import Float32Muon, orthogonalise
from mmreason.training.nano.packing import slice_times
from mmreason.training.nano.train import Batches, write_recipe
from mmreason.training.rewards import Frame, from_turns

STAGE = Stage(share=1.0, image_share=0.5, grounding_share=1.0)
CONFIG = NanoConfig(size_px=(144, 80))


def _pairs(make, count: int):
    for index in range(count):
        example = make(random.Random(index), CONFIG, STAGE)
        for question, answer in example.dialogue:
            if question != CAPTION_PROMPT:
                yield example, question, answer


def test_answers_about_pictures_are_read_back_and_all_are_taught_expressions():
    statuses = set()
    for _, question, answer in _pairs(make_still_example, 12):
        read = parse_boxes(answer, Dialect.NORM_1000, (144, 80))
        statuses.add(read.status)
        assert read.status in (GroundingStatus.FOUND, GroundingStatus.NONE)
        expression = question.removeprefix("Locate the ").removesuffix(". Output its bbox in JSON.")
        assert understand_referring(expression, moving=False) == expression
    assert statuses == {GroundingStatus.FOUND, GroundingStatus.NONE}


def test_tubes_are_said_at_the_times_before_the_slices_last_first():
    for example, question, answer in _pairs(make_tube_example, 4):
        expression = question.removeprefix("Track the ").removesuffix(". Output its boxes in JSON.")
        assert understand_referring(expression, moving=True) == expression
        tube = from_turns([answer], frame=Frame(size_px=(144, 80))).tube
        assert tube is not None
        stamps = [f"{time_s:.1f}" for time_s in slice_times(example.times_s)]
        said = [f"{mark.time_s:.1f}" for mark in tube]
        assert said in ([], stamps)
        places = [answer.find(f'"time": {stamp}') for stamp in stamps]
        assert not tube or places == sorted(places, reverse=True)


def test_seeds_are_those_of_training():
    seeds = [draw_item(random.Random(i), "image", STAGE).world.seed for i in range(20)]
    assert min(seed or 0 for seed in seeds) >= TRAINING_SEEDS


def test_batches_of_grounding_are_a_function_of_their_step():
    tokenizer = AutoProcessor.from_pretrained(start_folder("nano")).tokenizer
    batches = Batches(replace(CONFIG, image_batch=2, stages=(STAGE,)), tokenizer)
    first, again = batches[0], batches[0]
    assert torch.equal(first.input_ids, again.input_ids)
    assert torch.equal(first.patches, again.patches)


def test_a_model_that_learnt_grounding_says_so_and_how_it_tracks():
    stills = replace(CONFIG, stages=(replace(STAGE, image_share=1.0),))
    assert write_recipe(stills, 1)["reads_expressions"] is True
    assert "prompts" not in write_recipe(stills, 1), "of clips it knows nothing"
    clips = replace(CONFIG, stages=(STAGE,))
    assert write_recipe(clips, 1)["prompts"] == {"track": PROMPTS.track}
    assert "reads_expressions" not in write_recipe(CONFIG, 1)


def test_the_recipe_of_grounding_keeps_what_nano_knows():
    config = NanoConfig.load(PACKAGED_CONFIG.with_name("grounding.json"))
    (stage,) = config.stages
    assert config.compute == "float32"
    assert 0.8 <= stage.grounding_share < 1 and stage.outside_share > 0


def test_muon_in_float32_makes_the_step_of_the_one_in_torch():
    torch.manual_seed(0)
    start, gradient = torch.randn(48, 32), torch.randn(48, 32)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    first = Float32Muon([ours], lr=0.01, weight_decay=0.1)
    second = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    # Theirs iterates in bfloat16.
    assert torch.allclose(ours, theirs, atol=2e-3)
    values = torch.linalg.svdvals(orthogonalise(gradient))
    assert values.min() > 0.5 and values.max() < 1.4
