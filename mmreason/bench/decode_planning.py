"""How long each method of `mmreason.video.plan` takes for many candidates; nothing is decoded."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import get_args

import numpy as np

from mmreason.video import Video, plan
from mmreason.video.plan.diversity import DiverseMethod
from mmreason.video.plan.relevance import RelevantMethod
from mmreason.video.types import SamplePlan, VideoInfo

_CALLS = 5


def time_methods(
    path: str, candidates: int, chosen: int, dimensions: int
) -> list[tuple[str, float, int]]:
    """(method, seconds, frames in the plan) of every method; seconds are medians of 5 calls.

    Methods by time alone plan `candidates` frames of the file at `path`; those by content choose
    `chosen` of as many candidates, with `dimensions` numbers in each embedding.
    """
    rows = []
    for name, make in _methods(path, candidates, chosen, dimensions).items():
        seconds = []
        for _ in range(_CALLS):
            began = time.perf_counter()
            sample_plan = make()
            seconds.append(time.perf_counter() - began)
        rows.append((name, median(seconds), len(sample_plan)))
    return rows


def _methods(
    path: str, candidates: int, chosen: int, dimensions: int
) -> dict[str, Callable[[], SamplePlan]]:
    # Scores that wander, as those of neighbouring frames do; embeddings without structure, the hard
    # case.
    noise = np.random.default_rng(0)
    with Video.open(path) as video:
        info = video.info
        planning_video = _PlanningVideo(info, video.keyframe_times_s)
    span, duration_s = info.span, info.duration_s
    times = np.linspace(span.start_s, span.end_s, candidates, endpoint=False)
    scores = noise.normal(size=candidates).cumsum()
    embeddings = noise.normal(size=(candidates, dimensions)).astype(np.float32)
    rate = candidates / duration_s
    # By time alone, or by one score a candidate.
    methods: dict[str, Callable[[], SamplePlan]] = {
        "uniform": partial(plan.uniform, planning_video, candidates),
        "fps": partial(plan.fps, planning_video, rate, max_frames=candidates),
        "qwen": partial(
            plan.qwen, planning_video, n=2 * (min(candidates, info.frame_count or 0) // 2)
        ),
        "qwen3": partial(plan.qwen3, planning_video, fps=rate, max_frames=candidates),
        "keyframes": partial(plan.keyframes, planning_video, candidates),
        "shots": partial(plan.shots, planning_video, times[1:].tolist(), chosen),
        "motion": partial(plan.motion, np.abs(scores), times, chosen),
    }
    # By all pairs of candidates: these are the slow ones.
    for method in get_args(DiverseMethod):
        methods[f"diverse ({method})"] = partial(plan.diverse, embeddings, times, chosen, method)
    for method in get_args(RelevantMethod):
        methods[f"relevant ({method})"] = partial(plan.relevant, scores, times, chosen, method)
    methods["relevant (mdp3, embeddings)"] = partial(
        plan.relevant, scores, times, chosen, "mdp3", embeddings=embeddings
    )
    return methods


class _PlanningVideo:
    """What planning asks of a video, read beforehand."""

    def __init__(self, info: VideoInfo, keyframe_times_s: tuple[float, ...]) -> None:
        self.info, self.keyframe_times_s = info, keyframe_times_s
