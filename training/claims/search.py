"""A search through a tree of captions, in words: which colour has the animal?

An animal sits in one of the nine leaves of a tree of three by three. The opening read says below
which child; `go 2` is answered by where it is below child 2, `go 2 3` by its colour if it is there,
any other visit by `nothing`; `say red` ends the search. The tree is a `Tree` over ninety seconds,
so that the rewards of navigation read visits here as they do on video. Captions never lie: this is
about what a reward teaches, not about seeing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from mmreason.memory.tree import NodeId, Tree
from mmreason.models.base import Message, TextPart
from mmreason.training.claims.text_task import TRAINING_PROBLEMS, Demonstration
from mmreason.training.rewards import Combination, Scored, Trajectory, Truth, correct
from mmreason.training.rollouts.episode import Codec, Episode, TurnRequest
from mmreason.training.rollouts.types import Completion, Outcome, Problem, stable_seed
from mmreason.video.types import Span

ANIMALS = ("cat", "dog", "hen", "fox", "owl", "bee")
COLOURS = ("red", "blue", "green", "white", "black", "pink", "grey", "brown")
WORDS = ("find", "=", "go", "say", "nothing", "1", "2", "3", *ANIMALS, *COLOURS)
TREE = Tree(Span(0.0, 90.0), 3, 2)
MOST_VISITS = 7
TURN_TOKENS = 4
"""`go 2 3` and the end token."""


class SearchScene:
    """What is where, made anew from a problem's id."""

    def __init__(self, problem_id: str) -> None:
        draw = random.Random(stable_seed("search", problem_id))
        self.animal = draw.choice(ANIMALS)
        self.colour = draw.choice(COLOURS)
        self.leaf: NodeId = (draw.randint(1, 3), draw.randint(1, 3))

    def opening(self) -> str:
        """The question with the caption of the whole."""
        return f"find {self.animal} = {self.caption(())}"

    def caption(self, node: NodeId) -> str:
        """What a visit is answered by."""
        if node == self.leaf:
            return f"{self.colour} ="
        is_above = len(node) < len(self.leaf) and self.leaf[: len(node)] == node
        return f"{self.leaf[len(node)] if is_above else 'nothing'} ="


def make_problem(index: int, *, held_out: bool) -> Problem:
    """Problem `index`. There are 432 scenes, so the halves share them: held-out problems are held
    out by their numbers alone, enough where the question is what a policy does."""
    name = f"search-{'held' if held_out else 'train'}-{index}"
    scene = SearchScene(name)
    span = TREE.node(scene.leaf).span
    truth = Truth(question=scene.opening(), answer=scene.colour, spans=(span,), tree=TREE)
    return Problem(id=name, question=truth.question, truth=truth)


class SearchTask:
    """The task: `count` problems, scored by `reward`. A `Task`."""

    def __init__(
        self, reward: Combination, *, held_out: bool = False, count: int = TRAINING_PROBLEMS
    ) -> None:
        self._reward = reward
        self._count = count
        self._held_out = held_out

    @property
    def name(self) -> str:
        return "search"

    def __len__(self) -> int:
        return self._count

    def problem(self, index: int) -> Problem:
        return make_problem(index, held_out=self._held_out)

    def episodes(self, problem: Problem, codec: Codec, count: int) -> Sequence[Episode]:
        return [_episode(problem, codec) for _ in range(count)]

    def score(self, problem: Problem, outcome: Outcome) -> Scored:
        return self._reward(outcome.trajectory, problem.truth)


def parse_turn(text: str) -> NodeId | str | None:
    """The node of `go 2 3`, the word of `say red`; None for anything else.

    Example:
        >>> parse_turn("go 2 3"), parse_turn("say red"), parse_turn("go home")
        ((2, 3), 'red', None)
    """
    tokens = text.split()
    if len(tokens) == 2 and tokens[0] == "say":
        return tokens[1]
    if 2 <= len(tokens) <= 3 and tokens[0] == "go" and all(word in "123" for word in tokens[1:]):
        return tuple(map(int, tokens[1:]))
    return None


def _episode(problem: Problem, codec: Codec) -> Episode:
    scene = SearchScene(problem.id)
    conversation = [_message("user", f"{problem.question} ")]
    prompt = codec.encode_prompt(conversation)
    turns: list[str] = []
    visits: list[NodeId] = []
    tokens = 0
    colour = ""
    while True:
        written: Completion = yield TurnRequest(prompt, TURN_TOKENS)
        turns.append(written.text)
        tokens += len(written.token_ids)
        action = parse_turn(written.text)
        if isinstance(action, str):
            colour = action
        # Anything that is no visit ends the search, with or without an answer.
        if not isinstance(action, tuple) or len(visits) == MOST_VISITS:
            break
        visits.append(action)
        before = tuple(conversation)
        # Texts are joined as they are: a blank keeps the first word apart from the last.
        caption = _message("user", f" {scene.caption(action)} ")
        conversation += [_message("assistant", written.text), caption]
        prompt = codec.continue_prompt(prompt, written, before, conversation)
    trajectory = Trajectory(
        answer=colour,
        turns=tuple(turns),
        visits=tuple(visits),
        tool_calls=len(visits),
        tokens_out=tokens,
    )
    is_right = correct(trajectory, problem.truth) == 1.0
    return Outcome(trajectory=trajectory, correct=is_right, turns=len(turns))


def _message(role: Literal["user", "assistant"], text: str) -> Message:
    return Message(role, (TextPart(text),))


def demonstrate_search(
    problem: Problem, draw: random.Random, *, slip: float, again: float
) -> Demonstration:
    """A search as an imperfect teacher would do it.

    He follows the captions, goes to any child instead with probability `slip`, repeats a visit with
    probability `again`, and says the colour he has found, or any when his visits are used up."""
    scene = SearchScene(problem.id)
    turns = [problem.question]
    node: NodeId = ()
    while node != scene.leaf and len(turns) < 2 * MOST_VISITS - 1:
        right = scene.leaf[len(node)]
        child = (*node, draw.choice((1, 2, 3)) if draw.random() < slip else right)
        visit = f"go {' '.join(map(str, child))}"
        turns += [visit, scene.caption(child)] * (2 if draw.random() < again else 1)
        # A wrong turn shows nothing, and he tries again from where he was.
        node = child if scene.leaf[: len(child)] == child else node
    colour = scene.colour if node == scene.leaf else draw.choice(COLOURS)
    return Demonstration((*turns, f"say {colour}"))
