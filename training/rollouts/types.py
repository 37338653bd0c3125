"""What a rollout is: token ids as they were read and written, who wrote them, what it earned.

Token ids are the truth: nothing is ever decoded and encoded again, so what is trained on is what
was sampled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from mmreason.models.base import Conversation
from mmreason.training.rewards import Scored, Trajectory, Truth
from mmreason.types import UsageError
from mmreason.video.types import Span

if TYPE_CHECKING:
    from torch import Tensor

FinishReason = Literal["stop", "length"]
"""An end token, or the length limit, which cut the completion off."""


class Role(IntEnum):
    """Who wrote a token. Only the assistant's are trained on."""

    PROMPT = 0
    ASSISTANT = 1
    """The model that is trained."""
    TOOL = 2
    """What came back between two turns: observations and the template round them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with what is known of its answer: one row of a data set.

    Example:
        >>> Problem(id="kitchen-1", question="Is it hot?", truth=Truth(answer="yes")).video is None
        True
    """

    id: str
    """Different for every problem of a task; part of every seed."""
    question: str
    truth: Truth
    kind: str = ""
    """What sort of problem it is ("count", "order"): scales and metrics are kept by kind."""
    video: str | None = None
    """Path of a video or an image; None for text alone."""
    span: Span | None = None
    """The stretch that is shown; None for all of it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Media:
    """What a processor made of the frames in one prompt, shared by all samples of a problem.

    `tensors` are arguments of the model's forward pass by name (`pixel_values_videos`,
    `video_grid_thw`, ...), which a batch concatenates along the first dimension.
    """

    tensors: Mapping[str, Tensor]
    placeholder_counts: Mapping[int, int]
    """How many tokens of the prompt stand for features, by the token's id."""
    token_types: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What the processor says of each token of the prompt (0 text, 1 image, 2 video), by the name
    of the argument (`mm_token_type_ids`); tokens after the prompt are text."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What the model reads before it writes. UsageError where placeholders and features differ.

    Example:
        >>> Prompt((151644, 872, 198)).media is None
        True
    """

    token_ids: tuple[int, ...]
    media: Media | None = None
    conversation: Conversation | None = None
    """What it was made of, where that holds frames: for servers, which take frames in no other
    way."""

    def __post_init__(self) -> None:
        check_placeholders(self.token_ids, self.media)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model wrote after one prompt.

    Example:
        >>> ids, logprobs = (9, 8), (-0.1, -0.3)
        >>> cut = Completion(
        ...     token_ids=ids, logprobs=logprobs, text="yes and", finish_reason="length"
        ... )
        >>> cut.is_finished
        False
    """

    token_ids: tuple[int, ...]
    """As sampled, the end token included where there is one."""
    logprobs: tuple[float, ...]
    """Of each token under the sampler, at the sampling temperature; empty where it tells none."""
    text: str
    """Decoded without special tokens."""
    finish_reason: FinishReason

    @property
    def is_finished(self) -> bool:
        """False where the length limit cut it off."""
        return self.finish_reason == "stop"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TokenSequence:
    """A prompt and what followed, as one row that is trained on. UsageError for other lengths.

    Example: a question, an answer with a tool call, what the tool gave, and the end:

        >>> row = TokenSequence(
        ...     token_ids=(1, 2, 7, 8, 9),
        ...     roles=(Role.PROMPT, Role.PROMPT, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT),
        ...     logprobs=(0.0, 0.0, -0.1, 0.0, -0.2),
        ... )
        >>> row.completion_tokens
        2
    """

    token_ids: tuple[int, ...]
    roles: tuple[Role, ...]
    logprobs: tuple[float, ...] | None
    """The sampler's, one a token, 0 where the model did not write it; None where none are told."""
    media: Media | None = None

    def __post_init__(self) -> None:
        n = len(self.token_ids)
        if len(self.roles) != n or (self.logprobs is not None and len(self.logprobs) != n):
            raise UsageError(f"a sequence of {n} tokens needs {n} roles and log-probabilities")
        check_placeholders(self.token_ids, self.media)

    @property
    def completion_tokens(self) -> int:
        """Number of tokens that the model wrote."""
        return sum(role is Role.ASSISTANT for role in self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an episode ended, before it is scored.

    Example:
        >>> Outcome(trajectory=Trajectory(answer="yes"), correct=True).turns
        1
    """

    trajectory: Trajectory
    correct: bool | None = None
    """Whether the answer is right, where that can be told: for pass@k, DSDR and filters."""
    turns: int = 1
    tool_errors: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rollout:
    """One sampled episode of one problem."""

    problem: Problem
    sample: int
    """Number within its group, from 0."""
    sequences: tuple[TokenSequence, ...]
    """One, or several where a later turn did not read exactly what the turns before had left."""
    outcome: Outcome
    scored: Scored
    truncated: bool
    """The length limit cut off one of its turns."""
    policy_version: int
    """Optimiser updates that the sampling weights had seen."""
    temperature: float

    @property
    def completion_tokens(self) -> int:
        """Number of tokens that the model wrote."""
        return sum(sequence.completion_tokens for sequence in self.sequences)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFailure:
    """Why a sample is missing. Nothing takes its place.

    Example:
        >>> SampleFailure(kind="VideoError", message="kitchen.mp4: no frame could be read").kind
        'VideoError'
    """

    kind: str
    """Name of the error's type, such as `VideoError`."""
    message: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Group:
    """All rollouts of one problem; none where it could not be shown at all."""

    problem: Problem
    rollouts: tuple[Rollout, ...]
    failures: Mapping[int, SampleFailure] = field(default_factory=dict)
    """By number of the sample."""
    position: int = 0
    """Of the problem in the order of the run, which is the same for any number of processes."""


def stable_seed(*values: object) -> int:
    """The same 63-bit number for the same values, on every machine and in every process.

    Example:
        >>> stable_seed("kitchen-1", 3)
        2423862236133687130
    """
    text = "\x1f".join(map(str, values))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def check_placeholders(token_ids: tuple[int, ...], media: Media | None) -> None:
    """UsageError where the tokens that stand for frames are not as many as their features."""
    if media is None:
        return
    for token, expected in media.placeholder_counts.items():
        count = token_ids.count(token)
        if count != expected:
            raise UsageError(
                f"the prompt has {count} places (token {token}) for {expected} features of frames: "
                "was it cut off, or does a text hold the model's own placeholder?"
            )
