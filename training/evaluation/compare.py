"""Two runs on the same questions: is one model better than the other?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmreason.json_values import to_json
from mmreason.training.evaluation.paired import PairedDifference, compare_hits
from mmreason.training.evaluation.rows import EvalRow, flat_differences
from mmreason.training.evaluation.scoring import TruthKind
from mmreason.training.evaluation.summary import ProblemScores
from mmreason.types import UsageError

_OF_MODELS = ("model", "model_fingerprint")
_COUNTS = ("questions", "conversations", "absent", "data_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresComparison:
    """The first run less the second, on the questions that both answered.

    Example: `print(compare_scores(tuned, base).verdict)`.
    """

    first: str
    second: str
    questions: int
    only_in_one: int
    """Questions that one run alone has."""
    not_asked: int
    """Questions that could not be asked in one of them; in no figure."""
    differences: tuple[PairedDifference, ...]
    """Lenient, strict, by the judge where both have one, and circular where both are."""
    settings_that_differ: tuple[tuple[str, Any, Any], ...]
    """Other than the model: (name, of the first, of the second)."""

    @property
    def verdict(self) -> str:
        """Plainly, by the lenient score."""
        return self.differences[0].sentence(self.first, self.second)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return to_json(self) | {"verdict": self.verdict}


def compare_scores(first: ProblemScores, second: ProblemScores) -> ScoresComparison:
    """Pair the questions of two runs by id. UsageError where they have none in common, and where
    questions of one id differ in what they ask, what is true or what is shown."""
    rows_a, rows_b = _by_id(first), _by_id(second)
    names = [name for name in rows_a if name in rows_b]
    if not names:
        raise UsageError("the two runs have no question in common; evaluate both on one file")
    changed = [name for name in names if rows_a[name].digest != rows_b[name].digest]
    if changed:
        raise UsageError(
            f"{len(changed):,} of {len(names):,} questions are not the same in both runs, the "
            f"first is {changed[0]!r:.60}; evaluate both on one file"
        )
    asked = [n for n in names if not rows_a[n].error and not rows_b[n].error]
    scored = [n for n in asked if rows_a[n].kind != TruthKind.UNKNOWN.value]
    pairs = [(rows_a[name], rows_b[name]) for name in scored]
    differences = [
        _compare("lenient", pairs, lambda row: row.lenient),
        _compare("strict", pairs, lambda row: row.strict),
    ]
    judged = [(a, b) for a, b in pairs if a.judged is not None and b.judged is not None]
    if judged:
        differences.append(_compare("judge", judged, lambda row: row.judged))
    whole_a, whole_b = _right_in_all(first), _right_in_all(second)
    circular = [name for name in scored if name in whole_a and name in whole_b]
    if circular:
        hits = [(rows_a[n].video, whole_a[n], whole_b[n]) for n in circular]
        differences.append(compare_hits("circular", hits))
    names_ab = _different_names(first, second)
    return ScoresComparison(
        first=names_ab[0],
        second=names_ab[1],
        questions=len(scored),
        only_in_one=len(rows_a.keys() ^ rows_b.keys()),
        not_asked=len(names) - len(asked),
        differences=tuple(differences),
        settings_that_differ=tuple(
            (name, old, new)
            for name, old, new in flat_differences(first.settings, second.settings)
            if name.split(".")[0] not in (*_OF_MODELS, *_COUNTS)
        ),
    )


def _by_id(scores: ProblemScores) -> dict[str, EvalRow]:
    return {row.id: row for row in scores.main_rows}


def _compare(
    name: str,
    pairs: list[tuple[EvalRow, EvalRow]],
    score: Callable[[EvalRow], bool | None],
) -> PairedDifference:
    return compare_hits(name, [(a.video, bool(score(a)), bool(score(b))) for a, b in pairs])


def _right_in_all(scores: ProblemScores) -> Mapping[str, bool]:
    """Of questions that were asked in every rotation, whether all were right."""
    rotations: dict[str, list[EvalRow]] = {}
    for row in scores.rows:
        if row.condition == "video" and row.choice is not None:
            rotations.setdefault(row.id, []).append(row)
    return {
        name: all(row.lenient for row in group)
        for name, group in rotations.items()
        if len(group) == len(group[0].options) > 1
    }


def _different_names(first: ProblemScores, second: ProblemScores) -> tuple[str, str]:
    if first.name != second.name:
        return first.name, second.name
    # Two states of one model: their fingerprints tell them apart.
    prints = [str(s.settings.get("model_fingerprint", ""))[:8] for s in (first, second)]
    if prints[0] == prints[1]:
        prints = ["first run", "second run"]
    return f"{first.name} ({prints[0]})", f"{second.name} ({prints[1]})"
