"""Any Hugging Face video-language model, through `AutoProcessor` and `AutoModelForImageTextToText`.

Language models that read text only are taken too, as reasoners (`hf_text.py`).

Frames come already sampled and sized; their presentation times are handed over as video metadata,
so the time stamps in the model's prompt are ours. Leaves out finding the weights (`folders.py`).
Imports torch and transformers at top: import this module only when a model is wanted.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from mmreason.grounding import Dialect
from mmreason.language.thoughts import opens_thought, split_thought
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    Reply,
    TextPart,
    family_of,
    time_label,
)
from mmreason.models.folders import (
    PACKAGED,
    clip_recipe_from,
    fingerprint_of,
    locate,
    weights_folder,
)
from mmreason.models.hf_text import check_template, prepare_text, reads_text_only
from mmreason.prompts import GENERAL
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch

TIME_STEPS_HZ = 1000
"""Times reach the processor as whole milliseconds: "frame indices" of a 1000 Hz clock."""

ONE_THREAD_PARAMETERS = 50_000_000
"""Smaller models run on one thread: their products are too short to share, and on a busy machine
threads mostly wait for each other."""

_SEEN_PX_FAMILIES = ("qwen2_5_vl",)


class TransformersModel:
    """A loaded model with its processor. See `ChatModel`."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str,
        fingerprint: str,
        clip: ClipRecipe | None = None,
    ):
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.fingerprint = fingerprint
        self.calibrated = False
        self.tokenizer = processor.tokenizer if hasattr(processor, "tokenizer") else processor
        self.is_text_only = isinstance(processor, PreTrainedTokenizerBase)
        self._pad_token_id = _set_padding(self.tokenizer)
        if self.is_text_only:
            check_template(self.tokenizer, name)
            self._video, notes = False, ("this model reads text only: it can be a reasoner",)
        else:
            self._video, notes = _video_support(processor)
        self.notes: tuple[str, ...] = notes
        self._factor, self._temporal = _patch_factors(processor)
        self._is_small = sum(p.numel() for p in model.parameters()) < ONE_THREAD_PARAMETERS
        # Small weights with a clip recipe beside them were trained by this project.
        is_nano = self._is_small and clip is not None
        self.lineage = "nano" if is_nano else family_of(model.config.model_type)
        self.clip = clip or ClipRecipe(
            frames=16,
            leaf_s=16.0,
            multiple_px=self._factor,
            prompts=GENERAL,
            box_dialect=(
                Dialect.SEEN_PX
                if model.config.model_type in _SEEN_PX_FAMILIES
                else Dialect.NORM_1000
            ),
        )

    @classmethod
    def load(
        cls,
        name_or_path: str,
        *,
        device_map: str | dict[str, int | str] | None = None,
        dtype: str = "auto",
        attn_implementation: str = "sdpa",
    ) -> TransformersModel:
        """See `mmreason.models.load`."""
        source, only_local = locate(name_or_path)
        try:
            with progress_bars(name_or_path not in PACKAGED and sys.stderr.isatty()):
                is_text = reads_text_only(source, local_files_only=only_local)
                kind = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
                reader = AutoTokenizer if is_text else AutoProcessor
                processor = reader.from_pretrained(source, local_files_only=only_local)
                model = kind.from_pretrained(
                    source,
                    local_files_only=only_local,
                    device_map=device_map,
                    dtype=dtype,
                    attn_implementation=attn_implementation,
                )
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise UsageError(
                f"model {name_or_path!r} could not be loaded as a video-language model with "
                f"dtype={dtype!r}, attn_implementation={attn_implementation!r}: {_line(error)}"
            ) from error
        folder = weights_folder(source)
        return cls(
            model,
            processor,
            name=name_or_path,
            fingerprint=fingerprint_of(folder),
            clip=clip_recipe_from(folder),
        )

    def generate(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int = 96,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Reply]:
        """See `ChatModel`. All conversations run as one batch, padded on the left.

        Each is a batch row of one `generate` call: cut long lists before calling. Sampling draws
        from a generator seeded here and leaves torch's own as it was.
        """
        if not conversations:
            return []
        inputs = self.prepare(conversations).to(self.model.device)
        if not self.is_text_only:
            inputs = inputs.to(dtype=self.model.dtype)
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices, enabled=temperature > 0),
            threads(1 if self._is_small else torch.get_num_threads()),
        ):
            if temperature > 0:
                torch.manual_seed(seed)
            out = self.model.generate(
                **inputs,
                generation_config=self._generation_config(max_new_tokens, temperature),
            )
        return self._replies(inputs, out)

    def prepare(self, conversations: Sequence[Conversation], *, ask: bool = True) -> Any:
        """The processor's tensors for a batch, left-padded: ids, mask, pixels, grids. With `ask`
        up to where the model is to write."""
        if self.is_text_only:
            return prepare_text(self.tokenizer, conversations, self.name, ask=ask)
        shown = [self._turns(conversation) for conversation in conversations]
        messages = [turns for turns, _ in shown]
        frames = [one for _, clips in shown for one in clips]
        metadata = [_metadata(one) for one, kind in frames if kind == "video"]
        same_size = all(self._fits(one) for one, _ in frames)
        settings: dict[str, Any] = {"text_kwargs": {"padding": True, "padding_side": "left"}}
        resizing = {"do_resize": False} if same_size and self._factor > 1 else {}
        if metadata:
            settings["videos_kwargs"] = {
                "do_sample_frames": False,
                "video_metadata": metadata,
                **resizing,
            }
        if resizing and any(kind == "image" for _, kind in frames):
            settings["images_kwargs"] = resizing
        return self.processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=ask,
            return_dict=True,
            return_tensors="pt",
            sanitize_control_tokens=True,
            processor_kwargs=settings,
        )

    def text_ids(self, conversation: Conversation, *, ask: bool = True) -> tuple[int, ...]:
        """The token ids that `prepare` gives for one conversation without frames, in less time."""
        if self.is_text_only:
            inputs = prepare_text(self.tokenizer, [conversation], self.name, ask=ask)
            return tuple(inputs["input_ids"][0].tolist())
        turns, shown = self._turns(conversation)
        assert not shown, "frames need the processor's tensors"
        inputs = self.processor.apply_chat_template(
            [turns],
            tokenize=True,
            add_generation_prompt=ask,
            return_dict=True,
            sanitize_control_tokens=True,
        )
        return tuple(inputs["input_ids"][0])

    def _turns(
        self, conversation: Conversation
    ) -> tuple[list[dict[str, Any]], list[tuple[FrameBatch, str]]]:
        """Messages as the processor takes them, and the frames in them with the kind they go as."""
        turns, shown = [], []
        for message in conversation:
            content: list[dict[str, Any]] = []
            for part in message.parts:
                if isinstance(part, TextPart):
                    content.append({"type": "text", "text": part.text})
                elif part.kind == "video" and self._video:
                    frames = _fill_last_pair(part.frames, self._temporal)
                    content.append({"type": "video", "video": frames.pixels})
                    shown.append((frames, "video"))
                else:
                    content += _images(part)
                    shown.append((part.frames, "image"))
            turns.append({"role": message.role, "content": content})
        return turns, shown

    def _visual_counts(self, input_ids: torch.Tensor) -> list[int]:
        """Visual tokens of each row, by the ids that stand for them."""
        config = self.model.config
        ids = [getattr(config, f"{kind}_token_id", None) for kind in ("image", "video")]
        known = torch.tensor([i for i in ids if isinstance(i, int)], device=input_ids.device)
        return torch.isin(input_ids, known).sum(dim=1).tolist()

    def _fits(self, frames: FrameBatch) -> bool:
        height, width = frames.pixels.shape[1:3]
        return height % self._factor == 0 and width % self._factor == 0

    def _generation_config(self, max_new_tokens: int, temperature: float) -> Any:
        config = copy.deepcopy(self.model.generation_config)
        config.max_new_tokens, config.max_length = max_new_tokens, None
        config.pad_token_id = self._pad_token_id
        config.return_dict_in_generate = config.output_logits = True
        config.do_sample = temperature > 0
        config.temperature = temperature if temperature > 0 else None
        config.top_p, config.top_k = (1.0, 0) if temperature > 0 else (None, None)
        return config

    def _replies(self, inputs: Any, out: Any) -> list[Reply]:
        attention_mask = inputs["attention_mask"]
        visual = self._visual_counts(inputs["input_ids"])
        start = attention_mask.shape[1]
        ends = _end_ids(self.model.generation_config)
        new_ids = out.sequences[:, start:]
        columns = [
            torch.log_softmax(step.float(), dim=-1).gather(1, new_ids[:, i : i + 1])
            for i, step in enumerate(out.logits)
        ]
        logprobs = torch.cat(columns, dim=1).tolist() if columns else [[] for _ in new_ids]
        replies = []
        ends_of_prompts = self.tokenizer.batch_decode(inputs["input_ids"][:, -8:])
        are_open = map(opens_thought, ends_of_prompts)
        rows = zip(new_ids.tolist(), logprobs, attention_mask, visual, are_open, strict=True)
        for row, row_logprobs, mask, seen, opened in rows:
            length = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            ids = tuple(row[:length])
            thought, text, raw_text = self._read(ids, opened)
            replies.append(
                Reply(
                    text=text,
                    thought=thought,
                    raw_text=raw_text,
                    token_ids=ids,
                    logprobs=tuple(row_logprobs[:length]),
                    tokens_in=int(mask.sum()),
                    tokens_out=length,
                    tokens_visual=seen,
                )
            )
        return replies

    def _read(self, ids: tuple[int, ...], opened: bool) -> tuple[str, str, str]:
        """(thought, text, both as written) of generated tokens; `opened` where the chat template
        has begun the thought. Tags may be special tokens, which a text has no more."""
        written = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        thought, text = split_thought(written, opened=opened)
        if not thought:
            written = self.tokenizer.decode(ids).strip()
            thought, said = split_thought(written)
            if not thought:
                return "", text, ""
            text = _without(said, self.tokenizer.all_special_tokens)
        return thought, text, written


def _without(text: str, tokens: Sequence[str]) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text.strip()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with `count` torch threads; the caller's number is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def progress_bars(shown: bool) -> Iterator[None]:
    """Bars of loading and saving only where wanted; the caller's choice is put back."""
    before = logging.is_progress_bar_enabled()
    if not shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()


def _set_padding(tokenizer: Any) -> int:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer.pad_token_id


def _video_support(processor: Any) -> tuple[bool, tuple[str, ...]]:
    """Whether the processor and its chat template take videos, and a note where they do not."""
    if getattr(processor, "video_processor", None) is None:
        return False, ("frames are shown as single images: the processor has no video input",)
    text = {"type": "text", "text": "?"}
    with_video, without = (
        processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
        for content in ([{"type": "video"}, text], [text])
    )
    if with_video == without:
        return False, ("frames are shown as single images: the chat template leaves videos out",)
    return True, ()


def _patch_factors(processor: Any) -> tuple[int, int]:
    """(sides that need no resizing are multiples of this, frames that make one visual token)."""
    for part in ("video_processor", "image_processor"):
        eye = getattr(processor, part, None)
        patch, merge = getattr(eye, "patch_size", None), getattr(eye, "merge_size", None)
        if isinstance(patch, int) and isinstance(merge, int):
            return patch * merge, int(getattr(eye, "temporal_patch_size", None) or 1)
    return 1, 1


def _fill_last_pair(frames: FrameBatch, group: int) -> FrameBatch:
    """Repeat the last frame until the count is a multiple of `group`, as the processors do."""
    missing = -len(frames) % group
    if not missing:
        return frames
    order = np.r_[np.arange(len(frames)), np.full(missing, len(frames) - 1)]
    return FrameBatch(
        pixels=frames.pixels[order], times_s=frames.times_s[order], exact=frames.exact[order]
    )


def _metadata(frames: FrameBatch) -> dict[str, Any]:
    """`transformers.video_utils.VideoMetadata` fields whose time stamps are `frames.times_s`."""
    indices = [round(float(t) * TIME_STEPS_HZ) for t in frames.times_s]
    count = len(indices)
    step = (indices[-1] - indices[0]) / (count - 1) if count > 1 else TIME_STEPS_HZ
    height, width = frames.pixels.shape[1:3]
    return {
        # Some processors take frames a second as count / total * fps: give them the true spacing.
        "total_num_frames": max(count, round(step * count)),
        "fps": float(TIME_STEPS_HZ),
        "frames_indices": indices,
        "duration": max(count, round(step * count)) / TIME_STEPS_HZ,
        "height": height,
        "width": width,
    }


def _images(part: FramesPart) -> list[dict[str, Any]]:
    """Frames as single images; those of a clip each behind its time."""
    from PIL import Image

    content: list[dict[str, Any]] = []
    for pixels, time_s in zip(part.frames.pixels, part.frames.times_s, strict=True):
        if part.kind == "video":
            content.append({"type": "text", "text": time_label(time_s)})
        content.append({"type": "image", "image": Image.fromarray(pixels)})
    return content


def _end_ids(generation_config: Any) -> frozenset[int]:
    ends = generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or ())


def _line(error: BaseException) -> str:
    """The first line of an error's text, its kind where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
