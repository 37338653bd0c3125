"""Is it really that one? Looks at a candidate by itself, and beside its runner-up.

What a look could not tell is None, and never counts as confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mmreason.agent.grounding.pictures import crop_box, frame_box, pair_crops
from mmreason.agent.grounding.request import is_moving
from mmreason.agent.grounding.task import GroundTask
from mmreason.grounding import Tube
from mmreason.tools.calls import FAILURES, first_line
from mmreason.tools.ground_chat import ask_contrast, ask_statements, still_batch
from mmreason.tools.ground_meter import BudgetSpent
from mmreason.video.types import FrameBatch

CLIP_FRAMES = 8
"""Frames of the look at what moves."""
LOOK_SHARES = (0.5, 0.2, 0.8)
"""Where in its presence a tube is looked at, the first the most telling."""
LOOKS = 2
Verdict = Literal["first", "second", "both", "neither", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What looks at one candidate came to.

    Example:
        >>> Judgement(head=True, checks={"red": True, "not striped": False}).fails
        ('not striped',)
    """

    head: bool | None = None
    """Whether it is the kind of thing at all."""
    checks: Mapping[str, bool | None] = field(default_factory=dict)
    """Each descriptor of the expression; None where no look could tell."""
    score: float | None = None
    """Share of looks that agree with the expression, 0..1; None without a look."""

    @property
    def fails(self) -> tuple[str, ...]:
        """Descriptors that do not hold."""
        return tuple(text for text, holds in self.checks.items() if holds is False)

    @property
    def passes(self) -> bool:
        """Whether nothing was found to be wrong."""
        return self.head is not False and not self.fails


def judge_by_model(task: GroundTask, tube: Tube) -> Judgement:
    """Have the model look at a candidate: in whole frames, in a crop, and in a clip for what moves.

    A budget that ends on the way leaves the looks made until then, and an issue.
    """
    expression = task.expression
    still = [d.text for d in expression.descriptors if not is_moving(d)]
    moving = [d.text for d in expression.descriptors if is_moving(d)]
    if expression.temporal and expression.temporal not in moving:
        moving.append(expression.temporal)
    looks: list[dict[str, bool | None]] = []
    try:
        for time_s, is_crop in _plan_looks(task, tube):
            statements = _head_first(task, still)
            looks.append(_look_still(task, tube, time_s, statements, is_crop=is_crop))
        if moving and not task.is_image:
            looks.append(_look_clip(task, tube, moving))
    except BudgetSpent as error:
        task.tell("budget", f"not all of the descriptors were checked: {error}")
    except FAILURES as error:
        task.tell("failed", f"a check failed: {first_line(error)}")
    if moving and task.is_image:
        listed = ", ".join(map(repr, moving))
        task.tell("unchecked", f"one frame does not show whether this holds: {listed}")
    head = _vote([look.get(_HEAD) for look in looks])
    checks = {text: _vote([look.get(text) for look in looks]) for text in [*still, *moving]}
    for text, holds in checks.items():
        if holds is None:
            task.tell("unchecked", f"nothing confirms or denies {text!r}")
    agreed = [True in look.values() and False not in look.values() for look in looks]
    score = sum(agreed) / len(agreed) if agreed else None
    task.log("check", id=tube.id, looks=len(looks), head=head, checks=checks, score=score)
    return Judgement(head=head, checks=checks, score=score)


_HEAD = "\0head"
"""Key of the statement that it is the kind of thing; no descriptor reads so."""


def _head_first(task: GroundTask, descriptors: Sequence[str]) -> dict[str, str]:
    """Statements by what they speak of."""
    statements = {_HEAD: f"it is this kind of thing: {task.expression.head}"}
    return statements | {text: f"these words are true of it: {text}" for text in descriptors}


def _plan_looks(task: GroundTask, tube: Tube) -> list[tuple[float, bool]]:
    """(time in seconds, whether a crop is shown) of looks at still frames."""
    times_s = tube.times_s[tube.present & tube.observed]
    if not len(times_s):
        times_s = tube.times_s[tube.present]
    if task.is_image or len(times_s) == 1:
        return [(float(times_s[0]), False), (float(times_s[0]), True)]
    picked = [float(times_s[round(share * (len(times_s) - 1))]) for share in LOOK_SHARES[:LOOKS]]
    # A crop shows looks best, a whole frame what is beside.
    return [(picked[0], False), (picked[-1], True)]


def _look_still(
    task: GroundTask, tube: Tube, time_s: float, statements: Mapping[str, str], *, is_crop: bool
) -> dict[str, bool | None]:
    # A crop does not show where in the frame a thing is, or what it is beside.
    relations = {d.text for d in task.expression.descriptors if d.kind == "relation"}
    texts_by_key = {k: text for k, text in statements.items() if not (is_crop and k in relations)}
    box = tube.at(time_s)
    assert box is not None, "looks are planned where the tube is present"
    pixels = task.source.frames_at([time_s]).pixels[0]
    picture = crop_box(pixels, box) if is_crop else frame_box(pixels, [box])
    verdicts = ask_statements(
        task.judge, still_batch(picture, time_s), tuple(texts_by_key.values()), task.prompts
    )
    return dict(zip(texts_by_key, verdicts, strict=True))


def _look_clip(task: GroundTask, tube: Tube, moving: Sequence[str]) -> dict[str, bool | None]:
    """Even frames of all that the tube spans, those in which it is absent too: they tell when it
    comes and goes."""
    count = min(CLIP_FRAMES, len(tube))
    indices = np.unique(np.linspace(0, len(tube) - 1, count).round().astype(int))
    frames = task.source.frames_at([float(tube.times_s[i]) for i in indices])
    drawn = []
    for pixels, index in zip(frames.pixels, indices, strict=True):
        box = tube.at(float(tube.times_s[index]))
        drawn.append(pixels if box is None else frame_box(pixels, [box]))
    clip = FrameBatch(pixels=np.stack(drawn), times_s=frames.times_s, exact=frames.exact)
    texts = [f"these words are true of it: {text}" for text in moving]
    return dict(zip(moving, ask_statements(task.judge, clip, texts, task.prompts), strict=True))


def _vote(verdicts: Sequence[bool | None]) -> bool | None:
    """What more looks say than deny it; None where none tells, or as many say one as the other."""
    yes, no = verdicts.count(True), verdicts.count(False)
    return None if yes == no else yes > no


def contrast(task: GroundTask, first: Tube, second: Tube) -> Verdict:
    """Which of two candidates fits the expression better, asked twice, in both orders: models
    prefer what is shown first. "unclear" where the two answers contradict each other, or none can
    be read; then an issue says so."""
    try:
        ahead = _ask_pair(task, first, second)
        behind = _ask_pair(task, second, first)
    except BudgetSpent as error:
        task.tell("unchecked", f"not compared with the runner-up: {error}")
        return "unclear"
    except FAILURES as error:
        task.tell("failed", f"the comparison with the runner-up failed: {first_line(error)}")
        return "unclear"
    names: dict[str, Verdict] = {"A": "first", "B": "second", "both": "both", "neither": "neither"}
    turned: dict[str, Verdict] = {**names, "A": "second", "B": "first"}
    verdicts = (names.get(ahead, "unclear"), turned.get(behind, "unclear"))
    verdict = verdicts[0] if verdicts[0] == verdicts[1] else _reconcile(*verdicts)
    task.log("contrast", ids=[first.id, second.id], verdicts=list(verdicts), verdict=verdict)
    if verdict == "unclear":
        task.tell("unsure", "beside its runner-up the model does not tell clearly which one fits")
    return verdict


def _reconcile(ahead: Verdict, behind: Verdict) -> Verdict:
    """One of two that says nothing leaves the other; whichever was shown first, in both orders, is
    a tie."""
    if "unclear" in (ahead, behind):
        return behind if ahead == "unclear" else ahead
    return "both" if {ahead, behind} == {"first", "second"} else "unclear"


def _ask_pair(task: GroundTask, first: Tube, second: Tube) -> str:
    shared = first.present[:, None] & second.present[None, :]
    same_times = shared & (first.times_s[:, None] == second.times_s[None, :])
    rows = np.argwhere(same_times)
    if len(rows):
        # One frame that shows both tells where they are to each other.
        middle = rows[len(rows) // 2]
        times_s = (float(first.times_s[middle[0]]),) * 2
    else:
        times_s = (_middle_s(first), _middle_s(second))
    pixels = [task.source.frames_at([time_s]).pixels[0] for time_s in times_s]
    boxes = [tube.at(time_s) for tube, time_s in zip((first, second), times_s, strict=True)]
    assert boxes[0] is not None and boxes[1] is not None, "both are present at their times"
    crops = pair_crops(crop_box(pixels[0], boxes[0], "A"), crop_box(pixels[1], boxes[1], "B"))
    pictures = [still_batch(crops)]
    if len(rows):
        whole = frame_box(pixels[0], [boxes[0], boxes[1]], ["A", "B"])
        pictures.insert(0, still_batch(whole, times_s[0]))
    letter, _ = ask_contrast(task.judge, pictures, task.request.expression, task.prompts)
    return letter


def _middle_s(tube: Tube) -> float:
    times_s = tube.times_s[tube.present]
    return float(times_s[len(times_s) // 2])
