"""Samples as rows of tokens: their media opened, their answers marked as learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.models.base import ClipRecipe
from mmreason.training.data.conversation import FrameCache, learnt_messages, to_conversation
from mmreason.training.data.sample import RowFault, Sample, SampleMessage
from mmreason.training.learner.dialogues import encode_dialogue
from mmreason.training.learner.policy_model import PolicyModel
from mmreason.training.rollouts.types import TokenSequence
from mmreason.types import UsageError
from mmreason.video.types import VideoError

ROW_FAULTS = (UsageError, VideoError, OSError)
"""What a row's media and template raise: the row is named, and left out or refused."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SftRow:
    """One sequence to learn, or one of a preference pair."""

    sample: Sample
    sequence: TokenSequence
    position: int
    """Of the sample in the order of the run."""
    is_rejected: bool = False

    @property
    def channel(self) -> str:
        """What losses are told by."""
        return self.sample.channel

    @property
    def label(self) -> str:
        """For messages."""
        return (
            f"{self.sample.id} ({self.sample.source})"
            if self.sample.source.file
            else self.sample.id
        )


class RowEncoder:
    """Makes rows of samples for one model."""

    def __init__(
        self,
        policy: PolicyModel,
        clip: ClipRecipe,
        *,
        system_prompt: str,
        longest_tokens: int,
        needs_pairs: bool,
    ):
        self._policy = policy
        self._clip = clip
        self._system_prompt = system_prompt
        self._longest_tokens = longest_tokens
        self._needs_pairs = needs_pairs
        self._frames = FrameCache()

    def encode(self, sample: Sample, position: int) -> tuple[SftRow, ...] | RowFault:
        """The row of a sample, of a preference pair both; a fault where it cannot be used."""
        try:
            rows = [self._row(sample, sample.messages, learnt_messages(sample), position)]
            if self._needs_pairs:
                if not sample.rejected:
                    raise UsageError("DPO needs a rejected answer in every row, found none")
                messages = (*sample.prompt, *sample.rejected)
                flags = [False] * len(sample.prompt) + [
                    m.role == "assistant" for m in sample.rejected
                ]
                # Both answers follow the same prompt: of that nothing is learnt.
                chosen = [False] * len(sample.prompt) + [True]
                rows = [
                    self._row(sample, sample.messages, chosen, position),
                    self._row(sample, messages, flags, position, is_rejected=True),
                ]
        except ROW_FAULTS as error:
            return RowFault(sample.source, f"{sample.id}: {' '.join(str(error).split())}")
        return tuple(rows)

    def _row(
        self,
        sample: Sample,
        messages: Sequence[SampleMessage],
        learnt: Sequence[bool],
        position: int,
        *,
        is_rejected: bool = False,
    ) -> SftRow:
        if not any(learnt):
            raise UsageError("nothing to learn: no message of the assistant")
        if not any(
            message.text.strip() for message, flag in zip(messages, learnt, strict=True) if flag
        ):
            raise UsageError("expected an answer to learn, found an empty one")
        conversation = to_conversation(
            messages, self._clip, system_prompt=self._system_prompt, cache=self._frames
        )
        flags = (*(False,) * (len(conversation) - len(messages)), *learnt)
        sequence = encode_dialogue(self._policy, conversation, flags)
        if (tokens := len(sequence.token_ids)) > self._longest_tokens:
            raise UsageError(
                f"has {tokens:,} tokens, more than the {self._longest_tokens:,} that fit; rows are "
                "never cut: show fewer or smaller frames, or raise batching.longest_tokens"
            )
        return SftRow(sample=sample, sequence=sequence, position=position, is_rejected=is_rejected)
