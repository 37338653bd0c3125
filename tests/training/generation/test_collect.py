"""Episodes driven together: what fails is missing with its reason, and nothing takes its place."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmreason.models.base import Conversation, FramesPart, GenerateRequest, Message, Reply, TextPart
from mmreason.models.scripted import ScriptedModel
from mmreason.tools.calls import ModelRequest
from mmreason.training.generation.collect import (
    MOST_TURNS,
    Sampling,
    collect_rollouts,
)
from mmreason.training.generation.sampler import SampleRequest
from mmreason.training.rewards import Combination, Component, Scored, Truth, correct, from_turns
from mmreason.training.rl import PolicyModel
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import (
    Completion,
    Group,
    Media,
    Outcome,
    Problem,
    Prompt,
    Role,
    SampleFailure,
    TokenSequence,
    stable_seed,
)
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.types import UsageError
from mmreason.video import Video, VideoError
from tests.fakes import tiny_rl
from tests.video import clips

HOW = Sampling(samples=3, temperature=1.0, seed=5, step=2)
COLOUR = Problem(id="p", question="say it red", truth=Truth(answer="red"))

Play = Callable[[int, Prompt], Generator[Any, Any, Outcome]]


@dataclass(frozen=True)
class Played:
    """A task whose episodes are played by a function of (sample, prompt)."""

    play: Play
    name: str = "played"

    def __len__(self) -> int:
        return 1

    def problem(self, index: int) -> Problem:
        return COLOUR

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        prompt = codec.encode_prompt(tiny_rl.said(problem.question))
        return [self.play(i, prompt) for i in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        return Scored(total=1.0, values={"one": 1.0})


def done() -> Outcome:
    return Outcome(trajectory=from_turns(["red"]))


def one_turn(prompt: Prompt) -> Generator[Any, Any, Outcome]:
    yield TurnRequest(prompt, 2)
    return done()


def played(play: Play, samples: int = 3) -> Group:
    made = tiny_rl.policy()
    how = replace(HOW, samples=samples)
    (group,) = collect_rollouts(Played(play), [COLOUR], made.codec, tiny_rl.sampler(made), how)
    return group


def tokens(groups: Sequence[Group]) -> dict[tuple[str, int], tuple[int, ...]]:
    return {(g.problem.id, r.sample): r.sequences[0].token_ids for g in groups for r in g.rollouts}


def test_groups_come_in_order_and_whole():
    made, task = tiny_rl.policy(), tiny_rl.colours(5)
    groups = collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), HOW)
    assert [group.problem.id for group in groups] == [problem.id for problem in task.problems]
    for group in groups:
        assert [rollout.sample for rollout in group.rollouts] == [0, 1, 2]
        assert not group.failures
        for rollout in group.rollouts:
            assert rollout.temperature == 1.0 and rollout.policy_version == 0
            (row,) = rollout.sequences
            assert rollout.truncated == (row.token_ids[-1] != 1)
            prompt = made.codec.encode_prompt(tiny_rl.show(group.problem)).token_ids
            assert row.token_ids[: len(prompt)] == prompt
            assert (
                row.roles
                == (Role.PROMPT,) * len(prompt) + (Role.ASSISTANT,) * rollout.completion_tokens
            )


def test_identity_47_a_rollout_depends_on_its_problem_and_number():
    """Not on the other problems, their order, the number of rollouts or the budget of tokens."""
    made, task = tiny_rl.policy(), tiny_rl.colours(6)
    whole = tokens(collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), HOW))
    for problems, samples, batch_tokens in [
        (task.problems[::-1], 3, 65_536),
        (task.problems[1::2], 3, 20),
        (task.problems[2:3], 1, 65_536),
        (task.problems, 5, 1),
    ]:
        how = replace(HOW, samples=samples)
        found = tokens(
            collect_rollouts(task, problems, made.codec, tiny_rl.sampler(made, batch_tokens), how)
        )
        assert len(found) == len(problems) * samples
        assert all(found[key] == whole[key] for key in found.keys() & whole.keys())
    other = tokens(
        collect_rollouts(
            task, task.problems, made.codec, tiny_rl.sampler(made), replace(HOW, step=3)
        )
    )
    assert sum(other[key] == whole[key] for key in whole) < len(whole) / 2


def test_identity_47_a_problem_that_comes_again_gets_other_rollouts():
    """Wherever the repetition is drawn: in one call, or in several (other processes) by epoch."""
    made, task = tiny_rl.policy(), tiny_rl.colours(2)
    twice = [task.problems[0], task.problems[1], task.problems[0]]

    def run(problems: Sequence[Problem], epochs: list[int] | None) -> list[Group]:
        sampler = tiny_rl.sampler(made)
        return collect_rollouts(task, problems, made.codec, sampler, HOW, epochs=epochs)

    together = run(twice, None)
    assert tokens(together[:1]) != tokens(together[2:])
    alone = [run([p], [epoch])[0] for p, epoch in zip(twice, [0, 0, 1], strict=True)]
    assert [tokens([group]) for group in together] == [tokens([group]) for group in alone]
    assert tokens(run(twice, [3, 3, 4])) != tokens(together)


def test_a_task_that_raises_leaves_its_problem_out():
    made, task = tiny_rl.policy(), tiny_rl.colours(3)

    def show(problem: Problem) -> Conversation:
        if problem.id == "colour-1":
            raise VideoError("clip.mp4: no frame\ncould be read")
        return tiny_rl.show(problem)

    whole = tokens(collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), HOW))
    task = replace(task, show=show)
    groups = collect_rollouts(task, task.problems, made.codec, tiny_rl.sampler(made), HOW)
    assert [len(group.rollouts) for group in groups] == [3, 0, 3]
    failure = SampleFailure(kind="VideoError", message="clip.mp4: no frame could be read")
    assert groups[1].failures == {0: failure, 1: failure, 2: failure}
    assert tokens(groups) == {key: ids for key, ids in whole.items() if key[0] != "colour-1"}


def test_a_mistake_in_a_task_is_not_taken_for_a_bad_video():
    def play(sample: int, prompt: Prompt) -> Generator[Any, Any, Outcome]:
        yield TurnRequest(prompt, 2)
        return {}[sample]

    with pytest.raises(KeyError):
        played(play)


def shown(problem: Problem) -> Conversation:
    with Video.open(str(problem.video)) as video:
        frames = video.frames_at([0.0, 0.5, 1.0, 1.5], size_px=(64, 32))
    return [Message("user", (FramesPart(frames, "video"), TextPart(problem.question)))]


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "text"])
def test_identity_49_a_video_that_fails_is_never_substituted(tmp_path: Path, damage: str):
    """Real files through real codecs: the broken one's group is empty, the others see their own."""
    good = clips.write(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    if damage == "cut":
        clips.cut(bad, good, 0.3)
    elif damage == "empty":
        bad.touch()
    elif damage == "text":
        bad.write_text("this is no video")
    problems = [
        Problem(id=f"q{i}", question="What moves?", truth=Truth(answer="red"), video=str(path))
        for i, path in enumerate([good, bad, good])
    ]
    task = SingleTurn(
        name="videos",
        problems=problems,
        show=shown,
        reward=Combination((Component(name="right", reward=correct),)),
        max_new_tokens=3,
    )
    made = PolicyModel.load("nano")
    groups = collect_rollouts(task, problems, made.codec, tiny_rl.sampler(made), HOW)
    assert [len(group.rollouts) for group in groups] == [3, 0, 3]
    assert set(groups[1].failures) == {0, 1, 2}
    failure = groups[1].failures[0]
    assert failure.kind == "VideoError" and "bad.mp4" in failure.message
    alone = collect_rollouts(task, [problems[0]], made.codec, tiny_rl.sampler(made), HOW)
    assert tokens(groups[:1]) == tokens(alone)
    media = [group.rollouts[0].sequences[0].media for group in (groups[0], groups[2])]
    assert all(one is not None and one.placeholder_counts for one in media)


def test_identity_49_placeholders_and_features_must_agree():
    made = PolicyModel.load("nano")
    prompt = made.codec.encode_prompt(tiny_rl.clip("What moves?"))
    media, ids = prompt.media, prompt.token_ids
    assert media is not None
    (place,) = media.placeholder_counts
    at = ids.index(place)
    for wrong in (ids[:at] + ids[at + 1 :], (*ids, place), ids[: at + 3]):
        with pytest.raises(UsageError, match=r"the prompt has \d+ places"):
            Prompt(wrong, media)
        with pytest.raises(UsageError, match=r"the prompt has \d+ places"):
            TokenSequence(
                token_ids=wrong, roles=(Role.PROMPT,) * len(wrong), logprobs=None, media=media
            )


def test_identity_49_a_text_that_holds_a_placeholder_adds_no_place():
    """The processor makes the marks of a question harmless, or the problem is refused."""
    made = PolicyModel.load("nano")
    prompt = made.codec.encode_prompt(tiny_rl.clip("Is <|video_pad|> <|image_pad|> a video?"))
    plain = made.codec.encode_prompt(tiny_rl.clip("Is it a video?"))
    assert prompt.media is not None and plain.media is not None
    assert prompt.media.placeholder_counts == plain.media.placeholder_counts


class Placeholder:
    """Writes the token that stands for frames in every second rollout."""

    def __init__(self, place: int, end: int):
        self.written = [(place, end), (end,)]

    def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
        return [
            Completion(
                token_ids=self.written[i % 2],
                logprobs=(-1.0,) * len(self.written[i % 2]),
                text="",
                finish_reason="stop",
            )
            for i in range(len(requests))
        ]


def test_identity_49_a_rollout_that_writes_a_placeholder_fails_alone():
    made = PolicyModel.load("nano")
    task = replace(tiny_rl.colours(1), show=lambda problem: tiny_rl.clip(problem.question))
    sampler = Placeholder(made.model.config.video_token_id, made.end_ids[0])
    (group,) = collect_rollouts(task, task.problems, made.codec, sampler, replace(HOW, samples=4))
    assert [rollout.sample for rollout in group.rollouts] == [1, 3]
    assert set(group.failures) == {0, 2}
    assert "places" in group.failures[0].message


def test_one_rollout_that_fails_leaves_the_others_in_their_places():
    def play(sample: int, prompt: Prompt) -> Generator[Any, Any, Outcome]:
        if sample == 1:
            raise VideoError("seek failed")
        yield TurnRequest(prompt, 2)
        if sample == 3:
            raise RuntimeError("")
        return done()

    group = played(play, samples=5)
    assert [rollout.sample for rollout in group.rollouts] == [0, 2, 4]
    assert group.failures == {
        1: SampleFailure(kind="VideoError", message="seek failed"),
        3: SampleFailure(kind="RuntimeError", message="RuntimeError"),
    }
    assert played(lambda _, prompt: one_turn(prompt), samples=5).rollouts[2].sequences[
        0
    ].token_ids == (group.rollouts[1].sequences[0].token_ids)


def test_an_endless_episode_fails_and_the_others_come_to_their_end():
    closed = []

    def play(sample: int, prompt: Prompt) -> Generator[Any, Any, Outcome]:
        try:
            while True:
                written = yield TurnRequest(prompt, 1)
                assert isinstance(written, Completion)
                if sample != 1:
                    return done()
        finally:
            closed.append(sample)

    group = played(play)
    assert [rollout.sample for rollout in group.rollouts] == [0, 2]
    assert group.failures[1].kind == "EndlessEpisode"
    assert str(MOST_TURNS) in group.failures[1].message
    assert sorted(closed) == [0, 1, 2]


def test_an_episode_that_asks_nothing_is_no_rollout():
    def play(sample: int, prompt: Prompt) -> Generator[Any, Any, Outcome]:
        if sample:
            yield TurnRequest(prompt, 2)
        return done()

    group = played(play)
    assert [rollout.sample for rollout in group.rollouts] == [1, 2]
    assert group.failures[0].kind == "NothingWritten"


@dataclass
class Refusing:
    """An observer that cannot take some of what it is shown."""

    inner: ScriptedModel
    calls: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def generate(self, request: GenerateRequest) -> list[Reply]:
        self.calls += 1
        if any("bad" in str(c[-1].parts[0].text) for c in request.conversations):  # pyright: ignore
            raise VideoError("the observer cannot read this")
        return self.inner.generate(request)


def observing(observer: Any, forgiving: bool, seen: list[Any]) -> Play:
    def play(sample: int, prompt: Prompt) -> Generator[Any, Any, Outcome]:
        yield TurnRequest(prompt, 2)
        try:
            text = "bad" if sample == 1 else "good"
            replies = yield ModelRequest(
                observer, GenerateRequest([tiny_rl.said(text)], max_new_tokens=8)
            )
            seen.append((sample, [reply.text for reply in replies]))
        except VideoError as error:
            if not forgiving:
                raise
            seen.append((sample, str(error)))
        yield TurnRequest(prompt, 1)
        return done()

    return play


@pytest.mark.parametrize("forgiving", [False, True])
def test_a_failure_of_another_model_is_thrown_into_the_episode_that_asked(forgiving: bool):
    seen: list[Any] = []
    observer = Refusing(ScriptedModel({"good": "a star"}))
    group = played(observing(observer, forgiving, seen))
    assert [row for row in seen if row[0] != 1] == [(0, ["a star"]), (2, ["a star"])]
    if forgiving:
        assert (1, "the observer cannot read this") in seen
        assert len(group.rollouts) == 3
    else:
        failure = SampleFailure(kind="VideoError", message="the observer cannot read this")
        assert group.failures == {1: failure}


def test_requests_of_all_episodes_go_to_a_model_as_one_call():
    seen: list[Any] = []
    observer = Refusing(ScriptedModel({"good": "a star", "bad": "x"}))
    observer.generate = partial(counted, observer)  # type: ignore[method-assign]
    played(observing(observer, False, seen), samples=6)
    assert observer.calls == 1 and len(seen) == 6


def counted(observer: Refusing, request: GenerateRequest) -> Any:
    observer.calls += 1
    return observer.inner.generate(request)


def test_a_sampler_that_fails_one_draw_loses_one_rollout():
    made = tiny_rl.policy()
    inner = tiny_rl.sampler(made)

    class Flaky:
        def sample(self, requests: Sequence[SampleRequest]) -> list[Completion | SampleFailure]:
            found = inner.sample(requests)
            return [SampleFailure(kind="Lost", message="no reply"), *found[1:]]

    task = tiny_rl.colours(2)
    groups = collect_rollouts(task, task.problems, made.codec, Flaky(), HOW)
    assert [len(group.rollouts) for group in groups] == [2, 3]
    assert groups[0].failures == {0: SampleFailure(kind="Lost", message="no reply")}


def test_seeds_are_the_same_everywhere():
    """A change of the hash would change every run that is taken up."""
    assert stable_seed(0, 1, "colour-0", 3, 0) == stable_seed("0", 1, "colour-0", "3", 0)
    assert stable_seed(1, 2) == 1446411180646796515
    assert stable_seed("a", "b") != stable_seed("ab") != stable_seed("b", "a")
    assert stable_seed("\ud800") >= 0
    assert Media(tensors={}, placeholder_counts={}).placeholder_counts == {}
