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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import (
    PreTrainedTokenizerBase,
)

from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    GenerateRequest,
    ModelError,
    Reply,
    Tier,
    family_of,
)
from mmreason.models.box_dialects import limit_tokens, recipe_for
from mmreason.models.chat_templates import check_operations, within_limits
from mmreason.models.context import count_frames, fit_to_context
from mmreason.models.control_tokens import control_tokens_of
from mmreason.models.folders import (
    clip_recipe_from,
    fingerprint_of,
)
from mmreason.models.hf_frames import (
    placeholder_id,
    video_support,
)
from mmreason.models.hf_load import load_weights
from mmreason.models.hf_options import (
    check_hf_options,
    fingerprint_with,
    processor_settings,
    template_variables,
)
from mmreason.models.hf_prompts import PromptWriter
from mmreason.models.hf_replies import ReplyReader, opened_thoughts
from mmreason.models.hf_settings import is_small, limit_threads
from mmreason.models.hf_stopping import (
    StopAtText,
    build_generation_config,
    stopping_criteria,
)
from mmreason.models.hf_text import check_template, prepare_text
from mmreason.models.hf_tools import writes_tools
from mmreason.models.hf_traits import EVERYTHING, measure_traits
from mmreason.models.options import ModelOptions
from mmreason.models.pruned_clips import check_prunable, pruned_clips
from mmreason.models.thought_budget import (
    THOUGHT_TOKENS,
    add_cost,
    is_thought_only,
    tokens_with_thought,
)
from mmreason.models.tier import thinks_by_name, tier_of_name, tier_of_size
from mmreason.types import UsageError
from mmreason.video.encoders.attention import (
    PackedTowers,
    find_packed_towers,
)
from mmreason.video.encoders.preprocess import make_pixels_ours
from mmreason.video.encoders.pruning import PruneSettings
from mmreason.video.plain_text import show_line

TIMES_IN_A_LINE = (
    "this model's prompts hold no time of a frame: times are told in one line before each clip"
)

OWN_PIXELS = "frames are made ready by the model's own processor, which takes longer"


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
        options: ModelOptions | None = None,
    ):
        options = options or ModelOptions()
        # A model that reads text only is loaded with a tokenizer in the processor's place.
        self.is_text_only = isinstance(processor, PreTrainedTokenizerBase)
        check_hf_options(options, name, is_text_only=self.is_text_only)
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.fingerprint = fingerprint_with(fingerprint, options)
        self.options = options
        self.calibrated = False
        self.tokenizer = processor.tokenizer if hasattr(processor, "tokenizer") else processor
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
            notes += self._choose_frames_as(options)
            notes += tuple(f"{OWN_PIXELS}: {reason}" for reason in make_pixels_ours(processor))
        self._notes = dict.fromkeys(notes)
        """Shared by copies: what is learnt of the weights holds for all of them."""
        template = str(
            self.tokenizer.chat_template if self.is_text_only else processor.chat_template
        )
        self._template_variables = template_variables(options, template, name)
        # The option decides; where it is silent the model's name does.
        self._thinks = options.enable_thinking is True
        self._thinks = self._thinks or (options.enable_thinking is None and thinks_by_name(name))
        text_config = model.config.get_text_config()
        context_tokens = getattr(text_config, "max_position_embeddings", None)
        self._context_tokens: int | None = options.context_tokens or context_tokens
        self._control_ids = control_tokens_of(self.tokenizer, processor)
        self.traits, multiple_px = EVERYTHING, 1
        if not self.is_text_only:
            self._writer = PromptWriter(
                processor,
                name=name,
                takes_video=self.takes_video,
                control_ids=self._control_ids,
                variables=self._template_variables,
                settings=processor_settings(options, processor, name),
                note=self._note,
            )
            multiple_px = self._writer.factor
            self.traits = self._writer.traits = measure_traits(
                lambda conversations, sanitize: self._writer.process(
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
                self._note(TIMES_IN_A_LINE)
        self._prune = options.prune_settings
        if self._prune is not None:
            check_prunable(model, self._prune, name, takes_video=self.takes_video)
            self._note(
                f"{self._prune.keep:.0%} of the visual tokens of a clip are read: "
                f"prune={self._prune}"
            )
        self._is_small = is_small(model)
        # Small weights with a clip recipe beside them were trained by this project.
        is_nano = self._is_small and clip is not None
        self.lineage = "nano" if is_nano else family_of(model.config.model_type)
        # The name knows of experts that do not work on each token; the weights know the rest, and
        # a folder that is called nano may hold any.
        by_name = tier_of_name(name)
        known = by_name if by_name != "nano" else None
        by_size = known or tier_of_size(model.num_parameters())
        self.tier: Tier = options.tier or ("nano" if is_nano else by_size)
        self.may_be_probed = False  # its size is known
        self.takes_tools = writes_tools(self._render)
        self.clip = options.adapt_clip(
            clip
            or recipe_for(
                model.config.model_type,
                multiple_px=multiple_px,
                tier=self.tier,
                weights=name,
            )
        )

    @property
    def vision_attention(self) -> PackedTowers:
        """Which parts make one call of attention for all frames, and what computes it."""
        return find_packed_towers(self.model)

    @property
    def notes(self) -> tuple[str, ...]:
        """See `ChatModel`."""
        return tuple(self._notes)

    def _choose_frames_as(self, options: ModelOptions) -> tuple[str, ...]:
        """Follow the option `frames_as`; gives notes."""
        if options.frames_as == "video" and not self.takes_video:
            raise UsageError(
                f"option frames_as: model {self.name!r} takes no clips; use frames_as=images"
            )
        if options.frames_as == "images" and self.takes_video:
            self.takes_video = False
            return ("frames are shown as single images, as the option frames_as says",)
        return ()

    def _render(self, turns: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """The prompt of turns whose content is text."""
        if not self.is_text_only:
            turns = [t | {"content": [{"type": "text", "text": t["content"]}]} for t in turns]
        with within_limits(self.name):
            return self.processor.apply_chat_template(
                turns,
                tools=tools,
                tokenize=False,
                add_generation_prompt=True,
                **self._template_variables,
            )

    @classmethod
    def load(
        cls,
        name_or_path: str,
        *,
        device_map: str | dict[str, int | str] | None = None,
        dtype: str = "auto",
        attn_implementation: str = "auto",
        options: ModelOptions | None = None,
    ) -> TransformersModel:
        """See `mmreason.models.load`."""
        options = options or ModelOptions()
        try:
            loaded = load_weights(
                name_or_path,
                device_map=device_map,
                dtype=dtype,
                attn_implementation=attn_implementation,
                options=options,
            )
            return cls(
                loaded.model,
                loaded.processor,
                name=name_or_path,
                fingerprint=fingerprint_of(loaded.folder),
                clip=clip_recipe_from(loaded.folder),
                options=options,
            )
        except UsageError:
            # A mistake of the user already says what to do.
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

    def with_tier(self, tier: Tier, note: str) -> TransformersModel:
        """The same model in another tier, for the reason that `note` says."""
        self._note(note)
        model = copy.copy(self)
        model.tier = tier
        model.clip = self.options.adapt_clip(limit_tokens(self.clip, tier))
        return model

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`. Conversations that the processor can stack run as one batch, padded on
        the left: a batch answers as each conversation alone.

        Each is a batch row: cut long lists before calling. Where a prompt is longer than the
        model's context, frames are left out and `notes` says so; ModelError where that is not
        enough. Sampling draws from a generator seeded here and leaves torch's own as it was.
        """
        request.refuse_constraint(self.name)
        if not self.takes_tools:
            request.refuse_tools(self.name)
        # Takes the place of greedy decoding only: draws that a caller asked for keep theirs.
        if request.temperature == 0 and self.options.temperature:
            request = replace(request, temperature=self.options.temperature)
        conversations, max_new_tokens = request.conversations, request.max_new_tokens
        samples = request.temperature > 0
        # `fork_rng` saves the CPU's generator by itself; a GPU's has to be named.
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        replies: dict[int, Reply] = {}
        errors: dict[int, str] = {}
        cut_thoughts: dict[int, Reply] = {}
        waiting = dict(enumerate(conversations))
        with (
            torch.inference_mode(),
            torch.random.fork_rng(devices, enabled=samples),
            # Small weights lose more time to handing work to threads than they gain by them.
            limit_threads(1 if self._is_small else torch.get_num_threads()),
        ):
            if samples:
                torch.manual_seed(request.seed)
            while waiting:
                # 1. The next batch; conversations that do not fit are shortened or given up.
                group = self._next_stack(waiting)
                inputs = self.prepare(list(group.values()), tools=request.tools)
                # Without padding, so that a short prompt loses no frames to a long neighbour.
                lengths = inputs["attention_mask"].sum(dim=1).tolist()
                shorter = self._shorten(group, lengths, max_new_tokens, errors)
                # Padding follows the longest prompt: what is left of a batch is prepared anew.
                if shorter or any(index in errors for index in group):
                    waiting |= shorter
                    waiting = {
                        i: conversation for i, conversation in waiting.items() if i not in errors
                    }
                    continue
                # 2. Generate, where the weights lie and in their type.
                inputs = inputs.to(self.model.device)
                if not self.is_text_only:
                    inputs = inputs.to(dtype=self.model.dtype)
                limit = self._token_limit(max_new_tokens, inputs)
                config = build_generation_config(
                    self.model,
                    replace(request, max_new_tokens=limit),
                    pad_token_id=self._pad_token_id,
                )
                whole_ids = inputs["input_ids"]
                with pruned_clips(self.model, inputs, self._prune) as inputs:
                    ends = StopAtText(self.tokenizer, request.stop, inputs["input_ids"].shape[1])
                    out = self.model.generate(
                        **inputs,
                        generation_config=config,
                        stopping_criteria=stopping_criteria(ends),
                    )
                # 3. Read the replies; those that a thought cut off are asked for again, once.
                reader = ReplyReader(
                    model=self.model,
                    tokenizer=self.tokenizer,
                    stop=request.stop,
                    tool_names=[str(tool["function"]["name"]) for tool in request.tools],
                )
                written = dict(zip(group, reader.read_rows(inputs, out, ends.lengths), strict=True))
                if self._prune is not None:
                    before = dict(zip(group, reader.count_visual(whole_ids), strict=True))
                    written = {
                        i: _note_pruned(reply, before[i], self._prune)
                        for i, reply in written.items()
                    }
                # A reply that had room for a thought and was cut off all the same is final.
                again = {} if limit > max_new_tokens else self._cut_thoughts(written, limit)
                for index in written.keys() - again.keys():
                    reply = add_cost(written[index], cut_thoughts.pop(index, None))
                    shown, planned = map(count_frames, (group[index], conversations[index]))
                    replies[index] = _noted(reply, shown, planned)
                cut_thoughts |= again
                waiting = {i: c for i, c in waiting.items() if i not in replies}
        if errors:
            first = next(iter(errors.values()))
            partly = [replies.get(i) for i in range(len(conversations))]
            raise ModelError(first, replies=partly, errors=errors)
        return [replies[i] for i in range(len(conversations))]

    def _next_stack(self, waiting: dict[int, Conversation]) -> dict[int, Conversation]:
        """The first conversation with all others that can be read in one batch with it."""
        if self.is_text_only:
            return waiting
        keys = {i: self._writer.stack_key(conversation) for i, conversation in waiting.items()}
        first = next(iter(keys.values()))
        return {
            index: conversation for index, conversation in waiting.items() if keys[index] == first
        }

    def _shorten(
        self,
        group: dict[int, Conversation],
        lengths: Sequence[int],
        max_new_tokens: int,
        errors: dict[int, str],
    ) -> dict[int, Conversation]:
        """Those of a batch that do not fit into the context, with half of their frames; what has no
        frames to leave out goes to `errors`."""
        shorter = {}
        for (index, conversation), length in zip(group.items(), lengths, strict=True):
            fit = fit_to_context(conversation, length, max_new_tokens, self._context_tokens)
            if fit.error:
                errors[index] = f"model {self.name!r}: {fit.error}"
            elif fit.shorter is not None:
                shorter[index] = fit.shorter
                self._note(fit.note)
        return shorter

    def _token_limit(self, max_new_tokens: int, inputs: Any) -> int:
        """With room for a thought where a prompt opens one, or the model is known to think."""
        opened = any(opened_thoughts(self.tokenizer, inputs["input_ids"]))
        if not (self._thinks or opened):
            return max_new_tokens
        given = self.options.thought_tokens
        longest = int(inputs["attention_mask"].sum(dim=1).max())
        return tokens_with_thought(
            max_new_tokens,
            THOUGHT_TOKENS if given is None else given,
            longest,
            self._context_tokens,
        )

    def _cut_thoughts(self, written: dict[int, Reply], limit: int) -> dict[int, Reply]:
        """The replies that a thought took up to the limit. Those are asked for again, with room for
        it, which the model gets from now on."""
        if self._thinks:
            return {}
        cut = {i: r for i, r in written.items() if is_thought_only(r) and r.tokens_out >= limit}
        if cut:
            self._thinks = True
            self._note(
                "the model thinks: its replies get tokens more for thoughts (option thought_tokens)"
            )
        return cut

    def _note(self, note: str) -> None:
        self._notes[note] = None

    def prepare(
        self,
        conversations: Sequence[Conversation],
        *,
        ask: bool = True,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Any:
        """The processor's tensors for a batch, left-padded: ids, mask, pixels, grids. With `ask`
        up to where the model is to write."""
        if self.is_text_only:
            return prepare_text(
                self.tokenizer,
                conversations,
                self.name,
                self._control_ids,
                ask=ask,
                tools=tools,
                variables=self._template_variables,
            )
        return self._writer.prepare(conversations, ask=ask, tools=tools)

    def text_ids(self, conversation: Conversation, *, ask: bool = True) -> tuple[int, ...]:
        """The token ids that `prepare` gives for one conversation without frames, in less time."""
        if self.is_text_only:
            inputs = self.prepare([conversation], ask=ask)
            return tuple(inputs["input_ids"][0].tolist())
        return self._writer.text_ids(conversation, ask=ask)


def _noted(reply: Reply, shown: int, planned: int) -> Reply:
    """The reply, with a note where it is to fewer frames than were planned."""
    if shown == planned:
        return reply
    note = f"{shown} of {planned} frames were shown: the model's context holds no more"
    return replace(reply, note="; ".join(filter(None, (reply.note, note))))


def _note_pruned(reply: Reply, planned: int, settings: PruneSettings) -> Reply:
    """The reply, with a note where it is to fewer visual tokens than its clips have."""
    if reply.tokens_visual == planned:
        return reply
    note = f"prune={settings}: {reply.tokens_visual:,} of {planned:,} visual tokens were read"
    return replace(reply, note="; ".join(filter(None, (reply.note, note))))


def _set_padding(tokenizer: Any) -> int:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer.pad_token_id


def _line(error: BaseException) -> str:
    """The first line of an error's text, its kind where it has none."""
    lines = str(error).strip().splitlines()
    return show_line(lines[0])[:400] if lines else type(error).__name__
