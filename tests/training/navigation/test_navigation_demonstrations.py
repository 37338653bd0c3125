"""Plays that teach navigation: correct ones only, one sample a step, the same for the same seed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from mmreason.cli import main
from mmreason.models.base import GenerateRequest, Message, TextPart
from mmreason.models.scripted import ScriptedModel
from mmreason.policies.longvideo_r1_text import read_turn
from mmreason.training.navigation import demonstrations, samples
from mmreason.training.navigation.measure import measure_navigation
from mmreason.training.navigation.observer import CLIP
from mmreason.training.navigation.teacher import Teacher, find_things_asked, find_things_told
from mmreason.types import UsageError

LENGTH_S = 180.0


@pytest.fixture(scope="module")
def needles():
    return demonstrations.needle_world("train", 0, LENGTH_S)


@pytest.fixture(scope="module")
def table(needles):
    return demonstrations.PlayedWorld(needles)


@pytest.fixture(scope="module")
def kept(table, needles):
    found = {item.id: table.best_play(item) for item in needles.items}
    return {name: play for name, play in found.items() if play is not None}


def test_only_correct_plays_are_kept(kept, needles):
    """Also those of more than one place, and of things that are not there."""
    assert len(kept) >= 5
    for item in needles.items:
        if item.id in kept:
            said = kept[item.id].turns[-1].text
            answer = said.partition("<answer>")[2].partition("</answer>")[0]
            if item.answer is None:
                assert "there is no" in answer
            else:
                assert answer.lower() == item.options[item.answer].lower()
    assert {play.item.kind for play in kept.values()} >= {"attribute", "order", "absent"}
    assert {0, 1, 2} <= {play.item.places for play in kept.values()}


def test_a_wrong_answer_is_not_kept_however_many_hints(table, needles):
    """The same question with another option called right: no rung makes the teacher say it."""
    item = next(i for i in needles.items if i.kind == "attribute")
    assert item.answer is not None
    lie = replace(item, answer=(item.answer + 1) % 4)
    assert table.best_play(item) is not None
    assert table.best_play(lie) is None


def test_the_ladder_stops_at_the_first_rung_that_is_right(table, kept):
    for play in kept.values():
        for hints in range(play.hints):
            teacher = Teacher(play.item, table.tree, table.read_notes, hints)
            (turns,) = demonstrations.play_all([table.play(play.item)], teacher)
            assert not turns or not demonstrations.is_right(play.item, turns[-1].text)


def test_every_turn_is_read_by_the_policy(table, kept):
    for play in kept.values():
        inquiry = table.inquiry(play.item)
        said = [read_turn(turn.text, inquiry) for turn in play.turns]
        assert said[-1].answer is not None
        assert all(one.calls for one in said[:-1])


def test_the_first_turn_sees_the_question_and_the_top_level(kept, table):
    for play in kept.values():
        (message,) = play.turns[0].messages
        text = "".join(p.text for p in message.parts if isinstance(p, TextPart))
        assert text.startswith(play.item.question)
        for node in table.tree.children():
            assert f"\n({node.id[0]}) " in text
        assert all(option in text for option in play.item.options)


def test_one_sample_a_step_of_which_only_the_last_turn_is_learnt(kept):
    for play in kept.values():
        made = samples.make_samples(play)
        assert [s.step for s in made] == list(range(len(play.turns)))
        for sample, turn in zip(made, play.turns, strict=True):
            assert sample.messages[-1] == ("assistant", turn.text)
            assert sample.train == (False,) * (len(sample.messages) - 1) + (True,)
            roles = [role for role, _ in sample.messages]
            assert roles == ["user", "assistant"] * (sample.step + 1)
        for before, after in itertools.pairwise(made):
            assert after.messages[: len(before.messages)] == before.messages


def test_the_same_worlds_give_the_same_file_and_splits_never_meet(tmp_path):
    words = ["data", "navigation", "--worlds", "1", "--length", "3m", "--items", "3", "--out"]
    assert main([*words, str(tmp_path / "a.jsonl")]) == 0
    assert main([*words, str(tmp_path / "b.jsonl")]) == 0
    assert main([*words, str(tmp_path / "c.jsonl"), "--held-out"]) == 0
    first, again, other = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert first == again
    worlds = [{json.loads(x)["world"] for x in text.splitlines()} for text in (first, other)]
    assert worlds[0] and worlds[1] and not worlds[0] & worlds[1]
    rows = list(samples.read_samples(tmp_path / "a.jsonl"))
    assert [row["id"] for row in rows] == list(dict.fromkeys(row["id"] for row in rows))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("{", "line 1: is no JSON"),
        ("[]", "line 1: expected a JSON object, found list"),
        ('{"messages": [{"role": "user"}], "train": [true]}', "messages of role and content"),
        ('{"messages": [{"role": "user", "content": "a"}], "train": [true]}', "assistant"),
        ('{"messages": [{"role": "assistant", "content": "a"}], "train": []}', "each message"),
        ('{"messages": [{"role": "assistant", "content": "a"}], "train": [false]}', "each message"),
    ],
)
def test_a_file_that_holds_no_samples_is_refused(tmp_path, row, what):
    path = tmp_path / "bad.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(UsageError, match=what):
        list(samples.read_samples(path))


def test_a_model_that_writes_no_call_ends_without_an_answer(table, needles):
    """Three turns that cannot be read end the play; nothing of it counts as right."""
    model = ScriptedModel(lambda text, frames: "I do not know.", clip=CLIP)
    found = demonstrations.play_all([table.play(item) for item in needles.items[:2]], model)
    assert [len(turns) for turns in found] == [3, 3]
    assert not any(
        demonstrations.is_right(item, turns[-1].text)
        for item, turns in zip(needles.items, found, strict=False)
    )


def test_names_in_captions_and_questions():
    assert find_things_asked("How many crosses are there while the word GO is on the screen?") == (
        "cross",
    )
    assert find_things_asked("Which comes first, the red star or the blue ring?") == (
        "red star",
        "blue ring",
    )
    assert find_things_asked("Which word is on the screen last in the whole video?") == ()
    told = "a small red star and a large blue striped ring. the word GO is on the screen."
    assert find_things_told(told, "striped ring") == ["large blue striped ring"]
    assert find_things_told(told, "red object") == ["small red star"]
    assert find_things_told(told, "small ring") == []


def test_the_teacher_gives_up_on_the_last_turn(table, needles):
    item = next(i for i in needles.items if i.kind == "absent")
    teacher = Teacher(item, table.tree, table.read_notes, 0)
    last = Message("user", (TextPart("This is the last turn. Give your best answer now"),))
    told = Message("user", (*last.parts, TextPart(" inside <answer></answer>.")))
    (reply,) = teacher.generate(GenerateRequest([[told]]))
    assert "<answer>there is no" in reply.text


def test_measuring_tells_a_guide_from_a_guesser():
    """The teacher's own turns would be all right; a model that always answers "A" is not."""
    guesser = ScriptedModel(lambda text, frames: "<think>a</think><answer>A</answer>", clip=CLIP)
    found = measure_navigation(guesser, worlds=1, duration_s=LENGTH_S, items=4)
    assert found.model.valid.value == 1.0 and found.model.right.n == 4
    assert found.model.right_open.n == 0 and found.model.right_look.n == 0
    assert found.model.right.hits < found.teacher.right.hits
    assert sum(share.n for share in found.model.by_kind.values()) == 4
    assert found.teacher.valid.value == 1.0 and found.teacher.right_open.hits > 0

    opener = ScriptedModel(lambda text, frames: "<tool>open((1))</tool>", clip=CLIP)
    found = measure_navigation(opener, worlds=1, duration_s=LENGTH_S, items=4)
    assert found.model.right_open.n > 0 and found.model.right.hits == 0
