"""From probabilities to labels: what is said, how widely, and what is left unsaid.

A class is named where its own probability is high enough; else a kind, the narrowest whose classes
together are. The two thresholds are the lowest at which nothing wrong was said of one half of the
pictures of `benchmarks/senses_labels.py`; they were measured on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from mmreason.video.labels.classes import ImageClass, sum_parents
from mmreason.video.labels.types import Classifier, Label
from mmreason.video.types import Span, VideoInfo

SURE_CLASS, SURE_KIND = 0.75, 0.75
_WORTH_TELLING = 0.15
"""Least probability of a class that is told as unsure."""
_MOST_UNSURE = 3
_PLACE_LEVEL = 0.5
"""Share of the strongest response from which on a cell belongs to the place."""


@runtime_checkable
class Locator(Protocol):
    """A classifier that can tell where its classes respond."""

    def locate(self, frames: np.ndarray, class_sets: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 (N, rows, columns) of uint8 (N, H, W, 3) and the classes to look for in each."""
        ...


def decide_labels(
    probabilities: np.ndarray, classes: Sequence[ImageClass], span: Span, model: str
) -> tuple[Label, ...]:
    """Labels of a stretch from float (classes,), its mean probabilities: first those that are sure,
    then up to three likely classes that are not.

    Example:
        >>> classes = (
        ...     ImageClass("tabby", parents=("cat", "animal")),
        ...     ImageClass("tiger cat", parents=("cat", "animal")),
        ... )
        >>> labels = decide_labels(np.array([0.5, 0.45]), classes, Span(0, 2), "scripted")
        >>> [(label.text, label.is_sure) for label in labels][0]
        ('cat, animal', True)
    """
    sure: list[Label] = []
    covered: set[str] = set()
    order = np.argsort(-probabilities, kind="stable")
    for row in order[probabilities[order] >= SURE_CLASS].tolist():
        item = classes[row]
        sure.append(_label(span, item.name, item.parents, float(probabilities[row]), True, model))
        covered.update((item.name, *item.parents))
    names, sums = sum_parents(probabilities[None], classes)
    chains = _kind_chains(classes)
    # The narrowest kinds first: "cat" says all that "mammal" and "animal" would.
    likely = [row for row in range(len(names)) if sums[0, row] >= SURE_KIND]
    for row in sorted(likely, key=lambda row: (-len(chains[names[row]]), -sums[0, row])):
        if names[row] not in covered:
            parents = chains[names[row]]
            sure.append(_label(span, names[row], parents, float(sums[0, row]), True, model))
            covered.update((names[row], *parents))
    unsure = [
        _label(
            span, classes[row].name, classes[row].parents, float(probabilities[row]), False, model
        )
        for row in order[:_MOST_UNSURE].tolist()
        if _WORTH_TELLING <= probabilities[row] < SURE_CLASS
    ]
    return tuple(sorted(sure, key=lambda label: -label.confidence)) + tuple(unsure)


def find_place(label: Label, frame: np.ndarray, classifier: Classifier, info: VideoInfo) -> Label:
    """The label with its weak place in `frame` (1, H, W, 3), where the classifier can tell one and
    the label is sure; the place is where the class activation map is at half its strength or
    more."""
    if not label.is_sure or not isinstance(classifier, Locator):
        return label
    columns = [
        column
        for column, item in enumerate(classifier.classes)
        if label.name == item.name or label.name in item.parents
    ]
    response = classifier.locate(frame, [columns])[0]
    strong = response >= _PLACE_LEVEL * max(float(response.max()), 1e-9)
    rows, across = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if not len(rows):
        return label
    width_px, height_px = info.width_px / response.shape[1], info.height_px / response.shape[0]
    return replace(
        label,
        place_px=(
            float(across[0] * width_px),
            float(rows[0] * height_px),
            float((across[-1] + 1) * width_px),
            float((rows[-1] + 1) * height_px),
        ),
    )


def _label(
    span: Span, name: str, parents: tuple[str, ...], confidence: float, is_sure: bool, model: str
) -> Label:
    return Label(
        span=span,
        name=name,
        # "cup" is a class and a kind.
        parents=tuple(parent for parent in parents if parent != name),
        confidence=round(min(1.0, float(confidence)), 4),
        is_sure=is_sure,
        model=model,
    )


def _kind_chains(classes: Sequence[ImageClass]) -> dict[str, tuple[str, ...]]:
    """Each kind -> the wider kinds behind it."""
    return {
        parent: item.parents[place + 1 :]
        for item in classes
        for place, parent in enumerate(item.parents)
    }
