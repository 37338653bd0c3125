"""What moves an answer besides the question, as plain values for its `settings`.

What is known of a single run only (seed, budget, store, notes) is added in `build_answer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mmreason import __version__
from mmreason.agent.protocol import ModelId
from mmreason.memory.tree import Tree
from mmreason.models.base import ChatModel, Tier
from mmreason.types import Step
from mmreason.video.types import VideoInfo

DECLINED = "declined: "
"""How the note on a reply begins where a guard spoke in the place of the model."""
MOST_REASONS = 5


def describe_recipe(model: ChatModel, tree: Tree, info: VideoInfo) -> dict[str, Any]:
    """Versions, the model that looks, its prompts and clips of this video, and the tree."""
    clip = model.clip
    return {
        **describe_software(),
        "model": describe_model(model),
        "prompts_sha256": clip.prompts.sha256,
        "tree": {
            "branching": tree.branching,
            "depth": tree.depth,
            "leaf_s": round(tree.leaf_s, 6),
            "overlap": tree.overlap,
        },
        "clip": {
            "frames": clip.frames,
            "size_px": list(clip.frame_size_px(info.width_px, info.height_px)),
            "leaf_s": clip.leaf_s,
            "overview": clip.overview,
        },
    }


def describe_software() -> dict[str, Any]:
    """Versions of mmreason and of the libraries below it."""
    return {"mmreason": __version__, "versions": dict(_versions())}


def describe_model(model: ChatModel) -> dict[str, Any]:
    """Name, fingerprint and family, and whether its confidence is calibrated."""
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "lineage": model.lineage,
        "calibrated": model.calibrated,
    }


def standing_notes(model: ChatModel) -> list[str]:
    """Notes of a model, without those on single replies: they may be of other questions."""
    return [note for note in model.notes if not note.startswith(DECLINED)]


def why_declined(trace: Sequence[Step]) -> tuple[str, ...]:
    """Why a guard spoke in the place of the model in this trace, the first reasons."""
    notes = dict.fromkeys(step.observation.note for step in trace)
    return tuple(note for note in notes if note.startswith(DECLINED))[:MOST_REASONS]


def id_of(model: ChatModel) -> ModelId:
    """Who speaks, for the checks of claims."""
    return ModelId(model.name, model.lineage)


def tier_of(observer: ChatModel, reasoner: ChatModel) -> Tier:
    """How much may be left to two models that work together: what the one that decides can do, but
    for nano, which reads only questions in its own words."""
    return "nano" if observer.tier == "nano" else reasoner.tier


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for name in ("av", "numpy", "torch", "transformers"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
