"""A run on its way: the model with its optimiser and samplers, and what one step does with them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from mmreason.models.hf_settings import is_small, limit_threads
from mmreason.models.vision_cache import VisionFeatureCache
from mmreason.training.generation.sampler import LocalSampler, Sampler, follows_weights
from mmreason.training.generation.served import ServedSampler
from mmreason.training.learner.adapters import (
    disable_adapter,
    has_adapter,
    note_lost_precision,
    select_trained_weights,
)
from mmreason.training.learner.logprobs import ReferenceModel
from mmreason.training.learner.packing import choose_layout
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.parallel.processes import any_process, gather_values, sum_over_processes
from mmreason.training.parallel.strategy import build_strategy, check_processes, set_learning_rates
from mmreason.training.rl.advantages import KindScales, StepAdvantages, compute_advantages
from mmreason.training.rl.batches import MicroBatch, split_into_updates, split_zero_advantage
from mmreason.training.rl.data_task import make_tasks
from mmreason.training.rl.metrics import measure_rollouts
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rl.report_samples import samples_for_report
from mmreason.training.rl.served_weights import ServedWeights
from mmreason.training.rl.signal import rows_have_signal, why_no_signal
from mmreason.training.rl.step_rollouts import Progress, sample_groups
from mmreason.training.rl.update import Updater, UpdateResult
from mmreason.training.rollouts.types import Group
from mmreason.training.runs import checkpoint
from mmreason.training.runs.checkpoint import RunState
from mmreason.training.runs.events import StepReport
from mmreason.training.runs.held_out import evaluate_held_out
from mmreason.training.runs.metrics import Metric, merge_metrics, peak_memory_mb
from mmreason.training.runs.settings import describe_changes, describe_settings
from mmreason.training.runs.stopped import TrainingStopped
from mmreason.training.runs.versions import library_versions
from mmreason.types import UsageError

MOST_GAP_NATS = 0.05
"""Mean difference of log-probabilities of sampler and trainer from which a run says so."""


class TrainingRun:
    """One run in this process. `begin` or `restore` comes first, then `advance` as often as there
    are steps."""

    def __init__(self, recipe: Recipe, accelerator: Accelerator, *, is_export: bool = False):
        check_processes(accelerator)
        self.accelerator = accelerator
        if recipe.data is not None:
            make_tasks(recipe, None)  # rows that cannot be used are told before weights are read
        loaded = (
            recipe.model()
            if callable(recipe.model)
            else PolicyModel.load(recipe.model, dtype=recipe.weights.loading_dtype)
        )
        recipe = make_tasks(recipe, None if loaded.chat is None else loaded.chat.clip)
        self.recipe = recipe
        # New adapters and dropout follow from the recipe alone.
        torch.manual_seed(recipe.seed)
        self.policy = select_trained_weights(loaded, recipe.weights)
        model, pad_id = self.policy.model, self.policy.pad_id
        VisionFeatureCache.attach(model, int(recipe.batching.vision_cache_gb * 1e9))
        # Threads cost a small model more than they give.
        self._is_small = is_small(model)
        layout, layout_notes = choose_layout(recipe.batching.layout, model)
        laid_out = replace(recipe, batching=replace(recipe.batching, layout=layout))
        # Without its adapters a model is its own reference: no second copy in memory.
        self._reference = None
        if recipe.objective.kl is not None and not has_adapter(model):
            self._reference = ReferenceModel(model, accelerator.device, recipe.batching.precision)
        self._strategy = build_strategy(
            accelerator, model, recipe.optimiser, precision=recipe.batching.precision, pad_id=pad_id
        )
        self._updater = Updater(laid_out, self._strategy, pad_id)
        # A model is written without anybody who samples from it.
        self._sampler = self._make_local_sampler() if is_export else self._make_sampler()
        self._served = self._make_served()
        # Held-out problems are always judged with the weights as they are.
        is_current = follows_weights(self._sampler)
        self._judged_sampler = self._sampler if is_current else self._make_local_sampler()
        self._scales = KindScales()
        self.state = RunState.beginning(
            self.policy.fingerprint, describe_settings(recipe), library_versions()
        )
        self._has_noted_gap = False
        self._notes: tuple[str, ...] = ()
        if isinstance(self._sampler, LocalSampler) and (why := self._sampler.why_uncached):
            self._notes = (f"every turn reads its whole conversation again: {why}",)
        self._notes += (*note_lost_precision(model), *layout_notes)

    @property
    def is_failing(self) -> bool:
        """Whether too many updates in a row were skipped."""
        return self.state.skipped_in_row >= self.recipe.optimiser.max_skipped

    @property
    def is_done(self) -> bool:
        """Whether held-out problems have not gone better for too long."""
        return (
            bool(self.recipe.evaluation.patience)
            and self.state.since_best >= self.recipe.evaluation.patience
        )

    def begin(self, resume: bool) -> None:
        """Go on from the newest checkpoint, or begin anew."""
        out = self.recipe.out
        newest = checkpoint.find_newest(out)
        if newest is None:
            return
        # Checked whether or not it goes on: a folder never holds two runs.
        if not resume:
            raise UsageError(f"{out} holds a run already; go on with it, or give another folder")
        folder, state, notes = newest
        self._notes = (*self._notes, *notes)
        self.restore(folder, state)

    def restore(self, folder: Path, state: RunState) -> None:
        """Go on from a checkpoint. UsageError for one of another recipe or model."""
        out = self.recipe.out
        if not state.settings:
            raise UsageError(
                f"{out} holds a run of an earlier version of mmreason, which did not keep what its "
                "data and rewards were; give another folder, or remove it"
            )
        # Everything that moves a number must be as it was, or the run would be none of either
        # recipe.
        changes = describe_changes(state.settings, self.state.settings)
        if state.fingerprint != self.policy.fingerprint:
            changes.append("the model starts from other weights")
        if changes:
            raise UsageError(
                f"{out} holds a run of another recipe or model: {'; '.join(changes)}; undo that, "
                "give another folder, or remove it"
            )
        versions = self.state.versions
        self._notes += tuple(
            f"{name} is {now}, the run began with {before}: numbers may differ"
            for name, now in versions.items()
            if (before := state.versions.get(name, now)) != now
        )
        checkpoint.load_checkpoint(self._strategy, folder)
        # A run that was stopped for skipped updates is given as many tries again.
        was_failing = state.skipped_in_row >= self.recipe.optimiser.max_skipped
        in_row = 0 if was_failing else state.skipped_in_row
        self.state = replace(state, skipped_in_row=in_row, versions=versions)
        self._scales = KindScales(dict(state.kind_scales))

    def advance(self) -> StepReport:
        """One step."""
        with self._limit_threads():
            # 1) Rollouts.
            start_s = time.perf_counter()
            # Every token is a pass: gathering the shards for each would take all the time.
            if self._served is not None:
                self._served.bring(self.state.updates)
            with self._unsharded_to_sample():
                groups = self._sample_groups()
            self._insist_on_rewards(groups)
            if self._served is not None:
                self._served.let_sleep()
            sampled_s = time.perf_counter()
            # 2) What they are worth, and the updates made of them.
            advantages = compute_advantages(groups, self.recipe, self._scales, self._gather)
            updates, micro_batches = self._make_updates(groups, advantages)
            trained_s = time.perf_counter()
            self.state = replace(self.state, step=self.state.step + 1)
            # 3) Held-out problems, where it is time for them.
            held_out = self._evaluate()
        written = sum(r.completion_tokens for group in groups for r in group.rollouts)
        tokens = sum_over_processes(self.accelerator, [float(written)])[0]
        metrics = self._merge_metrics(groups, advantages, updates) | held_out
        metrics |= {
            "speed/rollout_s": sampled_s - start_s,
            "speed/train_s": trained_s - sampled_s,
            "speed/tokens_per_s": tokens / (trained_s - start_s),
            "memory/peak_mb": peak_memory_mb(self.accelerator.device),
            "optimiser/skipped": float(self.state.skipped),
            "optimiser/without_signal": float(self.state.without_signal),
        }
        if self._served is not None:
            metrics["mismatch/served_gap"] = self._served.gap
        notes, self._notes = self._notes, ()
        return StepReport(
            step=self.state.step,
            steps=self.recipe.steps,
            metrics=metrics,
            samples=samples_for_report(
                micro_batches, self.policy.tokenizer, self.recipe.report.samples
            ),
            warnings=(*notes, *self._list_warnings(groups, updates)),
        )

    def save_checkpoint(self, *, is_required: bool) -> None:
        """Write a checkpoint where one is due. One that cannot be written is told in the next
        report; OSError for one that is required."""
        if not is_required and self.state.step % self.recipe.checkpoints.every:
            return
        # Lost steps are cheaper than a lost run: the next checkpoint may find room again.
        state = replace(self.state, kind_scales=self._scales.squares)
        try:
            checkpoint.save_checkpoint(
                self._strategy, self.recipe.out, state, self.recipe.checkpoints.keep
            )
        except OSError as error:
            if is_required:
                raise
            note = f"the checkpoint of step {state.step} could not be written: {error}"
            self._notes = (*self._notes, note)

    def save_model(self, folder: Path) -> None:
        """Write a model folder, adapters merged in. OSError where that fails: the folder is then as
        it was."""
        # Under another name until it is whole: a killed run leaves no half model.
        unfinished = folder.with_name(f".{folder.name}.tmp")
        policy = self._strategy.policy_to_save(self.policy)

        def write(policy: PolicyModel) -> None:
            shutil.rmtree(unfinished, ignore_errors=True)
            policy.save(unfinished)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)

        checkpoint.write_together(self.accelerator, partial(write, policy) if policy else None)

    def _make_sampler(self) -> Sampler:
        server = self.recipe.sampling.server
        if server is not None:
            return ServedSampler(server, end_ids=self.policy.end_ids)
        if self.recipe.sampling.sampler is None:
            return self._make_local_sampler()
        sampler = self.recipe.sampling.sampler(self.policy)
        if not follows_weights(sampler) and not self.recipe.sampling.stale_sampler:
            raise UsageError(
                f"recipe: the sampler {type(sampler).__name__} goes on with the weights that it "
                "was started with, however much the model has learnt; leave sampling.sampler out, "
                "or set sampling.stale_sampler=True to train on what it writes all the same"
            )
        return sampler

    def _make_served(self) -> ServedWeights | None:
        server = self.recipe.sampling.server
        if server is None or not isinstance(self._sampler, ServedSampler):
            return None
        return ServedWeights(self._sampler, server, self.policy, self._strategy, self.recipe.out)

    def _make_local_sampler(self) -> LocalSampler:
        return LocalSampler(
            self.policy.model,
            self.policy.tokenizer,
            end_ids=self.policy.end_ids,
            pad_id=self.policy.pad_id,
            batch_tokens=self.recipe.sampling.batch_tokens,
        )

    def _unsharded_to_sample(self) -> contextlib.AbstractContextManager[None]:
        """While rollouts are sampled: by this model where nothing else does it."""
        # A server samples with weights of its own.
        is_local = isinstance(self._sampler, LocalSampler)
        return self._strategy.unsharded() if is_local else contextlib.nullcontext()

    def _gather(self, values: Sequence[Any]) -> list[Any]:
        return gather_values(self.accelerator, values)

    def _limit_threads(self) -> contextlib.AbstractContextManager[None]:
        return limit_threads(1 if self._is_small else torch.get_num_threads())

    def _sample_groups(self) -> list[Group]:
        state = self.state
        progress = Progress(step=state.step, updates=state.updates, cursor=state.cursor)
        groups, cursor = sample_groups(
            self.recipe, self.policy.codec, self._sampler, self.accelerator, progress
        )
        self.state = replace(state, cursor=cursor)
        return groups

    def _insist_on_rewards(self, groups: Sequence[Group]) -> None:
        """TrainingStopped where a reward that must not fail, such as a judge, failed for every
        rollout of the step. The state before the step is saved."""
        scored = [rollout.scored for group in groups for rollout in group.rollouts]
        local = [
            (name, item.faults[name] if name in item.stopping else "", value is not None)
            for item in scored
            for name, value in item.values.items()
        ]
        verdicts = self._gather(local)
        valued = {name for name, _, has_value in verdicts if has_value}
        for name, fault, _ in verdicts:
            if fault and name not in valued:
                if self.state.step:
                    self.save_checkpoint(is_required=True)
                count = sum(other == name and bool(why) for other, why, _ in verdicts)
                raise TrainingStopped(
                    f"the reward {name} gave no value for any of {count} rollouts of step "
                    f"{self.state.step + 1}: {fault}; mend that and go on, or set on_failure='skip'"
                )

    def _make_updates(
        self, groups: Sequence[Group], advantages: StepAdvantages
    ) -> tuple[list[UpdateResult], list[MicroBatch]]:
        """The updates of a rollout batch; the micro-batches of them all, with what they saw."""
        recipe, rows = self.recipe, advantages.rows
        # 1) Without a signal weights may still move, towards the reference say; without any reward
        #    there is no update at all.
        has_signal = any_process(self.accelerator, rows_have_signal(rows, recipe.objective))
        if not has_signal:
            no_signal = why_no_signal(groups, recipe, self._gather)
            if no_signal.is_fault:
                nothing = UpdateResult(metrics={}, skipped=no_signal.reason)
                self._count_update(nothing)
                return [nothing], []
            self._count_without_signal(no_signal.reason)
        # 2) Rows are dealt out to updates, and to micro-batches where they can move the gradient.
        seed = (recipe.seed, self.state.step, "updates")
        per_update = split_into_updates(rows, recipe.batching.updates, *seed, gather=self._gather)
        splits = [split_zero_advantage(update_rows, recipe.objective) for update_rows in per_update]
        batches = [self._updater.make_micro_batches(live) for live, _ in splits]
        micro_batches = [micro_batch for batch in batches for micro_batch in batch]
        # 3) Log-probabilities before the first update, and under the reference.
        if recipe.batching.updates > 1 or recipe.resolved_correction is not None:
            with self._strategy.unsharded():
                for micro_batch in micro_batches:
                    # Of the trainer's own numerics: the sampler's differ by rounding, which a ratio
                    # would amplify.
                    micro_batch.old_logp, _ = self._updater.score(micro_batch)
        if recipe.objective.kl is not None:
            with self._strategy.unsharded():
                self._score_reference(micro_batches)
        # 4) The updates, but for those whose rows are all flat.
        results = []
        for batch, (live, flat) in zip(batches, splits, strict=True):
            if not sum_over_processes(self.accelerator, [float(len(live))])[0]:
                continue
            self._set_learning_rate()
            result = self._updater.update(batch, advantages.groups / recipe.batching.updates, flat)
            self._count_update(result)
            results.append(result)
            if self.is_failing:
                break
        # Weights that only moved towards the reference have learnt nothing.
        if has_signal and any(not r.skipped and r.gradient_norm > 0 for r in results):
            self.state = replace(self.state, learnt=self.state.learnt + 1)
        self._note_gap(results)
        return results, micro_batches

    def _score_reference(self, micro_batches: Sequence[MicroBatch]) -> None:
        """Log-probabilities under the reference."""
        temperature = self.recipe.sampling.temperature
        for micro_batch in micro_batches:
            if self._reference is None:
                with disable_adapter(self.policy.model):
                    micro_batch.reference_logp, _ = self._updater.score(micro_batch)
            else:
                logp = self._reference.score(micro_batch.packed, temperature)
                micro_batch.reference_logp = logp

    def _set_learning_rate(self) -> None:
        # By updates made, not by steps: a skipped update does not warm.
        updates = self.recipe.steps * self.recipe.batching.updates
        set_learning_rates(
            self._strategy.optimiser, self.recipe.optimiser, self.state.updates, updates
        )

    def _count_update(self, result: UpdateResult) -> None:
        state = self.state
        if result.skipped:
            self.state = replace(
                state,
                skipped=state.skipped + 1,
                skipped_in_row=state.skipped_in_row + 1,
                why=result.skipped,
            )
        else:
            self.state = replace(state, updates=state.updates + 1, skipped_in_row=0)

    def _count_without_signal(self, reason: str) -> None:
        """Told once: such a step is nothing unusual in a run that learns."""
        count = self.state.without_signal + 1
        self.state = replace(self.state, without_signal=count, why=reason)
        if count == 1:
            self._notes += (
                f"nothing to learn from in this step: {reason} (further such steps are counted in "
                "optimiser/without_signal and not told)",
            )

    def _note_gap(self, results: Sequence[UpdateResult]) -> None:
        """Told once: what was sampled is not what is trained on, and nothing corrects it."""
        nothing = Metric.mean(0.0, 0)
        gaps = [result.metrics.get("mismatch/gap_mean", nothing).value for result in results]
        gap = max(gaps, default=0.0)
        is_corrected = self.recipe.resolved_correction is not None
        if gap > MOST_GAP_NATS and not is_corrected and not self._has_noted_gap:
            self._has_noted_gap = True
            self._notes += (
                f"sampler and trainer differ by {gap:.2g} nats a token, uncorrected: set "
                'correction="tis" (dropout, another precision or other weights make them differ)',
            )

    def _evaluate(self) -> dict[str, float]:
        """Metrics on held-out problems; the best model so far is written."""
        recipe, state = self.recipe, self.state
        if not recipe.evaluation.every or recipe.evaluation.held_out is None:
            return {}
        # The last step is always judged: the run ends with it.
        if state.step % recipe.evaluation.every and state.step != recipe.steps:
            return {}
        if self._served is not None:
            self._served.bring(self.state.updates)
        with self._strategy.unsharded():
            metrics = evaluate_held_out(
                recipe.evaluation.held_out,
                self.policy.codec,
                self._judged_sampler,
                self.accelerator,
                problems=recipe.evaluation.problems,
            )
        if self._served is not None:
            self._served.let_sleep()
        # Right answers count; rewards where no answer can be told right.
        score = metrics.get("eval/correct", metrics.get("eval/reward", 0.0))
        if not state.learnt:
            return metrics  # the model as it came is not the best of this run
        if state.best is not None and score <= state.best:
            self.state = replace(state, since_best=state.since_best + 1)
            return metrics
        self.state = replace(state, best=score, since_best=0)
        try:
            self.save_model(recipe.out / "best")
        except OSError as error:
            self._notes += (f"the best model could not be written: {error}",)
        return metrics

    def _merge_metrics(
        self,
        groups: Sequence[Group],
        advantages: StepAdvantages,
        updates: Sequence[UpdateResult],
    ) -> dict[str, float]:
        """Of the rollouts and of the last update, over all processes."""
        rows = advantages.rows
        flat = len(split_zero_advantage(rows, self.recipe.objective)[1]) / max(1, len(rows))
        local = [
            advantages.metrics,
            measure_rollouts(groups),
            {"groups/flat": Metric.mean(flat, float(len(rows)))},
            updates[-1].metrics if updates else {},
        ]
        merged = merge_metrics(self._gather(local))
        learning_rate = float(self._strategy.optimiser.param_groups[0]["lr"])
        values = {name: metric.value for name, metric in merged.items()}
        return values | {"optimiser/learning_rate": learning_rate}

    def _list_warnings(self, groups: Sequence[Group], updates: Sequence[UpdateResult]) -> list[str]:
        warnings = [f"update skipped: {update.skipped}" for update in updates if update.skipped]
        for group in groups:
            # The last sample of each reason stands for all of them.
            reasons = {f"{f.kind}: {f.message}": i for i, f in group.failures.items()}
            for reason, sample in reasons.items():
                suffix = "" if not group.rollouts else f"#{sample}"
                warnings.append(f"problem {group.problem.id}{suffix} left out: {reason}")
            for rollout in group.rollouts:
                for name, fault in rollout.scored.faults.items():
                    label = f"{group.problem.id}#{rollout.sample}"
                    warnings.append(f"reward {name} of {label} left out: {fault}")
        return self._gather(warnings)
