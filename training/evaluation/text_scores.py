"""How likely a model finds a given answer: one forward pass, nothing is written.

For models of this process. A model behind a URL tells the probabilities of its own words alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmreason.models.base import ChatModel, Conversation, Message, TextPart

if TYPE_CHECKING:
    from mmreason.models.hf import TransformersModel

AnswerScorer = Callable[[Conversation, str], float]
"""The log-probability of an answer to a conversation, nats, its end token included. Raises
UsageError or RuntimeError where it cannot be told."""


def answer_scorer(model: ChatModel) -> AnswerScorer | None:
    """The scorer of a model of this process; None for any other."""
    from mmreason.models.hf import TransformersModel
    from mmreason.models.nano_model import NanoModel

    inner = model.inner if isinstance(model, NanoModel) else model
    return _scorer_of(inner) if isinstance(inner, TransformersModel) else None


def _scorer_of(chat: TransformersModel) -> AnswerScorer:
    import torch

    from mmreason.training.learner.dialogues import encode_dialogue
    from mmreason.training.learner.logprobs import Scorer
    from mmreason.training.learner.packing import pack_sequences
    from mmreason.training.learner.policy_model import PolicyModel

    policy = PolicyModel.from_chat(chat)
    scorer = Scorer(chat.model)

    def score(conversation: Conversation, answer: str) -> float:
        whole = [*conversation, Message("assistant", (TextPart(answer),))]
        learnt = [False] * len(conversation) + [True]
        sequence = encode_dialogue(policy, whole, learnt)
        packed = pack_sequences(
            [sequence], kind="padded", pad_id=policy.pad_id, model=chat.model
        ).to(chat.model.device)
        with torch.inference_mode():
            logps, _ = scorer(packed, 1.0, False)
        return float(logps.sum())

    return score
