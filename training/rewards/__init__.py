"""Rewards: pure functions of what a model said and what is true, in stated ranges.

A reward takes a `Trajectory` and a `Truth` and gives a float, or None where it does not apply. It
never raises, whatever a model writes. Options are bound with `functools.partial`; `Combination`
weighs several and keeps the value of each.

    trajectory = from_turns(["<think>...</think><answer>B</answer>"])
    choice(trajectory, Truth(options=("red", "blue"), choice=1))
"""

from __future__ import annotations

from mmreason.training.rewards.answers import (
    choice,
    correct,
    numeric,
    right_answers,
    tag_format,
    text_overlap,
)
from mmreason.training.rewards.boxes import box_f1, box_iou
from mmreason.training.rewards.combine import Combination, Component, Scored, as_combination
from mmreason.training.rewards.conduct import length_band, repetition, tool_bonus
from mmreason.training.rewards.evidence import evidence_place, evidence_time
from mmreason.training.rewards.navigation import location, longvideo_r1, longvideo_r1_published
from mmreason.training.rewards.reading import from_answer, from_turns
from mmreason.training.rewards.spans import time_r1, union_tiou
from mmreason.training.rewards.tubes import tube_viou
from mmreason.training.rewards.types import (
    AnyReward,
    AsyncReward,
    BatchedReward,
    Frame,
    Mark,
    Reward,
    Trajectory,
    Truth,
)

__all__ = [
    "AnyReward",
    "AsyncReward",
    "BatchedReward",
    "Combination",
    "Component",
    "Frame",
    "Mark",
    "Reward",
    "Scored",
    "Trajectory",
    "Truth",
    "as_combination",
    "box_f1",
    "box_iou",
    "choice",
    "correct",
    "evidence_place",
    "evidence_time",
    "from_answer",
    "from_turns",
    "length_band",
    "location",
    "longvideo_r1",
    "longvideo_r1_published",
    "numeric",
    "repetition",
    "right_answers",
    "tag_format",
    "text_overlap",
    "time_r1",
    "tool_bonus",
    "tube_viou",
    "union_tiou",
]
