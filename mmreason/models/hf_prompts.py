"""Conversations as a Hugging Face processor takes them: turns, clips, images, times, calls.

What a processor can do is in its traits (`hf_traits.py`), which are measured with this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmreason.models.base import Conversation, FramesPart, TextPart, times_line
from mmreason.models.chat_templates import within_limits
from mmreason.models.control_tokens import as_plain_text
from mmreason.models.hf_frames import (
    fill_last_pair,
    labelled_images,
    patch_factors,
    video_metadata,
)
from mmreason.models.hf_tools import as_template_call
from mmreason.models.hf_traits import EVERYTHING
from mmreason.video.types import FrameBatch

CLIPS_AS_IMAGES = (
    "the model does not take clips of different lengths or sizes, or clips beside images, in one "
    "prompt: such clips are shown as single images"
)


class PromptWriter:
    """Writes prompts for one processor. `traits` are set once they are measured."""

    def __init__(
        self,
        processor: Any,
        *,
        name: str,
        takes_video: bool,
        control_ids: Mapping[str, int],
        variables: Mapping[str, Any],
        settings: Mapping[str, Any],
        note: Callable[[str], None],
    ):
        """`variables` are of the chat template, `settings` of the processor, by kind of picture;
        `note` is told of fallbacks."""
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._name = name
        self.takes_video = takes_video
        self._control_ids = control_ids
        self._variables = variables
        self._settings = settings
        self._note = note
        self.factor, self._temporal = patch_factors(processor)
        self.traits = EVERYTHING

    def prepare(
        self,
        conversations: Sequence[Conversation],
        *,
        ask: bool = True,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Any:
        """The processor's tensors for a batch, left-padded. With `ask` up to where the model is to
        write."""
        return self.process(conversations, ask=ask, sanitize=self.traits.sanitizes, tools=tools)

    def process(
        self,
        conversations: Sequence[Conversation],
        *,
        ask: bool,
        sanitize: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Any:
        """The same; with `sanitize` the processor encodes control tokens in texts as plain text."""
        prepared = [self.turns(conversation) for conversation in conversations]
        messages = [turns for turns, _ in prepared]
        frames = [batch for _, clips in prepared for batch in clips]
        metadata = [video_metadata(batch) for batch, kind in frames if kind == "video"]
        same_size = all(self._fits(batch) for batch, _ in frames)
        # On the left, so that what the model writes follows each prompt directly.
        settings: dict[str, Any] = {"text_kwargs": {"padding": True, "padding_side": "left"}}
        resizing = {"do_resize": False} if same_size and self.factor > 1 else {}
        if metadata:
            settings["videos_kwargs"] = {
                "do_sample_frames": False,
                "video_metadata": metadata,
                **resizing,
            }
        if resizing and any(kind == "image" for _, kind in frames):
            settings["images_kwargs"] = resizing
        for kind, own in self._settings.items():
            if any(f"{shown_as}s_kwargs" == kind for _, shown_as in frames):
                settings[kind] = settings.get(kind, {}) | own
        with within_limits(self._name):
            return self._processor.apply_chat_template(
                messages,
                tokenize=True,
                add_generation_prompt=ask,
                return_dict=True,
                return_tensors="pt",
                sanitize_control_tokens=sanitize,
                processor_kwargs=settings,
                tools=[dict(tool) for tool in tools] or None,
                **self._variables,
            )

    def text_ids(self, conversation: Conversation, *, ask: bool = True) -> tuple[int, ...]:
        """The token ids that `prepare` gives for one conversation without frames, in less time."""
        turns, clips = self.turns(conversation)
        assert not clips, "frames need the processor's tensors"
        with within_limits(self._name):
            inputs = self._processor.apply_chat_template(
                [turns],
                tokenize=True,
                add_generation_prompt=ask,
                return_dict=True,
                sanitize_control_tokens=self.traits.sanitizes,
                **self._variables,
            )
        return tuple(inputs["input_ids"][0])

    def stack_key(self, conversation: Conversation) -> tuple[Any, ...]:
        """Equal for conversations whose frames the processor and the model take in one batch."""
        _, clips = self.turns(conversation)
        kinds = () if self.traits.mixes_kinds else tuple(sorted({kind for _, kind in clips}))
        if self.traits.stacks_uneven:
            return kinds
        return kinds, tuple(sorted({(kind, frames.pixels.shape) for frames, kind in clips}))

    def turns(
        self, conversation: Conversation
    ) -> tuple[list[dict[str, Any]], list[tuple[FrameBatch, str]]]:
        """Messages as the processor takes them, and the frames in them with the kind they go as."""
        turns, clips = [], []
        as_video = self.takes_video and self._takes_clips_of(conversation)
        for message in conversation:
            content: list[dict[str, Any]] = []
            for item in message.parts:
                if isinstance(item, TextPart):
                    content.append({"type": "text", "text": self._harmless(item.text)})
                    continue
                # Where the template tells no times, a line of text before the clip does.
                if item.kind == "video" and not self.traits.tells_times:
                    content.append({"type": "text", "text": times_line(item.frames.times_s)})
                if item.kind == "video" and as_video:
                    frames = fill_last_pair(item.frames, self._temporal)
                    content.append({"type": "video", "video": frames.pixels})
                    clips.append((frames, "video"))
                else:
                    content += labelled_images(
                        item, labels=self.takes_video or self.traits.tells_times
                    )
                    clips.append((item.frames, "image"))
            turn: dict[str, Any] = {"role": message.role, "content": content}
            if message.calls:
                turn["tool_calls"] = [as_template_call(c, self._harmless) for c in message.calls]
            if message.call_id:
                turn["tool_call_id"] = message.call_id
            turns.append(turn)
        return turns, clips

    def _takes_clips_of(self, conversation: Conversation) -> bool:
        """Whether the clips of one conversation can go as videos together with what else it shows;
        where not, they go as single images and a note says so."""
        frames_parts = [p for m in conversation for p in m.parts if isinstance(p, FramesPart)]
        clips = [clip for clip in frames_parts if clip.kind == "video"]
        mixed = 0 < len(clips) < len(frames_parts)
        uneven = len({clip.frames.pixels.shape for clip in clips}) > 1
        if (mixed and not self.traits.mixes_kinds) or (uneven and not self.traits.stacks_uneven):
            self._note(CLIPS_AS_IMAGES)
            return False
        return True

    def _harmless(self, text: str) -> str:
        """The text, with its control tokens broken where the processor would obey them."""
        if self.traits.sanitizes:
            return text
        return as_plain_text(self._tokenizer, self._control_ids, text)

    def _fits(self, frames: FrameBatch) -> bool:
        height, width = frames.pixels.shape[1:3]
        return height % self.factor == 0 and width % self.factor == 0
