"""Rollouts through the agent's own loop, driven together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from mmreason.memory.store import Store
from mmreason.memory.tree import plan_tree
from mmreason.models.base import GenerateRequest, Message, Reply, TextPart
from mmreason.needle.items import Item
from mmreason.needle.worlds import needle_set
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.reasoner import Reasoner
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import LocalSampler, SampleRequest
from mmreason.training.navigation.demonstrations import PlayedWorld
from mmreason.training.navigation.observer import CLIP, BlankVideo, make_observer
from mmreason.training.navigation.teacher import Teacher
from mmreason.training.rewards import Combination, Component, Truth, correct
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.types import Completion, Problem, Role, SampleFailure
from mmreason.training.tasks.agentic import AgentTask, RolloutModel
from mmreason.training.tasks.mixture import Mixture
from mmreason.types import UsageError

NEEDLES = needle_set(7, 180.0, 4)
VIDEO = BlankVideo(NEEDLES.world)
EYES = make_observer(NEEDLES.world)


def reasoner(store: Store, player: RolloutModel) -> Reasoner:
    policy = LongVideoR1(system="", rounds=6, max_new_tokens=64, context_tokens=4096)
    return Reasoner(player, observer=EYES, policy=policy, store=store)


def task(items: list[Item]) -> AgentTask:
    rows = [
        Problem(
            id=item.id,
            question=item.question,
            truth=Truth(question=item.question, options=item.options, choice=item.answer),
        )
        for item in items
    ]
    return AgentTask(
        name="needles",
        problems=rows,
        reasoner=partial(reasoner, Store.in_memory()),
        clip=CLIP,
        reward=Combination((Component(name="right", reward=correct),)),
        watch=lambda problem: VIDEO,
    )


class TeacherSampler:
    """Writes what the navigation teacher says, in nano's tokens."""

    def __init__(self, policy: PolicyModel, item: Item):
        self.tokenizer = policy.tokenizer
        tree = plan_tree(VIDEO.info.span, leaf_s=CLIP.leaf_s)
        self.teachers = [Teacher(item, tree, PlayedWorld(NEEDLES).read_notes, 4) for _ in range(2)]

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        found: list[Completion | SampleFailure] = []
        for request, teacher in zip(requests, self.teachers, strict=False):
            asked = self.tokenizer.decode(request.prompt.token_ids)
            last = asked.rsplit("<|im_start|>user\n", 1)[1].split("<|im_end|>")[0]
            (reply,) = teacher.generate(GenerateRequest([[Message("user", (TextPart(last),))]]))
            ids = self.tokenizer(reply.text + "<|im_end|>", add_special_tokens=False).input_ids
            found.append(
                Completion(
                    token_ids=tuple(ids),
                    logprobs=(-0.5,) * len(ids),
                    text=reply.text,
                    finish_reason="stop",
                )
            )
        return found


@pytest.fixture(scope="module")
def nano() -> PolicyModel:
    return PolicyModel.load("nano")


def test_a_play_becomes_one_sequence_of_the_very_tokens(nano: PolicyModel) -> None:
    item = next(i for i in NEEDLES.items if i.kind == "attribute" and len(i.gold_spans) == 1)
    sampler = TeacherSampler(nano, item)
    how = Sampling(samples=2, temperature=1.0, seed=0, step=0)
    (group,) = collect_rollouts(task([item]), [task([item]).problem(0)], nano.codec, sampler, how)
    assert not group.failures
    for rollout in group.rollouts:
        assert rollout.outcome.turns > 1
        assert len(rollout.sequences) == 1
        (sequence,) = rollout.sequences
        # Whole conversation, encoded in one go by the template, is what was read and written.
        text = nano.tokenizer.decode(sequence.token_ids)
        assert tuple(nano.tokenizer(text, add_special_tokens=False).input_ids) == sequence.token_ids
        roles = sequence.roles
        assert roles[0] is Role.PROMPT and roles[-1] is Role.ASSISTANT and Role.TOOL in roles
        written = [t for t, r in zip(sequence.token_ids, roles, strict=True) if r is Role.ASSISTANT]
        assert nano.tokenizer.decode(written).count("<|im_end|>") == rollout.outcome.turns
        told = [t for t, r in zip(sequence.token_ids, roles, strict=True) if r is Role.TOOL]
        assert "<think>" not in nano.tokenizer.decode(told)
    assert group.rollouts[0].outcome.correct is True
    assert group.rollouts[0].scored.total == 1.0


def test_what_one_rollout_has_seen_costs_the_others_nothing(nano: PolicyModel) -> None:
    item = next(i for i in NEEDLES.items if i.kind == "attribute")
    calls: list[int] = []
    original = EYES.generate

    def counted(request: GenerateRequest) -> list[Reply]:
        calls.append(len(request.conversations))
        return original(request)

    sampler = LocalSampler(nano.model, nano.tokenizer, end_ids=nano.end_ids, pad_id=nano.pad_id)
    first = Sampling(samples=1, temperature=1.0, seed=0, step=0)
    one = task([item])
    EYES.generate = counted  # pyright: ignore[reportAttributeAccessIssue]
    try:
        collect_rollouts(one, [one.problem(0)], nano.codec, sampler, first)
        before = sum(calls)
        collect_rollouts(one, [one.problem(0)], nano.codec, sampler, first)
    finally:
        EYES.generate = original  # pyright: ignore[reportAttributeAccessIssue]
    assert before > 0
    assert sum(calls) == before


def test_rollouts_do_not_depend_on_who_else_plays(nano: PolicyModel) -> None:
    items = list(NEEDLES.items[:2])
    sampler = LocalSampler(nano.model, nano.tokenizer, end_ids=nano.end_ids, pad_id=nano.pad_id)
    how = Sampling(samples=2, temperature=1.0, seed=3, step=0)
    both = task(items)
    together = collect_rollouts(both, [both.problem(i) for i in range(2)], nano.codec, sampler, how)
    for i in range(2):
        alone = collect_rollouts(both, [both.problem(i)], nano.codec, sampler, how)[0]
        for ours, theirs in zip(alone.rollouts, together[i].rollouts, strict=True):
            assert [s.token_ids for s in ours.sequences] == [s.token_ids for s in theirs.sequences]


def test_a_player_asked_directly_refuses() -> None:
    with pytest.raises(UsageError, match="in rollouts only"):
        RolloutModel(CLIP).generate(GenerateRequest([]))


def test_how_much_is_shown_at_the_start_is_drawn_for_each_problem_and_step() -> None:
    shown: list[int] = []

    class Quiet:
        def play(self, question: object, *, budget: object) -> object:
            return iter(())

    def make(model: object, captions: int) -> Any:
        shown.append(captions)
        return Quiet()

    rows = [Problem(id=f"p{i}", question="What?", truth=Truth(answer="red")) for i in range(12)]
    task = AgentTask(
        name="drawn",
        problems=rows,
        reasoner=make,
        clip=CLIP,
        reward=Combination((Component(name="right", reward=correct),)),
        watch=lambda problem: VIDEO,
        overview=(2, 4),
    )
    codec: Any = None
    for step in (0, 1, 0):
        for row in rows:
            task.at_step(step).episodes(row, codec, 2)
    # One draw a group; the same again in the same step, another in the next one.
    assert shown[:12] == shown[24:] != shown[12:24]
    assert set(shown) == {2, 3, 4}
    mixed = Mixture(parts=((task, 1),)).at_step(5)
    assert isinstance(mixed.parts[0][0], AgentTask) and mixed.parts[0][0].step == 5
    with pytest.raises(UsageError, match="overview must be"):
        replace(task, overview=(4, 2))
