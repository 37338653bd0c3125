"""The run: rollouts, credit, updates, checkpoints, one report a step.

`train` is an iterator, so that whoever watches decides what to show and when to stop. Leaves out
every formula and showing (`mmreason.training.monitoring`).
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from mmreason.models.hf import ONE_THREAD_PARAMETERS, limit_threads
from mmreason.report.words import counted
from mmreason.training.generation.collect import Sampling, collect
from mmreason.training.generation.sampler import LocalSampler, Sampler, follows_weights
from mmreason.training.learner.adapters import adapted, adapter_off, is_adapted, lost_precision
from mmreason.training.learner.policy_model import Trainee
from mmreason.training.learner.reference import Reference
from mmreason.training.learner.vision_cache import install
from mmreason.training.parallel.processes import any_of, gathered, merged, total
from mmreason.training.parallel.strategy import check_processes, place
from mmreason.training.rl import checkpoint
from mmreason.training.rl.advantages import Credit, assign, teaches
from mmreason.training.rl.batches import deal, split_flat
from mmreason.training.rl.checkpoint import RunState
from mmreason.training.rl.evaluate import evaluate
from mmreason.training.rl.events import StepReport
from mmreason.training.rl.measures import of_rollouts, peak_memory_mb
from mmreason.training.rl.micro import Micro
from mmreason.training.rl.order import drawn
from mmreason.training.rl.recipe import Recipe
from mmreason.training.rl.scales import KindScales
from mmreason.training.rl.settings import changes, described
from mmreason.training.rl.signal import has_signal, why_no_signal
from mmreason.training.rl.update import Updated, Updater
from mmreason.training.rl.views import views
from mmreason.training.rollouts.types import Group
from mmreason.types import UsageError

_VERSIONS = ("mmreason", "torch", "transformers", "accelerate")
GAP_LIMIT = 0.05
"""Mean difference of log-probabilities of sampler and trainer, nats, from which a run says so."""


class TrainingStopped(RuntimeError):
    """Updates were skipped too often in a row, or the whole run taught nothing (`NothingLearnt`).
    The state is saved."""


class NothingLearnt(TrainingStopped):
    """No step of the run moved the weights by what was earned."""


def train(
    recipe: Recipe,
    *,
    resume: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
    accelerator: Accelerator | None = None,
) -> Iterator[StepReport]:
    """Do the run and yield after every step. `should_stop` is asked after each; with true the state
    is saved and the run ends. The model is written to `out/model` in the end, the best one on
    held-out problems to `out/best`; neither before a step has moved the weights.

    Raises UsageError where `out` holds a run of another recipe or model, TrainingStopped after too
    many skipped updates, NothingLearnt at the end of a run in which no step moved the weights.
    """
    run = _Run(recipe, accelerator or Accelerator(mixed_precision=recipe.precision))
    run.begin(resume)
    while run.step < recipe.steps:
        # Told before it is saved: who keeps a log then has every step that a checkpoint counts.
        yield run.advance()
        stop = any_of(run.accelerator, should_stop()) or run.is_done
        run.save(always=stop or run.step == recipe.steps or run.is_failing)
        if run.is_failing:
            raise TrainingStopped(
                f"{run.skipped_in_row} updates in a row were skipped, the last because of "
                f"{run.why}; the state is saved in {recipe.out}"
            )
        if stop:
            break
    if run.learnt:
        run.save_model(recipe.out / "model")
    elif run.step >= recipe.steps:
        raise NothingLearnt(
            f"nothing was learnt in {counted(run.step, 'step')}, and no model is written: {run.why}"
        )


def export(
    recipe: Recipe, folder: Path, *, step: int | None = None, accelerator: Accelerator | None = None
) -> int:
    """Write the model as it was at a checkpoint of the run, the newest or that of `step`, as an
    ordinary model folder; the step. Nothing is trained.

    Raises UsageError where there is no such checkpoint, where it is of another recipe or model, and
    where `folder` is there already.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already; give another folder, or remove it")
    if step is None:
        found = checkpoint.newest(recipe.out)
        if found is None:
            raise UsageError(f"{recipe.out} has no checkpoint; is it the folder of a run?")
        place, state, _ = found
    else:
        place, state = checkpoint.at_step(recipe.out, step)
    run = _Run(recipe, accelerator or Accelerator(mixed_precision=recipe.precision))
    run.take_up(place, state)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run.save_model(folder)
    return state.step


class _Run:
    def __init__(self, recipe: Recipe, accelerator: Accelerator):
        check_processes(accelerator)
        self.recipe = recipe
        self.accelerator = accelerator
        made = recipe.model() if callable(recipe.model) else Trainee.load(recipe.model)
        # New adapters and dropout follow from the recipe alone.
        torch.manual_seed(recipe.seed)
        self.trainee = adapted(made, recipe)
        model = self.trainee.model
        install(model, int(recipe.vision_cache_gb * 1e9))
        self._small = sum(p.numel() for p in model.parameters()) < ONE_THREAD_PARAMETERS
        needs_copy = recipe.kl is not None and not is_adapted(model)
        self._reference = (
            Reference(model, accelerator.device, recipe.precision) if needs_copy else None
        )
        pad_id = self.trainee.pad_id
        self._placement = place(accelerator, model, recipe, pad_id)
        self._optimiser = self._placement.optimiser
        self._updater = Updater(recipe, self._placement, pad_id)
        self._sampler = self._make_sampler()
        self._judged = self._sampler  # on held-out problems: always with the weights as they are
        if not follows_weights(self._sampler):
            self._judged = self._own_sampler()
        self._scales = KindScales()
        self.step = 0
        self.cursor = self.updates = self.skipped = self.skipped_in_row = 0
        self.learnt = self.without_signal = 0
        self._has_told_gap = False
        self.why = ""  # the last reason for which a step taught nothing
        self.best: float | None = None
        self.since_best = 0
        self._settings = described(recipe)
        self._notes: tuple[str, ...] = ()
        if isinstance(self._sampler, LocalSampler) and (why := self._sampler.why_read_again):
            self._notes = (f"every turn reads its whole conversation again: {why}",)
        self._notes += lost_precision(model)

    @property
    def is_failing(self) -> bool:
        return self.skipped_in_row >= self.recipe.max_skipped

    @property
    def is_done(self) -> bool:
        """Whether held-out problems have not gone better for too long."""
        return bool(self.recipe.patience) and self.since_best >= self.recipe.patience

    def begin(self, resume: bool) -> None:
        """Take up the newest checkpoint, or begin anew."""
        out = self.recipe.out
        found = checkpoint.newest(out)
        if found is None:
            return
        if not resume:
            raise UsageError(f"{out} holds a run already; go on with it, or give another folder")
        folder, state, notes = found
        self._notes = (*self._notes, *notes)
        self.take_up(folder, state)

    def take_up(self, folder: Path, state: RunState) -> None:
        """Go on from a checkpoint. UsageError for one of another recipe or model."""
        out = self.recipe.out
        if not state.settings:
            raise UsageError(
                f"{out} holds a run of an earlier version of mmreason, which did not keep what its "
                "data and rewards were; give another folder, or remove it"
            )
        changed = changes(state.settings, self._settings)
        if state.fingerprint != self.trainee.fingerprint:
            changed.append("the model starts from other weights")
        if changed:
            raise UsageError(
                f"{out} holds a run of another recipe or model: {'; '.join(changed)}; undo that, "
                "give another folder, or remove it"
            )
        self._notes += tuple(
            f"{name} is {now}, the run began with {before}: numbers may differ"
            for name, now in _versions().items()
            if (before := state.versions.get(name, now)) != now
        )
        checkpoint.load_into(self._placement, folder)
        self.step, self.cursor, self.updates = state.step, state.cursor, state.updates
        self.skipped = state.skipped
        self.learnt, self.without_signal, self.why = state.learnt, state.without_signal, state.why
        # A run that was stopped for it is given as many tries again.
        failing = state.skipped_in_row >= self.recipe.max_skipped
        self.skipped_in_row = 0 if failing else state.skipped_in_row
        self.best, self.since_best = state.best, state.since_best
        self._scales = KindScales(dict(state.kind_scales))

    def advance(self) -> StepReport:
        """One step."""
        with self._threads():
            began = time.perf_counter()
            with self._sampling():
                groups = self._rollouts()
            sampled = time.perf_counter()
            credit = assign(groups, self.recipe, self._scales, self._gathered)
            updates, micros = self._updates(groups, credit)
            trained = time.perf_counter()
            self.step += 1
            held_out = self._evaluate()
        written = sum(r.written for group in groups for r in group.rollouts)
        metrics = self._metrics(groups, credit, updates)
        tokens = total(self.accelerator, [float(written)])[0]
        metrics |= held_out | {
            "speed/rollout_s": sampled - began,
            "speed/train_s": trained - sampled,
            "speed/tokens_per_s": tokens / (trained - began),
            "memory/peak_mb": peak_memory_mb(self.accelerator.device),
            "optimiser/skipped": float(self.skipped),
            "optimiser/without_signal": float(self.without_signal),
        }
        notes, self._notes = self._notes, ()
        return StepReport(
            step=self.step,
            steps=self.recipe.steps,
            metrics=metrics,
            samples=views(micros, self.trainee.tokenizer, self.recipe.show_samples),
            warnings=(*notes, *self._warnings(groups, updates)),
        )

    def save(self, *, always: bool) -> None:
        """Write a checkpoint where one is due. One that cannot be written is told in the next
        report; OSError for one that must be."""
        if not always and self.step % self.recipe.checkpoint_every:
            return
        state = RunState(
            step=self.step,
            cursor=self.cursor,
            updates=self.updates,
            skipped=self.skipped,
            skipped_in_row=self.skipped_in_row,
            learnt=self.learnt,
            without_signal=self.without_signal,
            why=self.why,
            settings=self._settings,
            fingerprint=self.trainee.fingerprint,
            kind_scales=self._scales.squares,
            best=self.best,
            since_best=self.since_best,
            versions=_versions(),
        )
        try:
            checkpoint.save(self._placement, self.recipe.out, state, self.recipe.keep)
        except OSError as error:
            if always:
                raise
            note = f"the checkpoint of step {self.step} could not be written: {error}"
            self._notes = (*self._notes, note)

    def save_model(self, folder: Path) -> None:
        """Write a model folder, adapters merged in. OSError where that fails: the folder is then as
        it was."""
        unfinished = folder.with_name(f".{folder.name}.tmp")
        trainee = self._placement.to_save(self.trainee)

        def write(trainee: Trainee) -> None:
            shutil.rmtree(unfinished, ignore_errors=True)
            trainee.save(unfinished)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)

        checkpoint.together(self.accelerator, partial(write, trainee) if trainee else None)

    def _make_sampler(self) -> Sampler:
        if self.recipe.sampler is None:
            return self._own_sampler()
        made = self.recipe.sampler(self.trainee)
        if not follows_weights(made) and not self.recipe.stale_sampler:
            raise UsageError(
                f"recipe: the sampler {type(made).__name__} goes on with the weights that it was "
                "started with, however much the model has learnt; leave sampler out, or set "
                "stale_sampler=True to train on what it writes all the same"
            )
        return made

    def _own_sampler(self) -> LocalSampler:
        return LocalSampler(
            self.trainee.model,
            self.trainee.tokenizer,
            end_ids=self.trainee.end_ids,
            pad_id=self.trainee.pad_id,
            batch_tokens=self.recipe.sampling_tokens,
        )

    def _sampling(self) -> contextlib.AbstractContextManager[None]:
        """While attempts are sampled: by this model where nothing else does it."""
        return self._placement.whole() if self.recipe.sampler is None else contextlib.nullcontext()

    def _gathered(self, values: Sequence[Any]) -> list[Any]:
        return gathered(self.accelerator, values)

    def _threads(self) -> contextlib.AbstractContextManager[None]:
        return limit_threads(1 if self._small else torch.get_num_threads())

    def _rollouts(self) -> list[Group]:
        """This process's groups of the step; with dynamic sampling, drawn until enough teach."""
        recipe, world = self.recipe, self.accelerator.num_processes
        wanted = recipe.problems_per_step
        rounds = recipe.dynamic_rounds if recipe.dynamic_sampling else 1
        groups: list[Group] = []
        for _ in range(rounds):
            places = range(self.cursor, self.cursor + wanted)
            self.cursor += wanted
            own = [places[i] for i in range(self.accelerator.process_index, wanted, world)]
            count = len(recipe.task)
            problems = [recipe.task.problem(drawn(place, count, recipe.seed)) for place in own]
            how = Sampling(
                samples=recipe.samples,
                temperature=recipe.temperature,
                seed=recipe.seed,
                step=self.step,
                policy_version=self.updates,
            )
            found = collect(
                recipe.task,
                problems,
                self.trainee.codec,
                self._sampler,
                how,
                epochs=[place // count for place in own],
            )
            groups += [replace(g, place=place) for g, place in zip(found, own, strict=True)]
            useful = total(self.accelerator, [float(sum(teaches(g, recipe) for g in groups))])[0]
            if useful >= wanted:
                break
        return groups

    def _updates(
        self, groups: Sequence[Group], credit: Credit
    ) -> tuple[list[Updated], list[Micro]]:
        """The updates of a rollout batch; the micro-batches of them all, with what they saw."""
        recipe = self.recipe
        teaches_something = any_of(self.accelerator, has_signal(credit.rows, recipe))
        if not teaches_something:
            found = why_no_signal(groups, recipe, self._gathered)
            if found.is_fault:
                nothing = Updated(metrics={}, tokens=0.0, skipped=found.reason)
                self._count(nothing)
                return [nothing], []
            self._count_without_signal(found.reason)
        seed = (recipe.seed, self.step, "updates")
        parts = deal(credit.rows, recipe.updates, *seed, gather=self._gathered)
        split = [split_flat(part, recipe) for part in parts]
        batches = [self._updater.micros(live) for live, _ in split]
        if recipe.updates > 1 or recipe.corrected_by is not None:
            with self._placement.whole():
                for micro in (micro for batch in batches for micro in batch):
                    micro.old_logp, _ = self._updater.score(micro)
        if recipe.kl is not None:
            with self._placement.whole():
                self._refer(batches)
        made = []
        for batch, (live, flat) in zip(batches, split, strict=True):
            if not total(self.accelerator, [float(len(live))])[0]:
                continue
            self._set_learning_rate()
            done = self._updater.update(batch, credit.groups / recipe.updates, flat)
            self._count(done)
            made.append(done)
            if self.is_failing:
                break
        if teaches_something:
            self._count_learnt(made)
        self._note_gap(made)
        return made, [micro for batch in batches for micro in batch]

    def _refer(self, batches: Sequence[Sequence[Micro]]) -> None:
        """Log-probabilities under the reference."""
        for micro in (micro for batch in batches for micro in batch):
            if self._reference is None:
                with adapter_off(self.trainee.model):
                    micro.reference_logp, _ = self._updater.score(micro)
            else:
                micro.reference_logp = self._reference.score(micro.layout, self.recipe.temperature)

    def _set_learning_rate(self) -> None:
        warmed = min(1.0, (self.updates + 1) / max(1, self.recipe.warmup_updates))
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * warmed

    def _count(self, done: Updated) -> None:
        if done.skipped:
            self.skipped += 1
            self.skipped_in_row += 1
            self.why = done.skipped
        else:
            self.updates += 1
            self.skipped_in_row = 0

    def _count_without_signal(self, reason: str) -> None:
        """Told once: such a step is nothing unusual in a run that learns."""
        self.without_signal += 1
        self.why = reason
        if self.without_signal == 1:
            self._notes += (
                f"nothing to learn from in this step: {reason} (further such steps are counted in "
                "optimiser/without_signal and not told)",
            )

    def _count_learnt(self, made: Sequence[Updated]) -> None:
        """Count a step that moved the weights by what was earned."""
        if any(not one.skipped and one.metrics["optimiser/gradient_norm"] > 0 for one in made):
            self.learnt += 1

    def _note_gap(self, made: Sequence[Updated]) -> None:
        """Told once: what was sampled is not what is trained on, and nothing corrects it."""
        gap = max((one.metrics.get("mismatch/gap_mean", 0.0) for one in made), default=0.0)
        if gap > GAP_LIMIT and self.recipe.corrected_by is None and not self._has_told_gap:
            self._has_told_gap = True
            self._notes += (
                f"sampler and trainer differ by {gap:.2g} nats a token, uncorrected: set "
                'correction="tis" (dropout, another precision or other weights make them differ)',
            )

    def _evaluate(self) -> dict[str, float]:
        recipe = self.recipe
        if not recipe.evaluate_every or recipe.held_out is None:
            return {}
        if self.step % recipe.evaluate_every and self.step != recipe.steps:
            return {}
        with self._placement.whole():
            found = evaluate(
                recipe.held_out,
                self.trainee.codec,
                self._judged,
                self.accelerator,
                problems=recipe.evaluate_problems,
            )
        score = found.get("eval/correct", found.get("eval/reward", 0.0))
        if not self.learnt:
            return found  # the model as it came is not the best of this run
        if self.best is None or score > self.best:
            self.best, self.since_best = score, 0
            try:
                self.save_model(recipe.out / "best")
            except OSError as error:
                self._notes += (f"the best model could not be written: {error}",)
        else:
            self.since_best += 1
        return found

    def _metrics(
        self, groups: Sequence[Group], credit: Credit, updates: Sequence[Updated]
    ) -> dict[str, float]:
        flat = len(split_flat(credit.rows, self.recipe)[1]) / max(1, len(credit.rows))
        of_rows = ({"groups/flat": flat}, float(len(credit.rows)))
        parts = gathered(self.accelerator, [*credit.figures, *of_rollouts(groups), of_rows])
        made = (updates[-1].metrics, updates[-1].tokens) if updates else ({}, 0.0)
        last = gathered(self.accelerator, [made])
        learning = self._optimiser.param_groups[0]["lr"]
        return merged(parts) | merged(last) | {"optimiser/learning_rate": float(learning)}

    def _warnings(self, groups: Sequence[Group], updates: Sequence[Updated]) -> list[str]:
        found = [f"update skipped: {done.skipped}" for done in updates if done.skipped]
        for group in groups:
            reasons = {f"{f.kind}: {f.message}": i for i, f in group.failures.items()}
            for reason, sample in reasons.items():
                which = "" if not group.rollouts else f"#{sample}"
                found.append(f"problem {group.problem.id}{which} left out: {reason}")
            for rollout in group.rollouts:
                for name, fault in rollout.scored.faults.items():
                    place = f"{group.problem.id}#{rollout.sample}"
                    found.append(f"reward {name} of {place} left out: {fault}")
        return gathered(self.accelerator, found)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in _VERSIONS}
