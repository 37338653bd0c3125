"""From what a model wrote, or an `Answer` of the agent, to the trajectory that rewards see.

Reads untrusted text: with limits, in time linear in its length, without ever raising. Leaves out
judging what was read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mmreason.grounding import Box, GroundingStatus, parse_boxes
from mmreason.language.answer_reading import TEXT_LIMIT
from mmreason.language.markup import tagged_answer
from mmreason.language.refusals import declines_to_answer
from mmreason.language.thoughts import split_thought
from mmreason.memory.tree import NodeId
from mmreason.tool_calls import Caption, ModelTurn
from mmreason.training.rewards.types import Frame, Mark, Trajectory
from mmreason.types import Answer, Step, StopReason, Trace
from mmreason.video.types import Span

ANSWER_LIMIT = TEXT_LIMIT
"""An answer of more characters is read as none."""
CHAIN_LIMIT = 200_000
"""Characters of a chain of thought in which citations are looked for."""
MARK_LIMIT = 100
"""Calls in a trace that no tool answered: they tell of bad output, of a model that failed, and of
what it answered."""

_TIME = r"((?:\d{1,3}:)?\d{1,3}:\d\d(?:\.\d{1,15})?|\d{1,7}(?:\.\d{1,15})?)"
_UNIT = r"\s{0,3}(?:seconds?|secs?|s)?\s{0,3}"
_SPAN = re.compile(
    rf"(?<![\d.:]){_TIME}{_UNIT}(?:to|and|until|[-\u2013\u2014~]){_UNIT}{_TIME}(?![\d:])"
    rf"|[\[(]\s{{0,3}}{_TIME}{_UNIT},\s{{0,3}}{_TIME}{_UNIT}[\])]",
    re.IGNORECASE,
)
_MARK = re.compile(
    rf"<box>([^<>]{{1,200}})</box>[^<>]{{0,20}}<t>\s{{0,3}}{_TIME}{_UNIT}</t>", re.IGNORECASE
)


def from_turns(
    turns: Sequence[str], *, frame: Frame | None = None, tokens_out: int | None = None
) -> Trajectory:
    """The trajectory of a task without tools: one turn, or several whose last one answers.

    `frame` is needed to read boxes and citations; without it there are none.
    """
    turns = tuple(turns)
    answer = final_answer(turns[-1]) if turns else ""
    return Trajectory(
        answer=answer,
        turns=turns,
        spans=read_spans(answer),
        boxes=None if frame is None else read_boxes(answer, frame),
        marks=() if frame is None else read_marks("\n".join(turns)[:CHAIN_LIMIT], frame),
        tokens_out=tokens_out,
    )


def from_answer(
    answer: Answer, *, turns: Sequence[str] = (), tokens_out: int | None = None
) -> Trajectory:
    """The trajectory behind an answer of the agent: its evidence and its trace.

    `turns` and `tokens_out` are what the deciding model itself wrote: an `Answer` does not keep
    it, and its cost counts the observer's tokens too.
    """
    absent = answer.stop_reason is StopReason.ABSTAINED or declines_to_answer(answer.text)
    boxes = tuple(Box(*box) for one in answer.evidence for box in one.boxes_px)
    own = list(_own_steps(answer.trace))
    return Trajectory(
        answer=answer.text,
        turns=tuple(turns),
        spans=() if absent else tuple(one.span for one in answer.evidence) or None,
        boxes=() if absent else boxes or None,
        marks=tuple(
            Mark(one.frame_times_s[0], Box(*box))
            for one in answer.evidence
            if len(one.frame_times_s) == 1
            for box in one.boxes_px
        ),
        visits=tuple(visit for step in own if (visit := _visit(step)) is not None),
        tool_calls=sum(step.observation.error is None for step in own),
        tokens_out=tokens_out,
    )


def final_answer(text: str) -> str:
    """What the text answers: the last `<answer>` behind the last thought, or all of it where there
    are no tags. Empty where a thought never ends, where a tool is called instead, and where more
    than `ANSWER_LIMIT` characters were written."""
    answer = tagged_answer(split_thought(text)[1])
    return answer if len(answer) <= ANSWER_LIMIT else ""


def read_spans(text: str) -> tuple[Span, ...] | None:
    """Stretches such as "12.5 to 20 s", "1:05 - 1:20" or "[12.5, 20]", in order.

    One that ends before it starts is dropped, never turned round. `()` where the text says that
    there is none, None where nothing can be read.
    """
    found = []
    for match in _SPAN.finditer(text):
        start_s, end_s = (_seconds(part) for part in match.groups() if part is not None)
        if start_s <= end_s:
            found.append(Span(start_s, end_s))
    return tuple(found) or (() if declines_to_answer(text) else None)


def read_boxes(text: str, frame: Frame) -> tuple[Box, ...] | None:
    """Boxes in pixels of the original frame; `()` where the text says that there is none, None
    where nothing can be read."""
    read = parse_boxes(text, frame.dialect, frame.size_px, seen_size_px=frame.seen_size_px)
    return read.boxes or (() if read.status is GroundingStatus.NONE else None)


def read_marks(text: str, frame: Frame) -> tuple[Mark, ...]:
    """Citations `<box>[x1, y1, x2, y2]</box>at<t>12.5</t>`, as Open-o3-Video (arXiv 2510.20579)
    writes them, anywhere in a chain of thought; the first `MARK_LIMIT` of them."""
    found: list[Mark] = []
    for match in _MARK.finditer(text):
        found += (Mark(_seconds(match[2]), box) for box in read_boxes(match[1], frame) or ())
        if len(found) >= MARK_LIMIT:
            break
    return tuple(found[:MARK_LIMIT])


def _seconds(text: str) -> float:
    """`1:15.25` -> 75.25."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _own_steps(trace: Trace) -> Iterator[Step]:
    """Steps that the model chose: without the opening, which takes no round, without the second
    looks of the loop, and without what no tool answered."""
    rounds = 0
    for step in trace:
        rounds += step.cost.rounds
        chosen = not isinstance(step.call, ModelTurn) and not step.call.is_check
        if rounds and chosen:
            yield step


def _visit(step: Step) -> NodeId | None:
    return step.call.node if isinstance(step.call, Caption) else None
