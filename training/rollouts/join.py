"""The turns of an episode as rows to train on: joined where one goes on from the other.

A turn that reads exactly what the turns before read and wrote, and then more, becomes one sequence
with them: each token is then trained on once, under exactly the context it was sampled in. A turn
that reads something else (earlier thoughts dropped, say) begins a row of its own. Nothing is
decoded or encoded here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mmreason.training.rollouts.types import Completion, Media, Prompt, Role, TokenSequence


@dataclass
class _OpenSequence:
    """A row that later turns may still be appended to."""

    token_ids: list[int] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    media: Media | None = None

    def is_continued_by(self, prompt: Prompt) -> bool:
        """Whether `prompt` begins with all of this row. Media must be the same, or first come."""
        # An object is compared, not pixels: turns of one episode share what was made of its frames.
        n = len(self.token_ids)
        has_same_media = prompt.media is self.media
        return bool(n) and has_same_media and list(prompt.token_ids[:n]) == self.token_ids

    def append(self, token_ids: Iterable[int], role: Role, logprobs: Iterable[float] = ()) -> None:
        """Add tokens of one role; their log-probabilities are 0 where none are given."""
        new = list(token_ids)
        self.token_ids += new
        self.roles += [role] * len(new)
        self.logprobs += list(logprobs) or [0.0] * len(new)


def join_turns(turns: Iterable[tuple[Prompt, Completion]]) -> tuple[TokenSequence, ...]:
    """The rows of one episode. Log-probabilities are None where any turn has none.

    Example:
        >>> first = Completion(token_ids=(7,), logprobs=(-0.1,), text="go", finish_reason="stop")
        >>> second = Completion(token_ids=(9,), logprobs=(-0.2,), text="on", finish_reason="stop")
        >>> (row,) = join_turns([(Prompt((1, 2)), first), (Prompt((1, 2, 7, 8)), second)])
        >>> row.token_ids, [role.name for role in row.roles]
        ((1, 2, 7, 8, 9), ['PROMPT', 'PROMPT', 'ASSISTANT', 'TOOL', 'ASSISTANT'])
    """
    rows: list[_OpenSequence] = []
    has_logprobs = True
    for prompt, completion in turns:
        # What the prompt adds to the row came from tools, or is the template's.
        if rows and rows[-1].is_continued_by(prompt):
            row = rows[-1]
            row.append(prompt.token_ids[len(row.token_ids) :], Role.TOOL)
        else:
            row = _OpenSequence(media=prompt.media)
            row.append(prompt.token_ids, Role.PROMPT)
            rows.append(row)
        # A sampler that tells none for one turn makes the whole episode's useless for corrections.
        has_logprobs &= len(completion.logprobs) == len(completion.token_ids)
        logprobs = completion.logprobs if has_logprobs else ()
        row.append(completion.token_ids, Role.ASSISTANT, logprobs)
    return tuple(
        TokenSequence(
            token_ids=tuple(row.token_ids),
            roles=tuple(row.roles),
            logprobs=tuple(row.logprobs) if has_logprobs else None,
            media=row.media,
        )
        for row in rows
    )
