"""Which family writes boxes how, by the name of its type or weights, and how to ask for them.

Leaves out reading the boxes (`grounding/parse.py`).

    dialect_of("Qwen/Qwen2.5-VL-7B-Instruct")  # Dialect.SEEN_PX, as dialect_of("qwen2_5_vl")
"""

from __future__ import annotations

import re
from dataclasses import replace

from mmreason.grounding import Dialect
from mmreason.language.prompts import GENERAL
from mmreason.models.base import ClipRecipe, Tier

_FAMILIES = (
    (Dialect.SEEN_PX, r"qwen25(?:vl|omni)"),
    (Dialect.NORM_1000_YX, r"gemma[34]|gemini"),
    (Dialect.NORM_1, r"llava(?!onevision15)"),
)
"""Letters and digits of a name, by what the makers of the family document. All others write 0..1000
of width and height, x first."""

_FORMS = {
    Dialect.NORM_1000_YX: '{"box_2d": [y1, x1, y2, x2], "label": "..."}, from 0 to 1000',
    Dialect.NORM_1: '{"bbox_2d": [x1, y1, x2, y2], "label": "..."}, from 0 to 1',
}


def dialect_of(name: str) -> Dialect:
    """What the numbers of a box mean for the family that `name` (a model type, a hub name, a served
    name) belongs to."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return next((d for d, pattern in _FAMILIES if re.search(pattern, letters)), Dialect.NORM_1000)


_TOKENS_OF_STRONG = {
    "answer_tokens": 512,
    "caption_tokens": 256,
    "overview_tokens": 512,
    "decide_tokens": 2048,
}
_TOKENS_OF_OTHERS = {"answer_tokens": 128, "caption_tokens": 128}
"""Limits by role: a strong model may be asked to explain, and plans in words."""


def recipe_for(name: str, *, multiple_px: int, tier: Tier) -> ClipRecipe:
    """How a model without a recipe of its own is asked: in general words, and for boxes in the
    form that its family was trained on. `multiple_px` is of the sides of its frames."""
    dialect = dialect_of(name)
    prompts = GENERAL
    if dialect in _FORMS:
        locate = (
            "Locate the {expression}. Output its bbox in JSON as a list of "
            f"{_FORMS[dialect]}; output [] if it is not there."
        )
        prompts = replace(GENERAL, locate=locate)
    clip = ClipRecipe(
        frames=16, leaf_s=16.0, multiple_px=multiple_px, prompts=prompts, box_dialect=dialect
    )
    return limit_tokens(clip, tier)


def limit_tokens(clip: ClipRecipe, tier: Tier) -> ClipRecipe:
    """The recipe, with the token limits of a tier."""
    return replace(clip, **(_TOKENS_OF_STRONG if tier == "strong" else _TOKENS_OF_OTHERS))
