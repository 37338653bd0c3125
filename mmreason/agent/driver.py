"""Runs the loop of one question: performs its actions within a hard budget, and keeps the trace.

A generator of steps and of requests to models, so that one question or hundreds can be served: by
`serve_requests` here one at a time, by `batch.py` together.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from mmreason.agent.loop import AnswerDraft, Loop
from mmreason.agent.protocol import (
    AskModel,
    CallTools,
    Outcome,
    RecordNote,
    Results,
    Stopped,
)
from mmreason.models.base import GenerateRequest, Reply, TextPart
from mmreason.tool_calls import AgentCall, ModelTurn, ToolCall
from mmreason.tools.calls import (
    FAILURES,
    ModelRequest,
    PreparedCall,
    Reserve,
    ResultT,
    Roles,
    first_line,
    send_request,
)
from mmreason.tools.toolbox import Allows, Toolbox
from mmreason.types import Budget, Cost, Observation, Step, StopReason
from mmreason.video.types import Span

REASONER_FAILURES = 3
"""Requests to the reasoning model that fail in a row end the question with what there is."""
CHARACTERS_PER_TOKEN = 4
"""Of English text, for the forecast of what a request to the reasoning model reads."""

AgentRun = Generator[Step | ModelRequest | Reserve, Any, ResultT]
"""One question being answered: sent the replies to a `ModelRequest` (or thrown one of `FAILURES`),
None to all else."""


class Driver:
    """One question on its way. `trace` grows; `run` may be used once."""

    def __init__(
        self,
        loop: Loop,
        toolbox: Toolbox,
        roles: Roles,
        budget: Budget,
        seed: int,
        started_s: float,
    ):
        """`started_s` is when the question was begun, as `time.perf_counter()` counts."""
        self._loop = loop
        self._toolbox = toolbox
        self._roles = roles
        self._budget = budget
        self._seed = seed
        self._started = started_s
        self._thinking = Cost()
        """Spent by the reasoning model since the last step."""
        self._spent = Cost()
        """Of all steps so far."""
        self._shown: set[float] = set()
        """Times of the frames shown so far."""
        self._largest = 0
        """Tokens of the largest call so far: the forecast of the next."""
        self.trace: list[Step] = []

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    @property
    def cost(self) -> Cost:
        """Of everything so far, with the wall time and the count of different frames."""
        total = self._spent + self._thinking
        return replace(total, frames_unique=len(self._shown), seconds=self.elapsed_s)

    def run(self) -> AgentRun[AnswerDraft]:
        """Yield every `Step` as it happens, every `ModelRequest` to be answered, and the keys to
        `Reserve` before it; returns the draft."""
        outcome: Outcome = None
        while True:
            try:
                action = self._loop.send(outcome)
            except StopIteration as end:
                return end.value
            if isinstance(action, CallTools):
                outcome = yield from self._call_tools(action)
            elif isinstance(action, AskModel):
                outcome = yield from self._ask_model(action)
            else:
                outcome = yield from self._record_note(action)

    def _call_tools(self, action: CallTools) -> AgentRun[Results]:
        """As many of the calls as the budget allows, together. The first call of all goes alone
        where tokens are limited: what it takes is the forecast for the others."""
        observations: list[Observation] = []
        waiting = list(action.calls)
        while waiting:
            # 1. Take what the budget allows.
            is_first = self._budget.tokens is not None and self._largest == 0
            prepared, refused = self._affordable(waiting[:1] if is_first else waiting, action)
            allows = self._room_beside(prepared)
            # 2. Perform it; the first call of a round counts the round.
            new = yield from self._toolbox.perform(prepared, allows)
            for call, observation in zip(prepared, new, strict=True):
                cost = observation.cost
                self._largest = max(self._largest, cost.tokens_in + cost.tokens_out)
                rounds = int(not observations and not action.opening)
                observations.append(replace(observation, cost=cost + Cost(rounds=rounds)))
                yield self._step(action.thought, call.call, observations[-1])
            # 3. Go on until something is refused or the time is over.
            if refused is None and any(item.error is not None for item in observations):
                refused = self._out_of_time()
            if refused is not None:
                return Results(tuple(observations), refused)
            waiting = waiting[len(prepared) :]
        return Results(tuple(observations))

    def _out_of_time(self) -> StopReason | None:
        """The reason where time is up: that made a call fail, or leaves no time to try again."""
        reason = self._budget.exceeded_by(Cost(seconds=self.elapsed_s))
        return reason if reason is StopReason.BUDGET_SECONDS else None

    def _room_beside(self, granted: Sequence[PreparedCall]) -> Allows:
        """Whether so many frames more than these calls show are within the budget."""
        limit = self._budget.frames
        ahead = self.cost.frames + sum(call.new_frames for call in granted)
        return lambda frames: limit is None or ahead + frames <= limit

    def _affordable(
        self, calls: Sequence[ToolCall], action: CallTools
    ) -> tuple[list[PreparedCall], StopReason | None]:
        prepared: list[PreparedCall] = []
        for call in calls:
            candidate = self._toolbox.prepare(call)
            # With those before it: each alone may fit where all of them do not.
            refused = self._refusal([*prepared, candidate], action.opening)
            if refused is not None:
                return prepared, refused
            prepared.append(candidate)
        return prepared, None

    def _ask_model(self, action: AskModel) -> AgentRun[Reply | Stopped]:
        # 1. May it be asked? What it reads is forecast from its text, as tokens are not known.
        characters = sum(
            len(part.text)
            for message in action.messages
            for part in message.parts
            if isinstance(part, TextPart)
        )
        characters += sum(len(c.arguments) for message in action.messages for c in message.calls)
        forecast = max(1, self._largest, characters // CHARACTERS_PER_TOKEN)
        refused = self._budget.exceeded_by(self.cost + Cost(rounds=1, tokens_in=forecast))
        if refused is not None:
            return Stopped(refused)
        # 2. Ask, and again where that fails.
        started = time.perf_counter()
        request = ModelRequest(
            self._roles.reasoner,
            GenerateRequest(
                [action.messages],
                max_new_tokens=action.max_new_tokens,
                temperature=action.temperature,
                tools=action.tools,
                seed=self._seed,
                deadlines_s=self._toolbox.deadlines_s(1),
            ),
        )
        failures = 0
        while True:
            try:
                (reply,) = yield from send_request(request)
                break
            except FAILURES as error:
                failures += 1
                out_of_time = self._out_of_time()
                allowed = 1 if action.may_fail else REASONER_FAILURES
                if failures < allowed and out_of_time is None:
                    continue
                seconds = time.perf_counter() - started
                self._thinking += Cost(model_seconds=seconds, seconds=seconds)
                call = ModelTurn(kind="consult")
                failure = Observation(text="", span=Span(0.0, 0.0), error=first_line(error))
                yield self._step("ask the model that decides", call, failure)
                return Stopped(out_of_time or StopReason.MODEL_FAILED)
        # 3. Its cost goes with the next step.
        seconds = time.perf_counter() - started
        self._largest = max(self._largest, reply.tokens_in + reply.tokens_out)
        self._thinking += Cost(
            model_calls=1,
            reasoner_calls=1,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            model_seconds=seconds,
            seconds=seconds,
        )
        return reply

    def _record_note(self, action: RecordNote) -> AgentRun[Stopped | None]:
        # A mistake takes a round like a call: it may not go on for ever. An answer takes none.
        is_free = action.counted or action.error is None
        cost = Cost(rounds=0 if is_free else 1)
        refused = None if action.error is None else self._budget.exceeded_by(self.cost + cost)
        if refused is not None:
            return Stopped(refused)
        span = getattr(action.call, "span", Span(0.0, 0.0))
        observation = Observation(text="", span=span, cost=cost, error=action.error)
        yield self._step(action.thought, action.call, observation)
        return None

    def _step(self, thought: str, call: AgentCall, observation: Observation) -> Step:
        step = Step(thought=thought, call=call, observation=observation, thinking=self._thinking)
        self._thinking = Cost()
        self._spent += step.cost
        # What the store held was shown to a model for an earlier question.
        self._shown.update(() if observation.cached else observation.frame_times_s)
        self.trace.append(step)
        return step

    def _refusal(self, prepared: Sequence[PreparedCall], opening: bool) -> StopReason | None:
        """Why the last of these calls may not be made, or None. Tokens are known only after a call:
        the largest so far is the forecast."""
        # At least 1, so that a budget of 0 refuses the first call.
        forecast = max(1, self._largest)
        # What the store can answer shows nothing and takes no tokens.
        new = [call for call in prepared if call.new_frames]
        ahead = Cost(
            rounds=0 if opening else 1,
            frames=sum(call.new_frames for call in prepared),
            tokens_in=forecast * len(new),
        )
        last = prepared[-1]
        if last.call.describes:
            # Reading leaves room for one look, so that a spent budget still ends in an answer.
            # What the store holds takes nothing away but a round.
            room = Cost(rounds=1)
            if last.new_frames:
                room += Cost(frames=last.frame_count, tokens_in=forecast)
            ahead += room
        return self._budget.exceeded_by(self.cost + ahead)


def serve_requests(run: AgentRun[ResultT]) -> Generator[Step, None, ResultT]:
    """Answer the requests of one run as they come; its steps are passed on."""
    replies: list[Reply] | None = None
    failure: Exception | None = None
    while True:
        try:
            item = run.send(replies) if failure is None else run.throw(failure)
        except StopIteration as end:
            return end.value
        # Each is sent once: steps, and keys to reserve, are answered with None.
        replies, failure = None, None
        if isinstance(item, Step):
            yield item
        elif isinstance(item, ModelRequest):
            try:
                replies = item.perform()
            except FAILURES as error:
                failure = error
        # Else keys to reserve: nobody else asks.


def run_to_end(steps: Generator[Any, None, ResultT]) -> ResultT:
    """Run to the end and give what is returned.

    Example:
        >>> def count_up():
        ...     yield 1
        ...     return "done"
        >>> run_to_end(count_up())
        'done'
    """
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
