"""From what a model wrote, or an `Answer` of the agent, to the trajectory that rewards see.

Reads untrusted text: with limits, in time linear in its length, without ever raising. What was read
is judged elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mmreason.grounding import Box, GroundingStatus, parse_boxes, parse_tubes
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
TUBE_LIMIT = 1000
"""Boxes of a tube; a text of more is read as none, or boxes behind the limit would be free."""

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

    Example:
        >>> from_turns(["<think>Two.</think><answer>2</answer>"]).answer
        '2'
    """
    turns = tuple(turns)
    answer = final_answer(turns[-1]) if turns else ""
    return Trajectory(
        answer=answer,
        turns=turns,
        spans=read_spans(answer),
        boxes=None if frame is None else read_boxes(answer, frame),
        tube=None if frame is None else read_tube(answer, frame),
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
    evidence, steps = answer.evidence, list(_chosen_steps(answer.trace))
    # () says that there is none, None that nothing is said of it: rewards judge only the first.
    boxes = tuple(Box(*box) for item in evidence for box in item.boxes_px)
    # A box has a time where its evidence is of one frame.
    single_frame = [item for item in evidence if len(item.frame_times_s) == 1]
    return Trajectory(
        answer=answer.text,
        turns=tuple(turns),
        spans=() if absent else tuple(item.span for item in evidence) or None,
        boxes=() if absent else boxes or None,
        marks=tuple(
            Mark(item.frame_times_s[0], Box(*box)) for item in single_frame for box in item.boxes_px
        ),
        visits=tuple(visit for step in steps if (visit := _visited_node(step)) is not None),
        tool_calls=sum(step.observation.error is None for step in steps),
        tokens_out=tokens_out,
        frames_seen=answer.cost.frames_unique,
    )


def final_answer(text: str) -> str:
    """What the text answers: the last `<answer>` behind the last thought, or all of it where there
    are no tags. Empty where a thought never ends, where a tool is called instead, and where more
    than `ANSWER_LIMIT` characters were written.

    Example:
        >>> final_answer("<think>B or C?</think><answer>B</answer>"), final_answer("<think>B or")
        ('B', '')
    """
    answer = tagged_answer(split_thought(text)[1])
    return answer if len(answer) <= ANSWER_LIMIT else ""


def read_spans(text: str) -> tuple[Span, ...] | None:
    """Stretches such as "12.5 to 20 s", "1:05 - 1:20" or "[12.5, 20]", in order.

    One that ends before it starts is dropped, never turned round. `()` where the text says that
    there is none, None where nothing can be read.

    Example:
        >>> read_spans("from 1:05 to 1:20")[0].duration_s
        15.0
    """
    spans = []
    for match in _SPAN.finditer(text):
        # Two of the four groups matched: those of one notation.
        start_s, end_s = (_to_seconds(time) for time in match.groups() if time is not None)
        if start_s <= end_s:
            spans.append(Span(start_s, end_s))
    return tuple(spans) or (() if declines_to_answer(text) else None)


def read_boxes(text: str, frame: Frame) -> tuple[Box, ...] | None:
    """Boxes in pixels of the original frame; `()` where the text says that there is none, None
    where nothing can be read."""
    read = parse_boxes(text, frame.dialect, frame.size_px, seen_size_px=frame.seen_size_px)
    return read.boxes or (() if read.status is GroundingStatus.NONE else None)


def read_tube(text: str, frame: Frame) -> tuple[Mark, ...] | None:
    """Boxes with their times in seconds, of all tubes that the text gives; `()` where the text says
    that there is none, None where nothing can be read.

    Example:
        >>> text = '{"boxes": {"1.5": [0, 0, 500, 500]}}'
        >>> read_tube(text, Frame(size_px=(200, 100)))[0].time_s
        1.5
    """
    read = parse_tubes(text, frame.dialect, frame.size_px, seen_size_px=frame.seen_size_px)
    if not read.targets:
        return () if read.status is GroundingStatus.NONE else None
    tubes = [target.tube for target in read.targets if target.tube is not None]
    marks = [
        Mark(float(time_s), Box(*(float(value) for value in row)))
        for tube in tubes
        for time_s, row, present in zip(tube.times_s, tube.boxes_px, tube.present, strict=True)
        if present
    ]
    return tuple(marks) if len(marks) <= TUBE_LIMIT else None


def read_marks(text: str, frame: Frame) -> tuple[Mark, ...]:
    """Citations `<box>[x1, y1, x2, y2]</box>at<t>12.5</t>`, as Open-o3-Video (arXiv 2510.20579)
    writes them, anywhere in a chain of thought; the first `MARK_LIMIT` of them."""
    marks: list[Mark] = []
    for match in _MARK.finditer(text):
        time_s = _to_seconds(match[2])
        marks += (Mark(time_s, box) for box in read_boxes(match[1], frame) or ())
        if len(marks) >= MARK_LIMIT:
            break
    return tuple(marks[:MARK_LIMIT])


def _to_seconds(text: str) -> float:
    """`1:15.25` -> 75.25."""
    seconds = 0.0
    for digits in text.split(":"):
        seconds = seconds * 60 + float(digits)
    return seconds


def _chosen_steps(trace: Trace) -> Iterator[Step]:
    """Steps that the model chose: without the opening, which takes no round, without the second
    looks of the loop, and without what no tool answered."""
    # The opening read comes before the first round.
    rounds = 0
    for step in trace:
        rounds += step.cost.rounds
        is_chosen = not isinstance(step.call, ModelTurn) and not step.call.is_check
        if rounds and is_chosen:
            yield step


def _visited_node(step: Step) -> NodeId | None:
    return step.call.node if isinstance(step.call, Caption) else None
