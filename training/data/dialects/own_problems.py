"""Our own problem files (docs/problems.md) as samples and back.

The question is shown with its options behind letters; the right answer, where it is a letter, a
number, words or spans, ends the row as the assistant's message. Boxes do not: in which numbers a
model writes them is the model's affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from mmreason.training.data.dialects.own_key import OWN_KEY, apply_own_key
from mmreason.training.data.dialects.row_errors import BadRow
from mmreason.training.data.dialects.rows import TRANSCRIPT_FIELD, RowContext, read_text
from mmreason.training.data.problem_file import from_row, to_row
from mmreason.training.data.question_text import ground_truth, question_text
from mmreason.training.data.sample import (
    MediaKind,
    MediaRef,
    Sample,
    SampleMessage,
    resolve_path,
)
from mmreason.training.rewards import Truth
from mmreason.training.rollouts.types import Problem

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings of paths that are images."""


def read_problem(row: Mapping[str, Any], context: RowContext) -> Sample:
    """A problem. Raises BadRow."""
    problem_row = {name: value for name, value in row.items() if value is not None}
    try:
        problem = from_row(problem_row)
    except ValueError as error:
        raise BadRow(str(error)) from error
    if problem.truth.answer is not None and not problem.truth.answer.strip():
        raise BadRow("the answer is empty")
    media: tuple[MediaRef, ...] = ()
    if problem.video is not None:
        path = resolve_path(problem.video, context.root)
        media = (MediaRef(kind=kind_of_path(path), paths=(path,), span=problem.span),)
    elif problem.span is not None:
        raise BadRow("has a 'span' and no 'video'")
    sample = Sample(
        id=problem.id,
        messages=messages_of(question_text(problem), answer_text(problem.truth), media),
        truth=problem.truth,
        transcript=read_text(row, TRANSCRIPT_FIELD, default=""),
        channel=problem.kind,
        columns=problem.truth.columns,
        source=context.source,
    )
    return apply_own_key(sample, row.get(OWN_KEY))


def write_problem(sample: Sample) -> dict[str, Any]:
    """The row of a problem. Raises BadRow for a conversation of several turns or files."""
    media, shown, target = single_turn(sample)
    if len(media) > 1:
        raise BadRow(f"shows {len(media)} files, and a problem has one")
    if media and media[0].kind is not kind_of_path(media[0].path):
        raise BadRow(f"shows {media[0].kind}, and a problem has one video or image")
    truth = replace(sample.truth, columns=dict(sample.columns))
    below = question_text(Problem(id="-", question="", truth=truth))
    if truth.options and shown.endswith(below) and len(shown) > len(below):
        question = shown[: -len(below)]
    else:
        # Options that stand in the question in another form are not shown twice.
        question, truth = shown, replace(truth, options=(), choice=None)
    if target and not answer_text(truth):
        truth = replace(truth, answer=target, answers=())
    problem = Problem(
        id=sample.id,
        question=question,
        truth=truth,
        kind=sample.channel,
        video=media[0].path if media else None,
        span=media[0].span if media else None,
    )
    row = to_row(problem)
    return row | ({TRANSCRIPT_FIELD: sample.transcript} if sample.transcript else {})


def answer_text(truth: Truth) -> str:
    """The answer that the assistant gives; empty where it is of boxes, or not known."""
    has_text = (truth.choice, truth.number, truth.answer, truth.spans) != (None,) * 4
    return ground_truth(truth) if has_text else ""


def messages_of(
    question: str, answer: str, media: tuple[MediaRef, ...], system: str = ""
) -> tuple[SampleMessage, ...]:
    """One turn: the files, the question, and the answer where there is one."""
    messages = [SampleMessage(role="user", parts=(*media, question) if question else media)]
    if system:
        messages.insert(0, SampleMessage(role="system", parts=(system,)))
    if answer:
        messages.append(SampleMessage(role="assistant", parts=(answer,)))
    return tuple(messages)


def single_turn(sample: Sample) -> tuple[tuple[MediaRef, ...], str, str]:
    """The files, the question and the answer of a sample that is one turn with its files first.
    Raises BadRow for any other."""
    roles = [message.role for message in sample.messages]
    if roles not in (["user"], ["user", "assistant"]) or sample.rejected:
        what = "a preference pair" if sample.rejected else f"the messages {', '.join(roles)}"
        raise BadRow(f"has {what}, and a row has one question with one answer")
    media, question = sample.messages[0].media, sample.messages[0].text
    if sample.messages[0].parts != ((*media, question) if question else media):
        raise BadRow("has files after or between its texts, and a row shows them first")
    if sample.messages[-1].role == "assistant" and sample.messages[-1].media:
        raise BadRow("has files in its answer")
    return media, question, sample.target


def kind_of_path(path: str) -> MediaKind:
    """Image or video, by the ending."""
    return MediaKind.IMAGE if PurePath(path).suffix.lower() in IMAGES else MediaKind.VIDEO
