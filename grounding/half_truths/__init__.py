"""Texts that are right but for one detail: units, foils, metric and veto (CS-CLIP, 2602.23906).

units = extract_units("a red star left of a ring")
score_text(frame_vectors, "a red star left of a ring", encoder.encode_text).vetoed
"""

from mmreason.grounding.half_truths.foils import (
    Foil,
    add_half_truths,
    fit_articles,
    make_foils,
)
from mmreason.grounding.half_truths.metric import (
    HalfTruthScore,
    detail_raises_score,
    score_half_truths,
)
from mmreason.grounding.half_truths.units import Unit, UnitExtractor, extract_units
from mmreason.grounding.half_truths.veto import (
    UnitScore,
    VetoedScore,
    relevance_scores,
    score_text,
)

__all__ = [
    "Foil",
    "HalfTruthScore",
    "Unit",
    "UnitExtractor",
    "UnitScore",
    "VetoedScore",
    "add_half_truths",
    "detail_raises_score",
    "extract_units",
    "fit_articles",
    "make_foils",
    "relevance_scores",
    "score_half_truths",
    "score_text",
]
