"""Models without weights that watch natural videos: they know the shots whose frames they are
shown, by the frames' times, and what stands in the text that they are given.

An answer is right only where its shots are among the frames (or told by the text), else it is "not
shown". `habits.py` has the ways in which real models differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from mmreason.language.prompts import GENERAL
from mmreason.language.thoughts import split_thought
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Reply,
    TextPart,
    Tier,
    cut_at_stop,
)
from mmreason.natural.habits import Habits, find_habits
from mmreason.natural.items import NaturalItem
from mmreason.natural.records import VideoScript
from mmreason.natural.shot_reader import ShotReader
from mmreason.natural.tokens import count_tokens, cut_tokens

TOKENS_PER_FRAME = 64
"""Visual tokens that are counted a frame."""


def make_observer(
    script: VideoScript,
    items: Sequence[NaturalItem],
    name: str = "perfect",
    *,
    habits: Habits | None = None,
) -> ScriptObserver:
    """A model that knows one video and the questions about it. `habits` are those of `name` unless
    others are given."""
    habits = habits or find_habits(name)
    reader = ShotReader(script, tuple(items), habits)
    return ScriptObserver(reader=reader, name=f"{name} observer of {script.name}")


@dataclass
class ScriptObserver:
    """A `ChatModel` that knows one video. A token is a word, or a letter of Chinese."""

    reader: ShotReader
    name: str
    clip: ClipRecipe = field(
        default_factory=lambda: ClipRecipe(
            frames=16, size_px=(32, 18), leaf_s=30.0, prompts=GENERAL
        )
    )
    lineage: str = "script"
    calibrated: bool = False
    notes: tuple[str, ...] = ()
    tier: Tier = "small"
    takes_tools: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of the name and the habits."""
        text = json.dumps([self.name, asdict(self.reader.habits)])
        return hashlib.sha256(text.encode()).hexdigest()

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. A reply ends after `max_new_tokens`, a thought included."""
        request.refuse_constraint(self.name)
        if request.tools:
            request.refuse_tools(self.name)
        return [self._reply(conversation, request) for conversation in request.conversations]

    def _reply(self, conversation: Conversation, request: GenerateRequest) -> Reply:
        parts = [part for message in conversation for part in message.parts]
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        times_s = [
            float(time_s)
            for part in parts
            if isinstance(part, FramesPart)
            for time_s in part.frames.times_s
        ]
        written, token_count = cut_tokens(
            self.reader.reply(text, times_s, request.max_new_tokens), request.max_new_tokens
        )
        # Cut before that, as servers do: a thought that is too long leaves no answer.
        thought, spoken = split_thought(written)
        visual = len(times_s) * TOKENS_PER_FRAME
        return Reply(
            text=cut_at_stop(spoken, request.stop).strip(),
            token_ids=tuple(range(token_count)),
            logprobs=(-0.05,) * token_count,
            tokens_in=count_tokens(text) + visual,
            tokens_out=token_count,
            tokens_visual=visual,
            thought=thought,
            raw_text=written if thought else "",
        )
