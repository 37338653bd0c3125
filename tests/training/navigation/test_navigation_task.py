"""Navigation as a task to be reinforced on: played by the teacher it earns everything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmreason.models.base import GenerateRequest, Message, TextPart
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import SampleRequest
from mmreason.training.navigation.demonstrations import PlayedWorld, needle_world
from mmreason.training.navigation.task import Navigation
from mmreason.training.navigation.teacher import Teacher
from mmreason.training.rollouts.episode import TurnRequest
from mmreason.training.rollouts.types import Completion, Prompt, SampleFailure

TASK = Navigation(split="train", worlds=2, duration_s=180.0, items=4)
HOW = Sampling(samples=1, temperature=1.0, seed=0, step=0)


class _Codec:
    """Keeps the conversation itself: the sampler below reads it."""

    def __init__(self):
        self.seen = {}

    def encode_prompt(self, conversation):
        prompt = Prompt(token_ids=(len(self.seen) + 1,))
        self.seen[prompt.token_ids] = conversation
        return prompt

    def encode_conversation(self, conversation, *, ask):
        return self.encode_prompt(conversation)

    def continue_prompt(self, prompt, completion, before, conversation):
        made = Prompt(token_ids=(*prompt.token_ids, *completion.token_ids, len(self.seen) + 1))
        self.seen[made.token_ids] = conversation
        return made


class _Says:
    """A sampler that writes what a function makes of the last message."""

    def __init__(self, codec, say):
        self.codec, self.say = codec, say

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        return [
            Completion(
                token_ids=(0,),
                logprobs=(-0.1,),
                text=self.say(self._last(request)),
                finish_reason="stop",
            )
            for request in requests
        ]

    def _last(self, request) -> Message:
        return self.codec.seen[request.prompt.token_ids][-1]


def _played(index: int, say):
    codec = _Codec()
    (group,) = collect_rollouts(TASK, [TASK.problem(index)], codec, _Says(codec, say), HOW)
    assert not group.failures, group.failures
    return group.rollouts[0]


@pytest.mark.parametrize("index", range(4))
def test_the_teacher_earns_what_there_is(index):
    table = PlayedWorld(needle_world("train", 0, 180.0, 4))
    item = table.needles.items[index]
    kept = table.best_play(item)
    assert kept is not None
    teacher = Teacher(item, table.tree, table.read_notes, kept.hints)
    rollout = _played(index, lambda message: teacher.generate(GenerateRequest([[message]]))[0].text)
    assert rollout.outcome.correct
    assert rollout.scored.values["answer"] == 1.0
    assert len(rollout.outcome.trajectory.visits) == rollout.outcome.turns - 1
    way = rollout.scored.values["way"]
    assert way is None or 0 < way <= 1
    assert rollout.outcome.trajectory.turns == tuple(turn.text for turn in kept.turns)


def test_guessing_at_once_earns_no_way_and_prose_earns_nothing():
    problem = TASK.problem(0)
    right = "" if problem.truth.choice is None else problem.truth.options[problem.truth.choice]
    guessed = _played(0, lambda _: f"<think>?</think><answer>{right}</answer>")
    assert guessed.scored.values == {"answer": 1.0, "way": 0.0}
    prose = _played(0, lambda _: "I think that the small star is somewhere.")
    assert prose.scored.total == 0.0
    assert prose.outcome.correct is False


def test_problems_are_the_same_whenever_asked_and_splits_do_not_meet():
    again = Navigation(split="train", worlds=2, duration_s=180.0, items=4)
    assert [TASK.problem(i).question for i in range(8)] == [
        again.problem(i).question for i in range(8)
    ]
    other = Navigation(split="held-out", worlds=2, duration_s=180.0, items=4)
    assert {TASK.problem(i).id for i in range(8)}.isdisjoint(other.problem(i).id for i in range(8))
    assert len(TASK) == 8


def test_the_way_is_the_share_of_visits_that_hold_the_thing():
    problem = TASK.problem(0)
    assert problem.truth.spans and problem.truth.tree
    tree = problem.truth.tree
    gold = tree.leaf_at(problem.truth.spans[0].middle_s).id
    elsewhere = next(n.id for n in tree.children() if not n.span.overlap_s(problem.truth.spans[0]))
    turns = iter(
        [f"<tool>open({elsewhere})</tool>".replace(",)", ")"), f"<tool>open(({gold[0]}))</tool>"]
    )
    rollout = _played(0, lambda _: next(turns, "<answer>none of them</answer>"))
    assert rollout.outcome.trajectory.visits == (elsewhere, gold[:1])
    assert rollout.scored.values["way"] == 0.5


def test_a_message_is_text():
    problem = TASK.problem(1)
    codec = _Codec()
    (episode,) = TASK.episodes(problem, codec, 1)
    ask = next(episode)
    assert isinstance(ask, TurnRequest)
    (message,) = codec.seen[ask.prompt.token_ids]
    assert all(isinstance(part, TextPart) for part in message.parts)
