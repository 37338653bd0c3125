"""Drills: every turn is the one that the list calls for, in words that the policy reads."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.agent.protocol import Inquiry
from mmreason.agent.question import Question
from mmreason.memory.tree import plan_tree
from mmreason.policies.longvideo_r1_text import read_turn
from mmreason.training.nano.architecture import build_tokenizer
from mmreason.training.nano.config import Stage
from mmreason.training.nano.dialogues import draw_exercise_batch
from mmreason.training.nano.packing import IGNORED
from mmreason.training.navigation.exercises import HARDEST, INNER_DEPTHS, LIFELIKE, make_exercise
from mmreason.training.navigation.teacher import find_things_told
from mmreason.video.types import Span

TREE = plan_tree(Span(0, 3600), leaf_s=3.0, depth=4)
INQUIRY = Inquiry(question=Question(video="world.json", text="?"), tree=TREE, leaf_s=3.0)
TURN = re.compile(r"<think>(.+): (.+)</think><(?:tool>(?:open|video_qa)\((\(.*?\))|answer>)")
CLIP = re.compile(r"\b(?:moves|stays|goes|bounces|then)\b")
"""In captions of clips, never of stills."""

drills = st.builds(
    lambda seed, level: make_exercise(random.Random(seed), level),
    st.integers(0, 2**32),
    st.integers(2, HARDEST),
)


def _listed(user: str) -> dict[str, str]:
    """Node number to its line."""
    lines = [line for line in user.splitlines() if line.startswith("(")]
    return {line.partition(")")[0] + ")": line for line in lines}


def _fits(line: str, thing: str, word: str | None) -> list[str]:
    parts = [part for part in line.split(" / ") if word is None or word in part]
    return [name for part in parts for name in find_things_told(part, thing)]


def _pairs(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Question and turn of each."""
    said = [text for _, text in turns]
    return [
        (user.splitlines()[0], turn)
        for user, turn in zip(said[::2], said[1::2], strict=True)
        if not user.startswith("<information>")
    ]


@given(drills)
def test_a_turn_opens_the_first_node_that_tells_of_the_thing(turns):
    listed = _listed(turns[0][1])
    for question, turn in _pairs(turns):
        found = TURN.match(turn)
        assert found is not None, turn
        thing, clue, number = found.groups()
        assert thing in question
        asked = re.search(r"while the word (\w+) is on the screen\?", question)
        word = asked[1] if asked else None
        fits = {n: _fits(line, thing, word) for n, line in listed.items()}
        right = [n for n, names in fits.items() if names]
        if right:
            assert (number, clue) == (right[0], fits[right[0]][0])
        else:
            named = [n for n, line in listed.items() if word is None or word in line]
            assert number == named[0]
            assert clue == (f"no, {word}" if word else "no")


@given(drills)
def test_turns_are_read_by_the_policy(turns):
    leaf = CLIP.search(turns[0][1].partition("(")[2]) is not None
    for _, turn in _pairs(turns):
        first = read_turn(turn, INQUIRY).calls[0]
        assert (first.name in ("look", "focus")) == leaf


@given(drills)
def test_what_a_look_shows_is_answered(turns):
    for (_, shown), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
        if shown.startswith("<information>"):
            seen = shown.removeprefix("<information>").removesuffix("</information>")
            assert read_turn(answer, INQUIRY).answer == seen


@given(st.integers(0, 2**32), st.booleans())
def test_the_first_levels_ask_for_every_number(seed, whole):
    turns = make_exercise(random.Random(seed), 0 if whole else 1)
    listed = {line: number for number, line in _listed(turns[0][1]).items()}
    assert len(listed) == len(turns) // 2 >= 1
    for (_, user), (_, number) in zip(turns[::2], turns[1::2], strict=True):
        name = user.rpartition("find ")[2]
        if whole:
            assert [n for line, n in listed.items() if line.endswith(f" {name}.")] == [number]
        else:
            assert number in [n for line, n in listed.items() if find_things_told(line, name)]
    assert sorted(number for _, number in turns[1::2]) == sorted(listed.values())


@pytest.mark.parametrize("level", range(1, HARDEST + 1))
def test_questions_name_one_thing_of_their_list(level):
    """But for few that no other words were found for."""
    fits = []
    for seed in range(60):
        turns = make_exercise(random.Random(seed), level)
        listed = "\n".join(_listed(turns[0][1]).values())
        for (_, user), (_, turn) in zip(turns[::2], turns[1::2], strict=True):
            question = user.splitlines()[0 if level > 1 else -1]
            if "while the word" in question or user.startswith("<information>"):
                continue
            thing = user.rpartition("find ")[2] if level == 1 else turn[7:].partition(":")[0]
            fits.append(len(set(find_things_told(listed, thing))))
    assert fits.count(1) > 0.8 * len(fits) and sum(n > 1 for n in fits) < 0.05 * len(fits)


def test_a_seed_gives_the_same_drill():
    assert make_exercise(random.Random(5), 4) == make_exercise(random.Random(5), 4)


def test_all_depths_and_both_ends_occur():
    """Matches and none, opened and looked at."""
    texts = [make_exercise(random.Random(i), LIFELIKE)[1][1] for i in range(200)]
    for sign in (": no</think>", ": no, ", "<tool>open", "<tool>video_qa"):
        assert any(sign in text for text in texts), sign
    depths = {text.count(",", text.index("<tool>")) + 1 for text in texts if "open(" in text}
    assert depths == set(INNER_DEPTHS)


def test_a_batch_learns_the_assistants_turns(tiny_config):
    tokenizer = build_tokenizer(tiny_config)
    stage = Stage(share=1.0, image_share=0.0, drill_share=1.0, drill_levels=(2,))
    batch = draw_exercise_batch(random.Random(1), 4000, stage, tokenizer)
    assert len(batch.targets) >= 2
    rng = random.Random(1)
    rng.choice(stage.drill_levels)
    for row in range(len(batch.targets)):
        turns = make_exercise(rng, 2)
        said = "".join(f"{text}<|im_end|>" for role, text in turns if role == "assistant")
        assert tokenizer.decode(batch.targets[row][batch.targets[row] != IGNORED]) == said
