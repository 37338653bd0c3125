"""One answer, scored: which candidate it lies on, and whether it is what was asked."""

from __future__ import annotations

import numpy as np
import pytest

from mmreason.evaluation.refadv.cases import RefAdvCase, item_cases
from mmreason.evaluation.refadv.outcomes import CaseOutcome
from mmreason.evaluation.refadv.scoring import score_answer
from mmreason.grounding import Box, Grounding, GroundingStatus, Issue, Target, Tube
from tests.evaluation.refadv.made_outcomes import image_items, video_items


def image_case() -> RefAdvCase:
    return next(item_cases(next(i for i in image_items() if len(i.target_ids) == 1), ()))


def video_case() -> RefAdvCase:
    return next(item_cases(next(i for i in video_items() if len(i.target_ids) == 1), ()))


def score(case: RefAdvCase, *targets: Target, status: GroundingStatus | None = None) -> CaseOutcome:
    status = status or (GroundingStatus.FOUND if targets else GroundingStatus.NONE)
    issues = (Issue("failed", "down"),) if status is GroundingStatus.ERROR else ()
    grounding = Grounding(status=status, targets=targets, issues=issues)
    return score_answer(case, "s", grounding, ceiling=None, seconds=0.0)


def test_an_answer_lies_on_the_candidate_that_it_overlaps_most() -> None:
    case = image_case()
    boxes = case.footage.boxes(None)
    hard = sorted(case.hard_ids)[0]
    of_hard = score(case, Target(box=boxes[hard]))
    assert (of_hard.pick, of_hard.picked) == ("hard", hard)
    assert of_hard.missed and of_hard.iou < 0.5
    of_target = score(case, Target(box=boxes[case.target_ids[0]]))
    assert (of_target.pick, of_target.iou, of_target.missed) == ("target", 1.0, ())


def test_a_box_of_nothing_lies_on_the_background() -> None:
    assert score(image_case(), Target(box=Box(0, 0, 2, 2))).pick == "background"


def test_the_whole_picture_is_no_answer() -> None:
    case = image_case()
    outcome = score(case, Target(box=Box(0, 0, *case.footage.size_px)))
    assert outcome.iou < 0.5 and not outcome.is_hit


def test_the_first_box_counts_and_not_the_best() -> None:
    case = image_case()
    boxes = case.footage.boxes(None)
    wrong = next(name for name in boxes if name not in case.target_ids)
    outcome = score(case, Target(box=boxes[wrong]), Target(box=boxes[case.target_ids[0]]))
    assert outcome.picked == wrong and outcome.boxes == 2 and not outcome.is_right


@pytest.mark.parametrize("status", [GroundingStatus.ERROR, GroundingStatus.UNPARSED])
def test_what_could_not_be_read_is_no_refusal(status: GroundingStatus) -> None:
    import dataclasses

    empty = dataclasses.replace(image_case(), target_ids=(), denoted_ids=())
    assert not score(empty, status=status).exact
    assert score(empty).exact


def test_several_targets_need_each_its_own_box() -> None:
    import dataclasses

    case = image_case()
    boxes = case.footage.boxes(None)
    two = dataclasses.replace(case, target_ids=tuple(list(boxes)[:2]))
    first, second = (Target(box=boxes[name]) for name in two.target_ids)
    assert score(two, first, second).exact and score(two, second, first).exact
    assert not score(two, first, first).exact and not score(two, first).exact


def test_a_true_tube_scores_one_at_another_rate_too() -> None:
    case = video_case()
    truth = case.footage.tubes(case.footage.tube_times_s)[case.target_ids[0]]
    outcome = score(case, Target(tube=truth))
    assert outcome.tube is not None and outcome.tube.viou == 1.0 and outcome.pick == "target"
    sparse = Tube.from_boxes(
        truth.times_s[::2].tolist(), [truth.at(float(t)) for t in truth.times_s[::2]]
    )
    scores = score(case, Target(tube=sparse)).tube
    assert scores is not None and scores.viou > 0.7


def test_viou_never_exceeds_tiou() -> None:
    case = video_case()
    truth = case.footage.tubes(case.footage.tube_times_s)[case.target_ids[0]]
    half = np.arange(len(truth)) % 2 == 0
    tube = Tube.from_boxes(
        truth.times_s.tolist(),
        [truth.at(float(t)) if keep else None for t, keep in zip(truth.times_s, half, strict=True)],
    )
    scores = score(case, Target(tube=tube)).tube
    assert scores is not None and scores.viou <= scores.tiou < 1.0


def test_a_box_in_one_frame_of_a_video_is_scored_in_that_frame() -> None:
    case = video_case()
    time_s = case.footage.tube_times_s[1]
    box = case.footage.boxes(time_s)[case.target_ids[0]]
    grounding = Grounding(
        status=GroundingStatus.FOUND, targets=(Target(box=box),), frame_time_s=time_s
    )
    outcome = score_answer(case, "s", grounding, ceiling=None, seconds=0.0)
    assert outcome.iou == 1.0 and outcome.pick == "target" and outcome.tube is None
