"""The reward of the way through the tree: published numbers and their defect, and the repair."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.memory.tree import Tree, TreeRecipe
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.reasoner import Reasoner
from mmreason.training.rewards import (
    Trajectory,
    Truth,
    from_answer,
    location,
    longvideo_r1,
    longvideo_r1_published,
    tool_bonus,
    union_tiou,
)
from mmreason.types import Answer, Cost, Evidence, Observation, Step, StopReason
from mmreason.video.types import FrameBatch, Span
from mmreason.video.world.generate import world
from tests.fakes.agent_calls import call_named

TREE = Tree(Span(0, 3600), 6, 3)
LEAF = (2, 3, 4)
TRUTH = Truth(options=("a", "b"), choice=0, tree=TREE, spans=(TREE.node(LEAF).span,))
ids = st.lists(st.integers(-1, 7), max_size=4).map(tuple)
nodes = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
near = st.tuples(st.just(2), st.just(3), st.integers(1, 6))
ways = st.lists(nodes | near | ids, max_size=8)
gold = st.lists(
    st.builds(lambda at, length: Span(at, at + length), st.floats(0, 3500), st.floats(0.5, 90)),
    min_size=1,
    max_size=3,
).map(tuple)


def paid(value: float | None) -> float:
    assert value is not None
    return value


def went(*visits: tuple[int, ...], answer: str = "A") -> Trajectory:
    return Trajectory(answer=answer, visits=visits)


def truth_of(spans: tuple[Span, ...]) -> Truth:
    return dataclasses.replace(TRUTH, spans=spans)


@pytest.mark.parametrize(("visits", "paid"), [(1, 2.0), (2, 2.8), (4, 4.4), (14, 12.4)])
def test_the_published_reward_pays_for_going_there_again(visits, paid):
    assert longvideo_r1_published(went(*[LEAF] * visits), TRUTH) == pytest.approx(paid)


def test_the_published_reward_pays_a_wrong_answer_above_a_perfect_visit():
    wrong = longvideo_r1_published(went(*[LEAF] * 14, answer="B"), TRUTH)
    assert wrong == pytest.approx(11.4)
    assert paid(longvideo_r1(went(*[LEAF] * 14, answer="B"), TRUTH)) <= 1


@pytest.mark.parametrize(("visits", "left"), [(1, 2.0), (2, 1.96), (6, 1.8), (14, 1.8)])
def test_the_corrected_reward_takes_for_going_there_again(visits, left):
    assert longvideo_r1(went(*[LEAF] * visits), TRUTH) == pytest.approx(left)


@pytest.mark.parametrize(("branching", "paid"), [(4, 1.80), (6, 1.57), (8, 1.44)])
def test_the_published_reward_punishes_the_way_through_the_parent(branching, paid):
    tree = Tree(Span(0, 3600), branching, 3)
    truth = dataclasses.replace(TRUTH, tree=tree, spans=(tree.node(LEAF).span,))
    assert longvideo_r1_published(went(LEAF[:2], LEAF), truth) == pytest.approx(paid, abs=0.005)
    assert longvideo_r1(went(LEAF[:2], LEAF), truth) == 2.0


def test_the_published_reward_joins_near_clues_and_falls_back_to_the_answer():
    apart = (Span(100, 110), Span(115, 120))
    tree = Tree(Span(0, 200), 2, 1)
    truth = Truth(options=("a", "b"), choice=0, tree=tree, spans=apart)
    # 20 s wanted, all in the second half: coverage 1, precision 20 / 100
    assert longvideo_r1_published(went((2,)), truth) == pytest.approx(1 + 2 * 0.2 / 1.2)
    for reward in (longvideo_r1, longvideo_r1_published):
        assert reward(went(), TRUTH) == 1
        assert reward(went((9, 9)), TRUTH) == 1
        assert reward(went(LEAF), dataclasses.replace(TRUTH, spans=None)) == 1
        assert reward(went(LEAF), Truth(tree=TREE, spans=TRUTH.spans)) is None


@settings(max_examples=60)
@given(ways, gold, st.sampled_from(["A", "B", ""]))
def test_the_corrected_reward_is_bounded(visits, spans, answer):
    truth = truth_of(spans)
    assert 0 <= paid(location(went(*visits), truth)) <= 1
    assert -0.2 <= paid(longvideo_r1(went(*visits, answer=answer), truth)) <= 2


@settings(max_examples=60)
@given(ways.filter(bool), gold, st.integers(0, 7), st.integers(1, 20))
def test_repeating_a_visit_never_raises_the_reward(visits, spans, which, times):
    truth = truth_of(spans)
    again = [*visits, *[visits[which % len(visits)]] * times]
    assert location(went(*again), truth) == location(went(*visits), truth)
    assert paid(longvideo_r1(went(*again), truth)) <= paid(longvideo_r1(went(*visits), truth))


@settings(max_examples=60)
@given(ways, gold, nodes)
def test_a_node_without_the_proof_never_raises_location(visits, spans, more):
    if any(TREE.node(more).span.overlap_s(span) > 0 for span in spans):
        return
    truth = truth_of(spans)
    assert paid(location(went(*visits, more), truth)) <= paid(location(went(*visits), truth))


@settings(max_examples=60)
@given(ways, gold, st.randoms(use_true_random=False))
def test_order_does_not_matter(visits, spans, random):
    shuffled, clues = list(visits), list(spans)
    random.shuffle(shuffled)
    random.shuffle(clues)
    before, after = truth_of(spans), truth_of(tuple(clues))
    assert longvideo_r1(went(*shuffled), after) == longvideo_r1(went(*visits), before)


def test_new_nodes_cannot_hide_repeats():
    """Under the published ratio each new node makes repeats cheaper."""
    spam = [LEAF] * 4
    padding = [(1, i) for i in range(1, 7)]
    assert longvideo_r1(went(*spam, *padding), TRUTH) == longvideo_r1(went(*spam), TRUTH)
    published = paid(longvideo_r1_published(went((1,), (1,), (3,)), TRUTH))
    assert published > paid(longvideo_r1_published(went((1,), (1,)), TRUTH))


def test_sweeping_the_whole_video_pays_the_share_that_is_true():
    tree = Tree(Span(0, 64), 4, 2)
    truth = dataclasses.replace(TRUTH, tree=tree, spans=(tree.node((2, 2)).span,))
    every = [(i, j) for i in range(1, 5) for j in range(1, 5)]
    swept = paid(location(went(*every), truth))
    assert swept == pytest.approx(2 / 16 / (1 + 1 / 16))
    for more in range(1, len(every)):
        part = [(2, 2), *[node for node in every if node != (2, 2)][: more - 1]]
        assert paid(location(went(*part), truth)) > swept
    assert location(went((2,), (3,)), truth) == 0
    assert location(went(), truth) == 0


def _step(name: str, rounds: int = 1, error: str | None = None, **arguments) -> Step:
    span = arguments.pop("span", Span(0, 10))
    seen = Observation(text="x", span=span, error=error, cost=Cost(rounds=rounds))
    return Step(thought="", call=call_named(name, span, **arguments), observation=seen)


def test_a_trajectory_comes_from_an_answer():
    trace = (
        _step("caption", 0, node=[1]),
        _step("caption", 0, node=[2]),
        _step("caption", node=[2, 3]),
        _step("caption", 0, node=[2, 4]),
        _step("invalid", error="no tag", text="?"),
        _step("caption", error="asked before", node=[2, 3]),
        _step("look", question="?"),
        _step("look", question="?", check=True),
    )
    evidence = (Evidence(span=Span(3, 5), frame_times_s=(4.0,), boxes_px=((1, 2, 3, 4),)),)
    answer = Answer(
        question="?",
        text="a",
        choice=0,
        options=("a", "b"),
        evidence=evidence,
        trace=trace,
        stop_reason=StopReason.ANSWERED,
    )
    seen = from_answer(answer)
    assert seen.visits == ((2, 3), (2, 4), (2, 3))
    assert seen.tool_calls == 3
    assert seen.spans == (Span(3, 5),)
    assert seen.boxes is not None and seen.boxes[0].xyxy == (1, 2, 3, 4)
    assert seen.marks[0].time_s == 4.0
    assert tool_bonus(seen, TRUTH) == 1
    assert from_answer(answer, turns=("one",), tokens_out=7).tokens_out == 7


def follows(moves: tuple[str, ...]) -> ScriptedModel:
    """A reasoner that makes one move after the other, whatever it is told, and an observer."""
    left = iter(moves)

    def script(text: str, frames: FrameBatch | None) -> str:
        return "red" if frames is not None else f"<think>so</think>{next(left)}"

    return ScriptedModel(script, clip=ClipRecipe(frames=2, size_px=(32, 16), leaf_s=4.0))


def test_a_played_game_is_read_as_what_the_model_chose(tmp_path):
    moves = (
        "<tool>get_caption((2, 3))</tool>",
        "no call at all",
        "<tool>get_caption((2, 3))</tool>",
        '<tool>video_qa((2, 3), "What colour is it?")</tool>',
        "<answer>red</answer>",
    )
    video = tmp_path / "world.json"
    video.write_text(world(3, duration_s=64.0).model_dump_json())
    reasoner = Reasoner(follows(moves), policy=LongVideoR1(), tree=TreeRecipe(depth=2))
    answer = reasoner.ask(video, "What colour is it?", options=["blue", "red"])
    seen = from_answer(answer, turns=moves)
    tree = Tree(Span(0, 64), 4, 2)
    leaf = tree.node((2, 3)).span
    assert [step.call.name for step in answer.trace][:4] == ["caption"] * 4  # the opening
    assert seen.visits == ((2, 3), (2, 3))
    assert seen.tool_calls == 3
    assert seen.spans == (leaf,)
    truth = Truth(options=("blue", "red"), choice=1, spans=(leaf,), duration_s=64.0, tree=tree)
    assert longvideo_r1(seen, truth) == pytest.approx(1.96)
    assert longvideo_r1_published(seen, truth) == pytest.approx(2.8)
    assert union_tiou(seen, truth) == tool_bonus(seen, truth) == 1


def test_an_abstention_names_no_span():
    answer = Answer(
        question="?",
        text="",
        evidence=(Evidence(span=Span(3, 5)),),
        stop_reason=StopReason.ABSTAINED,
    )
    assert union_tiou(from_answer(answer), Truth(spans=())) == 1
    failed = dataclasses.replace(answer, evidence=(), stop_reason=StopReason.BUDGET_ROUNDS)
    assert union_tiou(from_answer(failed), Truth(spans=())) == 0
