"""The one scheduler: much that runs side by side and waits for models, such as questions of a batch
and rollouts of a training step.

Each state goes on until it waits; then all that is waited for is asked together, one call for what
can go together, so that a local model sees batches and an endpoint is asked side by side. The
failure of a request is thrown into those that waited for it, and into no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar

from mmreason.models.base import GenerateRequest, ModelError, Reply
from mmreason.tools.calls import FAILURES, ModelRequest


class AwaitsReplies(Protocol):
    """Something that waits for models: it is given the replies, or the failure, to its request."""

    request: ModelRequest | None
    replies: list[Reply] | None
    failure: Exception | None

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        ...

    def advance(self) -> None:
        """Go on to the next request, or to the end. Raises nothing: a failure is an end."""
        ...


StateT = TypeVar("StateT", bound=AwaitsReplies)


def run_together(
    states: Iterable[StateT],
    answer: Callable[[Sequence[StateT]], None],
    *,
    most_in_flight: int | None = None,
) -> Iterator[StateT]:
    """Run all states to their ends, at most so many at a time; gives each when it is over.

    `answer` is called with those that wait, in the order in which they began.
    """
    waiting = iter(states)
    in_flight: list[StateT] = []
    while True:
        room = None if most_in_flight is None else most_in_flight - len(in_flight)
        in_flight += islice(waiting, room)
        if not in_flight:
            return
        # All go on before any is answered: what they ask for then goes out together.
        for state in in_flight:
            state.advance()
        yield from (state for state in in_flight if state.is_over)
        in_flight = [state for state in in_flight if not state.is_over]
        answer(in_flight)


def answer_requests(waiting: Sequence[AwaitsReplies]) -> None:
    """Ask for all that is waited for, one call for what can go together."""
    groups: dict[tuple[int, GenerateRequest], list[AwaitsReplies]] = {}
    for waiter in waiting:
        if waiter.request is None:  # it waits for something else
            continue
        # What has to be equal: all but the conversations and their deadlines.
        settings = replace(waiter.request.request, conversations=(), deadlines_s=())
        groups.setdefault((id(waiter.request.model), settings), []).append(waiter)
    for group in groups.values():
        _answer_group(group)


def _answer_group(group: Sequence[AwaitsReplies]) -> None:
    model_requests = [waiter.request for waiter in group if waiter.request is not None]
    requests = [model_request.request for model_request in model_requests]
    # One deadline a conversation, infinite for those of questions without a limit.
    deadlines_s: list[float] = []
    if any(request.deadlines_s for request in requests):
        for request in requests:
            deadlines_s += request.deadlines_s or [math.inf] * len(request.conversations)
    replies: Sequence[Reply | None]
    try:
        conversations = [c for request in requests for c in request.conversations]
        merged = replace(requests[0], conversations=conversations, deadlines_s=deadlines_s)
        replies = ModelRequest(model_requests[0].model, merged).perform()
        errors: dict[int, str] = {}
    except ModelError as error:
        replies, errors = error.replies, error.errors
    except FAILURES as error:
        # Who caused it is not known: each is asked alone, so that only its own question fails.
        if len(group) == 1:
            group[0].failure = error
            return
        for waiter in group:
            _answer_group([waiter])
        return
    start = 0
    for waiter, request in zip(group, requests, strict=True):
        end = start + len(request.conversations)
        own_replies = replies[start:end]
        lost = {i - start: why for i, why in errors.items() if start <= i < end}
        start = end
        if lost:
            first_error = next(iter(lost.values()))
            waiter.failure = ModelError(first_error, replies=own_replies, errors=lost)
        else:
            waiter.replies = [reply for reply in own_replies if reply is not None]
