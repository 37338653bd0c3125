"""How the answers of a data set are spread: kinds, lengths, the commonest, the places of right
options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmreason.training.data.doctor.duplicates import normal_answer
from mmreason.training.data.doctor.findings import Finding, FindingKind
from mmreason.training.data.sample import Sample, SourceLine

MOST_COMMON = 10
LEAST_ROWS = 30
"""Of which a balance can be told."""
MOST_SHARE = 0.8
"""Of rows with one answer, above which they are told to be unbalanced."""


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """An answer and how many rows have it.

    Example:
        >>> AnswerCount("yes", 12).rows
        12
    """

    answer: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStats:
    """The answers of one data set."""

    kinds: dict[str, int]
    """Rows by what is known to be right: choice, number, span, box, tube, text, said (an answer of
    the assistant alone), none."""
    distinct: int
    commonest: tuple[AnswerCount, ...]
    longest: tuple[AnswerCount, ...]
    """The longest answers, with their lengths in words in place of rows."""
    right_options: dict[str, int]
    """Rows by the letter of the right option."""
    words: tuple[int, ...]
    """Of each answer, in the order of the rows."""


def kind_of_truth(sample: Sample) -> str:
    """What is known to be right of a row, in a word.

    Example:
        >>> from mmreason.training.data.sample import SampleMessage
        >>> from mmreason.training.rewards import Truth
        >>> asked = SampleMessage(role="user", parts=("How many?",))
        >>> kind_of_truth(Sample(id="1", messages=(asked,), truth=Truth(number=3)))
        'number'
    """
    truth = sample.truth
    kinds = (
        (truth.choice, "choice"),
        (truth.number, "number"),
        (truth.tube, "tube"),
        (truth.boxes, "box"),
        (truth.marks, "box"),
        (truth.spans, "span"),
        (truth.answer, "text"),
    )
    by_truth = next((kind for value, kind in kinds if value is not None), "")
    return by_truth or ("said" if sample.target.strip() else "none")


def count_answers(samples: Sequence[Sample]) -> AnswerStats:
    """The spread of the answers of some rows."""
    answers = [answer for sample in samples if (answer := normal_answer(sample))]
    counts = Counter(answers)
    by_length = sorted(counts, key=lambda answer: (-len(answer.split()), answer))
    letters = Counter(
        chr(ord("A") + sample.truth.choice) for sample in samples if sample.truth.choice is not None
    )
    return AnswerStats(
        kinds=dict(Counter(map(kind_of_truth, samples)).most_common()),
        distinct=len(counts),
        commonest=tuple(AnswerCount(*pair) for pair in counts.most_common(MOST_COMMON)),
        longest=tuple(AnswerCount(text, len(text.split())) for text in by_length[:3]),
        right_options=dict(sorted(letters.items())),
        words=tuple(len(answer.split()) for answer in answers),
    )


def find_unbalanced(samples: Sequence[Sample], name: str) -> Iterator[Finding]:
    """Whether one answer is nearly all that a data set says, of rows without options. Places of
    right options are told by the blind baselines."""
    answers = [normal_answer(s) for s in samples if s.truth.choice is None]
    answers = [answer for answer in answers if answer]
    if len(answers) < LEAST_ROWS:
        return
    answer, count = Counter(answers).most_common(1)[0]
    if count > MOST_SHARE * len(answers):
        from mmreason.report.text import shorten_text

        reason = f"{count:,} of {len(answers):,} answers are {shorten_text(answer, 60)!r}"
        yield Finding(FindingKind.UNBALANCED, SourceLine(name, 0), reason)
