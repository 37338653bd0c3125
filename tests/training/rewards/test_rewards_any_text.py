"""Whatever a model writes: no reward raises, leaves its range or takes long, and all pickle."""

from __future__ import annotations

import math
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Box
from mmreason.memory.tree import Tree
from mmreason.training import rewards
from mmreason.training.rewards import Frame, Mark, Reward, Truth, from_turns
from mmreason.video.types import Span

RANGES: dict[Reward, tuple[float, float]] = {
    rewards.tag_format: (0, 1),
    rewards.choice: (0, 1),
    rewards.numeric: (0, 1),
    rewards.text_overlap: (0, 1),
    rewards.correct: (0, 1),
    rewards.union_tiou: (0, 1),
    rewards.time_r1: (0, 1),
    rewards.box_iou: (0, 1),
    rewards.box_f1: (0, 1),
    rewards.tube_viou: (0, 1),
    rewards.evidence_time: (0, 1),
    rewards.evidence_place: (0, 1),
    rewards.location: (0, 1),
    rewards.longvideo_r1: (-0.2, 2),
    rewards.longvideo_r1_published: (-math.inf, math.inf),
    rewards.tool_bonus: (0, 1),
    rewards.length_band: (0, 1),
    rewards.repetition: (-1, 0),
}
FRAME = Frame(size_px=(640, 360))
BOX = Box(10, 20, 100, 200)
KNOWN = Truth(
    question="How many stars are there?",
    answer="three red stars",
    options=("one", "three", "None of these"),
    choice=1,
    number=3,
    spans=(Span(5, 9),),
    duration_s=60,
    boxes=(BOX,),
    marks=(Mark(5.0, BOX),),
    tube=(Mark(5.0, BOX),),
    tube_times_s=(4.0, 5.0, 6.0),
    frame=FRAME,
    tree=Tree(Span(0, 60), 4, 2),
)
ABSENT = Truth(
    answer="no", spans=(), duration_s=60, boxes=(), marks=(), tube=(), tube_times_s=(5,),
    frame=FRAME,
)  # fmt: skip
TRUTHS = (KNOWN, ABSENT, Truth())
PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "<tool>", "</tool>", "<box>", "</box>", "<t>",
    "</t>", "[1, 2, 3, 4]", "[[1e999, -1, 0, 3]]", '{"bbox_2d": [', "```json", "```", "5 to 9 s",
    "1:05 - 1:20", "9 to 5", "three", "-3", "1,000", "1e400", "\u0663", "\u00b2", "A", "B)", "none",
    '{"boxes": {"5": [1, 2, 3, 4]}}', "there is no", "\ud800", "\x00", "\u0130", "\n", "[",
    "{", ":", "-", "9" * 30,
]  # fmt: skip
texts = st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
visits = st.lists(st.lists(st.integers(-3, 9), max_size=4).map(tuple), max_size=6).map(tuple)


def check(reward: Reward, seen: rewards.Trajectory) -> None:
    low, high = RANGES[reward]
    for truth in TRUTHS:
        value = reward(seen, truth)
        assert value is None or (isinstance(value, float) and low <= value <= high)
        assert value is None or math.isfinite(value)


def test_every_reward_is_listed_here():
    public = {getattr(rewards, name) for name in rewards.__all__}
    functions = {f for f in public if callable(f) and not isinstance(f, type)}
    # Kinds of functions, and what reads or lists.
    others = {rewards.Reward, rewards.AsyncReward, rewards.BatchedReward, rewards.right_answers}
    others |= {rewards.as_combination, rewards.from_answer, rewards.from_turns}
    assert functions - others == set(RANGES)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=3), visits, st.none() | st.integers(0, 600))
def test_no_text_makes_a_reward_raise_or_leave_its_range(turns, visited, count):
    read = from_turns(turns, frame=FRAME, tokens_out=count)
    seen = rewards.Trajectory(
        answer=read.answer,
        turns=read.turns,
        spans=read.spans,
        boxes=read.boxes,
        tube=read.tube,
        marks=read.marks,
        visits=visited,
        tool_calls=count,
        tokens_out=count,
    )
    for reward in RANGES:
        check(reward, seen)
        check(reward, read)


ENDLESS = 200_000
"""Characters; text that is read in the square of its length would take minutes."""


@pytest.mark.parametrize(
    "piece",
    ["a", " ", "1", "1 ", "\n", "(", "[1,", "<think>", "<answer>", "<box>1</box>", "5 to ", "the ",
     '"', "0:", "<answer>B</answer>", "there is no ", "\u0130"],
)  # fmt: skip
def test_endless_text_is_read_in_linear_time(piece):
    started = time.process_time()
    seen = from_turns([piece * (ENDLESS // len(piece))], frame=FRAME)
    for reward in RANGES:
        check(reward, seen)
    assert time.process_time() - started < 5
    for reward in (rewards.tag_format, rewards.numeric, rewards.union_tiou, rewards.box_iou):
        assert reward(seen, KNOWN) == 0


@pytest.mark.parametrize("piece", ["B ", "three ", "5 to 9 s ", "[15, 55, 156, 555] "])
def test_an_endless_answer_is_no_answer(piece):
    seen = from_turns([f"<think>a</think><answer>{piece * 11_000}</answer>"], frame=FRAME)
    assert seen.answer == ""
    for reward in (rewards.choice, rewards.numeric, rewards.correct, rewards.text_overlap):
        assert reward(seen, KNOWN) == 0
    assert rewards.union_tiou(seen, KNOWN) == rewards.box_f1(seen, KNOWN) == 0


@pytest.mark.parametrize("reward", RANGES, ids=lambda reward: reward.__name__)
def test_rewards_pickle(reward):
    assert pickle.loads(pickle.dumps(reward)) is reward


def test_what_rewards_see_pickles():
    seen = from_turns(["<box>[1, 2, 3, 4]</box><t>5</t><answer>5 to 9</answer>"], frame=FRAME)
    assert pickle.loads(pickle.dumps((seen, KNOWN))) == (seen, KNOWN)


@pytest.mark.parametrize("reward", RANGES, ids=lambda reward: reward.__name__)
def test_an_empty_text_earns_nothing_where_there_is_something_to_find(reward):
    assert (reward(from_turns([""], frame=FRAME), KNOWN) or 0) <= 0
