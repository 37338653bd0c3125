"""A judge in a column of its own: whether an answer in words means the same as the right one.

Verdicts stand in a file beside the rows. What could not be judged is not written there, and is
judged when the run is started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mmreason.evaluation.public.judge import JUDGE_PROMPT, MOST_ANSWER_CHARACTERS, read_verdict
from mmreason.json_lines import append_lines, encode_json_line, mend_last_line, require_json_lines
from mmreason.language.prompts import LETTERS
from mmreason.models.base import ChatModel, GenerateRequest, Message, ModelError, Reply, TextPart
from mmreason.tools.calls import FAILURES
from mmreason.training.evaluation.rows import EvalRow
from mmreason.training.evaluation.scoring import TruthKind
from mmreason.training.rewards import Trajectory, Truth
from mmreason.training.rewards.judge import Judge, JudgeSettings
from mmreason.types import UsageError

VERDICTS_FILE = "judged.jsonl"
JUDGED_KINDS = frozenset({TruthKind.TEXT.value, TruthKind.NUMBER.value, TruthKind.CHOICE.value})
_TOKENS = 512
"""Room for a thought before the yes or no."""
_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class JudgeItem:
    """What is judged.

    Example:
        >>> JudgeItem("What colour?", ("red",), "It is crimson.").right_answers
        ('red',)
    """

    question: str
    right_answers: tuple[str, ...]
    answer: str


class AnswerJudge(Protocol):
    """Who judges."""

    @property
    def name(self) -> str:
        """Told in the report."""
        ...

    def judge(self, items: Sequence[JudgeItem]) -> list[bool | None]:
        """For each whether the answer is right; None where that was not said, or could not be
        asked. Raises nothing for a judge that is down."""
        ...


class ServedJudge:
    """The judge of rewards, behind a URL. See `AnswerJudge`."""

    def __init__(self, settings: JudgeSettings):
        self.settings = settings
        self._judge = Judge(settings)

    @property
    def name(self) -> str:
        """URL and model."""
        return f"{self.settings.url} {self.settings.model or ''}".strip()

    def judge(self, items: Sequence[JudgeItem]) -> list[bool | None]:
        """See `AnswerJudge`."""
        truths = [
            Truth(question=item.question, answer=item.right_answers[0], answers=item.right_answers)
            for item in items
        ]
        values = self._judge([Trajectory(answer=item.answer) for item in items], truths)
        return [value >= 1 if isinstance(value, float) else None for value in values]


class ModelJudge:
    """A model of this process that is asked for a yes or no. See `AnswerJudge`."""

    def __init__(self, model: ChatModel):
        self.model = model

    @property
    def name(self) -> str:
        """Name and fingerprint of the model."""
        return f"{self.model.name} {self.model.fingerprint}"

    def judge(self, items: Sequence[JudgeItem]) -> list[bool | None]:
        """See `AnswerJudge`."""
        conversations = [[Message("user", (TextPart(_fill_prompt(item)),))] for item in items]
        replies: Sequence[Reply | None]
        try:
            replies = self.model.generate(GenerateRequest(conversations, max_new_tokens=_TOKENS))
        except ModelError as error:
            replies = error.replies
        except FAILURES:
            # The answers are there, and can be judged later.
            replies = [None] * len(items)
        return [None if reply is None else read_verdict(reply.text) for reply in replies]


def judge_rows(
    rows: Sequence[EvalRow],
    judge: AnswerJudge,
    folder: Path | None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[EvalRow, ...]:
    """The rows with verdicts on their own videos' answers. Those in `folder` are kept. UsageError
    where these are of another judge."""
    verdicts = {} if folder is None else _read_verdicts(folder / VERDICTS_FILE, judge.name)
    waiting = [row for row in rows if _is_judged(row) and row.key not in verdicts]
    for start in range(0, len(waiting), _AT_A_TIME):
        group = waiting[start : start + _AT_A_TIME]
        items = [_item_of(row) for row in group]
        lines = b""
        for row, verdict in zip(group, judge.judge(items), strict=True):
            if verdict is not None:
                verdicts[row.key] = verdict
                values = {"key": list(row.key), "judge": judge.name, "is_right": verdict}
                lines += encode_json_line(values)
        if folder is not None and lines:
            append_lines(folder / VERDICTS_FILE, lines)
        on_done(min(start + _AT_A_TIME, len(waiting)), len(waiting))
    return tuple(replace(row, judged=verdicts.get(row.key)) for row in rows)


def read_judged(rows: Sequence[EvalRow], folder: Path) -> tuple[EvalRow, ...]:
    """The rows with the verdicts that are in `folder`."""
    verdicts = _read_verdicts(folder / VERDICTS_FILE, None)
    return tuple(replace(row, judged=verdicts.get(row.key)) for row in rows)


def _item_of(row: EvalRow) -> JudgeItem:
    lettered = [f"{LETTERS[i]}. {option}" for i, option in enumerate(row.options)]
    rights = (row.truth,) if row.choice is not None else row.right_texts
    return JudgeItem("\n".join([row.question, *lettered]), rights, row.answer or row.reply)


def _is_judged(row: EvalRow) -> bool:
    return (
        row.condition == "video" and not row.rotation and not row.error and row.kind in JUDGED_KINDS
    )


def _read_verdicts(path: Path, judge_name: str | None) -> dict[tuple[str, str, int], bool]:
    mend_last_line(path)
    if not path.is_file():
        return {}

    def parse(values: Mapping[str, Any]) -> tuple[tuple[str, str, int], bool]:
        name, condition, rotation = values["key"]
        if not isinstance(values["is_right"], bool):
            raise TypeError("has no verdict")
        if judge_name is not None and values["judge"] != judge_name:
            raise UsageError(
                f"is by the judge {values['judge']!r:.60}, not {judge_name!r:.60}; give a new "
                "folder"
            )
        return (str(name), str(condition), int(rotation)), values["is_right"]

    return dict(line.row for line in require_json_lines(path, parse, is_resumed=True))


def _fill_prompt(item: JudgeItem) -> str:
    # One place after the other, each value without the marks that end it.
    values = {
        "question": item.question,
        "right_answer": " / ".join(item.right_answers),
        "answer": item.answer[:MOST_ANSWER_CHARACTERS],
    }
    before, rest = JUDGE_PROMPT.split("{question}")
    between, rest = rest.split("{right_answer}")
    after, end = rest.split("{answer}")
    question, right_answer, answer = map(_without_marks, values.values())
    return f"{before}{question}{between}{right_answer}{after}{answer}{end}"


def _without_marks(text: str) -> str:
    for mark in ("question", "right_answer", "answer"):
        text = text.replace(f"</{mark}>", f"[/{mark}]")
    return text
