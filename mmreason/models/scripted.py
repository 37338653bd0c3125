"""A model that follows a script: for tests and dry runs. It counts what it was asked.

Leaves out any understanding: a reply is a function of the text and the frames, nothing else.

    ScriptedModel({"Describe the clip.": "a red star."}).generate(GenerateRequest([...]))
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Reply,
    TextPart,
    cut_at_stop,
)
from mmreason.video.types import FrameBatch

Script = Callable[[str, FrameBatch | None], str] | Mapping[str, str]
"""Reply by (text of the last message, its frames), or by that text alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One conversation the model was given."""

    text: str
    times_s: tuple[float, ...]
    size_px: tuple[int, int] | None


@dataclass
class ScriptedModel:
    """Replies from a script and remembers every request in `asked`."""

    script: Script
    clip: ClipRecipe = field(default_factory=lambda: ClipRecipe(frames=4, leaf_s=4.0))
    name: str = "scripted"
    lineage: str = "scripted"
    calibrated: bool = False
    notes: tuple[str, ...] = ()
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
        request.refuse_constraint_and_tools(self.name)
        return [self._reply(conversation, request) for conversation in request.conversations]

    def _reply(self, conversation: Conversation, request: GenerateRequest) -> Reply:
        last = conversation[-1]
        text = "\n".join(item.text for item in last.parts if isinstance(item, TextPart))
        batch = next((item.frames for item in last.parts if isinstance(item, FramesPart)), None)
        if batch is None:
            self.asked.append(Asked(text, (), None))
        else:
            height, width = batch.pixels.shape[1:3]
            self.asked.append(Asked(text, tuple(map(float, batch.times_s)), (width, height)))
        written = self.script(text, batch) if callable(self.script) else self.script[text]
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
