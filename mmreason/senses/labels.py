"""The sense that looks: what a classifier names surely, colours, light and movement, as records."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.memory.records import MemoryRecord
from mmreason.senses.parts import Findings, SenseName, SensePlan, open_as_video, plan_stretches
from mmreason.video.labels import Classifier, VideoLabels, label_video
from mmreason.video.types import FrameSource, Span

RECIPE = 1
SOURCE = "labels"
LOOKS = "colours and movement"
"""Source of what needs no classifier."""


@dataclass(frozen=True, slots=True)
class LabelSense:
    """Names what shots show.

    Example:
        >>> from mmreason.video.labels import load_classifier
        >>> LabelSense(load_classifier("efficientnet-lite0")).name  # doctest: +SKIP
        'labels'
    """

    classifier: Classifier
    name: SenseName = "labels"

    def plan(self, video: FrameSource) -> SensePlan:
        """Stretches of some minutes. A shot across a bound is named twice."""
        return SensePlan(
            part=self.classifier.name, recipe=RECIPE, stretches=plan_stretches(video.info.span)
        )

    def find(self, video: FrameSource, plan: SensePlan, span: Span) -> Findings:
        """What the shots of a stretch show; shots that are known are not looked for again."""
        shots = [shot.clip(span) for shot in plan.shots if shot.overlap_s(span) > 0]
        found = label_video(open_as_video(video), self.classifier, span=span, shots=shots or None)
        return make_label_findings(found)


def make_label_findings(found: VideoLabels) -> Findings:
    """Records of what is sure; what is not counts as refused."""
    named = [
        MemoryRecord(
            "label",
            label.span,
            label.text,
            SOURCE,
            label.model,
            confidence=min(1.0, max(0.0, float(label.confidence))),
            box_px=label.place_px,
        )
        for label in found.sure
    ]
    # A dark shot, a pan: little, but what a person may remember of a scene.
    looks = [MemoryRecord("label", x.span, x.text, LOOKS) for x in found.looks if x.text]
    moves = [
        MemoryRecord("label", move.span, _say_movement(move.kind), LOOKS, box_px=move.box_px)
        for move in found.movements
        if move.kind != "still"
    ]
    return Findings(
        records=(*named, *looks, *moves),
        refused=len(found.labels) - len(found.sure),
        notes=found.notes,
    )


def _say_movement(kind: str) -> str:
    return kind if kind == "something moves" else f"camera: {kind}"
