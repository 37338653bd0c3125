"""Samples of a data set in any dialect as a task of one turn: their conversations are shown as they
are, without the answer at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmreason.models.base import ClipRecipe, Conversation
from mmreason.training.data.conversation import to_conversation
from mmreason.training.data.sample import Sample
from mmreason.training.rewards import Combination, Reward, as_combination
from mmreason.training.rollouts.types import Problem
from mmreason.training.tasks.single_turn import SingleTurn
from mmreason.training.tasks.videos import DEFAULT_REWARD, is_right
from mmreason.types import UsageError


@dataclass(frozen=True)
class ShowSample:
    """Shows the sample that a problem was made of."""

    samples: Mapping[str, Sample]
    clip: ClipRecipe
    system_prompt: str = ""

    def __call__(self, problem: Problem) -> Conversation:
        """The conversation before the answer. Raises VideoError or UsageError for media that cannot
        be read."""
        prompt = self.samples[problem.id].prompt
        return to_conversation(prompt, self.clip, system_prompt=self.system_prompt)


def sample_questions(
    samples: Sequence[Sample],
    clip: ClipRecipe,
    *,
    name: str = "samples",
    reward: Combination | Reward = DEFAULT_REWARD,
    system_prompt: str = "",
    max_new_tokens: int = 64,
) -> SingleTurn:
    """A task of these samples. `clip` says how many frames of what size are shown.

    A sample whose media cannot be read is left out, with the reason in the report. UsageError for
    two samples of one id.
    """
    by_id = {sample.id: sample for sample in samples}
    if len(by_id) < len(samples):
        raise UsageError(f"{name}: {len(samples) - len(by_id)} samples have an id of another")
    return SingleTurn(
        name=name,
        problems=[to_problem(sample) for sample in samples],
        show=ShowSample(by_id, clip, system_prompt),
        reward=as_combination(reward),
        judge=is_right,
        max_new_tokens=max_new_tokens,
    )


def to_problem(sample: Sample) -> Problem:
    """What rewards and reports see of a sample; `video` is its first file."""
    media = sample.media
    return Problem(
        id=sample.id,
        question=sample.question,
        truth=sample.truth,
        kind=sample.channel,
        video=media[0].path if media else None,
        span=media[0].span if media else None,
    )
