"""What a rollout is: token ids as they were read and written, who wrote them, what it earned.

Token ids are the truth: nothing is ever decoded and encoded again, so what is trained on is what
was sampled. Leaves out sampling (`sampler.py`), driving (`collect.py`) and training (`rl`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from mmreason.training.rewards import Scored, Trajectory, Truth
from mmreason.types import UsageError
from mmreason.video.types import Span

if TYPE_CHECKING:
    from torch import Tensor


class Role(IntEnum):
    """Who wrote a token. Only the model's own are trained on."""

    PROMPT = 0
    MODEL = 1
    TOOL = 2
    """What came back between two turns: observations and the template round them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question with what is known of its answer: one row of a data set."""

    id: str
    """Different for every problem of a task; part of every seed."""
    question: str
    truth: Truth
    kind: str = ""
    """What sort of problem it is ("count", "order"): scales and figures are kept by kind."""
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
    places: Mapping[int, int]
    """How many tokens of the prompt stand for features, by the token's id."""
    token_types: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What the processor says of each token of the prompt (0 text, 1 image, 2 video), by the name
    of the argument (`mm_token_type_ids`); tokens after the prompt are text."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """What the model reads before it writes."""

    token_ids: tuple[int, ...]
    media: Media | None = None

    def __post_init__(self) -> None:
        check_placeholders(self.token_ids, self.media)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the model wrote after one prompt."""

    token_ids: tuple[int, ...]
    """As sampled, the end token included where there is one."""
    logprobs: tuple[float, ...]
    """Of each token under the sampler, at the sampling temperature; empty where it tells none."""
    text: str
    """Decoded without special tokens."""
    ended: bool
    """False where the length limit cut it off."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TokenSequence:
    """A prompt and what followed, as one row that is trained on."""

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
    def written(self) -> int:
        """Tokens that the model wrote."""
        return sum(role is Role.MODEL for role in self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an episode ended, before it is scored."""

    trajectory: Trajectory
    correct: bool | None = None
    """Whether the answer is right, where that can be told: for pass@k, DSDR and filters."""
    turns: int = 1
    tool_errors: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rollout:
    """One sampled attempt at one problem."""

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
    def written(self) -> int:
        """Tokens that the model wrote."""
        return sum(sequence.written for sequence in self.sequences)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFailure:
    """Why a sample is missing. Nothing takes its place."""

    kind: str
    """Name of the error's type, such as `VideoError`."""
    message: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Group:
    """All attempts at one problem. Without rollouts where it could not be shown at all."""

    problem: Problem
    rollouts: tuple[Rollout, ...]
    failures: Mapping[int, SampleFailure] = field(default_factory=dict)
    """By number of the sample."""
    place: int = 0
    """Of the problem in the order of the run, which is the same for any number of processes."""


def stable_seed(*parts: object) -> int:
    """The same 63-bit number for the same parts, on every machine and in every process."""
    text = "\x1f".join(map(str, parts))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def check_placeholders(token_ids: tuple[int, ...], media: Media | None) -> None:
    """UsageError where the tokens that stand for frames are not as many as their features."""
    if media is None:
        return
    for token, wanted in media.places.items():
        found = token_ids.count(token)
        if found != wanted:
            raise UsageError(
                f"the prompt has {found} places (token {token}) for {wanted} features of frames: "
                "was it cut off, or does a text hold the model's own placeholder?"
            )
