"""Any Hugging Face video-language model, through `AutoProcessor` and `AutoModelForImageTextToText`.

Language models that read text only are taken too, as reasoners (`hf_text.py`).

Frames come already sampled and sized. Their presentation times reach every family: as the video
metadata that its processor writes into the prompt, as a label before each single image, or, where
the family has neither, as one line of text before the clip. What a processor can do is measured
when it is loaded (`hf_traits.py`). `folders.py` finds the weights.
Imports torch and transformers at top: import this module only when a model is wanted.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from mmreason.language.thoughts import opens_thought, split_thought
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    ModelError,
    Reply,
    TextPart,
    Tier,
    cut_at_stop,
    family_of,
    times_line,
)
from mmreason.models.box_dialects import recipe_for
from mmreason.models.chat_templates import check_operations, within_limits
from mmreason.models.context import count_frames, halve_frames
from mmreason.models.control_tokens import as_plain_text, control_tokens_of
from mmreason.models.folders import (
    PACKAGED,
    clip_recipe_from,
    fingerprint_of,
    locate_weights,
    weights_folder,
)
from mmreason.models.hf_frames import (
    fill_last_pair,
    labelled_images,
    patch_factors,
    placeholder_id,
    video_metadata,
    video_support,
)
from mmreason.models.hf_settings import ONE_THREAD_PARAMETERS, limit_threads, progress_bars
from mmreason.models.hf_stopping import (
    StopAtText,
    build_generation_config,
    end_ids_of,
    stopping_criteria,
)
from mmreason.models.hf_text import check_template, prepare_text, reads_text_only
from mmreason.models.hf_traits import EVERYTHING, measure_traits
from mmreason.models.options import ModelOptions
from mmreason.types import UsageError
from mmreason.video.plain_text import show_line
from mmreason.video.types import FrameBatch

TIMES_IN_A_LINE = (
    "this model's prompts hold no time of a frame: times are told in one line before each clip"
)
CLIPS_AS_IMAGES = (
    "the model does not take clips of different lengths or sizes, or clips beside images, in one "
    "prompt: such clips are shown as single images"
)


class TransformersModel:
    """A loaded model with its processor. See `ChatModel`.

    `takes_video` says whether clips go as videos; `traits` is what else its processor can do.
    """

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
            self.takes_video, notes = False, ("this model reads text only: it can be a reasoner",)
        else:
            if not processor.chat_template:
                raise UsageError(
                    f"model {name!r} has no chat template, so that it cannot be asked; name one "
                    "tuned to follow instructions, or put its chat_template.jinja into the folder"
                )
            check_operations(processor.chat_template, name)
            with within_limits(name):
                self.takes_video, notes = video_support(processor)
        self.notes: tuple[str, ...] = notes
        self._factor, self._temporal = patch_factors(processor)
        text_config = model.config.get_text_config()
        self._context_tokens: int | None = getattr(text_config, "max_position_embeddings", None)
        self._control_ids = control_tokens_of(self.tokenizer, processor)
        self.traits = EVERYTHING
        if not self.is_text_only:
            self.traits = measure_traits(
                lambda conversations, sanitize: self._process(
                    conversations, ask=True, sanitize=sanitize
                ),
                takes_video=self.takes_video,
                image_token_id=placeholder_id(model.config, "image"),
                control_ids=self._control_ids,
            )
            if not self.traits.shows_frames:
                raise UsageError(
                    f"model {name!r}: its chat template has no place for frames, so that it would "
                    "answer without looking; name a model whose chat_template.jinja takes images "
                    "or videos"
                )
            if not self.traits.tells_times:
                self.notes += (TIMES_IN_A_LINE,)
        self._is_small = sum(p.numel() for p in model.parameters()) < ONE_THREAD_PARAMETERS
        # Small weights with a clip recipe beside them were trained by this project.
        is_nano = self._is_small and clip is not None
        self.lineage = "nano" if is_nano else family_of(model.config.model_type)
        self.clip = clip or recipe_for(
            model.config.model_type, multiple_px=self._factor, tier=self.tier
        )

    @property
    def tier(self) -> Tier:
        """See `ChatModel`."""
        return "nano" if self.lineage == "nano" else "small"

    @property
    def takes_tools(self) -> bool:
        """See `ChatModel`."""
        return False

    @classmethod
    def load(
        cls,
        name_or_path: str,
        *,
        device_map: str | dict[str, int | str] | None = None,
        dtype: str = "auto",
        attn_implementation: str = "sdpa",
        options: ModelOptions | None = None,
    ) -> TransformersModel:
        """See `mmreason.models.load`."""
        source, only_local = locate_weights(name_or_path)
        settings = {"local_files_only": only_local, "trust_remote_code": False}
        try:
            with progress_bars(name_or_path not in PACKAGED and sys.stderr.isatty()):
                is_text = reads_text_only(source, local_files_only=only_local)
                kind = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
                reader = AutoTokenizer if is_text else AutoProcessor
                processor = reader.from_pretrained(source, **settings)
                model = kind.from_pretrained(
                    source,
                    use_safetensors=True,
                    device_map=device_map,
                    dtype=dtype,
                    attn_implementation=attn_implementation,
                    **settings,
                )
            folder = weights_folder(source)
            return cls(
                model,
                processor,
                name=name_or_path,
                fingerprint=fingerprint_of(folder),
                clip=clip_recipe_from(folder),
            )
        except UsageError:
            raise
        # Readers of configurations, tokenizers, weights and templates raise any kind for a broken
        # folder, the ones written in Rust a bare Exception.
        except Exception as error:
            reason = _line(error)
            if "trust_remote_code" in str(error):
                reason = (
                    "it brings code of its own, which is never run (trust_remote_code=False); "
                    "name a model whose type transformers knows, or serve it and give the URL"
                )
            raise UsageError(
                f"model {name_or_path!r} could not be loaded as a video-language model with "
                f"dtype={dtype!r}, attn_implementation={attn_implementation!r}: {reason}"
            ) from error

    def with_clip(self, clip: ClipRecipe) -> TransformersModel:
        """The same model, watching clips by another recipe."""
        model = copy.copy(self)
        model.clip = clip
        return model

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Conversations that the processor can stack run as one batch, padded on
        the left: a batch answers as each conversation alone.

        Each is a batch row: cut long lists before calling. Where a prompt is longer than the
        model's context, frames are left out and `notes` says so; ModelError where that is not
        enough. Sampling draws from a generator seeded here and leaves torch's own as it was.
        """
        request.refuse_constraint(self.name)
        request.refuse_tools(self.name)
        conversations, max_new_tokens = request.conversations, request.max_new_tokens
        samples = request.temperature > 0
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        replies: dict[int, Reply] = {}
        errors: dict[int, str] = {}
        waiting = dict(enumerate(conversations))
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices, enabled=samples),
            limit_threads(1 if self._is_small else torch.get_num_threads()),
        ):
            if samples:
                torch.manual_seed(request.seed)
            while waiting:
                group = self._next_stack(waiting)
                inputs = self.prepare(list(group.values()))
                shorter = self._shorten(group, inputs, max_new_tokens, errors)
                if shorter or any(index in errors for index in group):
                    waiting |= shorter
                    waiting = {
                        i: conversation for i, conversation in waiting.items() if i not in errors
                    }
                    continue
                inputs = inputs.to(self.model.device)
                if not self.is_text_only:
                    inputs = inputs.to(dtype=self.model.dtype)
                ends = StopAtText(self.tokenizer, request.stop, inputs["input_ids"].shape[1])
                out = self.model.generate(
                    **inputs,
                    generation_config=build_generation_config(
                        self.model, request, pad_token_id=self._pad_token_id
                    ),
                    stopping_criteria=stopping_criteria(ends),
                )
                written = self._replies(inputs, out, request.stop, ends.lengths)
                replies |= zip(group, written, strict=True)
                waiting = {i: conversation for i, conversation in waiting.items() if i not in group}
        if errors:
            first = next(iter(errors.values()))
            partly = [replies.get(i) for i in range(len(conversations))]
            raise ModelError(first, replies=partly, errors=errors)
        return [replies[i] for i in range(len(conversations))]

    def _next_stack(self, waiting: dict[int, Conversation]) -> dict[int, Conversation]:
        """The first conversation with all others that can be read in one batch with it."""
        keys = {index: self._stack_key(conversation) for index, conversation in waiting.items()}
        first = next(iter(keys.values()))
        return {
            index: conversation for index, conversation in waiting.items() if keys[index] == first
        }

    def _stack_key(self, conversation: Conversation) -> tuple[Any, ...]:
        """Equal for conversations whose frames the processor and the model take in one batch."""
        _, clips = self._turns(conversation)
        kinds = () if self.traits.mixes_kinds else tuple(sorted({kind for _, kind in clips}))
        if self.traits.stacks_uneven:
            return kinds
        return kinds, tuple(sorted({(kind, frames.pixels.shape) for frames, kind in clips}))

    def _shorten(
        self,
        group: dict[int, Conversation],
        inputs: Any,
        max_new_tokens: int,
        errors: dict[int, str],
    ) -> dict[int, Conversation]:
        """Those of a batch that do not fit into the context, with half of their frames; what has no
        frames to leave out goes to `errors`."""
        if self._context_tokens is None:
            return {}
        shorter = {}
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        for (index, conversation), length in zip(group.items(), lengths, strict=True):
            if length + max_new_tokens <= self._context_tokens:
                continue
            halved = halve_frames(conversation)
            if halved is None:
                errors[index] = (
                    f"model {self.name!r}: a prompt of {length} tokens and {max_new_tokens} to "
                    f"write do not fit into its context of {self._context_tokens} tokens; ask "
                    "less at once or name a model with a longer context"
                )
                continue
            shorter[index] = halved
            self._note(
                f"the model's context of {self._context_tokens} tokens does not hold "
                f"{count_frames(conversation)} frames of a look with its text: "
                f"{count_frames(halved)} are shown"
            )
        return shorter

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes += (note,)

    def prepare(self, conversations: Sequence[Conversation], *, ask: bool = True) -> Any:
        """The processor's tensors for a batch, left-padded: ids, mask, pixels, grids. With `ask`
        up to where the model is to write."""
        if self.is_text_only:
            return prepare_text(
                self.tokenizer, conversations, self.name, self._control_ids, ask=ask
            )
        return self._process(conversations, ask=ask, sanitize=self.traits.sanitizes)

    def _process(self, conversations: Sequence[Conversation], *, ask: bool, sanitize: bool) -> Any:
        prepared = [self._turns(conversation) for conversation in conversations]
        messages = [turns for turns, _ in prepared]
        frames = [batch for _, clips in prepared for batch in clips]
        metadata = [video_metadata(batch) for batch, kind in frames if kind == "video"]
        same_size = all(self._fits(batch) for batch, _ in frames)
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
        with within_limits(self.name):
            return self.processor.apply_chat_template(
                messages,
                tokenize=True,
                add_generation_prompt=ask,
                return_dict=True,
                return_tensors="pt",
                sanitize_control_tokens=sanitize,
                processor_kwargs=settings,
            )

    def text_ids(self, conversation: Conversation, *, ask: bool = True) -> tuple[int, ...]:
        """The token ids that `prepare` gives for one conversation without frames, in less time."""
        if self.is_text_only:
            inputs = self.prepare([conversation], ask=ask)
            return tuple(inputs["input_ids"][0].tolist())
        turns, clips = self._turns(conversation)
        assert not clips, "frames need the processor's tensors"
        with within_limits(self.name):
            inputs = self.processor.apply_chat_template(
                [turns],
                tokenize=True,
                add_generation_prompt=ask,
                return_dict=True,
                sanitize_control_tokens=self.traits.sanitizes,
            )
        return tuple(inputs["input_ids"][0])

    def _turns(
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
            turns.append({"role": message.role, "content": content})
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
        return as_plain_text(self.tokenizer, self._control_ids, text)

    def _visual_counts(self, input_ids: torch.Tensor) -> list[int]:
        """Visual tokens of each row, by the ids that stand for them."""
        ids = [placeholder_id(self.model.config, kind) for kind in ("image", "video")]
        placeholder_ids = torch.tensor([i for i in ids if i is not None], device=input_ids.device)
        return torch.isin(input_ids, placeholder_ids).sum(dim=1).tolist()

    def _fits(self, frames: FrameBatch) -> bool:
        height, width = frames.pixels.shape[1:3]
        return height % self._factor == 0 and width % self._factor == 0

    def _replies(
        self, inputs: Any, out: Any, stop: Sequence[str], stopped_after: Mapping[int, int]
    ) -> list[Reply]:
        """One a row; `stopped_after` so many tokens the rows ended in which a stop text stands."""
        attention_mask = inputs["attention_mask"]
        visual = self._visual_counts(inputs["input_ids"])
        start = attention_mask.shape[1]
        ends = end_ids_of(self.model.generation_config)
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
        for index, (row, row_logprobs, mask, tokens_visual, opened) in enumerate(rows):
            row = row[: stopped_after.get(index)]
            length = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            ids = tuple(row[:length])
            thought, text, raw_text = self._read(ids, opened, stop)
            replies.append(
                Reply(
                    text=text,
                    thought=thought,
                    raw_text=raw_text,
                    token_ids=ids,
                    logprobs=tuple(row_logprobs[:length]),
                    tokens_in=int(mask.sum()),
                    tokens_out=length,
                    tokens_visual=tokens_visual,
                )
            )
        return replies

    def _read(
        self, ids: tuple[int, ...], opened: bool, stop: Sequence[str]
    ) -> tuple[str, str, str]:
        """(thought, text, both as written) of generated tokens before a stop text; `opened` where
        the chat template has begun the thought. Tags may be special tokens, which a text has no
        more."""
        written = cut_at_stop(self.tokenizer.decode(ids, skip_special_tokens=True), stop).strip()
        thought, text = split_thought(written, opened=opened)
        if not thought:
            written = cut_at_stop(self.tokenizer.decode(ids), stop).strip()
            thought, answer = split_thought(written)
            if not thought:
                return "", text, ""
            for token in self.tokenizer.all_special_tokens:
                answer = answer.replace(token, "")
            text = answer.strip()
        return thought, text, written


def _set_padding(tokenizer: Any) -> int:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer.pad_token_id


def _line(error: BaseException) -> str:
    """The first line of an error's text, its kind where it has none."""
    lines = str(error).strip().splitlines()
    return show_line(lines[0])[:400] if lines else type(error).__name__
