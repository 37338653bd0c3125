"""Which family writes boxes how, by the name of its type or weights, and how to ask for them.

Behind a server the served name decides; the option `box_dialect` decides over both. Reading the
boxes is in `grounding/dialects/`.

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
    (Dialect.QWEN2_VL, r"qwen2vl"),
    (Dialect.INTERNVL, r"internvl"),
    (Dialect.GLM_V, r"glm\d{1,2}v"),
    (Dialect.DEEPSEEK_VL2, r"deepseekvl(?:v)?2"),
    (Dialect.FLORENCE_2, r"florence2"),
    # Before Gemma: "paligemma-3b" is not of the family "gemma-3".
    (Dialect.PALIGEMMA, r"paligemma"),
    (Dialect.KOSMOS_2, r"kosmos2(?!5)"),
    (Dialect.MOLMO_2, r"molmo2"),
    (Dialect.MOLMO, r"molmo"),
    (Dialect.COGVLM, r"cogvlm|cogagent"),
    (Dialect.NORM_1000_YX, r"gemma[34]|gemini"),
    (Dialect.NORM_1, r"llava(?!onevision15)"),
)
"""Letters and digits of a name, by what the makers of the family document; the first that matches
counts. All others write 0..1000 of width and height, x first."""

_FINE_TUNES = ((Dialect.REX_OMNI, r"rexomni"),)
"""Weights of another family's type that were taught to write boxes in their own way."""

_AS_JSON = (
    "Locate the {expression}. Output its bbox in JSON as a list of %s; output [] if it is not "
    "there."
)
_LOCATE = {
    Dialect.NORM_1000_YX: _AS_JSON % '{"box_2d": [y1, x1, y2, x2], "label": "..."}, from 0 to 1000',
    Dialect.NORM_1: _AS_JSON % '{"bbox_2d": [x1, y1, x2, y2], "label": "..."}, from 0 to 1',
    Dialect.QWEN2_VL: (
        "Detect the bounding box of <|object_ref_start|>{expression}<|object_ref_end|>; "
        "answer none if it is not there."
    ),
    Dialect.INTERNVL: (
        "Please provide the bounding box coordinate of the region this sentence describes: "
        "<ref>{expression}</ref>"
    ),
    Dialect.GLM_V: (
        "Locate the {expression}. Answer with its bounding box [x1, y1, x2, y2], from 0 to 1000, "
        "or none if it is not there."
    ),
    Dialect.DEEPSEEK_VL2: "<|ref|>{expression}<|/ref|>.",
    Dialect.FLORENCE_2: "Locate the phrases in the caption: {expression}",
    Dialect.PALIGEMMA: "detect {expression}",
    Dialect.KOSMOS_2: "<grounding><phrase>{expression}</phrase>",
    Dialect.REX_OMNI: (
        "Detect {expression}. Output the bounding box coordinates in [x0, y0, x1, y1] format."
    ),
    Dialect.MOLMO: "Point to the {expression}.",
    Dialect.MOLMO_2: "Point to the {expression}.",
    Dialect.COGVLM: "Where is the {expression}? Answer in [[x0,y0,x1,y1]] format.",
}
"""The question that a family was trained on. The two that are not here are asked in general
words."""


def dialect_of(name: str, *, weights: str = "") -> Dialect:
    """What the numbers of a box mean for the family that `name` (a model type, a hub name, a served
    name) belongs to. `weights` is their name or folder where `name` is only a type: some fine-tunes
    keep the type and change the boxes.

    Example:
        >>> dialect_of("OpenGVLab/InternVL3-8B-hf"), dialect_of("my-own")
        (<Dialect.INTERNVL: 'internvl'>, <Dialect.NORM_1000: 'norm_1000'>)
    """
    letters, of_weights = (
        re.sub(r"[^a-z0-9]", "", text.lower()) for text in (name, re.split(r"[/\\]", weights)[-1])
    )
    for dialect, pattern in _FINE_TUNES:
        if re.search(pattern, letters) or re.search(pattern, of_weights):
            return dialect
    return next((d for d, pattern in _FAMILIES if re.search(pattern, letters)), Dialect.NORM_1000)


def locate_prompt(dialect: Dialect) -> str:
    """How a box is asked for in a dialect; holds `{expression}`."""
    return _LOCATE.get(dialect, GENERAL.locate)


def with_dialect(clip: ClipRecipe, dialect: Dialect) -> ClipRecipe:
    """The recipe, asking for boxes in the dialect that they are read in. A question for boxes that
    is not one of ours stays."""
    prompts = clip.prompts
    if prompts.locate in {locate_prompt(of_any) for of_any in Dialect}:
        prompts = replace(prompts, locate=locate_prompt(dialect))
    return replace(clip, prompts=prompts, box_dialect=dialect)


_TOKENS_OF_STRONG = {
    "answer_tokens": 512,
    "caption_tokens": 256,
    "overview_tokens": 512,
    "decide_tokens": 2048,
}
_TOKENS_OF_OTHERS = {"answer_tokens": 128, "caption_tokens": 128}
"""Limits by role: a strong model may be asked to explain, and plans in words."""


def recipe_for(name: str, *, multiple_px: int, tier: Tier, weights: str = "") -> ClipRecipe:
    """How a model without a recipe of its own is asked: in general words, and for boxes in the
    form that its family was trained on, see `dialect_of`. `multiple_px` is of the sides of its
    frames."""
    clip = ClipRecipe(frames=16, leaf_s=16.0, multiple_px=multiple_px, prompts=GENERAL)
    return limit_tokens(with_dialect(clip, dialect_of(name, weights=weights)), tier)


def limit_tokens(clip: ClipRecipe, tier: Tier) -> ClipRecipe:
    """The recipe, with the token limits of a tier."""
    return replace(clip, **(_TOKENS_OF_STRONG if tier == "strong" else _TOKENS_OF_OTHERS))
