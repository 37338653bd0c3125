"""The scores of a run as tables of texts, for terminals, pages and Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmreason.evaluation.refadv.figures import ClusteredFigure
from mmreason.training.evaluation.audit import KnowledgeAudit
from mmreason.training.evaluation.compare import ScoresComparison
from mmreason.training.evaluation.conditions import AUDIT_CONDITIONS, Condition
from mmreason.training.evaluation.paired import PairedDifference
from mmreason.training.evaluation.summary import GroupScores, ProblemScores, ScoreColumn


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table of texts.

    Example: `ScoreTable("Scores", ("", "all rows"), (("strict", "50.0%"),)).title`.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hint: str = ""
    """What its figures mean, in a sentence."""


def score_tables(scores: ProblemScores) -> list[ScoreTable]:
    """The tables of a run but for its audit."""
    tables = [_overview(scores)]
    if len(scores.by_channel) > 1:
        tables.append(_groups("By channel", scores.by_channel))
    if len(scores.by_kind) > 1 or scores.overlap.n:
        tables.append(_groups("By kind of answer", scores.by_kind))
    if scores.circular is not None:
        tables += _circular(scores)
    if scores.errors:
        rows = tuple((reason, f"{count:,}") for reason, count in scores.errors.items())
        tables.append(ScoreTable("Could not be asked", ("reason", "rows"), rows))
    for table in scores.confusions:
        rows = tuple(
            (truth, *(f"{count:,}" for count in counts))
            for truth, counts in zip(table.truths, table.counts, strict=True)
        )
        title = f"Right and given: {table.name}"
        tables.append(ScoreTable(title, ("right \\ given", *table.answers), rows))
    return tables


def audit_tables(audit: KnowledgeAudit) -> list[ScoreTable]:
    """What the audit found, the most important first."""
    cells = (
        ("wrong blind", f"{audit.only_video:,}", f"{audit.neither:,}"),
        ("right blind", f"{audit.both_right:,}", f"{audit.only_blind:,}"),
    )
    tables = [
        ScoreTable(
            "Sight and prior",
            ("", "right with the video", "wrong with the video"),
            cells,
            f"Accuracy with the video on the {audit.headline.n:,} questions that are wrong blind: "
            f"{audit.headline.text}.",
        ),
        ScoreTable(
            "What is shown",
            ("", "right", "questions", "failed", "not applicable"),
            tuple(
                (
                    row.condition,
                    row.right.text,
                    f"{row.right.n:,}",
                    f"{row.errors:,}",
                    "; ".join(f"{n:,}: {why}" for why, n in row.not_applicable.items()) or "-",
                )
                for row in audit.conditions
            ),
        ),
        _difference_table(
            "Paired on the same questions (points)",
            (
                audit.blind_gap,
                audit.wrong_video_drop,
                audit.transcript_gap,
                audit.evidence_sensitivity,
            ),
        ),
        ScoreTable(
            "Shares",
            ("", "share", "of"),
            (
                (
                    "right blind too (prior leak)",
                    audit.prior_leak.text,
                    f"{audit.prior_leak.n:,} right with the video",
                ),
                (
                    "wrong with another video (flip)",
                    audit.wrong_video_flip.text,
                    f"{audit.wrong_video_flip.n:,} right with the video",
                ),
            ),
        ),
        _information_gain(audit),
    ]
    if audit.leaks:
        tables.append(
            ScoreTable(
                "Right without looking",
                ("", "right", "by guessing", "99 % of guessers", "questions", ""),
                tuple(
                    (
                        check.name,
                        f"{check.right:.1%}",
                        f"{check.chance:.1%}",
                        f"{check.band[0]:.1%} to {check.band[1]:.1%}",
                        f"{check.questions:,}",
                        "above chance" if check.is_flagged else "",
                    )
                    for check in audit.leaks
                ),
            )
        )
    if audit.buckets:
        conditions = [c.value for c in (Condition.VIDEO, *AUDIT_CONDITIONS)]
        rows = tuple(
            (b.bucket, f"{b.questions:,}", *(b.right[c].text for c in conditions))
            for b in audit.buckets
        )
        header = ("documents", "questions", *conditions)
        hint = "Documents of the training text that hold the right answer and speak of the question"
        if audit.not_projected:
            hint += f"; {audit.not_projected:,} answers are too short to be looked for"
        tables.append(ScoreTable("Supported by the training text", header, rows, f"{hint}."))
    return tables


def comparison_tables(comparison: ScoresComparison) -> list[ScoreTable]:
    """Differences, the four cells, and settings that differ."""
    rows = tuple(
        (d.name, d.first.text, d.second.text, *_difference_cells(d)[1:])
        for d in comparison.differences
    )
    names = comparison.first, comparison.second
    tables = [
        ScoreTable(
            "First less second (points)",
            ("", *names, "difference", "p, whole videos", "p, McNemar", "questions"),
            rows,
        ),
        ScoreTable(
            "Who is right",
            ("", "both", "only the first", "only the second", "neither"),
            tuple(
                (d.name, *(f"{n:,}" for n in (d.both, d.only_first, d.only_second, d.neither)))
                for d in comparison.differences
            ),
        ),
    ]
    if comparison.settings_that_differ:
        differ = tuple((n, str(a), str(b)) for n, a, b in comparison.settings_that_differ)
        tables.append(ScoreTable("Settings that differ", ("", *names), differ))
    return tables


def _overview(scores: ProblemScores) -> ScoreTable:
    rows = [
        _column("strict", scores.strict),
        _column("lenient", scores.lenient),
    ]
    if scores.judged.answered.n or scores.not_judged:
        rows.append(_column("judge", scores.judged))
    if scores.circular is not None and scores.circular.questions:
        circular = scores.circular.all_rotations
        rows.append(("right in all rotations", circular.text, "", f"{circular.n:,}"))
    if scores.chance.n:
        chance = f"{scores.chance.value:.1%}"
        rows.append(("chance, of choice questions", chance, "", f"{scores.chance.n:,}"))
        rows.append(("lenient, of choice questions", scores.choices.text, "", ""))
    for name, figure in (
        ("overlap", scores.overlap),
        ("format failures", scores.format_failures),
        ("refusals", scores.refusals),
    ):
        if figure.n:
            rows.append((name, "", figure.text, f"{figure.n:,}"))
    errors = sum(scores.errors.values())
    rows.append(("could not be asked", f"{errors:,}", "", f"{scores.questions:,}"))
    if scores.without_truth:
        rows.append(
            ("no answer is known", f"{scores.without_truth:,}", "", f"{scores.questions:,}")
        )
    if scores.not_judged:
        rows.append(("the judge did not say", f"{scores.not_judged:,}", "", ""))
    hint = (
        f"{scores.questions:,} questions about {scores.videos:,} videos. Rows that could not be "
        "asked count as wrong in the first column and are left out of the second."
    )
    return ScoreTable("Scores", ("", "all rows", "answered rows", "rows"), tuple(rows), hint)


def _column(name: str, column: ScoreColumn) -> tuple[str, ...]:
    return name, column.all_rows.text, column.answered.text, f"{column.all_rows.n:,}"


def _groups(title: str, groups: Sequence[GroupScores]) -> ScoreTable:
    has_judge = any(group.judged.n for group in groups)
    header = ("", "rows", "failed", "strict", "lenient", *(["judge"] if has_judge else []))
    rows = tuple(
        (
            group.name or "-",
            f"{group.rows:,}",
            f"{group.errors:,}",
            group.strict.text,
            group.lenient.text,
            *([group.judged.text] if has_judge else []),
            _number(group.overlap),
            group.format_failures.text,
        )
        for group in groups
    )
    return ScoreTable(title, (*header, "overlap", "format failures"), rows)


def _circular(scores: ProblemScores) -> list[ScoreTable]:
    circular = scores.circular
    assert circular is not None
    reasons = "; ".join(f"{n:,} not: {why}" for why, n in circular.not_rotated.items())
    hint = f"{circular.questions:,} choice questions asked in every rotation of their options"
    tables = [
        ScoreTable(
            "Circular evaluation",
            ("", "right"),
            (
                ("as the row stands", circular.first_rotation.text),
                ("in all rotations", circular.all_rotations.text),
            ),
            f"{hint}. {reasons}".strip(),
        )
    ]
    if circular.positions:
        rows = tuple(
            (p.letter, p.picked.text, f"{p.true.value:.1%}", p.right.text)
            for p in circular.positions
        )
        header = ("letter", "picked", "right option there", "accuracy there")
        tables.append(ScoreTable("Position bias", header, rows, "Over all rotations."))
    return tables


def _difference_table(title: str, differences: Sequence[PairedDifference]) -> ScoreTable:
    header = ("", "difference", "p, whole videos", "p, McNemar", "questions")
    return ScoreTable(title, header, tuple(_difference_cells(d) for d in differences))


def _difference_cells(difference: PairedDifference) -> tuple[str, ...]:
    n = difference.difference.n
    if not n:
        return difference.name, "not applicable", "-", "-", "0"
    return (
        difference.name,
        difference.difference.points,
        f"{difference.permutation_p:.2g}",
        f"{difference.mcnemar_p:.2g}",
        f"{n:,}",
    )


def _information_gain(audit: KnowledgeAudit) -> ScoreTable:
    header = ("", "nats")
    gain = audit.information_gain
    title = "Information gain of the video"
    if gain is None:
        reason = "not applicable: the model does not tell how likely it finds a given text"
        return ScoreTable(title, header, (("mean", reason),))
    interval = gain.mean
    band = "" if math.isnan(interval.low) else f" ({interval.low:+.2f} to {interval.high:+.2f})"
    rows = (
        ("mean", f"{interval.value:+.2f}{band}"),
        ("quartiles", ", ".join(f"{value:+.2f}" for value in gain.quartiles)),
        ("questions whose answer it makes likelier", gain.positive.text),
        ("questions", f"{interval.n:,}"),
    )
    hint = "log p(right answer | video, question) less log p(right answer | question)."
    return ScoreTable(title, header, rows, hint)


def _number(figure: ClusteredFigure) -> str:
    if not figure.n:
        return "-"
    if math.isnan(figure.low):
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
