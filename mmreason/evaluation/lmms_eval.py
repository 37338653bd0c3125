"""mmreason as a model of `lmms-eval`: its tasks ask, a `Reasoner` looks and answers.

    lmms_eval --model mmreason --model_args model=http://host/v1,budget_frames=128 --tasks lvbench

Written for the interface of lmms-eval 0.7: `generate_until` of models that are given the text of a
question and the path of a video. `lmms-eval` finds it by the entry point `lmms_eval.models`;
without `lmms-eval` this module imports all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from mmreason.agent.batch import Failure, Result
from mmreason.agent.question import Question
from mmreason.evaluation.public.fields import split_options
from mmreason.language.prompts import LETTERS
from mmreason.models.base import cut_at_stop
from mmreason.reasoner import Reasoner
from mmreason.types import Answer, Budget, UsageError

MODEL_NAME = "mmreason"
_CLASS_NAME = "MmreasonModel"
_LOGGER = logging.getLogger(__name__)


def model_manifest() -> Any:
    """What `lmms-eval` reads at the entry point: the name of the model and of its class."""
    registry = import_module("lmms_eval.models.registry_v2")
    return registry.ModelManifest(
        model_id=MODEL_NAME, simple_class_path=f"{__name__}.{_CLASS_NAME}"
    )


def __getattr__(name: str) -> Any:
    # The class has a base class of lmms-eval's, so it is made when it is asked for.
    if name == _CLASS_NAME:
        return build_model_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def write_reply(answer: Answer) -> str:
    """What a task is given: the letter of the option that was chosen, else the words."""
    return answer.text if answer.choice is None else LETTERS[answer.choice]


def find_video(visuals: Any, task: str) -> str:
    """The one video of a request. UsageError for pictures, and for several.

    Example:
        >>> find_video(["talk.mp4"], "lvbench")
        'talk.mp4'
    """
    paths = visuals if isinstance(visuals, list | tuple) else [visuals]
    if len(paths) == 1 and isinstance(paths[0], str):
        return paths[0]
    kinds = ", ".join(type(path).__name__ for path in paths[:3]) or "nothing"
    raise UsageError(
        f"task {task!r} shows {len(paths)} things ({kinds}); mmreason takes one video as a path: "
        "choose the task's video variant"
    )


@cache
def build_model_class() -> type:
    """The class that `lmms-eval` makes from `--model_args`. Raises UsageError without it."""
    try:
        # By name: nothing of ours needs it, and it is no extra.
        instances = import_module("lmms_eval.api.instance")
        base_class: Any = import_module("lmms_eval.api.model").lmms
    except ImportError as error:
        raise UsageError(
            "this model is for lmms-eval, which is not installed; see docs/benchmarks.md"
        ) from error

    class MmreasonModel(base_class):
        """Answers every request with the agent. `model_args` are those of this constructor."""

        is_simple = True

        def __init__(
            self,
            model: str = "nano",
            observer: str | None = None,
            served_model: str | None = None,
            budget_frames: int | None = None,
            workers: int = 1,
            with_subtitles: bool = False,
            batch_size: int | str = 1,
            max_batch_size: int | None = None,
            device: str | None = None,
        ) -> None:
            """`batch_size` and `device` come from the command line of lmms-eval and change
            nothing: `workers` questions are in flight, and models choose their device."""
            super().__init__()
            self.reasoner = Reasoner.load(model, observer=observer, served_model=served_model)
            self.budget = Budget(frames=budget_frames)
            self.workers = int(workers)
            self.subtitles = "auto" if with_subtitles else None

        def generate_until(self, requests: Sequence[Any]) -> list[Any]:
            """An answer a request, in order. One that failed is empty, which every task counts as
            wrong, and is logged with its reason."""
            arguments = [request.args for request in requests]
            results = {result.id: result for result in self._ask(arguments)}
            return [self._reply(args, results[str(n)]) for n, args in enumerate(arguments)]

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            """Not offered: an agent writes answers, and has no probability of given ones."""
            raise NotImplementedError(
                "mmreason scores no given texts; choose the task's variant that generates"
            )

        def generate_until_multi_round(self, requests: Sequence[Any]) -> list[Any]:
            """Not offered: each question is answered by itself."""
            raise NotImplementedError("mmreason answers single questions; choose another task")

        def _ask(self, arguments: Sequence[Sequence[Any]]) -> Iterator[Result]:
            """A result each, called by its place."""
            questions: list[Question] = []
            for number, (context, _, doc_to_visual, doc_id, task, split) in enumerate(arguments):
                video = find_video(doc_to_visual(self.task_dict[task][split][doc_id]), task)
                # Options of their own are read better than lines of a question.
                text, options = split_options(context)
                try:
                    question = Question(
                        video=video,
                        text=text,
                        options=options,
                        subtitles=self.subtitles,
                        id=str(number),
                    )
                except UsageError as error:  # of this text; the others are asked
                    failure = Failure(kind="UsageError", message=str(error))
                    yield Result(id=str(number), failure=failure)
                    continue
                questions.append(question)
            yield from self.reasoner.ask_many(questions, budget=self.budget, workers=self.workers)

        def _reply(self, arguments: Sequence[Any], result: Result) -> Any:
            context, settings = arguments[0], arguments[1]
            # Tasks score whatever they get: an empty text is wrong in all of them.
            if result.answer is None:
                reason = result.failure.message if result.failure else "no answer"
                _LOGGER.warning("question %s of lmms-eval failed: %s", result.id, reason)
                return instances.GenerationResult(text="")
            cost = result.answer.cost
            text = cut_at_stop(write_reply(result.answer), _stop_texts(settings))
            self.cache_hook.add_partial("generate_until", (context, settings), text)
            counts = instances.TokenCounts(
                input_tokens=cost.tokens_in, output_tokens=cost.tokens_out
            )
            return instances.GenerationResult(text=text, token_counts=counts)

    return MmreasonModel


def _stop_texts(settings: Any) -> tuple[str, ...]:
    until = settings.get("until", ()) if isinstance(settings, dict) else ()
    return tuple(filter(None, [until] if isinstance(until, str) else until))
