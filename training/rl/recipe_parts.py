"""The parts of a recipe, each checked when it is made. `recipe.py` puts them together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import Tensor

from mmreason.training.checked_settings import NUMBER, WHOLE, Kind, check_settings, setting
from mmreason.training.generation.sampler import Sampler
from mmreason.training.generation.server_settings import ServerSettings
from mmreason.training.learner.logprobs import Precision
from mmreason.training.learner.packing import LayoutKind
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.objectives import PUBLISHED, Objective, group_advantage
from mmreason.training.objectives.aggregation import AGGREGATIONS, Aggregation
from mmreason.training.objectives.diversity import ReferenceSet
from mmreason.training.objectives.masks import EntropyScope
from mmreason.training.objectives.shaping import MOST_TIE_BREAK
from mmreason.training.rollouts.episode import Task
from mmreason.training.rollouts.types import Rollout
from mmreason.types import UsageError

Correction = Literal["tis", "mis", "icepop"]
Estimator = Literal["k1", "k2", "k3", "k3r"]
CostUnit = Literal["tokens", "tool_calls", "frames"]

_SAMPLER = Kind(
    callable,
    "a function of the PolicyModel that makes a sampler, such as lambda policy: sampler",
)
_FORMULA = Kind(
    lambda value: isinstance(value, str) or hasattr(value, "advantage"),
    "a name of objectives.PUBLISHED or an Objective",
)
_TASK_MEMBERS = ("name", "problem", "episodes", "score")


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
    scope: EntropyScope = setting("candidates", choices=get_args(EntropyScope))

    def __post_init__(self) -> None:
        check_settings(self, "objective.stapo")


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
    reference: ReferenceSet = setting("group", choices=get_args(ReferenceSet))
    embed: Callable[[Sequence[str]], Tensor] | None = None
    """(B, D) embeddings of texts, of everything the model wrote in a rollout."""
    mentions: Callable[[Rollout], frozenset[Hashable]] | None = None
    """What a rollout points at, such as `objectives.cited_evidence` of its spans."""

    def __post_init__(self) -> None:
        check_settings(self, "objective.dsdr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kl:
    """Distance to the reference: the model at the start, or with its adapter off.

    Example:
        >>> Kl(coefficient=0.01).estimator
        'k3'
    """

    coefficient: float
    estimator: Estimator = setting("k3", choices=get_args(Estimator))

    def __post_init__(self) -> None:
        check_settings(self, "objective.kl")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """What a step samples, and who writes it.

    Example:
        >>> SamplingSettings(problems_per_step=16, temperature=2.0).samples
        8
    """

    problems_per_step: int = setting(8, least=1)
    """Over all processes."""
    samples: int = setting(8, least=1)
    """Rollouts of each problem."""
    temperature: float = setting(1.0, above=0)
    sampler: Callable[[PolicyModel], Sampler] | None = setting(None, kind=_SAMPLER)
    """Other than the model itself in this process."""
    stale_sampler: bool = setting(False)
    """Take a sampler that keeps the weights it was started with, such as a server: it writes as the
    model did in the beginning, however much that has learnt."""
    batch_tokens: int = setting(65_536, least=1, flat_name="sampling_tokens")
    """Tokens sampled at once, padding included."""
    dynamic: bool = setting(False, flat_name="dynamic_sampling")
    """Sample further problems for groups that teach nothing (dynamic sampling of DAPO)."""
    dynamic_rounds: int = setting(3, least=1)
    """Most rounds of sampling a step with dynamic sampling."""
    answer_tokens: int = setting(64, least=1, came_later=True)
    """Most tokens of an answer to a row of `data`; tasks of one's own say it themselves."""
    server: ServerSettings | None = setting(None, kind=ServerSettings, came_later=True)
    """A vLLM or SGLang server that writes the rollouts and takes the new weights of every step."""

    def __post_init__(self) -> None:
        check_settings(self, "sampling")
        if self.server is not None and self.sampler is not None:
            raise UsageError("recipe: give sampling.server or sampling.sampler, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSettings:
    """What is maximised: a formula, and what is added to rewards, tokens and loss.

    Example:
        >>> ObjectiveSettings(formula="vespo", kl=Kl(coefficient=0.01)).resolved_formula.aggregation
        'token'
    """

    formula: str | Objective = setting("dapo", kind=_FORMULA, flat_name="objective")
    """A name in `objectives.PUBLISHED`, or an objective of your own."""
    max_tokens: int | None = setting(None, kind=WHOLE)
    """Longest allowed answer: the constant that `dr_grpo` divides by."""
    gdpo: bool = setting(False)
    """Normalise each reward component in its group before they are summed."""
    stapo: Stapo | None = setting(None, kind=Stapo)
    dsdr: Dsdr | None = setting(None, kind=Dsdr)
    kl: Kl | None = setting(None, kind=Kl)
    correction: Correction | Literal["auto"] | None = setting(
        "auto", choices=(None, "auto", *get_args(Correction))
    )
    """For a sampler that gives other probabilities than the model that is trained. "auto" is "tis"
    with `precision="bf16"`, a server and a stale sampler, else None."""
    overlong: Overlong | None = setting(None, kind=Overlong)
    aggregation: Aggregation | None = setting(None, choices=(None, *AGGREGATIONS), came_later=True)
    """How terms of tokens become one number (`objectives.aggregation`), where not as the formula
    says. "episode": a mean over the tokens of an episode, all its turns, then over episodes."""
    tie_break_cost: float = setting(0.0, least=0, came_later=True)
    """Up to `MOST_TIE_BREAK` more for a cheaper episode among the right ones of a problem, where
    all of these earned the same; 0 for none."""
    tie_break_by: CostUnit = setting("tokens", choices=get_args(CostUnit), came_later=True)
    """What makes an episode cheap: few tokens written, calls of tools, or frames looked at."""
    mask_truncated: bool = setting(False)
    """Keep rollouts that the length limit cut off out of the loss."""
    kind_scale_decay: float | None = setting(None, kind=NUMBER, least=0, below=1)
    """With a decay such as 0.99, advantages are divided by a moving average of the deviation of
    their kind of problem in place of the group's own (EMA-GRPO); needs an objective that only
    centres."""

    def __post_init__(self) -> None:
        check_settings(self, "objective")
        if isinstance(self.formula, str) and self.formula not in PUBLISHED:
            names = ", ".join(PUBLISHED)
            raise UsageError(f"recipe: unknown objective.formula {self.formula!r}; known: {names}")
        if self.resolved_formula.aggregation == "constant" and self.max_tokens is None:
            raise UsageError("recipe: this objective.formula divides by max_tokens; set it")
        if self.tie_break_cost > MOST_TIE_BREAK:
            raise UsageError(
                f"recipe: objective.tie_break_cost must be <= {MOST_TIE_BREAK}, got "
                f"{self.tie_break_cost}: more would be a reward of its own"
            )
        # GDPO would blow the difference up to the size of a whole component.
        if self.tie_break_cost and self.gdpo:
            raise UsageError("recipe: objective.tie_break_cost does not go with gdpo")
        # Divided by the group's deviation already, the scale of every kind would be about 1.
        is_scaled = self.gdpo or self.resolved_formula.advantage is group_advantage
        if self.kind_scale_decay is not None and is_scaled:
            raise UsageError(
                "recipe: objective.kind_scale_decay needs a formula that only centres rewards "
                "(dr_grpo, rloo, reinforce, vespo), and no gdpo"
            )

    @property
    def resolved_formula(self) -> Objective:
        """The objective itself."""
        formula = PUBLISHED[self.formula] if isinstance(self.formula, str) else self.formula
        if self.aggregation is None:
            return formula
        return replace(formula, aggregation=self.aggregation)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingSettings:
    """How the rollouts of a step become updates, and what goes through the model at once.

    Example:
        >>> BatchingSettings(updates=4, precision="bf16").layout
        'padded'
    """

    updates: int = setting(1, least=1)
    """Optimiser updates made of each rollout batch; above 1 the later ones are off-policy."""
    micro_tokens: int = setting(16_384, least=1)
    """Tokens in one forward pass, padding included."""
    layout: LayoutKind = setting("padded", choices=get_args(LayoutKind))
    precision: Precision = setting("no", choices=get_args(Precision))
    vision_cache_gb: float = setting(4.0, least=0, moves_numbers=False)
    """Memory for features of frames from eyes that are not trained, on the device; 0 for none."""

    def __post_init__(self) -> None:
        check_settings(self, "batching")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """Whether and when held-out problems are answered.

    Example:
        >>> EvaluationSettings().every
        0
    """

    held_out: Task | None = setting(None)
    every: int = setting(0, least=0, moves_numbers=False, flat_name="evaluate_every")
    """Steps between evaluations on `held_out`; 0 for none. With `data.held_out` 0 is one at the
    end."""
    problems: int = setting(64, least=1, moves_numbers=False, flat_name="evaluate_problems")
    """Most held-out problems of an evaluation."""
    patience: int = setting(0, least=0, moves_numbers=False)
    """Evaluations without a better share of right answers after which the run ends; 0 for never."""

    def __post_init__(self) -> None:
        check_settings(self, "evaluation")
        if self.held_out is not None:
            check_task("evaluation.held_out", self.held_out)
        if self.patience and not self.every:
            raise UsageError("recipe: evaluation.patience needs every")


def check_task(name: str, task: object) -> None:
    """Refused when the recipe is made, so that a dry run refuses what the run could not use."""
    missing = [member for member in _TASK_MEMBERS if not hasattr(task, member)]
    if missing:
        raise UsageError(
            f"recipe: {name} must be a task, got {task!r:.60}, which has no {missing[0]!r}; give "
            "files of rows as data.train (docs/own_data.md)"
        )
