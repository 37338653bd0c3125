"""Everything that decides what a run does, in one value. Checked when it is made.

A recipe file is a Python file that sets `recipe = Recipe(...)`; it is the user's own code and is
run as such. Leaves out doing it (`trainer.py`).
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from mmreason.training.generation.sampler import Sampler
from mmreason.training.learner.packing import LayoutKind
from mmreason.training.learner.policy_model import Trainee
from mmreason.training.objectives import PUBLISHED, Objective, group_advantage
from mmreason.training.objectives.diversity import ReferenceSet
from mmreason.training.objectives.masks import EntropyScope
from mmreason.training.rl.recipe_types import check_kinds
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Rollout
from mmreason.types import UsageError

Correction = Literal["tis", "mis", "icepop"]
Estimator = Literal["k1", "k2", "k3", "k3r"]
Precision = Literal["no", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stapo:
    """Silence rare spurious tokens (`objectives.stapo_mask`), one threshold for the whole update.
    Costs a forward pass more for each update."""

    probability: float = 0.002
    quantile: float = 0.75
    scope: EntropyScope = "candidates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsdr:
    """Diversity among right answers (`objectives.dsdr_reward`, `dsdr_entropy_loss`).

    The diversity of an answer is the mean of the measures that are given; without any it is that of
    the answers' words.
    """

    reward_weight: float = 1e-3
    entropy_weight: float = 1e-3
    temperature: float = 5.0
    cap: float = 1.0
    reference: ReferenceSet = "group"
    embed: Callable[[Sequence[str]], Tensor] | None = None
    """(B, D) embeddings of texts, of everything the model wrote in an attempt."""
    mentions: Callable[[Rollout], frozenset[Hashable]] | None = None
    """What an attempt points at, such as `objectives.cited_evidence` of its spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kl:
    """Distance to the reference: the model at the start, or with its adapter off."""

    coefficient: float
    estimator: Estimator = "k3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Adapters in place of all weights. Vision towers are left out unless asked for."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    with_vision: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlong:
    """Penalty on answers that come near the length limit (`objectives.overlong_penalty`)."""

    max_tokens: int
    buffer_tokens: int
    """The penalty falls from 0 to -1 over the last of these."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run. Raises UsageError for settings that contradict each other."""

    task: Task
    out: Path
    """Folder of the run: checkpoints, logs, the model."""
    model: str | Path | Callable[[], Trainee] = "nano"
    """Name or path, or a function that makes the trainee."""
    held_out: Task | None = None
    seed: int = 0

    steps: int = 100
    """Rollout batches."""
    problems_per_step: int = 8
    """Over all processes."""
    samples: int = 8
    """Attempts at each problem."""
    temperature: float = 1.0
    updates: int = 1
    """Optimiser updates made of each rollout batch; above 1 the later ones are off-policy."""
    sampler: Callable[[Trainee], Sampler] | None = None
    """Other than the model itself in this process."""
    stale_sampler: bool = False
    """Take a sampler that keeps the weights it was started with, such as a server: it writes as the
    model did in the beginning, however much that has learnt."""
    sampling_tokens: int = 65_536
    """Tokens sampled at once, padding included."""

    objective: str | Objective = "dapo"
    """A name in `objectives.PUBLISHED`, or an objective of your own."""
    max_tokens: int | None = None
    """Longest allowed attempt: the constant that `dr_grpo` divides by."""
    gdpo: bool = False
    """Normalise each reward component in its group before they are summed."""
    stapo: Stapo | None = None
    dsdr: Dsdr | None = None
    kl: Kl | None = None
    correction: Correction | Literal["auto"] | None = "auto"
    """For a sampler that gives other probabilities than the model that is trained. "auto" is "tis"
    with `precision="bf16"` and with a stale sampler, else None."""
    overlong: Overlong | None = None
    mask_truncated: bool = False
    """Leave attempts that the length limit cut off out of the loss."""
    dynamic_sampling: bool = False
    """Draw further problems for groups that teach nothing."""
    dynamic_rounds: int = 3
    """Most draws a step with dynamic sampling."""
    kind_scale_decay: float | None = None
    """With a decay such as 0.99, advantages are divided by a moving average of the deviation of
    their kind of problem in place of the group's own (EMA-GRPO); needs an objective that only
    centres."""

    learning_rate: float = 1e-6
    warmup_updates: int = 10
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    max_gradient_norm: float = 1.0
    micro_tokens: int = 16_384
    """Tokens in one forward pass, padding included."""
    layout: LayoutKind = "padded"
    precision: Precision = "no"
    gradient_checkpointing: bool = False
    lora: Lora | None = None
    freeze: tuple[str, ...] = ()
    """Parameters whose names begin with one of these are not trained."""
    vision_cache_gb: float = 4.0
    """Memory for features of frames from eyes that are not trained, on the device; 0 for none."""

    checkpoint_every: int = 10
    keep: int = 2
    """Newest checkpoints that are kept."""
    evaluate_every: int = 0
    """Steps between evaluations on `held_out`; 0 for none."""
    evaluate_problems: int = 64
    patience: int = 0
    """Evaluations without a better share of right answers after which the run ends; 0 for never."""
    max_skipped: int = 5
    """Skipped updates in a row that end the run."""
    show_samples: int = 4
    """Attempts in each report."""
    trackers: tuple[str, ...] = ()
    """Of accelerate: "tensorboard", "trackio", "wandb"."""

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("freeze", "trackers", "betas"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_task("task", self.task)
        if self.held_out is not None:
            _check_task("held_out", self.held_out)
        if not isinstance(self.out, str | os.PathLike):
            raise UsageError(f"recipe: out must be the path of a folder, got {self.out!r}")
        object.__setattr__(self, "out", Path(self.out))  # a text is a path too
        for name, kind in (("stapo", Stapo), ("dsdr", Dsdr), ("kl", Kl), ("lora", Lora)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise UsageError(f"recipe: {name} must be {kind.__name__}(...), got {value!r:.60}")
        for name in ("freeze", "trackers"):
            if isinstance(getattr(self, name), str):
                raise UsageError(
                    f"recipe: {name} must be a tuple of texts, such as ({getattr(self, name)!r},)"
                )
        at_least = {
            "steps": 1,
            "problems_per_step": 1,
            "samples": 1,
            "updates": 1,
            "dynamic_rounds": 1,
            "micro_tokens": 1,
            "checkpoint_every": 1,
            "keep": 1,
            "max_skipped": 1,
            "warmup_updates": 0,
            "evaluate_every": 0,
            "evaluate_problems": 1,
            "patience": 0,
            "show_samples": 0,
            "sampling_tokens": 1,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise UsageError(f"recipe: {name} must be >= {least}, got {getattr(self, name)}")
        for name, value, known in (
            ("correction", self.correction, (None, "auto", *get_args(Correction))),
            ("layout", self.layout, get_args(LayoutKind)),
            ("precision", self.precision, get_args(Precision)),
            ("kl.estimator", self.kl and self.kl.estimator, (None, *get_args(Estimator))),
            ("stapo.scope", self.stapo and self.stapo.scope, (None, *get_args(EntropyScope))),
            ("dsdr.reference", self.dsdr and self.dsdr.reference, (None, *get_args(ReferenceSet))),
        ):
            if value not in known:
                names = ", ".join(map(str, known))
                raise UsageError(f"recipe: unknown {name} {value!r}; known: {names}")
        if isinstance(self.objective, str) and self.objective not in PUBLISHED:
            known = ", ".join(PUBLISHED)
            raise UsageError(f"recipe: unknown objective {self.objective!r}; known: {known}")
        if self.temperature <= 0 or self.learning_rate <= 0:
            raise UsageError("recipe: temperature and learning_rate must be > 0")
        if self.vision_cache_gb < 0:
            raise UsageError(f"recipe: vision_cache_gb must be >= 0, got {self.vision_cache_gb}")
        if self.samples < 2 and (self.gdpo or isinstance(self.objective, str)):
            raise UsageError(
                f"recipe: samples must be >= 2, got {self.samples}: attempts at a problem are "
                "compared with each other, and one alone teaches nothing"
            )
        if self.uses.aggregation == "constant" and self.max_tokens is None:
            raise UsageError("recipe: this objective divides by max_tokens; set it")
        if self.kind_scale_decay is not None:
            if not 0 <= self.kind_scale_decay < 1:
                raise UsageError(
                    f"recipe: kind_scale_decay must be >= 0 and < 1, got {self.kind_scale_decay}"
                )
            if self.gdpo or self.uses.advantage is group_advantage:
                raise UsageError(
                    "recipe: kind_scale_decay needs an objective that only centres rewards "
                    "(dr_grpo, rloo, reinforce, vespo), and no gdpo"
                )
        if self.evaluate_every and self.held_out is None:
            raise UsageError("recipe: evaluate_every needs held_out problems")
        if self.patience and not self.evaluate_every:
            raise UsageError("recipe: patience needs evaluate_every")
        if not len(self.task):
            raise UsageError(f"recipe: the task {self.task.name!r} has no problems")

    @property
    def corrected_by(self) -> Correction | None:
        """The correction itself."""
        if self.correction != "auto":
            return self.correction
        return "tis" if self.precision == "bf16" or self.stale_sampler else None

    @property
    def uses(self) -> Objective:
        """The objective itself."""
        named = self.objective
        return PUBLISHED[named] if isinstance(named, str) else named


def _check_task(name: str, task: object) -> None:
    """Found out when the recipe is made, so that a dry run refuses what the run could not use."""
    missing = [part for part in ("name", "problem", "episodes", "score") if not hasattr(task, part)]
    if missing:
        raise UsageError(
            f"recipe: {name} must be a task, got {task!r:.60}, which has no {missing[0]!r}; make "
            "one of a file of problems with video_questions (docs/problems.md)"
        )


def read_recipe(path: Path) -> Recipe:
    """The `recipe` that a Python file sets. UsageError where it cannot be run or sets none."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such recipe file")
    try:
        found = runpy.run_path(str(path)).get("recipe")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except Exception as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{path}: raised {type(error).__name__}: {line}") from error
    if not isinstance(found, Recipe):
        raise UsageError(f"{path}: sets no `recipe = mmreason.training.rl.Recipe(...)`")
    return found
