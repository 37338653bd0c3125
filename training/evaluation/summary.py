"""The scores of a run, made of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmreason.evaluation.refadv.figures import ClusteredFigure, mean, share_of
from mmreason.json_values import encode_json, to_json, with_schema
from mmreason.language.prompts import LETTERS
from mmreason.training.evaluation.audit import KnowledgeAudit, build_audit
from mmreason.training.evaluation.projection import AnswerSupport
from mmreason.training.evaluation.rows import EvalRow
from mmreason.training.evaluation.scoring import TruthKind
from mmreason.video.files import write_atomic

MOST_CONFUSED = 12
"""Different right answers in words of which a table of confusion is made."""
OTHER = "other"
NOTHING = "none read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreColumn:
    """One way of scoring.

    Example: `scores.lenient.all_rows.text`.
    """

    all_rows: ClusteredFigure
    """With rows that could not be asked, which count as wrong."""
    answered: ClusteredFigure
    """Without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScores:
    """Questions of one channel, or that ask for one kind of answer. Rows that could not be asked
    count as wrong.

    Example: `scores.by_kind[0].lenient.text`.
    """

    name: str
    rows: int
    errors: int
    strict: ClusteredFigure
    lenient: ClusteredFigure
    judged: ClusteredFigure
    overlap: ClusteredFigure
    """Mean over rows that have one."""
    format_failures: ClusteredFigure
    """Of answered rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircularScores:
    """Choice questions asked once for every rotation of their options.

    Example: `scores.circular.all_rotations.text`.
    """

    questions: int
    not_rotated: Mapping[str, int]
    """Choice questions that could not be, by reason."""
    first_rotation: ClusteredFigure
    """Right as the row stands, of the same questions."""
    all_rotations: ClusteredFigure
    """Right in every rotation."""
    positions: tuple[PositionBias, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionBias:
    """How often the option at one letter is picked, over all rotations.

    Example: a model that always takes the first option has `picked` 1 and `true` 0.25 at A.
    """

    letter: str
    picked: ClusteredFigure
    """Of the rows that have this letter."""
    true: ClusteredFigure
    """How often the right option stands there."""
    right: ClusteredFigure
    """Accuracy where the right option stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionTable:
    """Right answers against those given.

    Example: `table.counts[0][1]` is how often the second answer was given for the first.
    """

    name: str
    truths: tuple[str, ...]
    answers: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemScores:
    """A run and what came of it.

    Example:
        >>> scores = evaluate_problems(samples, model, EvaluateSettings())  # doctest: +SKIP
        >>> scores.lenient.all_rows.text  # doctest: +SKIP
        '71.0% (61.5 to 79.0)'
    """

    settings: Mapping[str, Any]
    """Everything that moves a number: the header of the run's file."""
    questions: int
    videos: int
    without_truth: int
    """Rows that are asked and cannot be scored."""
    strict: ScoreColumn
    lenient: ScoreColumn
    judged: ScoreColumn
    """Over the rows that were judged."""
    not_judged: int
    """Rows for which a judge was asked, and said nothing."""
    overlap: ClusteredFigure
    format_failures: ClusteredFigure
    refusals: ClusteredFigure
    errors: Mapping[str, int]
    """Rows that could not be asked, by reason, the most frequent first."""
    chance: ClusteredFigure
    """Accuracy of guessing among the options, of choice questions."""
    choices: ClusteredFigure
    """Lenient accuracy of the same questions."""
    by_channel: tuple[GroupScores, ...]
    by_kind: tuple[GroupScores, ...]
    circular: CircularScores | None
    confusions: tuple[ConfusionTable, ...]
    audit: KnowledgeAudit | None
    rows: tuple[EvalRow, ...] = field(metadata={"json": False})

    @property
    def name(self) -> str:
        """The model's."""
        return str(self.settings.get("model", ""))

    @property
    def main_rows(self) -> tuple[EvalRow, ...]:
        """One a question: with its own video, options as they stand."""
        return tuple(row for row in self.rows if row.condition == "video" and not row.rotation)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return to_json(self)

    def write_summary(self, folder: Path) -> Path:
        """Write `summary.json`; returns its path."""
        text = encode_json(with_schema(self.to_dict()), indent=1)
        return write_atomic(folder / "summary.json", f"{text}\n".encode())


def build_scores(
    header: Mapping[str, Any],
    rows: Sequence[EvalRow],
    *,
    supports: Mapping[str, AnswerSupport] | None = None,
    was_judged: bool = False,
) -> ProblemScores:
    """The scores of the rows of a run. `supports` say which answers stand in a training text."""
    main = [row for row in rows if row.condition == "video" and not row.rotation]
    # What cannot be read has no kind, and would else be wrong of none.
    scored = [row for row in main if row.kind != TruthKind.UNKNOWN.value or row.error]
    answered = [row for row in scored if not row.error]
    judged = [row for row in answered if row.judged is not None]
    choices = [row for row in scored if row.choice is not None]
    absent = header.get("absent", {})
    return ProblemScores(
        settings=dict(header),
        questions=len(main),
        videos=len({row.video for row in main}),
        without_truth=len(main) - len(scored),
        strict=_column(scored, lambda row: bool(row.strict)),
        lenient=_column(scored, lambda row: bool(row.lenient)),
        judged=ScoreColumn(
            all_rows=_share([*judged, *_errors(scored)] if judged else [], _is_judged_right),
            answered=_share(judged, _is_judged_right),
        ),
        not_judged=sum(row.kind in _WORDED for row in answered) - len(judged) if was_judged else 0,
        overlap=_mean_overlap(answered),
        format_failures=_share(answered, lambda row: row.format_failed),
        refusals=_share(answered, lambda row: row.refused),
        errors=dict(Counter(row.error for row in main if row.error).most_common()),
        chance=mean((row.video, 1 / len(row.options)) for row in choices),
        choices=_share(choices, lambda row: bool(row.lenient)),
        by_channel=_groups(scored, lambda row: row.channel),
        by_kind=_groups(scored, lambda row: row.kind),
        circular=_circular(rows, absent.get("circular", {})),
        confusions=_confusions(answered),
        audit=build_audit(rows, absent, supports or {}),
        rows=tuple(rows),
    )


_WORDED = frozenset({TruthKind.TEXT.value, TruthKind.NUMBER.value, TruthKind.CHOICE.value})


def _is_judged_right(row: EvalRow) -> bool:
    return bool(row.judged)


def _errors(rows: Iterable[EvalRow]) -> list[EvalRow]:
    return [row for row in rows if row.error]


def _share(rows: Iterable[EvalRow], test: Callable[[EvalRow], bool]) -> ClusteredFigure:
    return share_of((row.video, test(row)) for row in rows)


def _column(rows: Sequence[EvalRow], test: Callable[[EvalRow], bool]) -> ScoreColumn:
    answered = [row for row in rows if not row.error]
    return ScoreColumn(all_rows=_share(rows, test), answered=_share(answered, test))


def _mean_overlap(rows: Iterable[EvalRow]) -> ClusteredFigure:
    return mean((row.video, row.overlap) for row in rows if row.overlap is not None)


def _groups(rows: Sequence[EvalRow], key: Callable[[EvalRow], str]) -> tuple[GroupScores, ...]:
    names = dict.fromkeys(key(row) for row in rows)
    groups = []
    for name in names:
        members = [row for row in rows if key(row) == name]
        answered = [row for row in members if not row.error]
        judged = [row for row in answered if row.judged is not None]
        groups.append(
            GroupScores(
                name=name,
                rows=len(members),
                errors=len(members) - len(answered),
                strict=_share(members, lambda row: bool(row.strict)),
                lenient=_share(members, lambda row: bool(row.lenient)),
                judged=_share(judged, _is_judged_right),
                overlap=_mean_overlap(answered),
                format_failures=_share(answered, lambda row: row.format_failed),
            )
        )
    return tuple(groups)


def _circular(rows: Sequence[EvalRow], not_rotated: Mapping[str, int]) -> CircularScores | None:
    rotations: dict[str, list[EvalRow]] = {}
    for row in rows:
        if row.condition == "video" and row.choice is not None:
            rotations.setdefault(row.id, []).append(row)
    whole = [group for group in rotations.values() if len(group) == len(group[0].options) > 1]
    if not whole:
        return None if not not_rotated else _no_rotation(not_rotated)
    answered = [row for group in whole for row in group if not row.error]
    letters = LETTERS[: max(len(group) for group in whole)]
    return CircularScores(
        questions=len(whole),
        not_rotated=not_rotated,
        first_rotation=share_of((g[0].video, bool(g[0].lenient)) for g in whole),
        all_rotations=share_of((g[0].video, all(row.lenient for row in g)) for g in whole),
        positions=tuple(_position(answered, place) for place in range(len(letters))),
    )


def _no_rotation(reasons: Mapping[str, int]) -> CircularScores:
    empty = share_of(())
    return CircularScores(
        questions=0,
        not_rotated=reasons,
        first_rotation=empty,
        all_rotations=empty,
        positions=(),
    )


def _position(rows: Sequence[EvalRow], place: int) -> PositionBias:
    having = [row for row in rows if place < len(row.options)]
    return PositionBias(
        letter=LETTERS[place],
        picked=_share(having, lambda row: row.picked == place),
        true=_share(having, lambda row: row.choice == place),
        right=_share([r for r in having if r.choice == place], lambda row: bool(row.lenient)),
    )


def _confusions(rows: Sequence[EvalRow]) -> tuple[ConfusionTable, ...]:
    tables = []
    choices = [(row.choice, row.picked) for row in rows if row.choice is not None]
    if choices:
        count = max(len(row.options) for row in rows if row.choice is not None)
        pairs = [
            (LETTERS[truth], NOTHING if picked is None else LETTERS[picked])
            for truth, picked in choices
        ]
        tables.append(_confusion("letters", list(LETTERS[:count]), pairs, NOTHING))
    texts = [
        (row.truth.casefold(), row.answer.casefold().rstrip(". "), bool(row.lenient))
        for row in rows
        if row.kind in (TruthKind.TEXT.value, TruthKind.NUMBER.value)
    ]
    truths = sorted({truth for truth, _, _ in texts})
    if 1 < len(truths) <= MOST_CONFUSED:
        # A right answer is the right one, in whatever words it stands.
        pairs = [
            (truth, truth if is_right else answer if answer in truths else OTHER)
            for truth, answer, is_right in texts
        ]
        tables.append(_confusion("answers in words", truths, pairs, OTHER))
    return tuple(tables)


def _confusion(
    name: str, truths: Sequence[str], pairs: Sequence[tuple[str, str]], last: str
) -> ConfusionTable:
    counts = Counter(pairs)
    answers = (*truths, last)
    return ConfusionTable(
        name=name,
        truths=tuple(truths),
        answers=answers,
        counts=tuple(tuple(counts[truth, answer] for answer in answers) for truth in truths),
    )
