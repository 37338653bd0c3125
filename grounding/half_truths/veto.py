"""Scores of frames for a text that a wrong detail lowers, and which detail it was.

    s = s_full - weight * sum over units of max(0, best foil - best unit + margin)

A unit is vetoed where one of its foils fits some frame better than the unit itself fits any. Order
in time is no matter of likeness: it is told by the times at which its parts fit best. Works on the
vectors of any encoder of images and text, trained against half-truths or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mmreason.grounding.half_truths.foils import make_foils
from mmreason.grounding.half_truths.units import Unit, UnitExtractor, extract_units

EncodeText = Callable[[Sequence[str]], np.ndarray]
"""Texts to unit rows (M, D)."""
WEIGHT, MARGIN = 1.0, 0.0
ORDER_PENALTY = 0.1
"""For an order that the times contradict, which no cosine measures: a choice of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitScore:
    """How well one unit of a text stood against its foils.

    Example:
        >>> UnitScore(unit="red star", kind="entity", score=0.2, foil="blue star", foil_score=0.3,
        ...           time_index=4).is_vetoed
        True
    """

    unit: str
    kind: str
    score: float
    """Its best cosine over all frames; of an order, frames from the first part to the second."""
    foil: str
    """The one that fits best."""
    foil_score: float
    time_index: int
    """The frame that the unit fits best."""

    @property
    def is_vetoed(self) -> bool:
        """A foil fits better than the unit."""
        return self.foil_score > self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoedScore:
    """A text against the frames of a video.

    Example:
        >>> score = VetoedScore(score=0.1, full=0.3, units=())
        >>> score.vetoed
        ()
    """

    score: float
    full: float
    """The cosine of the text with the mean of the frames."""
    units: tuple[UnitScore, ...]

    @property
    def vetoed(self) -> tuple[UnitScore, ...]:
        """The units that a foil beats."""
        return tuple(unit for unit in self.units if unit.is_vetoed)


def score_text(
    frame_vectors: np.ndarray,
    text: str,
    encode_text: EncodeText,
    *,
    weight: float = WEIGHT,
    margin: float = MARGIN,
    extract: UnitExtractor = extract_units,
    seed: int = 0,
) -> VetoedScore:
    """`text` against frames (N, D) of unit rows in the order of time. Units without a foil are not
    judged. Raises ValueError for other shapes and no frames."""
    frames = _check_frames(frame_vectors)
    mean = frames.mean(axis=0)
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    units = extract(text)
    plans = _plan(units, seed)
    texts = list(dict.fromkeys([text, *(t for plan in plans for t in plan.texts)]))
    vectors = _embed(texts, encode_text, frames.shape[1])
    full = float(mean @ vectors[text])
    scores = tuple(_judge(plan, frames, vectors) for plan in plans)
    # At equal times, as on a single frame, an order is not decided: it lowers nothing.
    penalty = sum(max(0.0, s.foil_score - s.score + margin) for s in scores if s.kind != "temporal")
    wrong_orders = sum(s.kind == "temporal" and s.is_vetoed for s in scores)
    # An order is right or wrong: its units are frames, which no cosine is measured in.
    lowered = weight * (penalty + wrong_orders * max(margin, ORDER_PENALTY))
    return VetoedScore(score=full - lowered, full=full, units=scores)


def relevance_scores(
    frame_vectors: np.ndarray,
    text: str,
    encode_text: EncodeText,
    *,
    weight: float = WEIGHT,
    seed: int = 0,
) -> np.ndarray:
    """float64 (N,): how well each frame fits `text`, for `plan.relevant`: its cosine, less what
    foils fit better than their units there. Orders in time are of no single frame."""
    frames = _check_frames(frame_vectors)
    plans = [plan for plan in _plan(extract_units(text), seed) if plan.unit.kind != "temporal"]
    texts = list(dict.fromkeys([text, *(t for plan in plans for t in plan.texts)]))
    vectors = _embed(texts, encode_text, frames.shape[1])
    scores = frames @ vectors[text]
    for plan in plans:
        unit = frames @ vectors[plan.unit.text]
        foil = np.max([frames @ vectors[t] for t in plan.foils], axis=0)
        scores = scores - weight * np.maximum(0.0, foil - unit)
    return scores


@dataclass(frozen=True, slots=True)
class _Plan:
    unit: Unit
    foils: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """What has to be embedded for it."""
        if self.unit.kind == "temporal":
            return self.unit.parts[0], self.unit.parts[2]
        return self.unit.text, *self.foils


def _plan(units: Sequence[Unit], seed: int) -> list[_Plan]:
    told = [unit.text for unit in units]
    plans = [
        _Plan(unit, tuple(foil.text for foil in make_foils(unit, seed, most=4, beside=told)))
        for unit in units
    ]
    return [plan for plan in plans if plan.foils]


def _judge(plan: _Plan, frames: np.ndarray, vectors: dict[str, np.ndarray]) -> UnitScore:
    if plan.unit.kind == "temporal":
        first, order, second = plan.unit.parts
        at_first, at_second = (int(np.argmax(frames @ vectors[part])) for part in (first, second))
        apart = float(at_second - at_first)
        apart = -apart if order == "after" else apart
        return UnitScore(
            unit=plan.unit.text,
            kind="temporal",
            score=apart,
            foil=plan.foils[0],
            foil_score=-apart,
            time_index=at_first,
        )
    unit = frames @ vectors[plan.unit.text]
    best = {text: float((frames @ vectors[text]).max()) for text in plan.foils}
    foil = max(best, key=lambda text: best[text])
    return UnitScore(
        unit=plan.unit.text,
        kind=plan.unit.kind,
        score=float(unit.max()),
        foil=foil,
        foil_score=best[foil],
        time_index=int(unit.argmax()),
    )


def _embed(texts: list[str], encode_text: EncodeText, dim: int) -> dict[str, np.ndarray]:
    rows = np.asarray(encode_text(texts), np.float64)
    if rows.shape != (len(texts), dim) or not np.isfinite(rows).all():
        raise ValueError(
            f"expected finite vectors of {len(texts)} texts as wide as the frames', "
            f"({len(texts)}, {dim}), got shape {rows.shape}"
        )
    return dict(zip(texts, rows, strict=True))


def _check_frames(frame_vectors: np.ndarray) -> np.ndarray:
    frames = np.asarray(frame_vectors, np.float64)
    if frames.ndim != 2 or 0 in frames.shape or not np.isfinite(frames).all():
        raise ValueError(
            f"expected finite vectors of frames (N, D), N and D 1 or more, got shape {frames.shape}"
        )
    return frames
