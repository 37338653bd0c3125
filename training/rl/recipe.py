"""Everything that decides what a run does, in one value. Checked when it is made.

A recipe file is a Python file that sets `recipe = Recipe(...)`; it is the user's own code and is
run as such. `trainer.py` does what it says.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeVar, get_args

from torch import Tensor

from mmreason.training.generation.sampler import Sampler
from mmreason.training.learner.adapters import Lora, TrainedWeights
from mmreason.training.learner.logprobs import Precision
from mmreason.training.learner.packing import LayoutKind
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.objectives import PUBLISHED, Objective, group_advantage
from mmreason.training.objectives.diversity import ReferenceSet
from mmreason.training.objectives.masks import EntropyScope
from mmreason.training.parallel.strategy import OptimiserSettings
from mmreason.training.rl.recipe_types import check_kinds
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Rollout
from mmreason.types import UsageError

Correction = Literal["tis", "mis", "icepop"]
Estimator = Literal["k1", "k2", "k3", "k3r"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stapo:
    """Silence rare spurious tokens (`objectives.stapo_mask`), one threshold for the whole update.
    Costs a forward pass more for each update.

    Example:
        >>> Stapo(quantile=0.5).probability
        0.002
    """

    probability: float = 0.002
    quantile: float = 0.75
    scope: EntropyScope = "candidates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsdr:
    """Diversity among right answers (`objectives.dsdr_reward`, `dsdr_entropy_loss`).

    The diversity of an answer is the mean of the measures that are given; without any it is that of
    the answers' words.

    Example:
        >>> Dsdr(reward_weight=0.01, reference="correct").cap
        1.0
    """

    reward_weight: float = 1e-3
    entropy_weight: float = 1e-3
    temperature: float = 5.0
    cap: float = 1.0
    reference: ReferenceSet = "group"
    embed: Callable[[Sequence[str]], Tensor] | None = None
    """(B, D) embeddings of texts, of everything the model wrote in a rollout."""
    mentions: Callable[[Rollout], frozenset[Hashable]] | None = None
    """What a rollout points at, such as `objectives.cited_evidence` of its spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kl:
    """Distance to the reference: the model at the start, or with its adapter off.

    Example:
        >>> Kl(coefficient=0.01).estimator
        'k3'
    """

    coefficient: float
    estimator: Estimator = "k3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlong:
    """Penalty on answers that come near the length limit (`objectives.overlong_penalty`).

    Example: up to 768 tokens cost nothing, 1024 cost a whole point:

        >>> Overlong(max_tokens=1024, buffer_tokens=256).buffer_tokens
        256
    """

    max_tokens: int
    buffer_tokens: int
    """The penalty falls from 0 to -1 over the last of these."""


def _setting(default: Value, *, least: int | None = None, moves_numbers: bool = True) -> Value:
    """A field of a recipe. `least` is its smallest value. Where it does not move any number of a
    run (how far, where to, how often to save, how much to show), a run may go on with another."""
    return field(default=default, metadata={"least": least, "moves_numbers": moves_numbers})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run. Raises UsageError for settings that contradict each other.

    Example::

        task = video_questions(read_problems("train.jsonl"), load("nano").clip)
        Recipe(task=task, out=Path("runs/kitchen"), model="nano", steps=20)
    """

    task: Task
    out: Path = field(metadata={"moves_numbers": False})
    """Folder of the run: checkpoints, logs, the model."""
    model: str | Path | Callable[[], PolicyModel] = "nano"
    """Name or path, or a function that makes the policy."""
    held_out: Task | None = None
    seed: int = 0

    # Sampling.
    steps: int = _setting(100, least=1, moves_numbers=False)
    """Rollout batches."""
    problems_per_step: int = _setting(8, least=1)
    """Over all processes."""
    samples: int = _setting(8, least=1)
    """Rollouts of each problem."""
    temperature: float = 1.0
    updates: int = _setting(1, least=1)
    """Optimiser updates made of each rollout batch; above 1 the later ones are off-policy."""
    sampler: Callable[[PolicyModel], Sampler] | None = None
    """Other than the model itself in this process."""
    stale_sampler: bool = False
    """Take a sampler that keeps the weights it was started with, such as a server: it writes as the
    model did in the beginning, however much that has learnt."""
    sampling_tokens: int = _setting(65_536, least=1)
    """Tokens sampled at once, padding included."""

    # Objective.
    objective: str | Objective = "dapo"
    """A name in `objectives.PUBLISHED`, or an objective of your own."""
    max_tokens: int | None = None
    """Longest allowed answer: the constant that `dr_grpo` divides by."""
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
    """Keep rollouts that the length limit cut off out of the loss."""
    dynamic_sampling: bool = False
    """Sample further problems for groups that teach nothing."""
    dynamic_rounds: int = _setting(3, least=1)
    """Most rounds of sampling a step with dynamic sampling."""
    kind_scale_decay: float | None = None
    """With a decay such as 0.99, advantages are divided by a moving average of the deviation of
    their kind of problem in place of the group's own (EMA-GRPO); needs an objective that only
    centres."""

    # Optimiser and batching.
    learning_rate: float = 1e-6
    warmup_updates: int = _setting(10, least=0)
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    max_gradient_norm: float = 1.0
    micro_tokens: int = _setting(16_384, least=1)
    """Tokens in one forward pass, padding included."""
    layout: LayoutKind = "padded"
    precision: Precision = "no"
    gradient_checkpointing: bool = False
    lora: Lora | None = None
    freeze: tuple[str, ...] = ()
    """Parameters whose names begin with one of these are not trained."""
    vision_cache_gb: float = _setting(4.0, moves_numbers=False)
    """Memory for features of frames from eyes that are not trained, on the device; 0 for none."""

    # Checkpoints, evaluation, reports.
    checkpoint_every: int = _setting(10, least=1, moves_numbers=False)
    keep: int = _setting(2, least=1, moves_numbers=False)
    """Newest checkpoints that are kept."""
    evaluate_every: int = _setting(0, least=0, moves_numbers=False)
    """Steps between evaluations on `held_out`; 0 for none."""
    evaluate_problems: int = _setting(64, least=1, moves_numbers=False)
    patience: int = _setting(0, least=0, moves_numbers=False)
    """Evaluations without a better share of right answers after which the run ends; 0 for never."""
    max_skipped: int = _setting(5, least=1)
    """Skipped updates in a row that end the run."""
    show_samples: int = _setting(4, least=0, moves_numbers=False)
    """Rollouts in each report."""
    trackers: tuple[str, ...] = _setting((), moves_numbers=False)
    """Of accelerate: "tensorboard", "trackio", "wandb"."""

    def __post_init__(self) -> None:
        # Kinds first: later checks compare numbers and look into records.
        check_kinds(self)
        self._normalise()
        self._check_records()
        self._check_values()
        self._check_combinations()

    @property
    def resolved_correction(self) -> Correction | None:
        """The correction itself."""
        if self.correction != "auto":
            return self.correction
        return "tis" if self.precision == "bf16" or self.stale_sampler else None

    @property
    def resolved_objective(self) -> Objective:
        """The objective itself."""
        named = self.objective
        return PUBLISHED[named] if isinstance(named, str) else named

    @property
    def optimiser(self) -> OptimiserSettings:
        """The settings of the optimiser alone."""
        return OptimiserSettings(
            learning_rate=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
            max_gradient_norm=self.max_gradient_norm,
        )

    @property
    def trained_weights(self) -> TrainedWeights:
        """The settings of what is trained alone."""
        return TrainedWeights(
            lora=self.lora, freeze=self.freeze, gradient_checkpointing=self.gradient_checkpointing
        )

    def _normalise(self) -> None:
        """Lists become tuples, and the folder a path."""
        for name in ("freeze", "trackers", "betas"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if not isinstance(self.out, str | os.PathLike):
            raise UsageError(f"recipe: out must be the path of a folder, got {self.out!r}")
        object.__setattr__(self, "out", Path(self.out))  # a text is a path too

    def _check_records(self) -> None:
        _check_task("task", self.task)
        if self.held_out is not None:
            _check_task("held_out", self.held_out)
        for name, kind in (("stapo", Stapo), ("dsdr", Dsdr), ("kl", Kl), ("lora", Lora)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise UsageError(f"recipe: {name} must be {kind.__name__}(...), got {value!r:.60}")
        for name in ("freeze", "trackers"):
            if isinstance(getattr(self, name), str):
                raise UsageError(
                    f"recipe: {name} must be a tuple of texts, such as ({getattr(self, name)!r},)"
                )

    def _check_values(self) -> None:
        for setting in fields(self):
            least, value = setting.metadata.get("least"), getattr(self, setting.name)
            if least is not None and value < least:
                raise UsageError(f"recipe: {setting.name} must be >= {least}, got {value}")
        for name, value, allowed in (
            ("correction", self.correction, (None, "auto", *get_args(Correction))),
            ("layout", self.layout, get_args(LayoutKind)),
            ("precision", self.precision, get_args(Precision)),
            ("kl.estimator", self.kl and self.kl.estimator, (None, *get_args(Estimator))),
            ("stapo.scope", self.stapo and self.stapo.scope, (None, *get_args(EntropyScope))),
            ("dsdr.reference", self.dsdr and self.dsdr.reference, (None, *get_args(ReferenceSet))),
        ):
            if value not in allowed:
                names = ", ".join(map(str, allowed))
                raise UsageError(f"recipe: unknown {name} {value!r}; known: {names}")
        if isinstance(self.objective, str) and self.objective not in PUBLISHED:
            names = ", ".join(PUBLISHED)
            raise UsageError(f"recipe: unknown objective {self.objective!r}; known: {names}")
        if self.temperature <= 0 or self.learning_rate <= 0:
            raise UsageError("recipe: temperature and learning_rate must be > 0")
        if self.vision_cache_gb < 0:
            raise UsageError(f"recipe: vision_cache_gb must be >= 0, got {self.vision_cache_gb}")

    def _check_combinations(self) -> None:
        """Settings that make no sense together."""
        # An objective of the user's own may take single rollouts; the published ones cannot.
        if self.samples < 2 and (self.gdpo or isinstance(self.objective, str)):
            raise UsageError(
                f"recipe: samples must be >= 2, got {self.samples}: rollouts of a problem are "
                "compared with each other, and one alone teaches nothing"
            )
        if self.resolved_objective.aggregation == "constant" and self.max_tokens is None:
            raise UsageError("recipe: this objective divides by max_tokens; set it")
        if self.kind_scale_decay is not None:
            if not 0 <= self.kind_scale_decay < 1:
                raise UsageError(
                    f"recipe: kind_scale_decay must be >= 0 and < 1, got {self.kind_scale_decay}"
                )
            # Divided by the group's deviation already, the scale of every kind would be about 1.
            if self.gdpo or self.resolved_objective.advantage is group_advantage:
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


def _check_task(name: str, task: object) -> None:
    """Refused when the recipe is made, so that a dry run refuses what the run could not use."""
    required = ("name", "problem", "episodes", "score")
    missing = [member for member in required if not hasattr(task, member)]
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
        recipe = runpy.run_path(str(path)).get("recipe")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except Exception as error:
        line = " ".join(str(error).split())
        raise UsageError(f"{path}: raised {type(error).__name__}: {line}") from error
    if not isinstance(recipe, Recipe):
        raise UsageError(f"{path}: sets no `recipe = mmreason.training.rl.Recipe(...)`")
    return recipe
