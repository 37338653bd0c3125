"""Runs the loop of one question: performs its actions within a hard budget, and keeps the trace.

A generator of steps and of requests to models, so that one question or hundreds can be served: by
`serve` here one at a time, by `batch.py` together. Leaves out the loop (`agent.py`) and the tools.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mmreason.agent.loop import AnswerDraft, Loop
from mmreason.agent.protocol import AskModel, CallTools, RecordNote, Results, Stopped
from mmreason.models.base import GenerateRequest, Reply, TextPart
from mmreason.tool_calls import AgentCall, ModelTurn, ToolCall
from mmreason.tools.calls import FAILURES, Awaited, ModelRequest, Prepared, Roles, first_line
from mmreason.tools.toolbox import Allows, Toolbox
from mmreason.types import Budget, Cost, Observation, Step, StopReason
from mmreason.video.types import Span

REASONER_FAILURES = 3
"""Requests to the reasoning model that fail in a row end the question with what there is."""
CHARACTERS_PER_TOKEN = 4
"""Of English text, for the forecast of what a request to the reasoning model reads."""

Result = TypeVar("Result")
Run = Generator[Step | ModelRequest | Awaited, Any, Result]


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

    def run(self) -> Run[AnswerDraft]:
        """Yield every `Step` as it happens and every `ModelRequest`; returns the draft.

        Send the replies to a request (None for anything else), or throw one of `FAILURES`. Yields
        `Awaited` where the toolbox shares with others what is being asked for.
        """
        sent: Any = None
        while True:
            try:
                action = self._loop.send(sent)
            except StopIteration as end:
                return end.value
            if isinstance(action, CallTools):
                sent = yield from self._act(action)
            elif isinstance(action, AskModel):
                sent = yield from self._consult(action)
            else:
                sent = yield from self._remark(action)

    def _act(self, action: CallTools) -> Run[Results]:
        """As many of the calls as the budget allows, together. The first call of all goes alone
        where tokens are limited: what it takes is the forecast for the others."""
        observations: list[Observation] = []
        left = list(action.calls)
        while left:
            learning = self._budget.tokens is not None and self._largest == 0
            together, refused = self._affordable(left[:1] if learning else left, action)
            allows = self._room_beside(together)
            seen: list[Observation] = yield from self._toolbox.perform(together, allows)
            for prepared, one in zip(together, seen, strict=True):
                rounds = int(not observations and not action.opening)
                self._largest = max(self._largest, one.cost.tokens_in + one.cost.tokens_out)
                observations.append(replace(one, cost=one.cost + Cost(rounds=rounds)))
                yield self._step(action.thought, prepared.call, observations[-1])
            if refused is None and any(one.error is not None for one in observations):
                refused = self._out_of_time()
            if refused is not None:
                return Results(tuple(observations), refused)
            left = left[len(together) :]
        return Results(tuple(observations))

    def _out_of_time(self) -> StopReason | None:
        """The reason where time is up: that made a call fail, or leaves no time to try again."""
        reason = self._budget.exceeded_by(Cost(seconds=self.elapsed_s))
        return reason if reason is StopReason.BUDGET_SECONDS else None

    def _room_beside(self, granted: Sequence[Prepared]) -> Allows:
        """Whether so many frames more than these calls show are within the budget."""
        limit = self._budget.frames
        ahead = self.cost.frames + sum(one.new_frames for one in granted)
        return lambda frames: limit is None or ahead + frames <= limit

    def _affordable(
        self, calls: Sequence[ToolCall], action: CallTools
    ) -> tuple[list[Prepared], StopReason | None]:
        prepared: list[Prepared] = []
        for call in calls:
            one = self._toolbox.prepare(call)
            refused = self._refusal([*prepared, one], action.opening)
            if refused is not None:
                return prepared, refused
            prepared.append(one)
        return prepared, None

    def _consult(self, action: AskModel) -> Run[Reply | Stopped]:
        size = sum(
            len(part.text)
            for m in action.messages
            for part in m.parts
            if isinstance(part, TextPart)
        )
        forecast = max(1, self._largest, size // CHARACTERS_PER_TOKEN)
        refused = self._budget.exceeded_by(self.cost + Cost(rounds=1, tokens_in=forecast))
        if refused is not None:
            return Stopped(refused)
        started = time.perf_counter()
        request = ModelRequest(
            self._roles.reasoner,
            GenerateRequest(
                [action.messages],
                max_new_tokens=action.max_new_tokens,
                temperature=action.temperature,
                seed=self._seed,
                deadlines_s=self._toolbox.deadlines_s(1),
            ),
        )
        failures = 0
        while True:
            try:
                reply: Reply = (yield request)[0]
                break
            except FAILURES as error:
                failures += 1
                out_of_time = self._out_of_time()
                if failures < REASONER_FAILURES and out_of_time is None:
                    continue
                seconds = time.perf_counter() - started
                self._thinking += Cost(model_seconds=seconds, seconds=seconds)
                call = ModelTurn(kind="consult")
                seen = Observation(text="", span=Span(0.0, 0.0), error=first_line(error))
                yield self._step("ask the model that decides", call, seen)
                return Stopped(out_of_time or StopReason.MODEL_FAILED)
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

    def _remark(self, action: RecordNote) -> Run[Stopped | None]:
        is_free = action.counted or action.error is None
        cost = Cost(rounds=0 if is_free else 1)
        refused = None if action.error is None else self._budget.exceeded_by(self.cost + cost)
        if refused is not None:
            return Stopped(refused)
        span = getattr(action.call, "span", Span(0.0, 0.0))
        seen = Observation(text="", span=span, cost=cost, error=action.error)
        yield self._step(action.thought, action.call, seen)
        return None

    def _step(self, thought: str, call: AgentCall, seen: Observation) -> Step:
        step = Step(thought=thought, call=call, observation=seen, thinking=self._thinking)
        self._thinking = Cost()
        self._spent += step.cost
        self._shown.update(() if seen.cached else seen.frame_times_s)
        self.trace.append(step)
        return step

    def _refusal(self, prepared: Sequence[Prepared], opening: bool) -> StopReason | None:
        """Why the last of these calls may not be made, or None. Tokens are known only after a call:
        the largest so far is the forecast."""
        forecast = max(1, self._largest)
        new = [one for one in prepared if one.new_frames]
        ahead = Cost(
            rounds=0 if opening else 1,
            frames=sum(one.new_frames for one in prepared),
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


def serve(run: Run[Result]) -> Generator[Step, None, Result]:
    """Answer the requests of one run as they come; its steps are passed on."""
    sent: Any = None
    failure: Exception | None = None
    while True:
        try:
            item = run.send(sent) if failure is None else run.throw(failure)
        except StopIteration as end:
            return end.value
        sent, failure = None, None
        assert not isinstance(item, Awaited), "nobody else asks"
        if isinstance(item, Step):
            yield item
            continue
        try:
            sent = item.perform()
        except FAILURES as error:
            failure = error


def finished(steps: Generator[Any, None, Result]) -> Result:
    """Run to the end and give what is returned."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
