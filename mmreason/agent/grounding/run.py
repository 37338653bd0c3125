"""Grounding from end to end: when, who, is it really that one, and what that comes to.

ground_image(roles, frame, GroundRequest("the red cup"))
ground_video(roles, video, memory_of, GroundRequest("the last to leave", want="tube"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mmreason.agent.grounding.candidates import (
    Candidates,
    describe_readings,
    find_lookalikes,
    track_candidates,
    tubes_of_boxes,
)
from mmreason.agent.grounding.checks import Judgement, contrast, judge_by_model
from mmreason.agent.grounding.grounders import GrounderChoice, choose_grounder
from mmreason.agent.grounding.looks import check_looks
from mmreason.agent.grounding.request import GroundRequest, name_unseen
from mmreason.agent.grounding.rules import RuleChooser
from mmreason.agent.grounding.task import STEP_TEXT, CountedSource, GroundTask, StillSource
from mmreason.agent.grounding.when import MemoryOf, shortlist_parts
from mmreason.grounding import (
    Choice,
    Detection,
    Grounding,
    GroundingStatus,
    Rival,
    Target,
    Tube,
)
from mmreason.grounding.recipes import KEY_FRAMES, MOST_CANDIDATES, choose_key_times
from mmreason.tools.calls import FAILURES, Roles, first_line
from mmreason.tools.ground import (
    Frame,
    frame_of_image,
    frame_of_video,
    ground_frame,
    is_image,
)
from mmreason.tools.ground_chat import UNREAD, ChatChooser
from mmreason.tools.ground_meter import BudgetSpent, Meter, MeteredModel
from mmreason.types import UsageError
from mmreason.video.inputs import VideoInput
from mmreason.video.reader import keep_open
from mmreason.video.types import FrameSource, Span

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from PIL.Image import Image

MOST_TRIED = 3
"""Candidates that are checked one after the other until one passes."""


def ground_input(
    roles: Roles,
    memory_of: MemoryOf,
    video_or_image: VideoInput | FrameSource | np.ndarray | Image,
    request: GroundRequest,
) -> Grounding:
    """Ground an expression in whatever is given; see `Reasoner.ground`. The observer finds, the
    checker chooses and checks."""
    if is_image(video_or_image):
        request.refuse_times()
        picture = cast("str | Path | BinaryIO | np.ndarray | Image", video_or_image)
        return ground_image(roles, frame_of_image(picture), request)
    with keep_open(cast("VideoInput | FrameSource", video_or_image)) as source:
        return ground_video(roles, source, memory_of, request)


def ground_image(roles: Roles, frame: Frame, request: GroundRequest) -> Grounding:
    """Ground an expression in a picture. UsageError for a request that only a video can meet."""
    request.refuse_times()
    task = _begin(roles, StillSource(frame.pixels), request, is_image=True)
    if request.want == "tube":
        task.tell("skipped", "an image has no tube; boxes are given")
    return _ground_frame(task, frame)


def ground_video(
    roles: Roles, source: FrameSource, memory_of: MemoryOf, request: GroundRequest
) -> Grounding:
    """Ground an expression in a video: in one of its frames for a box, else through time. What is
    known of a long one is searched for where to look. UsageError for times outside of it,
    VideoError for frames that cannot be read."""
    span = request.check_times(source.info)
    if request.want == "box":
        moment = span if request.at_s is None else Span(request.at_s, request.at_s)
        frame = frame_of_video(source, moment)
        assert frame.time_s is not None, "frames of videos have times"
        still = StillSource(frame.pixels, frame.time_s)
        return _ground_frame(_begin(roles, still, request, is_image=True), frame)
    task = _begin(roles, source, request, is_image=False)
    return _ground_span(task, memory_of, span)


def _begin(
    roles: Roles, source: FrameSource, request: GroundRequest, *, is_image: bool
) -> GroundTask:
    meter = Meter(request.budget)
    return GroundTask(
        request=request,
        model=MeteredModel(roles.observer, meter),
        judge=MeteredModel(roles.checker, meter),
        meter=meter,
        source=source if is_image else CountedSource(source, meter),
        is_image=is_image,
    )


def _ground_frame(task: GroundTask, frame: Frame) -> Grounding:
    """In one frame: the model's own boxes or a detector's, then the checks."""
    grounder = choose_grounder(task.request, task.model, is_image=True)
    task.settings["grounder"] = grounder.to_dict()
    if grounder.kind in ("detector", "masks", "concepts"):
        task.take_apart()
        candidates = _find_candidates(task, grounder, np.array([frame.time_s or 0.0]))
        return _decide(task, candidates, frame.time_s)
    try:
        reading = ground_frame(task.model, frame, task.request.expression)
    except BudgetSpent as error:
        task.tell("budget", f"nothing was looked at: {error}")
        return task.result(GroundingStatus.ERROR, frame_time_s=frame.time_s)
    task.settings = dict(reading.settings) | task.settings
    task.log("boxes", phrase=task.request.expression, status=str(reading.status),
             boxes_px=[list(box.xyxy) for box in reading.boxes])  # fmt: skip
    for issue in reading.issues:
        task.tell(issue.kind, issue.text)
    if not task.can_judge or reading.status in (GroundingStatus.ERROR, GroundingStatus.UNPARSED):
        return _finish_unchecked(task, reading)
    task.take_apart()
    time_s = frame.time_s or 0.0
    detections = [Detection(box=t.box, label=t.label) for t in reading.targets if t.box is not None]
    tubes = tubes_of_boxes(detections, time_s)
    unchosen = _find_lookalikes(task, time_s, tubes)
    ids = tuple(tube.id for tube in tubes)
    candidates = Candidates(
        times_s=np.array([time_s]),
        tubes=(*tubes, *unchosen),
        choice=Choice(ids=ids) if len(ids) <= task.request.max_targets else None,
        readings=((time_s, reading),),
    )
    grounding = _decide(task, candidates, frame.time_s)
    return replace(grounding, rule=reading.rule)


def _find_lookalikes(task: GroundTask, time_s: float, tubes: Sequence[Tube]) -> list[Tube]:
    """Whether the kind of thing is there at all, and who might be taken for the target."""
    try:
        return find_lookalikes(task, task.source.frames_at([time_s]), tubes)
    except BudgetSpent as error:
        task.tell("unchecked", f"no other {task.expression.head} was looked for: {error}")
    except FAILURES as error:
        task.tell("failed", f"looking for every {task.expression.head}: {first_line(error)}")
    return []


def _finish_unchecked(task: GroundTask, reading: Grounding) -> Grounding:
    """What the model wrote, as it is: by a model that cannot be asked more, or that failed."""
    unseen = name_unseen(task.expression)
    if reading.boxes and unseen:
        listed = ", ".join(map(repr, unseen))
        task.tell("unchecked", f"one frame does not show whether this holds: {listed}")
    status = reading.status
    if status is GroundingStatus.AMBIGUOUS and len(reading.targets) <= task.request.max_targets:
        status = GroundingStatus.FOUND
    return replace(
        reading,
        status=status,
        issues=task.all_issues(),
        settings=task.settings,
        steps=tuple(task.steps),
        cost=task.meter.to_dict(),
    )


def _ground_span(task: GroundTask, memory_of: MemoryOf, span: Span) -> Grounding:
    """Through time: when, who, and the checks."""
    grounder = choose_grounder(task.request, task.model, is_image=False)
    task.settings["grounder"] = grounder.to_dict()
    task.take_apart()
    fps_hz = _reachable_fps(task)
    shortlist = shortlist_parts(task, memory_of, span, fps_hz)
    times_s = shortlist.times_s(fps_hz)
    if not len(times_s):
        task.tell("skipped", "no part of the video seems to show it; a closer look was not taken")
        return task.result(GroundingStatus.NONE)
    if task.request.at_s is not None:
        times_s = np.unique(np.append(times_s, task.request.at_s))
    candidates = _find_candidates(task, grounder, times_s)
    return _decide(task, candidates, _shown_at(candidates.times_s, task.request.at_s))


def _shown_at(times_s: np.ndarray, at_s: float | None) -> float | None:
    """The time of the frame that is on the screen at `at_s`."""
    if at_s is None or not len(times_s):
        return at_s
    return float(times_s[max(0, int(np.searchsorted(times_s, at_s + 1e-6)) - 1)])


def _find_candidates(task: GroundTask, grounder: GrounderChoice, times_s: np.ndarray) -> Candidates:
    try:
        return track_candidates(task, grounder, times_s)
    except BudgetSpent as error:
        task.tell("budget", f"candidates were not looked for to the end: {error}")
        return Candidates(times_s=times_s, failed=str(error))
    except UsageError:
        raise  # a grounder that cannot be loaded is no failure of a look
    except FAILURES as error:
        return Candidates(times_s=times_s, failed=first_line(error))


def _reachable_fps(task: GroundTask) -> float:
    """Frames a second, no more than the video has."""
    fps_hz, has_hz = task.request.fps_hz, task.source.info.mean_fps_hz
    if 0 < has_hz < fps_hz:
        task.tell("skipped", f"the video has {has_hz:g} frames a second, fewer than {fps_hz:g}")
        fps_hz = has_hz
    task.settings["fps_hz"] = fps_hz
    return fps_hz


@dataclass(frozen=True, slots=True)
class _Judged:
    tube: Tube
    judgement: Judgement


def _decide(task: GroundTask, candidates: Candidates, frame_time_s: float | None) -> Grounding:
    """From candidates to a status: choose, check, compare with the runner-up."""
    for issue in describe_readings(candidates.readings):
        task.tell(issue.kind, issue.text)
    raw_text = candidates.raw_text
    present = tuple(tube for tube in candidates.tubes if tube.present.any())
    candidates = replace(candidates, tubes=present)
    if candidates.failed:
        task.tell("failed", candidates.failed)
        return task.result(GroundingStatus.ERROR, frame_time_s=frame_time_s, raw_text=raw_text)
    if not candidates.tubes:
        return task.result(
            _status_without(task, candidates), frame_time_s=frame_time_s, raw_text=raw_text
        )
    rules = _make_rules(task, candidates)
    choice = candidates.choice or _choose(task, candidates, rules)
    by_id = {tube.id: tube for tube in candidates.tubes}
    chosen = [by_id[id] for id in choice.ids if id in by_id]
    unchosen = [tube for tube in candidates.tubes if tube.id not in choice.ids]
    # Whoever is seen longest is the likeliest to be taken for another.
    unchosen.sort(key=lambda tube: -int(tube.present.sum()))
    passed, failed = _judge_all(task, candidates, rules, chosen, unchosen)
    if task.can_judge and task.request.max_targets == 1 and passed:
        passed, failed = _compare(task, passed, failed, unchosen)
    outcome = _Outcome(passed, failed, unchosen, dict(choice.failures))
    status, targets, rivals = _to_targets(task, outcome, frame_time_s)
    if status is GroundingStatus.NONE:
        task.log("refuse", reason="no candidate passes", candidates=len(candidates.tubes))
    if frame_time_s is None and not task.is_image and targets:
        frame_time_s = _telling_time_s(targets[0])
        targets = [_at_time(target, frame_time_s) for target in targets]
    return task.result(
        status,
        targets=targets,
        rivals=rivals,
        frame_time_s=frame_time_s,
        rationale=choice.reason,
        raw_text=choice.raw_text or raw_text,
    )


def _status_without(task: GroundTask, candidates: Candidates) -> GroundingStatus:
    """Of a search that found nothing: it is not there, or what was written cannot be read."""
    statuses = [reading.status for _, reading in candidates.readings]
    if statuses and all(status is GroundingStatus.UNPARSED for status in statuses):
        return GroundingStatus.UNPARSED
    if GroundingStatus.FOUND in statuses or GroundingStatus.AMBIGUOUS in statuses:
        task.tell("unsure", "boxes were found in too few frames to be one object")
    task.log("refuse", reason=f"no {task.expression.head} was found", candidates=0)
    return GroundingStatus.NONE


def _make_rules(task: GroundTask, candidates: Candidates) -> RuleChooser:
    """The rules, with what boxes tell of looks where the model cannot be asked in words."""
    looks = {}
    if not task.can_judge and not task.is_image:
        looked_s = [time_s for time_s, _ in candidates.readings]
        looks = check_looks(task, candidates.tubes, candidates.times_s, looked_s)
    return RuleChooser(task.expression, task.size_px, looks)


def _choose(task: GroundTask, candidates: Candidates, rules: RuleChooser) -> Choice:
    """Whom the expression means, by the model or, where it cannot choose, by rules."""
    tubes = sorted(candidates.tubes, key=lambda tube: -int(tube.present.sum()))[:MOST_CANDIDATES]
    tubes.sort(key=lambda tube: int(tube.id))
    if len(tubes) < len(candidates.tubes):
        task.tell("skipped", f"{len(candidates.tubes) - len(tubes)} candidates that are seen "
                  "shortest were left out of the choice")  # fmt: skip
    chooser = ChatChooser(task.judge, task.prompts) if task.can_judge else rules
    if len(tubes) == 1:
        # Nothing to choose from; whether it fits is for the checks.
        choice = Choice(ids=(tubes[0].id,))
    else:
        shown_s = choose_key_times(candidates.times_s, tubes, KEY_FRAMES)
        try:
            frames = task.source.frames_at(shown_s.tolist())
            choice = chooser.choose(frames, tubes, task.request.expression)
        except (BudgetSpent, *FAILURES) as error:
            task.tell("unchecked", f"chosen by rules, not by the model: {first_line(error)}")
            chooser, choice = rules, rules.choose_by_tracks(tubes)
        if choice.reason == UNREAD:
            # What cannot be read is no refusal.
            task.tell("unsure", f"chosen by rules: {UNREAD} ({choice.raw_text[:STEP_TEXT]!r})")
            chooser, choice = rules, rules.choose_by_tracks(tubes)
    task.log("choose", by=chooser.name, candidates=[t.id for t in tubes], ids=list(choice.ids),
             ambiguous=choice.ambiguous, reply=choice.raw_text)  # fmt: skip
    return choice


def _judge(task: GroundTask, candidates: Candidates, rules: RuleChooser, tube: Tube) -> Judgement:
    if task.can_judge:
        return judge_by_model(task, tube)
    checks = rules.judge(tube, candidates.tubes)
    unknown = [text for text, holds in checks.items() if holds is None]
    if unknown:
        task.tell("unchecked", f"nothing confirms or denies: {', '.join(map(repr, unknown))}")
    score = rules.looks[tube.id].score if tube.id in rules.looks else None
    task.log("check", id=tube.id, by="rules", checks=checks, score=score)
    return Judgement(checks=checks, score=score)


def _judge_all(
    task: GroundTask,
    candidates: Candidates,
    rules: RuleChooser,
    chosen: Sequence[Tube],
    unchosen: Sequence[Tube],
) -> tuple[list[_Judged], list[_Judged]]:
    """Those that pass and those that fail. Where nobody who was chosen passes, the next are
    tried."""
    judged = [
        _Judged(tube, _judge(task, candidates, rules, tube)) for tube in chosen[:MOST_CANDIDATES]
    ]
    passed = [row for row in judged if row.judgement.passes]
    failed = [row for row in judged if not row.judgement.passes]
    if not task.can_judge:
        return passed, failed
    for tube in unchosen[: max(0, MOST_TRIED - len(failed))]:
        # A choice that named nobody is a refusal; one that failed its checks is not.
        if passed or not chosen:
            break
        row = _Judged(tube, _judge(task, candidates, rules, tube))
        # Nobody chose it: it takes a look that confirms it, not only none that denies it.
        is_confirmed = row.judgement.passes and bool(row.judgement.score)
        (passed if is_confirmed else failed).append(row)
    return passed, failed


def _compare(
    task: GroundTask, passed: list[_Judged], failed: list[_Judged], unchosen: Sequence[Tube]
) -> tuple[list[_Judged], list[_Judged]]:
    """The best against those who passed as well, else against its runner-up: (who is left, several
    where they tie; who is out)."""
    judged_ids = {row.tube.id for row in (*passed, *failed)}
    # A rival that failed a check is out already.
    free = [_Judged(tube, Judgement()) for tube in unchosen if tube.id not in judged_ids]
    best, out = passed[:1], list(failed)
    for row in passed[1 : MOST_TRIED + 1] or free[:1]:
        verdict = contrast(task, best[0].tube, row.tube)
        is_unjudged = row in free
        if verdict == "second":
            judged = _Judged(row.tube, judge_by_model(task, row.tube)) if is_unjudged else row
            best, out = (
                ([judged], out + best) if judged.judgement.passes else (best, [*out, judged])
            )
        elif verdict == "both" or (verdict == "unclear" and not is_unjudged):
            best = [*best, row]
        elif verdict == "neither":
            task.tell("unsure", "beside its runner-up neither seems to fit")
            return [], [*out, *best, row]
        elif not is_unjudged:
            out.append(row)
    return [*best, *passed[MOST_TRIED + 1 :]], out


@dataclass(frozen=True, slots=True)
class _Outcome:
    passed: Sequence[_Judged]
    failed: Sequence[_Judged]
    unchosen: Sequence[Tube]
    failures: Mapping[str, str]
    """Descriptor by id of a tube that the chooser saw it fail."""


def _to_targets(
    task: GroundTask, outcome: _Outcome, frame_time_s: float | None
) -> tuple[GroundingStatus, list[Target], list[Rival]]:
    """The status, with targets and rivals, in the frame at `frame_time_s`."""
    most = task.request.max_targets
    passed = list(outcome.passed)
    if not passed:
        status = GroundingStatus.NONE
    elif len(passed) > most:
        # More fit than were asked for, and nothing tells them apart.
        status = GroundingStatus.AMBIGUOUS
    else:
        status = GroundingStatus.FOUND
    targets = [_to_target(task, row, frame_time_s) for row in passed]
    target_ids = {row.tube.id for row in passed}
    rivals = [
        Rival(
            target=_to_target(task, row, frame_time_s),
            fails=row.judgement.fails,
            reason="" if row.judgement.head is not False else f"no {task.expression.head}",
        )
        for row in outcome.failed
        if row.tube.id not in target_ids
    ]
    rival_ids = {row.tube.id for row in outcome.failed}
    for tube in outcome.unchosen:
        if tube.id in target_ids | rival_ids or len(rivals) >= MOST_TRIED:
            continue
        fails = (outcome.failures[tube.id],) if tube.id in outcome.failures else ()
        rival = _to_target(task, _Judged(tube, Judgement()), frame_time_s)
        rivals.append(Rival(target=rival, fails=fails, reason="" if fails else "not chosen"))
    return status, targets, rivals


def _to_target(task: GroundTask, row: _Judged, frame_time_s: float | None) -> Target:
    tube, score = row.tube, row.judgement.score
    time_s = frame_time_s or 0.0
    detector_score = None if tube.scores is None else float(tube.scores[tube.present].mean())
    return Target(
        box=tube.at(time_s) if task.is_image or frame_time_s is not None else None,
        label=tube.label or task.expression.head,
        tube=None if task.is_image else tube,
        span=None if task.is_image else tube.span,
        score=score if score is not None else detector_score,
        score_kind="agreement" if score is not None
        else "detector" if detector_score is not None else None,
        checks=dict(row.judgement.checks),
    )  # fmt: skip


def _telling_time_s(target: Target) -> float:
    """A time at which it was looked at, in the middle of its presence."""
    tube = target.tube
    assert tube is not None, "targets through time have tubes"
    times_s = tube.times_s[tube.present & tube.observed]
    times_s = times_s if len(times_s) else tube.times_s[tube.present]
    return float(times_s[len(times_s) // 2])


def _at_time(target: Target, time_s: float) -> Target:
    return target if target.tube is None else replace(target, box=target.tube.at(time_s))
