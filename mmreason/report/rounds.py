"""A trace as rounds of calls, so that a long one can be read.

Pure grouping: which steps belong together and which rounds matter most.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mmreason.report.text import has_place, is_second_look, node_of
from mmreason.tools.replies import merged
from mmreason.types import Answer, Cost, Step, Trace
from mmreason.video.types import Span

SHORT_TRACE = 16
"""Traces of up to this many steps are shown in full, but for long readings."""
LONG_READING = 24
"""A round that read more lines than this is folded."""


@dataclass(frozen=True, slots=True)
class Group:
    """Calls of one round that are told together: captions, or one call of another kind."""

    first: int
    """Position of its first step in the trace, from 1."""
    steps: Trace

    @property
    def name(self) -> str:
        return self.steps[0].call.name

    @property
    def span(self) -> Span | None:
        """From the first to the last of it; None for calls that have no place."""
        spans = [step.observation.span for step in self.steps if has_place(step)]
        if not spans:
            return None
        return Span(min(s.start_s for s in spans), max(s.end_s for s in spans))

    @property
    def nodes(self) -> str:
        """`node 2.1`, `nodes 2.1 to 2.6`, or nothing."""
        named = [".".join(map(str, node)) for step in self.steps if (node := node_of(step))]
        if len(named) < 2:
            return "".join(f"node {name}" for name in named)
        return f"nodes {named[0]} to {named[-1]}"


@dataclass(frozen=True, slots=True)
class Round:
    """What was done in one go. Round 0 is the opening read."""

    number: int
    groups: tuple[Group, ...]

    @property
    def steps(self) -> Trace:
        return tuple(step for group in self.groups for step in group.steps)

    @property
    def thoughts(self) -> tuple[str, ...]:
        """Each once, in order."""
        return tuple(dict.fromkeys(step.thought for step in self.steps if step.thought))

    @property
    def cost(self) -> Cost:
        return sum((step.cost for step in self.steps), Cost())

    @property
    def lines(self) -> int:
        """Lines of text that it read."""
        return sum(max(1, len(merged(step.observation.notes))) for step in self.steps)

    @property
    def cached(self) -> bool:
        """Whether no model was asked."""
        return all(s.observation.cached for s in self.steps) and not self.cost.reasoner_calls


def round_numbers(trace: Trace) -> tuple[int, ...]:
    """The round of each step: a call that counts as a round starts one."""
    return tuple(itertools.accumulate(step.observation.cost.rounds for step in trace))


def group_rounds(trace: Trace) -> tuple[Round, ...]:
    """The steps of each round together, neighbouring descriptions of a round as one group."""
    # Steps that cost no round (checks, notes) belong to the one before them.
    numbered = list(zip(round_numbers(trace), range(1, len(trace) + 1), trace, strict=True))
    grouped = []
    for number, members in itertools.groupby(numbered, key=lambda item: item[0]):
        grouped.append(Round(number, tuple(_groups([(i, step) for _, i, step in members]))))
    return tuple(grouped)


def telling_rounds(answer: Answer, rounds: tuple[Round, ...]) -> set[int]:
    """Numbers of the rounds that are to be seen at once: all of a short trace, but for long
    readings; of a long one the last, and the looks that the evidence rests on."""
    # A short trace is read from top to bottom; of a long one few rounds matter.
    if len(answer.trace) <= SHORT_TRACE:
        return {agent_round.number for agent_round in rounds if agent_round.lines <= LONG_READING}
    return {
        agent_round.number
        for agent_round in rounds
        if agent_round is rounds[-1] or _speaks_for(agent_round, answer)
    }


def _speaks_for(agent_round: Round, answer: Answer) -> bool:
    """Whether a look of this round lies in the evidence, for the most part."""
    # A look may be longer than the evidence that was taken from it: half of it is enough.
    looks = (s for s in agent_round.steps if s.call.asks and not s.observation.error)
    return any(
        2 * evidence.span.overlap_s(look.observation.span) >= look.observation.span.duration_s
        for look in looks
        for evidence in answer.evidence
    )


def _groups(members: list[tuple[int, Step]]) -> Iterator[Group]:
    def kind(item: tuple[int, Step]) -> object:
        index, step = item
        # Descriptions of one thought are told as one; any other call stands alone.
        is_reading = step.call.describes and not is_second_look(step)
        return (step.call.name, step.thought) if is_reading else index

    for _, group in itertools.groupby(members, key=kind):
        items = list(group)
        yield Group(items[0][0], tuple(step for _, step in items))
