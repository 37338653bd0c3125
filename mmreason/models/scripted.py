"""A model that follows a script: for tests and dry runs. It counts what it was asked.

Leaves out any understanding: a reply is a function of the text and the frames, nothing else.

    ScriptedModel({"Describe the clip.": "a red star."}).generate(GenerateRequest([...]))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Message,
    Reply,
    TextPart,
    Tier,
    cut_at_stop,
)
from mmreason.video.types import FrameBatch

Script = Callable[[str, FrameBatch | None], str | Reply] | Mapping[str, str | Reply]
"""Reply by (text of the last message, its frames), or by that text alone; the last messages where
tools answered several calls of one turn. A `Reply` is given as it is, calls and all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One conversation the model was given."""

    text: str
    times_s: tuple[float, ...]
    size_px: tuple[int, int] | None
    tool_names: tuple[str, ...] = ()
    """Which tools it could have called."""


@dataclass
class ScriptedModel:
    """Replies from a script and remembers every request in `asked`."""

    script: Script
    clip: ClipRecipe = field(default_factory=lambda: ClipRecipe(frames=4, leaf_s=4.0))
    name: str = "scripted"
    lineage: str = "scripted"
    calibrated: bool = False
    notes: tuple[str, ...] = ()
    tier: Tier = "nano"
    takes_tools: bool = False
    tokens_per_frame: int = 4
    asked: list[Asked] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    """Of the conversations that got one, in order."""

    @property
    def fingerprint(self) -> str:
        """Hash of the name, and of the script where it is a mapping."""
        lines = sorted(self.script.items()) if isinstance(self.script, Mapping) else ()
        return hashlib.sha256(repr((self.name, lines)).encode()).hexdigest()

    @property
    def calls(self) -> int:
        """Conversations answered so far."""
        return len(self.asked)

    @property
    def frames(self) -> int:
        """Frames shown so far."""
        return sum(len(question.times_s) for question in self.asked)

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. `temperature` and `seed` do nothing. KeyError for unscripted text."""
        request.refuse_constraint(self.name)
        if not self.takes_tools:
            request.refuse_tools(self.name)
        return [self._reply(conversation, request) for conversation in request.conversations]

    def _reply(self, conversation: Conversation, request: GenerateRequest) -> Reply:
        parts = [part for message in _last_turn(conversation) for part in message.parts]
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        batch = next((part.frames for part in parts if isinstance(part, FramesPart)), None)
        tool_names = tuple(str(tool["function"]["name"]) for tool in request.tools)
        if batch is None:
            self.asked.append(Asked(text, (), None, tool_names))
        else:
            height, width = batch.pixels.shape[1:3]
            times_s = tuple(map(float, batch.times_s))
            self.asked.append(Asked(text, times_s, (width, height), tool_names))
        written = self.script(text, batch) if callable(self.script) else self.script[text]
        if isinstance(written, Reply):
            self.replies.append(written)
            return written
        tokens = written.split()[: request.max_new_tokens]
        frame_count = 0 if batch is None else len(batch)
        reply = Reply(
            text=cut_at_stop(" ".join(tokens), request.stop).strip(),
            token_ids=tuple(range(len(tokens))),
            logprobs=(-0.1,) * len(tokens),
            tokens_in=len(text.split()) + frame_count * self.tokens_per_frame,
            tokens_out=len(tokens),
            tokens_visual=frame_count * self.tokens_per_frame,
        )
        self.replies.append(reply)
        return reply


def _last_turn(conversation: Conversation) -> Sequence[Message]:
    """The last message, or all that tools answered since the model wrote."""
    first = len(conversation) - 1
    while first > 0 and conversation[first].role == conversation[first - 1].role == "tool":
        first -= 1
    return conversation[first:]
