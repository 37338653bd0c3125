"""Who is diagnosed: a model behind a reasoner, a detector, or an oracle of known score."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np

from mmreason.evaluation.refadv.cases import RefAdvCase
from mmreason.evaluation.refadv.footage import GREY, TUBE_FPS_HZ
from mmreason.grounding import (
    Box,
    Detection,
    Detector,
    Grounding,
    GroundingStatus,
    Issue,
    Target,
    Tube,
    parse_boxes,
)
from mmreason.grounding.detectors.scripted import ScriptedDetector
from mmreason.grounding.dialects.render import render_boxes
from mmreason.grounding.expressions import parse_expression
from mmreason.grounding.refadv.oracles import OracleName, Question, answer_question
from mmreason.grounding.refadv.texts import SYNONYMS
from mmreason.reasoner import Reasoner
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch, VideoError

MOST_TARGETS = 10
"""Of an expression that speaks of every such object."""
Phrase = Literal["whole", "noun", "head"]
"""What of an expression a detector is asked: all of it, its noun with what stands before it, or the
noun alone."""


class Subject(Protocol):
    """Answers cases."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """JSON types: all that moves its answers."""
        ...

    def answer(self, case: RefAdvCase) -> Grounding:
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

    def answer(self, case: RefAdvCase) -> Grounding:
        """See `Subject`. Several are asked for where the expression says so itself."""
        most = MOST_TARGETS if "every" in case.expression.split() else 1
        video = case.footage.video(is_grey=case.is_blind)
        if video is None:
            picture = shown_picture(case)
            return self._reasoner.ground(picture, case.expression, max_targets=most)
        return self._reasoner.ground(
            video, case.expression, want="tube", fps=TUBE_FPS_HZ, max_targets=most
        )

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """See `Subject`."""
        clip = self._reasoner.model.clip
        seen_px = clip.frame_size_px(*size_px)
        dialect = clip.box_dialect
        text = render_boxes([box], dialect, size_px, seen_size_px=seen_px)
        return next(iter(parse_boxes(text, dialect, size_px, seen_size_px=seen_px).boxes), None)


class DetectorSubject:
    """A detector: of all that it sees in one frame the highest score is the answer.

    It knows no relations and no time, so it is a floor for what reading the expression is worth.
    """

    def __init__(self, detector: Detector, phrase: Phrase) -> None:
        self._detector = detector
        self._phrase: Phrase = phrase
        self.name = f"detector:{detector.name} ({phrase})"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Subject`."""
        return {"detector": self._detector.name, "phrase": self._phrase}

    def answer(self, case: RefAdvCase) -> Grounding:
        """See `Subject`."""
        phrase = detector_phrase(case.expression, self._phrase)
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


class ScriptedDetectorSubject:
    """A detector of known error rates that reads the script: the path of a detector, without
    weights. It finds every object that has all words of the phrase, misses a tenth of them, and
    adds boxes of nothing."""

    def __init__(self, phrase: Phrase, *, miss_rate: float = 0.1, false_rate: float = 0.05) -> None:
        self._phrase: Phrase = phrase
        self._rates = {"miss_rate": miss_rate, "false_rate": false_rate}
        self.name = f"detector:scripted ({phrase})"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Subject`."""
        return {"detector": "scripted", "phrase": self._phrase, **self._rates}

    def answer(self, case: RefAdvCase) -> Grounding:
        """See `Subject`."""
        if case.source is None:
            raise UsageError(f"{self.name} reads scripts, and {case.item} has none")
        moment_s = case.footage.moment_s or 0.0
        words = {
            actor.id: " ".join(
                word
                for value in (actor.size, actor.colour, actor.pattern, actor.shape, "thing")
                for word in SYNONYMS.get(value, (value,))
            )
            for scene in case.source.world.scenes
            for actor in scene.actors
        }
        truth = tuple(
            Tube.from_boxes([moment_s], [box], id=name, label=words[name])
            for name, box in case.footage.boxes(case.footage.moment_s).items()
            if not case.is_blind
        )
        # Its errors hang on the seed and the time: of each item another seed.
        seed = int.from_bytes(hashlib.sha256(str(case.key).encode()).digest()[:4], "big")
        detector = ScriptedDetector(truth=truth, seed=seed, **self._rates)
        return DetectorSubject(detector, self._phrase).answer(case)

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """See `Subject`. Its numbers are exact."""
        return None


class OracleSubject:
    """A reader of known score, by the script of an item. Rows of somebody's have none."""

    def __init__(self, oracle: OracleName) -> None:
        self._oracle: OracleName = oracle
        self.name = f"oracle:{oracle}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `Subject`."""
        return {"oracle": self._oracle}

    def answer(self, case: RefAdvCase) -> Grounding:
        """See `Subject`."""
        if case.source is None:
            raise UsageError(f"{self.name} reads scripts, and {case.item} has none")
        moment_s = case.footage.moment_s
        boxes = case.footage.boxes(moment_s)
        question = Question(
            item=case.source,
            readings=case.readings,
            world=case.world,
            boxes=boxes,
            seed=f"{self._oracle} {case.key}",
        )
        tubes = case.footage.tubes(case.footage.tube_times_s)
        targets = tuple(
            Target(box=boxes.get(name), tube=tubes.get(name), label=name)
            for name in answer_question(self._oracle, question)
        )
        return Grounding(
            status=GroundingStatus.FOUND if targets else GroundingStatus.NONE,
            targets=targets,
            expression=case.expression,
            frame_time_s=moment_s,
            size_px=case.footage.size_px,
        )

    def write_box(self, box: Box, size_px: tuple[int, int]) -> Box | None:
        """See `Subject`. It writes no numbers."""
        return None


def _as_target(detection: Detection) -> Target:
    scored = None if detection.score is None else "detector"
    return Target(
        box=detection.box, label=detection.label, score=detection.score, score_kind=scored
    )


def detector_phrase(expression: str, phrase: Phrase) -> str:
    """What a detector is asked.

    Example:
        >>> detector_phrase("the small red star left of the ring", "noun")
        'small red star'
    """
    if phrase == "whole":
        return expression
    read = parse_expression(expression)
    return (read.head if phrase == "head" else read.noun_phrase) or expression


def shown_picture(case: RefAdvCase) -> np.ndarray:
    """The one frame of a case as it is shown: uint8 (H, W, 3) RGB, grey where nothing is."""
    if case.is_blind:
        width_px, height_px = case.footage.size_px
        return np.full((height_px, width_px, 3), GREY, np.uint8)
    return case.footage.picture()


def ask_subject(subject: Subject, case: RefAdvCase) -> Grounding:
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
    return grounding
