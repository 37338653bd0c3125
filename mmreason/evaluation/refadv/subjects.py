"""Who is diagnosed: a model behind a reasoner, a detector, or an oracle of known score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np

from mmreason.evaluation.refadv.cases import Case
from mmreason.evaluation.refadv.footage import GREY
from mmreason.grounding import (
    Box,
    Detection,
    Detector,
    Grounding,
    GroundingStatus,
    Issue,
    Target,
)
from mmreason.grounding.expressions import parse_expression
from mmreason.reasoner import Reasoner
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch, VideoError

Phrase = Literal["whole", "head"]


class Subject(Protocol):
    """Answers cases."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """JSON types: all that moves its answers."""
        ...

    def answer(self, case: Case) -> Grounding:
        """Raises ValueError, RuntimeError or OSError where it cannot."""
        ...

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """The box as its way of writing numbers can say it at best; None where it writes none."""
        ...


class ReasonerSubject:
    """A model by name, folder or address, asked as `Reasoner.ground` asks."""

    def __init__(self, reasoner: Reasoner, name: str) -> None:
        self._reasoner = reasoner
        self.name = name

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Subject`."""
        model = self._reasoner.model
        return {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "prompts_sha256": model.clip.prompts.sha256,
            "dialect": str(model.clip.box_dialect),
        }

    def answer(self, case: Case) -> Grounding:
        """See `Subject`. A picture, one frame and grey are asked as pictures."""
        video = case.footage.video() if case.shows == "all" else None
        if video is None:
            return self._reasoner.ground(shown_picture(case), case.expression)
        return self._reasoner.ground(video, case.expression)

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """See `Subject`."""
        clip = self._reasoner.model.clip
        return None


class DetectorSubject:
    """A detector: of all that it sees in one frame the highest score is the answer.

    It knows no relations and no time, so it is a floor for what reading the expression is worth.
    """

    def __init__(self, detector: Detector, phrase: Phrase) -> None:
        self._detector = detector
        self._phrase: Phrase = phrase
        self.name = f"{detector.name}, {phrase} expression"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Subject`."""
        return {"detector": self._detector.name, "phrase": self._phrase}

    def answer(self, case: Case) -> Grounding:
        """See `Subject`."""
        phrase = case.expression
        if self._phrase == "head":
            phrase = parse_expression(case.expression).head or phrase
        time_s = case.footage.moment_s
        frames = FrameBatch(
            pixels=shown_picture(case)[None],
            times_s=np.array([time_s or 0.0]),
            exact=np.array([True]),
        )
        (detections,) = self._detector.detect(frames, phrase)
        # Detectors without scores give their best first.
        best = max(detections, key=lambda found: found.score or 0.0, default=None)
        return Grounding(
            status=GroundingStatus.NONE if best is None else GroundingStatus.FOUND,
            targets=() if best is None else (_as_target(best),),
            expression=case.expression,
            frame_time_s=time_s,
            size_px=case.footage.size_px,
            settings=self.settings,
        )

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """See `Subject`. Its numbers are exact."""
        return None


def _as_target(detection: Detection) -> Target:
    scored = None if detection.score is None else "detector"
    return Target(
        box=detection.box, label=detection.label, score=detection.score, score_kind=scored
    )


def shown_picture(case: Case) -> np.ndarray:
    """The one frame of a case as it is shown: uint8 (H, W, 3) RGB, grey where nothing is."""
    if case.shows == "nothing":
        width_px, height_px = case.footage.size_px
        return np.full((height_px, width_px, 3), GREY, np.uint8)
    return case.footage.picture()


def ask_subject(subject: Subject, case: Case) -> Grounding:
    """The answer; what fails is a Grounding of status `error`, and never the end of a run."""
    try:
        grounding = subject.answer(case)
    except (ValueError, RuntimeError, OSError, UsageError, VideoError) as error:
        return Grounding(
            status=GroundingStatus.ERROR,
            issues=(Issue("failed", f"{type(error).__name__}: {error}"),),
            expression=case.expression,
            frame_time_s=case.footage.moment_s,
        )
    # One frame of a video is asked as a picture, which has no time.
    if grounding.frame_time_s is None:
        return replace(grounding, frame_time_s=case.footage.moment_s)
    return grounding
