"""A supervised run on its way: the model with its optimiser, and what one step does with them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from mmreason.models.base import ClipRecipe
from mmreason.models.hf_settings import is_small, limit_threads
from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.training.data.conversation import adapt_clip
from mmreason.training.data.sample import RowFault, Sample
from mmreason.training.generation.sampler import LocalSampler
from mmreason.training.learner.adapters import note_lost_precision, select_trained_weights
from mmreason.training.learner.neftune import neftune_noise
from mmreason.training.learner.packing import choose_layout
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.processes import gather_values, sum_over_processes
from mmreason.training.parallel.strategy import build_strategy, check_processes, set_learning_rates
from mmreason.training.runs import checkpoint
from mmreason.training.runs.batches import problem_index_at
from mmreason.training.runs.checkpoint import RunState
from mmreason.training.runs.events import StepReport
from mmreason.training.runs.held_out import evaluate_held_out
from mmreason.training.runs.metrics import Metric, merge_metrics, peak_memory_mb
from mmreason.training.runs.settings import describe_changes, describe_settings
from mmreason.training.runs.versions import library_versions
from mmreason.training.sft.card import describe_model
from mmreason.training.sft.recipe import LOWER_IS_BETTER, SftRecipe
from mmreason.training.sft.rows import RowEncoder, SftRow, find_faults
from mmreason.training.sft.update import SftUpdater, SftUpdateResult
from mmreason.training.tasks.samples import sample_questions
from mmreason.types import UsageError

_TEXT_CLIP = ClipRecipe(frames=8, leaf_s=8.0)
"""Of a model that holds no conversation: it has no frames to show."""
LONGEST_TOKENS = 32_768
"""Tokens of a row where a model does not say how many it holds."""

LEAST_RATE = 1e-6
LEAST_RATE_OF_ADAPTERS = 1e-5
"""Learning rates below which a run says that little may be learnt."""


class SftRun:
    """One run in this process. `begin` or `restore` comes first, then `advance` as often as there
    are steps."""

    def __init__(
        self,
        recipe: SftRecipe,
        accelerator: Accelerator,
        samples: Sequence[Sample],
        held_out: Sequence[Sample],
    ):
        check_processes(accelerator)
        self.recipe = recipe
        self.accelerator = accelerator
        self.samples = samples
        self.held_out = held_out
        self.steps = recipe.count_steps(len(samples))
        loaded = (
            recipe.model()
            if callable(recipe.model)
            else PolicyModel.load(recipe.model, dtype=recipe.weights.loading_dtype)
        )
        # New adapters and dropout follow from the recipe alone.
        torch.manual_seed(recipe.seed)
        self.policy = select_trained_weights(loaded, recipe.weights)
        model, batching = self.policy.model, recipe.batching
        VisionFeatureCache.attach(model, int(batching.vision_cache_gb * 1e9))
        self._is_small = is_small(model)
        layout, layout_notes = choose_layout(batching.layout, model)
        laid_out = replace(recipe, batching=replace(batching, layout=layout))
        self._strategy = build_strategy(
            accelerator,
            model,
            recipe.optimiser,
            precision=batching.precision,
            pad_id=self.policy.pad_id,
        )
        self._updater = SftUpdater(laid_out, self._strategy, self.policy.pad_id)
        self._sampler = LocalSampler(
            model,
            self.policy.tokenizer,
            end_ids=self.policy.end_ids,
            pad_id=self.policy.pad_id,
            batch_tokens=batching.micro_tokens,
        )
        self._encoder, self._clip = make_encoder(recipe, self.policy)
        settings = describe_settings(replace(recipe, held_out_samples=None))
        if recipe.samples is None:
            # A row may be mended between two parts of a run; with another number of them the order
            # would be another.
            settings["rows"] = str(len(samples))
        self.state = RunState.beginning(self.policy.fingerprint, settings, library_versions())
        self._notes: tuple[str, ...] = (
            *note_lost_precision(model),
            *layout_notes,
            *_note_low_rate(recipe),
        )
        # One row ahead of the model: its media are read while the model is at work.
        self._reader = ThreadPoolExecutor(max_workers=1)
        self._ahead: tuple[int, Future[list[tuple[SftRow, ...] | RowFault]]] | None = None
        self._first: dict[str, float] = {}

    @property
    def is_failing(self) -> bool:
        """Whether too many updates in a row were skipped."""
        return self.state.skipped_in_row >= self.recipe.optimiser.max_skipped

    @property
    def is_done(self) -> bool:
        """Whether held-out rows have not gone better for too long."""
        patience = self.recipe.evaluation.patience
        return bool(patience) and self.state.since_best >= patience

    def begin(self, resume: bool) -> None:
        """Go on from the newest checkpoint, or begin anew. UsageError for rows that cannot be used,
        as far as that is told without opening their media; with "skip" they are named as they come
        by."""
        self._refuse_bad_rows()
        newest = checkpoint.find_newest(self.recipe.out)
        if newest is None:
            # What the model was before is told with the first step.
            before = self.evaluate()
            self._first = {name.replace("eval/", "start/", 1): v for name, v in before.items()}
            return
        # Checked whether or not it goes on: a folder never holds two runs.
        if not resume:
            raise UsageError(
                f"{self.recipe.out} holds a run already; go on with it, or give another folder"
            )
        folder, state, notes = newest
        self._notes = (*self._notes, *notes)
        self.restore(folder, state)

    def _refuse_bad_rows(self) -> None:
        # Rows that are made when they are asked for may be without end.
        if self.recipe.data.bad_rows == "skip" or not isinstance(self.samples, tuple | list):
            return
        needs_pairs = self.recipe.objective.formula == "dpo"
        faults = find_faults([*self.samples, *self.held_out], needs_pairs=needs_pairs)
        if faults:
            more = f", and {len(faults) - 1:,} more rows" if len(faults) > 1 else ""
            raise UsageError(
                f"{faults[0]}{more}; `mmreason data check FILE --fix` writes a file without them, "
                "data.bad_rows=skip leaves them out"
            )

    def restore(self, folder: Path, state: RunState, *, is_to_train: bool = True) -> None:
        """Go on from a checkpoint. UsageError for one of another recipe or model; of other rows
        where it is to be trained on."""
        now = dict(self.state.settings)
        if not is_to_train and "rows" in state.settings:
            now["rows"] = state.settings["rows"]
        changes = describe_changes(state.settings, now)
        if state.fingerprint != self.policy.fingerprint:
            changes.append("the model starts from other weights")
        if changes:
            raise UsageError(
                f"{self.recipe.out} holds a run of another recipe or model: {'; '.join(changes)}; "
                "undo that, give another folder, or remove it"
            )
        checkpoint.load_checkpoint(self._strategy, folder)
        in_row = 0 if state.skipped_in_row >= self.recipe.optimiser.max_skipped else None
        versions = self.state.versions
        self.state = replace(state, versions=versions)
        if in_row is not None:
            self.state = replace(self.state, skipped_in_row=in_row)

    def advance(self) -> StepReport:
        """One step: one update."""
        with self._limit_threads():
            start_s = time.perf_counter()
            encoded = self._take_rows(self.state.cursor)
            faults = [item for item in encoded if isinstance(item, RowFault)]
            rows = [row for item in encoded if not isinstance(item, RowFault) for row in item]
            self._refuse_faults(faults)
            read_s = time.perf_counter()
            self._set_learning_rate()
            noise = neftune_noise(self.policy.model, self.recipe.objective.neftune_alpha)
            result = self._updater.update(rows, noise)
            trained_s = time.perf_counter()
            self._count_update(result)
            held_out = self._evaluate()
        tokens = sum(len(row.sequence.token_ids) for row in rows)
        tokens_all = sum_over_processes(self.accelerator, [float(tokens)])[0]
        local = [result.metrics, {"rows/left_out": Metric.sum(len(faults))}]
        merged = merge_metrics(gather_values(self.accelerator, local))
        metrics = {name: metric.value for name, metric in merged.items()} | held_out | self._first
        self._first = {}
        metrics |= {
            "optimiser/learning_rate": float(self._strategy.optimiser.param_groups[0]["lr"]),
            "optimiser/skipped": float(self.state.skipped),
            "progress/epochs": self.state.cursor / max(1, len(self.samples)),
            "speed/read_s": read_s - start_s,
            "speed/train_s": trained_s - read_s,
            "speed/tokens_per_s": tokens_all / (trained_s - start_s),
            "memory/peak_mb": peak_memory_mb(self.accelerator.device),
        }
        notes, self._notes = self._notes, ()
        warnings = [f"row left out: {fault}" for fault in faults]
        if result.skipped:
            warnings.append(f"update skipped: {result.skipped}")
        return StepReport(
            step=self.state.step,
            steps=self.steps,
            metrics=metrics,
            warnings=(*notes, *gather_values(self.accelerator, warnings)),
        )

    def evaluate(self) -> dict[str, float]:
        """Figures on the held-out rows with the weights as they are; empty without any."""
        evaluation = self.recipe.evaluation
        count = min(evaluation.rows, len(self.held_out))
        if not count:
            return {}
        mine = range(self.accelerator.process_index, count, self.accelerator.num_processes)
        # Tokenizer and frames are not made for two threads at once.
        if self._ahead is not None:
            wait([self._ahead[1]])
        rows: list[SftRow] = []
        faults: list[RowFault] = []
        for index in mine:
            item = self._encoder.encode(self.held_out[index], index)
            if isinstance(item, RowFault):
                faults.append(item)
            else:
                rows += item
        self._refuse_faults(faults)
        self._notes += tuple(f"held-out row left out: {fault}" for fault in faults)
        with self._strategy.unsharded():
            local = self._updater.measure(rows)
        merged = merge_metrics(gather_values(self.accelerator, [local]))
        renamed = {
            "eval/" + name.removeprefix("loss/").replace("mean", "loss"): metric.value
            for name, metric in merged.items()
            if name.startswith("loss/")
        }
        if "dpo/preferred" in merged:
            renamed["eval/preferred"] = merged["dpo/preferred"].value
        return renamed | self._answer_held_out()

    def _answer_held_out(self) -> dict[str, float]:
        """`eval/correct` over those of the held-out rows whose right answer is known."""
        evaluation, policy = self.recipe.evaluation, self.policy
        asked = [sample for sample in self.held_out[: evaluation.rows] if sample.truth.is_known]
        if not evaluation.generate or not asked:
            return {}
        task = sample_questions(
            asked,
            self._clip,
            system_prompt=self.recipe.data.system_prompt,
            max_new_tokens=evaluation.answer_tokens,
        )
        with self._strategy.unsharded():
            answered = evaluate_held_out(
                task, policy.codec, self._sampler, self.accelerator, problems=len(asked)
            )
        return answered | {"eval/questions": float(len(asked))}

    def save_checkpoint(self, *, is_required: bool) -> None:
        """Write a checkpoint where one is due. One that cannot be written is told in the next
        report; OSError for one that is required."""
        if not is_required and self.state.step % self.recipe.checkpoints.every:
            return
        try:
            checkpoint.save_checkpoint(
                self._strategy, self.recipe.out, self.state, self.recipe.checkpoints.keep
            )
        except OSError as error:
            if is_required:
                raise
            note = f"the checkpoint of step {self.state.step} could not be written: {error}"
            self._notes = (*self._notes, note)

    def save_model(
        self, folder: Path, *, merge: bool = True, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write a model folder with its card, adapters merged in or alone. OSError where that
        fails: the folder is then as it was. `metrics` are what the card tells of the model."""
        unfinished = folder.with_name(f".{folder.name}.tmp")
        policy = self._strategy.policy_to_save(self.policy)

        def write(policy: PolicyModel) -> None:
            shutil.rmtree(unfinished, ignore_errors=True)
            card = describe_model(
                self.recipe, self.state, metrics or {}, merge=merge, base_model=self.policy.name
            )
            policy.save(unfinished, merge=merge, card=card)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)

        checkpoint.write_together(self.accelerator, partial(write, policy) if policy else None)

    def _take_rows(self, cursor: int) -> list[tuple[SftRow, ...] | RowFault]:
        """This process's rows of the step at `cursor`; those of the next one are begun."""
        if self._ahead is not None and self._ahead[0] == cursor:
            encoded = self._ahead[1].result()
        else:
            encoded = self._encode_rows(cursor)
        following = cursor + self.recipe.batching.rows
        self._ahead = None
        if self.state.step + 1 < self.steps:
            self._ahead = (following, self._reader.submit(self._encode_rows, following))
        return encoded

    def _encode_rows(self, cursor: int) -> list[tuple[SftRow, ...] | RowFault]:
        count, per_update = len(self.samples), self.recipe.batching.rows
        first = cursor + self.accelerator.process_index
        positions = range(first, cursor + per_update, self.accelerator.num_processes)
        return [
            self._encoder.encode(
                self.samples[problem_index_at(position, count, self.recipe.seed)], position
            )
            for position in positions
        ]

    def _refuse_faults(self, faults: Sequence[RowFault]) -> None:
        if self.recipe.data.bad_rows == "skip":
            return
        everywhere = gather_values(self.accelerator, [str(fault) for fault in faults])
        if everywhere:
            self.save_checkpoint(is_required=True)
            raise UsageError(
                f"{everywhere[0]}; the state is saved: mend the row and go on, or set "
                "data.bad_rows=skip to leave such rows out"
            )

    def _set_learning_rate(self) -> None:
        # By updates made, not by steps: a skipped update does not warm.
        set_learning_rates(
            self._strategy.optimiser, self.recipe.optimiser, self.state.updates, self.steps
        )

    def _count_update(self, result: SftUpdateResult) -> None:
        state = self.state
        state = replace(state, step=state.step + 1, cursor=state.cursor + self.recipe.batching.rows)
        if result.skipped:
            self.state = replace(
                state,
                skipped=state.skipped + 1,
                skipped_in_row=state.skipped_in_row + 1,
                why=result.skipped,
            )
            return
        moved = result.metrics["optimiser/gradient_norm"].value > 0
        self.state = replace(
            state,
            updates=state.updates + 1,
            skipped_in_row=0,
            learnt=state.learnt + int(moved),
            why=state.why if moved else "the gradient is 0",
        )

    def _evaluate(self) -> dict[str, float]:
        """Figures on held-out rows, where it is time for them; the best model so far is written."""
        evaluation, state = self.recipe.evaluation, self.state
        is_due = evaluation.every and not state.step % evaluation.every
        if not self.held_out or not (is_due or state.step == self.steps):
            return {}
        metrics = self.evaluate()
        score = metrics.get(evaluation.best_by)
        if score is None or not state.learnt:
            return metrics
        if evaluation.best_by in LOWER_IS_BETTER:
            score = -score
        if state.best is not None and score <= state.best:
            self.state = replace(state, since_best=state.since_best + 1)
            return metrics
        self.state = replace(state, best=score, since_best=0)
        try:
            self.save_model(self.recipe.out / "best", metrics=metrics)
        except OSError as error:
            self._notes += (f"the best model could not be written: {error}",)
        return metrics

    def _limit_threads(self) -> contextlib.AbstractContextManager[None]:
        return limit_threads(1 if self._is_small else torch.get_num_threads())


def make_encoder(recipe: SftRecipe, policy: PolicyModel) -> tuple[RowEncoder, ClipRecipe]:
    """What makes rows of the recipe's samples for this model, and how it watches their clips."""
    data = recipe.data
    clip = policy.chat.clip if policy.chat is not None else _TEXT_CLIP
    clip = adapt_clip(clip, frames=data.frames, longest_px=data.longest_px)
    encoder = RowEncoder(
        policy,
        clip,
        system_prompt=data.system_prompt,
        longest_tokens=recipe.batching.longest_tokens or _context_tokens(policy.model),
        needs_pairs=recipe.objective.formula == "dpo",
    )
    return encoder, clip


def _note_low_rate(recipe: SftRecipe) -> tuple[str, ...]:
    rate = recipe.optimiser.learning_rate
    least = LEAST_RATE_OF_ADAPTERS if recipe.weights.lora is not None else LEAST_RATE
    # Preference pairs are learnt at rates as low as those of reinforcement learning.
    if rate >= least or recipe.objective.formula == "dpo":
        return ()
    return (
        f"the learning rate of {rate:g} is low for supervised training, and little may be learnt: "
        f"{10 * least:g} is common here; set optimiser.learning_rate",
    )


def _context_tokens(model: Any) -> int:
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or LONGEST_TOKENS
