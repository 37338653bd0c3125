"""DSDR inside TRL's trainer: how rewards and groups reach the loss.

TRL shuffles rows before the loss, which then knows neither groups nor rewards. So the shares of
the entropy term are worked out where rewards are, and travel with the rows. The terms themselves
are in `mmreason.training.objectives.dsdr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mmreason.training.integrations.trl_rewards import written_turns
from mmreason.training.objectives import dsdr_reward, dsdr_shares, embedding_diversity
from mmreason.training.objectives.diversity import embed_bag_of_words
from mmreason.training.rl.recipe import Dsdr
from mmreason.types import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class DsdrTerm:
    """DSDR's bonus and entropy term in TRL. Raises UsageError for `Dsdr.mentions`, which read
    rollouts of our own trainer.

    Example:
        >>> DsdrTerm(correct="answer").at_least
        1.0
    """

    correct: str
    """Name of the reward function that tells right answers (its `__name__`); gets the bonus."""
    at_least: float = 1.0
    """From what value of it on an answer is right."""
    settings: Dsdr = field(default_factory=Dsdr)

    def __post_init__(self) -> None:
        if self.settings.mentions is not None:
            raise UsageError(
                "Dsdr.mentions reads rollouts, which TRL has none of: use Dsdr.embed, or train "
                "with mmreason.training.rl"
            )


def members_for_dsdr(trainer_class: type[Any], dsdr: DsdrTerm) -> dict[str, Any]:
    """Overrides of `_calculate_rewards` and `_generate_and_score_completions` by name."""

    def calculate_rewards(
        self: Any, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        rewards = trainer_class._calculate_rewards(
            self, inputs, prompts, completions, completion_ids_list
        )
        rewards, self._dsdr_shares = _with_bonus(self, rewards, completions, dsdr)
        return rewards

    def generate_and_score(self: Any, inputs: Any) -> dict[str, Any]:
        output = trainer_class._generate_and_score_completions(self, inputs)
        # Rewards are of all processes, rows of this one alone.
        first = self.accelerator.process_index * len(inputs)
        output["dsdr_shares"] = self._dsdr_shares[first : first + len(inputs)]
        return output

    return {
        "_calculate_rewards": calculate_rewards,
        "_generate_and_score_completions": generate_and_score,
    }


def _with_bonus(
    trainer: Any, rewards: Tensor, completions: Sequence[Any], dsdr: DsdrTerm
) -> tuple[Tensor, Tensor]:
    """Rewards (N, K) with the bonus in the column that tells right answers, and shares (N,); N rows
    of all processes, the samples of a problem side by side."""
    from accelerate.utils import gather_object

    if dsdr.correct not in trainer.reward_func_names:
        names = ", ".join(trainer.reward_func_names)
        raise UsageError(f"there is no reward function {dsdr.correct!r} for DSDR; found {names}")
    column = trainer.reward_func_names.index(dsdr.correct)
    size = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
    # Rewards are gathered in the order of the samplers: a problem's rows stand together.
    group = torch.arange(len(rewards), device=rewards.device) // size
    value = rewards[:, column]
    correct = value >= dsdr.at_least
    # An empty answer has no direction in an embedding: a blank stands for it.
    texts = gather_object(
        ["\n".join(written_turns(completion)) or " " for completion in completions]
    )
    settings = dsdr.settings
    diversity = embedding_diversity(
        (settings.embed or embed_bag_of_words)(texts).to(rewards.device),
        group,
        correct=correct,
        reference=settings.reference,
    )
    # A copy: the caller's tensor keeps what the reward functions said.
    rewards = rewards.clone()
    rewards[:, column] = dsdr_reward(
        value, correct, diversity, weight=settings.reward_weight, cap=settings.cap
    )
    shares = dsdr_shares(
        diversity, correct, group, temperature=settings.temperature, cap=settings.cap
    )
    return rewards, shares
