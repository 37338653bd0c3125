"""The steps of one question as they happen, with the answer at their end."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from mmreason.types import Answer, Step


class AnswerStream(Iterator[Step]):
    """The steps of one question as they happen; `answer` when they are over.

    The answer is also the value of the `StopIteration` that ends the iteration.
    """

    def __init__(self, steps: Generator[Step, None, Answer]):
        self._steps = steps
        self._answer: Answer | None = None

    def __next__(self) -> Step:
        try:
            return next(self._steps)
        except StopIteration as end:
            # A generator that is asked again after its end gives no value any more.
            self._answer = self._answer or end.value
            raise

    @property
    def answer(self) -> Answer:
        """The answer. RuntimeError before the last step has been taken."""
        if self._answer is None:
            raise RuntimeError("the answer is there when the stream has been read to its end")
        return self._answer

    def close(self) -> None:
        """Stop early and release the video."""
        self._steps.close()
