"""Plays worth learning from: the teacher climbs the ladder of hints until its answer is right.

A question whose answer stays wrong on every rung, or takes too many turns, gives nothing: only
correct plays are kept, each with the fewest hints that make it correct. Plays run on the policy
itself, up to its first answer; checks of that answer are the loop's and nothing to learn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mmreason.agent.driver import run_to_end, serve_requests
from mmreason.agent.protocol import AskModel, CallTools, Claim, Inquiry, Results
from mmreason.agent.question import Question
from mmreason.language.answer_reading import read_answer
from mmreason.language.refusals import says_absent
from mmreason.memory.store import Store
from mmreason.memory.tree import NodeId, plan_tree
from mmreason.models.base import ChatModel, GenerateRequest, Message, Reply
from mmreason.needle.items import Item, NeedleSet
from mmreason.needle.worlds import needle_set
from mmreason.policies.longvideo_r1_text import ParsedTurn, read_turn
from mmreason.policies.presets import NANO_POLICY
from mmreason.tool_calls import Caption, ToolCall
from mmreason.tools.calls import Roles
from mmreason.tools.scan import caption_call, group_by_node, is_long, scan_calls
from mmreason.tools.toolbox import Toolbox
from mmreason.training.navigation.observer import CLIP, BlankVideo, make_observer
from mmreason.training.navigation.teacher import HINTS, Teacher
from mmreason.types import Note, Observation, UsageError

LENGTHS_S = (180.0, 900.0, 3600.0)
"""Lengths of the worlds, in turn, where none is asked for."""
ITEMS = 10
"""Questions about a world; fewer make a calmer world with shorter captions."""

Split = Literal["train", "held-out"]
"""Their worlds never meet."""


@dataclass(frozen=True, slots=True)
class PlayTurn:
    """One decision: what was said before, and what was written.

    Example:
        >>> PlayTurn(messages=(), text="<answer>red</answer>").text
        '<answer>red</answer>'
    """

    messages: tuple[Message, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class NavigationDemonstration:
    """A correct play, up to its first answer."""

    item: Item
    hints: int
    turns: tuple[PlayTurn, ...]


def needle_world(
    split: Split, index: int, duration_s: float | None = None, items: int = ITEMS
) -> NeedleSet:
    """World `index` of a split, the same whenever asked for; of one length or of all in turn."""
    # Far apart, so that no split runs into the other.
    # Away from the worlds of benchmarks too, which count from 0.
    start = {"train": 1_000_000, "held-out": 2_000_000}[split]
    return needle_set(start + index, duration_s or LENGTHS_S[index % len(LENGTHS_S)], items)


def demonstrate_world(
    needles: NeedleSet, most_hints: int = HINTS - 1
) -> Iterator[NavigationDemonstration]:
    """The correct plays over one world, in the order of its items, of a teacher with no more than
    so many hints."""
    played = PlayedWorld(needles)
    for item in needles.items:
        play = played.best_play(item, most_hints)
        if play is not None:
            yield play


class PlayedWorld:
    """A world with all that was seen of it so far."""

    def __init__(self, needles: NeedleSet):
        self.needles = needles
        self.video = BlankVideo(needles.world)
        self.observer = make_observer(needles.world)
        self.tree = plan_tree(self.video.info.span, leaf_s=CLIP.leaf_s)
        roles = Roles(self.observer, self.observer, self.observer)
        self._toolbox = Toolbox(self.video, roles, Store.in_memory())
        self._observations: dict[str, Observation] = {}

    def best_play(self, item: Item, most_hints: int = HINTS - 1) -> NavigationDemonstration | None:
        """The correct play with the fewest hints, `most_hints` or fewer; None where there is
        none."""
        # What is nowhere, or everywhere, has no place that a hint could name.
        can_be_hinted = bool(item.gold_spans) and item.kind != "global"
        # As few as do: a play that needed no hint can be learnt from captions alone.
        for hints in range(most_hints + 1 if can_be_hinted else 1):
            teacher = Teacher(item, self.tree, self.read_notes, hints)
            (turns,) = play_all([self.play(item)], teacher)
            if turns and is_right(item, turns[-1].text):
                return NavigationDemonstration(item=item, hints=hints, turns=turns)
        return None

    def play(self, item: Item) -> Generator[AskModel, Reply, None]:
        """The policy at one question: yields what its model is asked, until the first answer."""
        play = NANO_POLICY.play(self.inquiry(item))
        action = next(play)
        # A claim is the first answer; what the loop makes of it teaches nothing.
        while not isinstance(action, Claim):
            sent = None
            if isinstance(action, AskModel):
                sent = yield action
            elif isinstance(action, CallTools):
                sent = Results(tuple(self.observe(call) for call in action.calls))
            try:
                action = play.send(sent)
            except StopIteration:
                return

    def inquiry(self, item: Item) -> Inquiry:
        """What the policy knows of a question."""
        question = Question(video=item.world, text=item.question, options=item.options)
        return Inquiry(question=question, tree=self.tree, leaf_s=CLIP.leaf_s)

    def read_turn(self, item: Item, text: str) -> ParsedTurn | None:
        """What a turn says; None where it cannot be read."""
        try:
            return read_turn(text, self.inquiry(item))
        except (UsageError, ValueError):
            return None

    def visited_node(self, item: Item, text: str) -> NodeId | None:
        """The node that a turn opens or looks at; None for answers and turns that cannot be
        read."""
        decision = self.read_turn(item, text)
        if decision is None or not decision.calls:
            return None
        first = decision.calls[0]
        if isinstance(first, Caption):
            # An opened node is the parent of the captions it asks for.
            return first.node[:-1] if len(decision.calls) > 1 else first.node
        return self.tree.leaf_at(first.span.middle_s).id

    def observe(self, call: ToolCall) -> Observation:
        """What a call shows; every call is made once."""
        key = str(call)
        # Plays of one world ask for the same captions again and again.
        if key not in self._observations:
            prepared = self._toolbox.prepare(call)
            run = self._toolbox.perform([prepared])
            self._observations[key] = run_to_end(serve_requests(run))[0]
        return self._observations[key]

    def read_notes(self, node: NodeId) -> tuple[Note, ...]:
        """The notes of a node's caption."""
        call = caption_call(self.tree.node(node), self.moments, parent_stills=True)
        return self.observe(call).notes

    @cached_property
    def moments(self) -> dict[NodeId, tuple[Note, ...]]:
        """What scans find, as the policy does them; none for a short video."""
        if not is_long(self.tree):
            return {}
        return group_by_node(self.tree, [self.observe(call) for call in scan_calls(self.tree)])


def play_all(
    plays: Sequence[Generator[AskModel, Reply, None]], model: ChatModel
) -> list[tuple[PlayTurn, ...]]:
    """Let one model play several questions, the open ones of a round in one batch."""
    turns: list[list[PlayTurn]] = [[] for _ in plays]
    waiting = {
        i: action for i, play in enumerate(plays) if (action := next(play, None)) is not None
    }
    while waiting:
        # All plays are of one policy, so one limit serves a round.
        limit = next(iter(waiting.values())).max_new_tokens
        conversations = [action.messages for action in waiting.values()]
        replies = model.generate(GenerateRequest(conversations, max_new_tokens=limit))
        next_actions: dict[int, AskModel] = {}
        for (i, action), reply in zip(waiting.items(), replies, strict=True):
            turns[i].append(PlayTurn(tuple(action.messages), reply.written))
            # A play that is over asks nothing more.
            with contextlib.suppress(StopIteration):
                next_actions[i] = plays[i].send(reply)
        waiting = next_actions
    return [tuple(play_turns) for play_turns in turns]


def is_right(item: Item, text: str) -> bool:
    """Whether the turn answers, and picks the right option or says that there is none."""
    answer = text.partition("<answer>")[2].partition("</answer>")[0].strip()
    if not answer:
        return False
    if says_absent(answer):
        return item.answer is None
    return item.answer is not None and read_answer(answer, item.options).choice == item.answer
