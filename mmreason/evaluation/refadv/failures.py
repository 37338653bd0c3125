"""Failing cases as pictures: the frame with the truth, the answer and the hard distractors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmreason.evaluation.refadv.cases import RefAdvCase
from mmreason.evaluation.refadv.outcomes import CaseOutcome, Pick
from mmreason.grounding import Box
from mmreason.grounding.drawing.boxes import draw_boxes
from mmreason.library.thumbnails import to_data_url
from mmreason.video.sheet import jpeg_bytes

TRUTH, ANSWER, HARD = (0, 150, 60), (214, 40, 40), (230, 150, 0)
"""Colours of boxes."""
_QUALITY = 80
_PICK_ORDER: tuple[Pick, ...] = ("hard", "other", "background", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFailure:
    """An item that was answered wrongly, drawn.

    Example: `DrawnFailure(...).picture` begins with "data:image/jpeg".
    """

    subject: str
    item: str
    words: tuple[tuple[str, bool], ...]
    """The expression, and which of its words speak of a descriptor that the answer lacks."""
    pick: Pick
    missed: tuple[str, ...]
    status: str
    note: str
    picture: str
    """As a data URL; empty where the footage cannot be read."""


def draw_failures(
    outcomes: Sequence[CaseOutcome], cases: Sequence[RefAdvCase], most: int = 12
) -> tuple[DrawnFailure, ...]:
    """Wrong answers to unchanged items of the first subject that has any, of each kind of mistake
    in turn, `most` in all."""
    case_of = {case.item: case for case in cases if case.change == "original"}
    wrong = [
        o
        for o in outcomes
        if o.change == "original" and not o.is_right and o.item in case_of and o.targets
    ]
    wrong = [o for o in wrong if o.subject == wrong[0].subject]
    # Each kind of mistake has its turn: most of them may be of one.
    kinds = [[o for o in wrong if o.pick == pick] for pick in _PICK_ORDER]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
    chosen = itertools.islice((o for o in turns if o is not None), most)
    return tuple(_draw(outcome, case_of[outcome.item]) for outcome in chosen)


def _draw(outcome: CaseOutcome, case: RefAdvCase) -> DrawnFailure:
    return DrawnFailure(
        subject=outcome.subject,
        item=outcome.item,
        words=tuple(_mark_words(case, outcome)),
        pick=outcome.pick,
        missed=outcome.missed,
        status=outcome.status,
        note=outcome.error or outcome.note,
        picture=_draw_picture(outcome, case),
    )


def _mark_words(case: RefAdvCase, outcome: CaseOutcome) -> Iterator[tuple[str, bool]]:
    words = case.expression.split()
    if len(case.word_descriptors) != len(words):
        yield from ((word, False) for word in words)
        return
    missed = set(case.lacking.get(outcome.picked, ()))
    for word, descriptor in zip(words, case.word_descriptors, strict=True):
        # Words of a landmark are part of the relation to it.
        yield word, descriptor.partition(".")[0] in missed


def _draw_picture(outcome: CaseOutcome, case: RefAdvCase) -> str:
    try:
        boxes = case.footage.boxes(outcome.time_s)
        pixels = case.footage.picture(outcome.time_s)
    except (ValueError, OSError):
        return ""  # a picture beside a table is not worth an error
    marks = list(_mark_boxes(outcome, case, boxes))
    drawn = draw_boxes(
        pixels,
        [box for box, _, _ in marks],
        [label for _, label, _ in marks],
        colours=[colour for _, _, colour in marks],
    )
    return to_data_url(jpeg_bytes(drawn, _QUALITY))


def _mark_boxes(
    outcome: CaseOutcome, case: RefAdvCase, boxes: Mapping[str, Box]
) -> Iterator[tuple[Box, str, tuple[int, int, int]]]:
    for name in sorted(case.hard_ids):
        if name in boxes:
            yield boxes[name], "hard", HARD
    for name in case.target_ids:
        if name in boxes:
            yield boxes[name], "truth", TRUTH
    if outcome.box_px is not None:
        yield Box(*outcome.box_px), "answer", ANSWER
