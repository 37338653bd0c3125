"""The small text tasks: what they ask, what is right, what imperfect teachers write."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmreason.training.claims import experiment, routes, runs, search, start, sums, tiny
from mmreason.training.claims.diversity import count_places
from mmreason.training.claims.navigation import CORRECTED, PUBLISHED
from mmreason.training.claims.rare_tokens import masked_clipped
from mmreason.training.claims.text_task import Demonstration, TextTask
from mmreason.training.generation.collect import Sampling, collect_rollouts
from mmreason.training.generation.sampler import SampleRequest
from mmreason.training.objectives import TokenBatch, clipped
from mmreason.training.rewards import Trajectory
from mmreason.training.rollouts.types import Completion, Group, Prompt, Role

MINI = experiment.Size(name="mini", shrink=500, held_out=4, staleness=(1, 2), updates=2)
NUMBERS = st.integers(0, 10**6)


def _say(text: str) -> Trajectory:
    return Trajectory(answer=text, turns=(text,))


# Sums


@given(index=NUMBERS, held_out=st.booleans())
def test_a_teacher_without_faults_adds_up(index: int, held_out: bool) -> None:
    problem = sums.make_problem(index, held_out=held_out, addends=5)
    draw = random.Random(index)
    shown = sums.demonstrate_sum(problem, draw, guess=0.0, slip=0.0, filler=0.0, hard=False)
    numbers = list(map(int, problem.question.split()[1:-1]))
    so_far = [sum(numbers[: i + 1]) % sums.BASE for i in range(1, 5)]
    assert shown == Demonstration((problem.question, " ".join(map(str, so_far))))
    assert sums.check_last_number(_say(shown.turns[1]), problem.truth) == 1.0


@given(index=NUMBERS)
def test_fillers_are_not_read_and_are_counted(index: int) -> None:
    problem = sums.make_problem(index, held_out=False, addends=4)
    draw = random.Random(index)
    said = sums.demonstrate_sum(problem, draw, guess=0.0, slip=0.0, filler=1.0, hard=False).turns[1]
    assert sums.count_fillers(said) == 3
    assert sums.check_last_number(_say(said + " um"), problem.truth) == 1.0
    assert sums.check_last_number(_say("um um"), problem.truth) == 0.0


def test_faults_come_as_often_as_asked_for() -> None:
    problems = [sums.make_problem(i, held_out=False, addends=5) for i in range(2000)]
    draw = random.Random(0)
    shown = [
        sums.demonstrate_sum(p, draw, guess=0.25, slip=0.0, filler=0.1, hard=False).turns[1]
        for p in problems
    ]
    words = [[w for w in said.split() if w not in sums.FILLERS] for said in shown]
    assert sum(len(said) == 1 for said in words) / 2000 == pytest.approx(0.25, abs=0.04)
    share = sum(map(sums.count_fillers, shown)) / sum(map(len, words))
    assert share == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("make", [lambda i, held: sums.make_problem(i, held_out=held, addends=4)])
def test_held_out_questions_are_not_trained_on(make: Any) -> None:
    trained = {make(i, False).question for i in range(2000)}
    assert not trained & {make(i, True).question for i in range(200)}


# Routes


@given(index=NUMBERS, held_out=st.booleans())
def test_a_heedful_teacher_arrives(index: int, held_out: bool) -> None:
    problem = routes.make_problem(index, held_out=held_out)
    draw = random.Random(index)
    said = routes.demonstrate_walk(problem, draw, heedless=0.0, lost=0.0).turns[1]
    assert routes.check_walk(_say(said), problem.truth) == 1.0
    words = said.split()
    assert 3 <= len(words) <= 6
    for worse in (words[:-1], words[1:], [*words, words[-2]], words[::-1], ["x"], []):
        assert routes.check_walk(_say(" ".join(worse)), problem.truth) == 0.0


def test_closed_places_are_closed() -> None:
    question = "from 0 to 2 closed 1 20 21 22 ="
    problem = routes.make_problem(0, held_out=False)
    truth = type(problem.truth)(question=question)
    assert routes.check_walk(_say("1 2"), truth) == 0.0
    assert routes.check_walk(_say("5 6 7 2"), truth) == 1.0


def test_diversity_of_walks() -> None:
    assert routes.list_streets("1 2 3") == {("1", "2"), ("2", "3")}
    table = count_places(["1 2 2", "", "99 x"])
    assert table[0].nonzero().flatten().tolist() == [1, 2, 25]
    assert table[0, 2] == 2.0
    assert bool((table.norm(dim=1) > 0).all())


# Search


class _Player:
    """A sampler that plays the same turns in every search."""

    def __init__(self, turns: Sequence[str], tokenizer: Any):
        self.turns, self.at, self.tokenizer = list(turns), 0, tokenizer
        self.read: list[str] = []

    def sample(self, requests: Sequence[SampleRequest]) -> list[Any]:
        text = self.turns[min(self.at, len(self.turns) - 1)]
        self.at += 1
        self.read.append(self.tokenizer.decode(requests[0].prompt.token_ids))
        ids = (*self.tokenizer.encode(text, add_special_tokens=False), tiny.END_ID)
        return [
            Completion(token_ids=ids, logprobs=(0.0,) * len(ids), text=text, finish_reason="stop")
        ] * len(requests)


def _play(turns: Sequence[str], reward: Any = CORRECTED) -> tuple[Group, _Player]:
    tokenizer = tiny.make_tokenizer(search.WORDS)
    player = _Player(turns, tokenizer)
    task = search.SearchTask(reward, count=3)
    codec = tiny.TextCodec(tokenizer)
    how = Sampling(samples=1, temperature=1.0, seed=0, step=0)
    (group,) = collect_rollouts(task, [task.problem(0)], codec, player, how)
    return group, player


def test_a_search_reads_what_it_visits_and_learns_what_it_wrote() -> None:
    scene = search.SearchScene("search-train-0")
    i, j = scene.leaf
    group, player = _play([f"go {i}", f"go {i} {j}", f"say {scene.colour}"])
    (rollout,) = group.rollouts
    assert rollout.outcome.correct
    assert rollout.outcome.trajectory.visits == ((i,), (i, j))
    assert rollout.scored.total == pytest.approx(2.0)
    words = f"find {scene.animal} = {i} = go {i} <end> {j} = go {i} {j} <end> {scene.colour} ="
    assert player.read[-1].split() == words.split()
    (sequence,) = rollout.sequences
    written = [
        t for t, r in zip(sequence.token_ids, sequence.roles, strict=True) if r == Role.ASSISTANT
    ]
    told = player.tokenizer.convert_ids_to_tokens(written)
    assert told == f"go {i} <end> go {i} {j} <end> say {scene.colour} <end>".split()


def test_the_published_reward_pays_for_visiting_again_and_the_corrected_one_does_not() -> None:
    scene = search.SearchScene("search-train-0")
    i, j = scene.leaf
    once = [f"go {i} {j}", f"say {scene.colour}"]
    again = [f"go {i} {j}"] * search.MOST_VISITS + [f"say {scene.colour}"]
    totals = {
        (name, len(turns)): _play(turns, reward)[0].rollouts[0].scored.total or 0.0
        for name, reward in (("published", PUBLISHED), ("corrected", CORRECTED))
        for turns in (once, again)
    }
    assert totals["published", 8] > totals["published", 2] + 3
    assert totals["corrected", 8] < totals["corrected", 2]


def test_a_search_ends_by_the_limit_or_by_nonsense_without_an_answer() -> None:
    group, _ = _play(["go 1"])
    (rollout,) = group.rollouts
    assert len(rollout.outcome.trajectory.visits) == search.MOST_VISITS
    assert rollout.outcome.trajectory.answer == ""
    group, _ = _play(["find find"])
    assert group.rollouts[0].outcome.trajectory.visits == ()
    assert group.rollouts[0].outcome.correct is False


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("go 2", (2,)), ("go 2 3", (2, 3)), ("say red", "red"), ("go", None), ("go 4", None)],
)
def test_turns_are_read(text: str, wanted: Any) -> None:
    assert search.parse_turn(text) == wanted


@given(index=NUMBERS)
def test_a_teacher_without_faults_searches_straight(index: int) -> None:
    problem = search.make_problem(index, held_out=False)
    shown = search.demonstrate_search(problem, random.Random(index), slip=0.0, again=0.0)
    scene = search.SearchScene(problem.id)
    i, j = scene.leaf
    assert shown.turns[1::2] == (f"go {i}", f"go {i} {j}", f"say {scene.colour}")
    assert problem.truth.answer == scene.colour


# The start, and tasks as the trainer takes them


def test_only_what_was_written_is_learnt() -> None:
    tokenizer = tiny.make_tokenizer(search.WORDS)
    ids, targets = start.encode_demonstrations(
        [Demonstration(("find cat = 1 =", "go 1")), Demonstration(("find cat =", "go 1 2"))],
        tokenizer,
    )
    assert ids.shape == targets.shape == (2, 8)
    learnt = [
        tokenizer.convert_ids_to_tokens(row[row != start.IGNORED].tolist()) for row in targets
    ]
    assert learnt == [["go", "1", "<end>"], ["go", "1", "2", "<end>"]]
    assert bool(((targets == ids) | (targets == start.IGNORED)).all())


def test_a_start_is_the_same_for_a_seed_and_is_kept(tmp_path: Any) -> None:
    lesson = runs.EXPERIMENTS["staleness"](MINI).arms[0].lesson
    assert lesson is not None
    torch.manual_seed(1)
    first = start.make_start(lesson, 3, tmp_path / "a")
    torch.manual_seed(2)
    second = start.make_start(lesson, 3, tmp_path / "b")
    other = start.make_start(lesson, 4, tmp_path / "b")
    prints = [tiny.load_model(folder).fingerprint for folder in (first, second, other)]
    assert prints[0] == prints[1] != prints[2]
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert start.make_start(lesson, 3, tmp_path / "a") == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before


def test_tasks_can_be_sent_to_other_processes() -> None:
    for make in runs.EXPERIMENTS.values():
        for arm in make(MINI).arms:
            if arm.lesson is not None:
                assert pickle.loads(pickle.dumps(arm.lesson.demonstrate)) is not None
            if arm.recipe is not None:
                task = arm.recipe.task
                assert task is not None
                again = pickle.loads(pickle.dumps(task))
                assert again.problem(7) == task.problem(7)


def test_an_endless_answer_is_wrong() -> None:
    problem = sums.make_problem(0, held_out=False, addends=3)
    task = TextTask(
        name="t", count=1, make=lambda i: problem, right=sums.check_last_number, max_new_tokens=2
    )
    codec = tiny.TextCodec(tiny.make_tokenizer(sums.WORDS))
    for ended in (True, False):
        (episode,) = task.episodes(problem, codec, 1)
        ask = next(episode)
        assert isinstance(getattr(ask, "prompt", None), Prompt)
        text = problem.truth.answer or ""
        written = Completion(
            token_ids=(5,), logprobs=(0.0,), text=text, finish_reason="stop" if ended else "length"
        )
        with pytest.raises(StopIteration) as end:
            episode.send(written)
        assert end.value.value.correct is ended
        assert task.score(problem, end.value.value).total == float(ended)


# Masks of the STAPO experiment


def test_masks_hit_rare_tokens_of_rewarded_answers_alone() -> None:
    logp = torch.tensor([[0.5, 0.01, 0.02, 0.03], [0.01, 0.5, 0.5, 0.5]]).log()
    batch = TokenBatch(
        logp=logp,
        old_logp=logp,
        mask=torch.ones(2, 4, dtype=torch.bool),
        advantage=torch.tensor([1.0, -1.0]),
        entropy=torch.tensor([[0.1, 0.2, 3.0, 1.0], [0.1, 0.1, 0.1, 0.1]]),
    )
    plain = clipped(batch, clip_high=0.28)
    limits = {"probability": 0.05, "quantile": 0.75}
    for terms, hit in (
        (masked_clipped(batch, which="all", **limits), {1, 2, 3}),
        (masked_clipped(batch, which="uncertain", **limits), {2, 3}),
    ):
        assert set((terms[0] == 0).nonzero().flatten().tolist()) == hit
        assert torch.equal(terms[1], plain[1])
        assert terms[0, 0] == plain[0, 0]
