"""The card of a model that a supervised run made: its data, settings and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmreason.report.text import format_count
from mmreason.training.learner.model_card import ModelCard
from mmreason.training.runs.checkpoint import RunState
from mmreason.training.runs.settings import describe_file
from mmreason.training.sft.recipe import SftRecipe

_CARD_FIGURES = ("eval/", "start/", "loss/mean", "dpo/")


def describe_model(
    recipe: SftRecipe,
    state: RunState,
    metrics: Mapping[str, float],
    *,
    merge: bool,
    base_model: str,
) -> str:
    """README.md of the model as it is after `state.step` steps, with those of `metrics` that tell
    how good it is. Names of files without their folders, which are nobody else's concern."""
    files = {}
    for name, value in (("trained on", recipe.data.train), ("held out", recipe.data.held_out)):
        paths = value if isinstance(value, tuple) else () if value is None else (value,)
        for path in map(Path, paths):
            files[f"{path.name} ({name})"] = describe_file(path) or "a folder, or gone since"
    return ModelCard(
        title=recipe.out.name or "model",
        base_model=Path(base_model).name if Path(base_model).is_absolute() else base_model,
        is_adapter=not merge,
        data=files,
        settings={
            name: value
            for name, value in state.settings.items()
            if name not in ("train", "held_out", "media_root", "model")
        },
        metrics={n: v for n, v in metrics.items() if n.startswith(_CARD_FIGURES)},
        notes=(
            f"Supervised fine-tuning, {format_count(state.step, 'step')} "
            f"({format_count(state.updates, 'update')}).",
        ),
    ).to_markdown()
