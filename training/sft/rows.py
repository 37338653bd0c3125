"""Samples as rows of tokens: their media opened, their answers marked as learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
            check_sample(sample, needs_pairs=self._needs_pairs)
            if not self._needs_pairs:
                flags = learnt_messages(sample)
                return (self._row(sample, sample.messages, flags, position),)
            # Both answers follow the same prompt: of that nothing is learnt.
            unlearnt = [False] * len(sample.prompt)
            flags = [*unlearnt, *(m.role == "assistant" for m in sample.rejected)]
            messages = (*sample.prompt, *sample.rejected)
            return (
                self._row(sample, sample.messages, [*unlearnt, True], position),
                self._row(sample, messages, flags, position, is_rejected=True),
            )
        except ROW_FAULTS as error:
            return _make_fault(sample, error)

    def _row(
        self,
        sample: Sample,
        messages: Sequence[SampleMessage],
        learnt: Sequence[bool],
        position: int,
        *,
        is_rejected: bool = False,
    ) -> SftRow:
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


def check_sample(sample: Sample, *, needs_pairs: bool) -> None:
    """What can be told of a row before any of its media is opened. UsageError where nothing can be
    learnt of it, or a file is missing."""
    flags = learnt_messages(sample)
    learnt = [m for m, flag in zip(sample.messages, flags, strict=True) if flag]
    if not learnt:
        raise UsageError("nothing to learn: no message of the assistant")
    if not any(message.text.strip() for message in learnt):
        raise UsageError("expected an answer to learn, found an empty one")
    if needs_pairs:
        if sample.messages[-1].role != "assistant":
            raise UsageError("DPO needs the better answer as the last message")
        if not any(m.role == "assistant" and m.text.strip() for m in sample.rejected):
            raise UsageError("DPO needs a rejected answer in every row, found none")
        if sample.rejected == sample.messages[-1:]:
            raise UsageError("DPO needs two answers, found the same one twice")
    for path in (path for medium in sample.media for path in medium.paths):
        if "://" not in path and not Path(path).exists():
            raise UsageError(f"{path}: there is no such file; set data.media_root if it moved")


def find_faults(samples: Iterable[Sample], *, needs_pairs: bool) -> list[RowFault]:
    """The rows of which that can be told."""
    faults = []
    for sample in samples:
        try:
            check_sample(sample, needs_pairs=needs_pairs)
        except UsageError as error:
            faults.append(_make_fault(sample, error))
    return faults


def _make_fault(sample: Sample, error: Exception) -> RowFault:
    return RowFault(sample.source, f"{sample.id}: {' '.join(str(error).split())}")
