"""Rows of data sets as the task of a run, and held-out rows as the task that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmreason.models.base import ClipRecipe
from mmreason.training.data.conversation import adapt_clip
from mmreason.training.data.dialects.detect import read_samples
from mmreason.training.data.sample import Sample
from mmreason.training.data.settings import DataSettings, Files
from mmreason.training.rewards.named import JUDGE_NAME
from mmreason.training.rl.recipe import Recipe
from mmreason.training.tasks.samples import sample_questions, to_problem
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.types import UsageError

TEXT_CLIP = ClipRecipe(frames=8, leaf_s=8.0)
"""Of models that hold no conversations of their own, and of dry runs, which load none."""
_MOST_NAMED = 3
_WITHOUT_TRUTH = ("format", "repetition")
"""Rewards that look at the reply alone; those of the user's own may look at columns alone."""


def make_tasks(recipe: Recipe, clip: ClipRecipe | None) -> Recipe:
    """The recipe with tasks in place of `data`, as a run does it; unchanged where it has a task.
    `clip` is how the model watches.

    UsageError where rows cannot be read, where their files are missing or no reward can apply, and
    `data.bad_rows` says to refuse them; and where nothing is left.
    """
    data = recipe.data
    if data is None:
        return recipe
    task = _make_task(recipe, data, data.train, "train", clip)
    if data.held_out is None:
        return replace(recipe, task=task, data=None, rewards=None, judge=None)
    if _files(data.train) & _files(data.held_out):
        raise UsageError("recipe: data.held_out is a file of data.train: rows would be in both")
    held_out = _make_task(recipe, data, data.held_out, "held-out", clip)
    # Held-out rows are there to be answered: once at the end, where nothing else is said.
    evaluation = replace(
        recipe.evaluation, held_out=held_out, every=recipe.evaluation.every or recipe.steps
    )
    return replace(recipe, task=task, data=None, rewards=None, judge=None, evaluation=evaluation)


def _make_task(
    recipe: Recipe, data: DataSettings, files: Files | None, name: str, clip: ClipRecipe | None
) -> SingleTurn:
    assert files is not None
    read = read_samples(files, media_root=data.media_root, bad_rows=data.bad_rows)
    samples = _check_samples(read.samples, recipe, data, name)
    return sample_questions(
        samples,
        adapt_clip(clip or TEXT_CLIP, frames=data.frames, longest_px=data.longest_px),
        name=name,
        reward=recipe.reward,
        system_prompt=data.system_prompt,
        max_new_tokens=recipe.sampling.answer_tokens,
    )


def _check_samples(
    samples: Sequence[Sample], recipe: Recipe, data: DataSettings, name: str
) -> Sequence[Sample]:
    """Those that can be asked. With "refuse" one that cannot is an error that names it."""
    names = recipe.rewards or ()
    needs_truth = not any(".py:" in name or name in _WITHOUT_TRUTH for name in names)
    faults: list[str] = []
    usable: list[Sample] = []
    for sample in samples:
        fault = _find_fault(sample, needs_truth=needs_truth)
        if fault:
            faults.append(f"{sample.source or sample.id}: {fault}")
        else:
            usable.append(sample)
    if faults and (data.bad_rows == "refuse" or not usable):
        more = f"; and {len(faults) - _MOST_NAMED:,} more" if len(faults) > _MOST_NAMED else ""
        raise UsageError(
            f"{len(faults):,} of {len(samples):,} {name} rows cannot be trained on: "
            f"{'; '.join(faults[:_MOST_NAMED])}{more}. Set data.bad_rows to skip to leave them out"
        )
    return usable


def _find_fault(sample: Sample, *, needs_truth: bool) -> str:
    if not sample.question:
        return "has no question of a user"
    missing = [
        path
        for medium in sample.media
        for path in medium.paths
        if "://" not in path and not Path(path).is_file()
    ]
    if missing:
        return f"there is no file {missing[0]}"
    if needs_truth and not to_problem(sample).truth.is_known:
        return f'no right answer is known (rewards such as "{JUDGE_NAME}" need one too)'
    return ""


def _files(files: Files | None) -> set[str]:
    several = files if isinstance(files, tuple) else () if files is None else (files,)
    return {str(Path(file).resolve()) for file in several}
