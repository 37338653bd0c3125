"""What a Hugging Face model generated, as replies: thought, text, tool calls, log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mmreason.language.thoughts import opens_thought, split_thought
from mmreason.models.base import Reply, WrittenCall, cut_at_stop
from mmreason.models.hf_frames import placeholder_id
from mmreason.models.hf_stopping import end_ids_of
from mmreason.models.thought_budget import describe_thought_only
from mmreason.models.written_calls import read_written_calls

_PROMPT_END_TOKENS = 8
"""Of a prompt, which may open a thought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReader:
    """Reads the rows of one generation."""

    model: Any
    tokenizer: Any
    stop: Sequence[str]
    tool_names: Sequence[str]
    """Of the request; without any nothing is taken for a call."""

    def read_rows(self, inputs: Any, out: Any, stopped_after: Mapping[int, int]) -> list[Reply]:
        """One a row; `stopped_after` so many tokens the rows ended in which a stop text stands."""
        attention_mask = inputs["attention_mask"]
        visual = self.count_visual(inputs["input_ids"])
        start = attention_mask.shape[1]
        ends = end_ids_of(self.model.generation_config)
        new_ids = out.sequences[:, start:]
        # Step by step, since all logits at once would take steps x vocabulary in float32.
        columns = [
            torch.log_softmax(step.float(), dim=-1).gather(1, new_ids[:, i : i + 1])
            for i, step in enumerate(out.logits)
        ]
        logprobs = torch.cat(columns, dim=1).tolist() if columns else [[] for _ in new_ids]
        replies = []
        are_open = opened_thoughts(self.tokenizer, inputs["input_ids"])
        rows = zip(new_ids.tolist(), logprobs, attention_mask, visual, are_open, strict=True)
        for index, (row, row_logprobs, mask, tokens_visual, opened) in enumerate(rows):
            row = row[: stopped_after.get(index)]
            # Rows that ended early are padded up to the longest.
            length = next((i + 1 for i, token in enumerate(row) if token in ends), len(row))
            ids = tuple(row[:length])
            thought, text, raw_text, calls = self._read(ids, opened)
            is_thought_only = bool(thought) and not text and not calls
            replies.append(
                Reply(
                    text=text,
                    thought=thought,
                    raw_text=raw_text,
                    calls=calls,
                    note=describe_thought_only(length) if is_thought_only else "",
                    token_ids=ids,
                    logprobs=tuple(row_logprobs[:length]),
                    tokens_in=int(mask.sum()),
                    tokens_out=length,
                    tokens_visual=tokens_visual,
                )
            )
        return replies

    def count_visual(self, input_ids: torch.Tensor) -> list[int]:
        """Visual tokens of each row, by the ids that stand for them."""
        ids = [placeholder_id(self.model.config, kind) for kind in ("image", "video")]
        placeholder_ids = torch.tensor([i for i in ids if i is not None], device=input_ids.device)
        return torch.isin(input_ids, placeholder_ids).sum(dim=1).tolist()

    def _read(
        self, ids: tuple[int, ...], opened: bool
    ) -> tuple[str, str, str, tuple[WrittenCall, ...]]:
        """(thought, text, both as written, calls) of generated tokens before a stop text; `opened`
        where the chat template has begun the thought."""
        plain = self._decode(ids, skip_special_tokens=True)
        thought, text = split_thought(plain, opened=opened)
        if self.tool_names:
            # Marks of calls may be special tokens, which a plain text has no more.
            whole = self._decode(ids, skip_special_tokens=False)
            told, spoken = split_thought(whole, opened=opened)
            calls, beside = read_written_calls(self._without_ends(spoken), self.tool_names)
            if calls:
                return told, self._without_special(beside), whole if told else "", calls
        if thought:
            return thought, text, plain, ()
        # Tags of thoughts may be special tokens too.
        whole = self._decode(ids, skip_special_tokens=False)
        thought, spoken = split_thought(whole)
        if not thought:
            return "", text, "", ()
        return thought, self._without_special(spoken), whole, ()

    def _decode(self, ids: tuple[int, ...], *, skip_special_tokens: bool) -> str:
        written = self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)
        return cut_at_stop(written, self.stop).strip()

    def _without_ends(self, text: str) -> str:
        """The text without the tokens that end a turn, which would stand behind a call."""
        for token in (self.tokenizer.eos_token, self.tokenizer.pad_token):
            text = text.replace(token, "") if token else text
        return text

    def _without_special(self, text: str) -> str:
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, "")
        return text.strip()


def opened_thoughts(tokenizer: Any, input_ids: torch.Tensor) -> list[bool]:
    """Of each prompt, whether its end opens a thought, which the model goes on with."""
    ends = tokenizer.batch_decode(input_ids[:, -_PROMPT_END_TOKENS:])
    return [opens_thought(end) for end in ends]
