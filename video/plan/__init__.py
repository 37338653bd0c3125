"""Which frames to take, decided before anything is decoded. Pure: reads `info`, never pixels.

    chosen = plan.uniform(video, n=32, family="qwen3_vl", budget=plan.FrameBudget(tokens=4096))
    print(chosen)
    frames = video.sample(chosen)

By time alone: `uniform`, `fps`, `keyframes`, `shots`. As Qwen models sample: `qwen`, `qwen3`.
By content, from candidates that were measured before: `motion`, `diverse`, `relevant`, `tiers`.
Near-duplicates among candidates are found by `distinct`.
"""

from __future__ import annotations

from mmreason.video.plan.budget import FrameBudget
from mmreason.video.plan.diversity import diverse
from mmreason.video.plan.even import fps, keyframes, shots, uniform
from mmreason.video.plan.families import Family, patches
from mmreason.video.plan.information import motion
from mmreason.video.plan.likeness import LEAST_DISTANCE, DistinctFrames, distinct
from mmreason.video.plan.qwen_rules import qwen, qwen3
from mmreason.video.plan.relevance import relevant
from mmreason.video.plan.tiers import tiers

__all__ = [
    "LEAST_DISTANCE",
    "DistinctFrames",
    "Family",
    "FrameBudget",
    "distinct",
    "diverse",
    "fps",
    "keyframes",
    "motion",
    "patches",
    "qwen",
    "qwen3",
    "relevant",
    "shots",
    "tiers",
    "uniform",
]
