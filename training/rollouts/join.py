"""The turns of an episode as rows to train on: joined where one goes on from the other.

A turn that reads exactly what the turns before read and wrote, and then more, becomes one sequence
with them: each token is then trained on once, under exactly the context it was sampled in. A turn
that reads something else (earlier thoughts left out, say) begins a row of its own. Nothing is
decoded or encoded here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mmreason.training.rollouts.types import Media, Prompt, Role, TokenSequence, Written


@dataclass
class _Row:
    ids: list[int] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    media: Media | None = None

    def continues(self, prompt: Prompt) -> bool:
        """Whether `prompt` begins with all of this row. Media must be the same, or first come."""
        n = len(self.ids)
        same = prompt.media is self.media
        return bool(n) and same and list(prompt.token_ids[:n]) == self.ids

    def read(self, ids: Iterable[int], role: Role) -> None:
        new = list(ids)
        self.ids += new
        self.roles += [role] * len(new)
        self.logprobs += [0.0] * len(new)


def joined(turns: Iterable[tuple[Prompt, Written]]) -> tuple[TokenSequence, ...]:
    """The rows of one episode. Log-probabilities are None where any turn has none."""
    rows: list[_Row] = []
    told = True
    for prompt, written in turns:
        if rows and rows[-1].continues(prompt):
            row = rows[-1]
            row.read(prompt.token_ids[len(row.ids) :], Role.TOOL)
        else:
            row = _Row(media=prompt.media)
            row.read(prompt.token_ids, Role.PROMPT)
            rows.append(row)
        row.ids += written.token_ids
        row.roles += [Role.MODEL] * len(written.token_ids)
        told = told and len(written.logprobs) == len(written.token_ids)
        row.logprobs += written.logprobs if told else [0.0] * len(written.token_ids)
    return tuple(
        TokenSequence(
            token_ids=tuple(row.ids),
            roles=tuple(row.roles),
            logprobs=tuple(row.logprobs) if told else None,
            media=row.media,
        )
        for row in rows
    )
