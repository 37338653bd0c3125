"""The measurement itself, with models whose right and wrong answers are known."""

from __future__ import annotations

import json

import pytest

from mmreason.evaluation.card import model_card
from mmreason.evaluation.decline_sources import list_drawn_sources
from mmreason.evaluation.declines import measure_declines
from mmreason.evaluation.nano import by_family, held_out_world, measure_nano
from mmreason.evaluation.scoring import Proportion
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.video.world.questions import make_questions
from mmreason.video.world.truth import write_caption

CLIP = ClipRecipe(frames=8, size_px=(144, 80), leaf_s=4.0)


def _oracle(worlds: int) -> dict[str, str]:
    """Every question of every held-out world with its right answer."""
    table: dict[str, str] = {}
    for index in range(worlds):
        world = held_out_world(index)
        for q in make_questions(world, seed=index, least_s=1.2 * world.duration_s / 8):
            table[q.text] = q.answer
    return table


def test_a_model_that_always_declines_gets_nothing_right_but_absence():
    model = ScriptedModel(lambda text, frames: "there is no such thing", clip=CLIP)
    results = measure_nano(model, worlds=6)
    families = by_family(results)
    assert families["attribute"].hits == families["count"].hits == 0
    assert results.absent.hits == results.absent.n > 0
    assert results.present_declined.hits == results.present_declined.n > 0
    assert results.box_found.hits == 0 and results.box_iou.value == 0.0


def test_one_world_with_its_own_truth_is_all_right():
    truth = _oracle(1)
    world = held_out_world(0)
    least_s = 1.2 * world.duration_s / 8

    def answer(text, frames):
        if text == CLIP.prompts.caption:
            return write_caption(world, least_s=least_s)
        return truth.get(text, "```json\n[]\n```")

    results = measure_nano(ScriptedModel(answer, clip=CLIP), worlds=1)
    assert all(share.value == 1.0 for share in by_family(results).values())
    assert all(share.value == 1.0 for share in results.caption_words.values())
    assert results.box_absent.value == 1.0


def test_second_looks_are_told_apart_by_whether_they_agree():
    truth = _oracle(1)
    asked = []

    def answer(text, frames):
        asked.append(text)
        wavers = text in truth and asked.count(text) == 2 and text.startswith("How many")
        return "99" if wavers else truth.get(text, "```json\n[]\n```")

    results = measure_nano(ScriptedModel(answer, clip=CLIP), worlds=1)
    counts = sum(text.startswith("How many") for text in set(asked))
    assert results.disagreeing == Proportion(counts, counts) and counts > 0
    assert results.agreeing.hits == results.agreeing.n > 0
    card = model_card(results, {"parameters": "1"}, "mmreason eval nano --worlds 1")
    assert "repeats: right in 100.0%" in card and "not calibrated" in card


def test_worlds_to_calibrate_on_are_others():
    assert held_out_world(2, "calibration") != held_out_world(2)


def test_the_card_quotes_the_held_out_half(tmp_path):
    source = next(one for one in list_drawn_sources() if one.is_held_out)
    results = measure_nano(ScriptedModel(lambda text, frames: "red", clip=CLIP), worlds=1)
    said = measure_declines(ScriptedModel(lambda text, frames: "red", clip=CLIP), [source])
    card = model_card(
        results, {}, "c", declines=said, alarms=Proportion(1, 400), is_calibrated=True
    )
    assert "**100.0% (20.7% to 100.0%, n = 1)**" in card
    assert "that the guard declined: 0.2%" in card and "fitted on other worlds" in card


def test_clips_and_single_frames_are_shown():
    counts = set()

    def answer(text, frames):
        counts.add(len(frames))
        return "no"

    measure_nano(ScriptedModel(answer, clip=CLIP), worlds=1)
    assert counts == {8, 1}


def test_held_out_worlds_are_the_same_every_time():
    assert held_out_world(3) == held_out_world(3)
    assert len(held_out_world(3).scenes) == 2 and len(held_out_world(4).scenes) == 1


@pytest.mark.parametrize("flag", ["--json", "--card"])
def test_the_command_reports(monkeypatch, tmp_path, capsys, flag):
    from mmreason import models
    from mmreason.cli import main

    class Loaded(ScriptedModel):
        class model:
            dtype = "torch.float32"
            name_or_path = ""

            @staticmethod
            def parameters():
                return []

    monkeypatch.setattr(models, "load", lambda name: Loaded(lambda text, frames: "2", clip=CLIP))
    card = tmp_path / "CARD.md"
    words = ["--json"] if flag == "--json" else ["--card", str(card)]
    assert main(["eval", "nano", "--worlds", "2", *words]) == 0
    if flag == "--json":
        report = json.loads(capsys.readouterr().out)
        assert report["worlds"] == 2 and report["box_iou"]["n"] > 0
    else:
        assert "mmreason eval nano --worlds 2" in card.read_text()
