"""Asks a model a plan, a batch at a time, while the next batch is decoded.

A row or file that cannot be read is a row with the reason, and so is a conversation that the model
fails on; a model that fails on everything ends the run, which goes on when it is started again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from mmreason.models.base import (
    ChatModel,
    ClipRecipe,
    Conversation,
    GenerateRequest,
    Message,
    ModelError,
    Part,
    Reply,
    TextPart,
)
from mmreason.tools.calls import FAILURES
from mmreason.training.data.conversation import to_conversation
from mmreason.training.data.question_text import ground_truth
from mmreason.training.data.sample import MediaRef, SampleMessage
from mmreason.training.evaluation.conditions import Condition
from mmreason.training.evaluation.plan import Ask
from mmreason.training.evaluation.rows import EvalRow
from mmreason.training.evaluation.scoring import (
    kind_of_truth,
    right_texts,
    score_reply,
    truth_text,
)
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.evaluation.text_scores import AnswerScorer
from mmreason.types import UsageError

MOST_FAILURES = 20
"""Conversations on end that the model fails on before the run is given up."""
_MEDIA_KEPT = 4
"""Decoded clips that are kept: the conditions and rotations of a question come on end."""
_SCORED_CONDITIONS = (Condition.VIDEO, Condition.BLIND)
"""Of which the right answer's probability is told."""


@dataclass(frozen=True, slots=True)
class ReadConversation:
    """A conversation, or why there is none.

    Example: `ReadConversation(None, "VideoError: a.mp4: no such file").error`.
    """

    conversation: Conversation | None
    error: str = ""


class ConversationReader:
    """Opens what messages show; the same clip is decoded once for several askings on end."""

    def __init__(self, clip: ClipRecipe, system_prompt: str):
        self._clip = clip
        self._system_prompt = system_prompt
        self._clips: OrderedDict[MediaRef, Part] = OrderedDict()

    def read(self, ask: Ask) -> ReadConversation:
        """The conversation, or the reason why it cannot be read."""
        if ask.fault:
            return ReadConversation(None, ask.fault)
        try:
            messages = [
                Message(m.role, tuple(self._read_part(item) for item in m.parts))
                for m in ask.messages
            ]
        # As decoders raise them; a file of a data set may be anything.
        except FAILURES as error:
            return ReadConversation(None, describe_error(error))
        if self._system_prompt and messages[0].role != "system":
            messages.insert(0, Message("system", (TextPart(self._system_prompt),)))
        return ReadConversation(messages)

    def _read_part(self, item: str | MediaRef) -> Part:
        if isinstance(item, str):
            return TextPart(item)
        if item not in self._clips:
            shown = to_conversation([SampleMessage(role="user", parts=(item,))], self._clip)
            self._clips[item] = shown[0].parts[0]
            if len(self._clips) > _MEDIA_KEPT:
                self._clips.popitem(last=False)
        self._clips.move_to_end(item)
        return self._clips[item]


def ask_batches(
    asks: Sequence[Ask],
    model: ChatModel,
    settings: EvaluateSettings,
    clip: ClipRecipe,
    *,
    scorer: AnswerScorer | None,
    first: int,
) -> Iterator[list[EvalRow]]:
    """Rows of each batch of `asks`, of which the first `first` are done; the batches are those of a
    run that begins at the beginning."""
    reader = ConversationReader(clip, settings.system_prompt)
    size = settings.batch_size
    batches = [
        (start, asks[start : start + size])
        for start in range(first // size * size, len(asks), size)
    ]
    # One thread: clips are kept between batches, and decoders have threads of their own.
    with ThreadPoolExecutor(1) as pool:

        def read_ahead(index: int) -> Future[list[ReadConversation]] | None:
            if index >= len(batches):
                return None
            return pool.submit(lambda: [reader.read(ask) for ask in batches[index][1]])

        upcoming = read_ahead(0)
        for index, (start, batch) in enumerate(batches):
            assert upcoming is not None
            conversations = upcoming.result()
            upcoming = read_ahead(index + 1)
            yield _ask_batch(batch, conversations, model, settings, clip, scorer, seed_step=start)


def most_tokens(settings: EvaluateSettings, clip: ClipRecipe) -> int:
    """Of a reply."""
    return settings.max_new_tokens or clip.answer_tokens


def describe_error(error: Exception) -> str:
    """Kind and message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _ask_batch(
    asks: Sequence[Ask],
    read: Sequence[ReadConversation],
    model: ChatModel,
    settings: EvaluateSettings,
    clip: ClipRecipe,
    scorer: AnswerScorer | None,
    seed_step: int,
) -> list[EvalRow]:
    waiting = [item.conversation for item in read if item.conversation is not None]
    request = GenerateRequest(
        waiting,
        max_new_tokens=most_tokens(settings, clip),
        temperature=settings.temperature,
        seed=settings.seed + seed_step,
    )
    results = iter(generate_each(model, request))
    rows = []
    for ask, item in zip(asks, read, strict=True):
        row = _row_of(ask)
        if item.conversation is None:
            rows.append(replace(row, error=item.error))
            continue
        reply = next(results)
        if isinstance(reply, str):
            rows.append(replace(row, error=reply, by_model=True))
            continue
        row = _answered(row, ask, reply)
        if ask.is_audited and ask.condition in _SCORED_CONDITIONS and scorer is not None:
            row = replace(row, logprob=_score_answer(scorer, item.conversation, ask))
        rows.append(row)
    return rows


def generate_each(model: ChatModel, request: GenerateRequest) -> list[Reply | str]:
    """A reply a conversation, or what the model raised for it. Where a batch fails as a whole its
    conversations are asked one by one."""
    if not request.conversations:
        return []
    try:
        return list(model.generate(request))
    except ModelError as error:
        return [
            reply if reply is not None else error.errors.get(i, describe_error(error))
            for i, reply in enumerate(error.replies)
        ]
    # A model of the caller's own may raise anything; that is a row, not the end of the run.
    except Exception as error:
        if len(request.conversations) == 1:
            return [describe_error(error)]
    return [
        reply
        for conversation in request.conversations
        for reply in generate_each(model, replace(request, conversations=[conversation]))
    ]


def _score_answer(scorer: AnswerScorer, conversation: Conversation, ask: Ask) -> float | None:
    answer = ask.target or ground_truth(ask.truth)
    try:
        return round(scorer(conversation, answer), 6) if answer else None
    except (UsageError, RuntimeError):
        return None  # told as "not measured"; the reply itself is there


def _row_of(ask: Ask) -> EvalRow:
    return EvalRow(
        id=ask.id,
        condition=ask.condition.value,
        rotation=ask.rotation,
        video=ask.video,
        channel=ask.channel,
        kind=kind_of_truth(ask.truth).value,
        digest=ask.digest,
        question=ask.truth.question,
        options=ask.truth.options,
        truth=truth_text(ask.truth),
        right_texts=right_texts(ask.truth),
        choice=ask.truth.choice,
        is_audited=ask.is_audited,
    )


def _answered(row: EvalRow, ask: Ask, reply: Reply) -> EvalRow:
    score = score_reply(reply.written, ask.truth, target=ask.target)
    return replace(
        row,
        reply=reply.written,
        answer=score.answer,
        picked=score.picked,
        strict=score.strict,
        lenient=score.lenient,
        overlap=None if score.overlap is None else round(score.overlap, 6),
        format_failed=score.format_failed,
        refused=score.refused,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        note=reply.note,
    )
