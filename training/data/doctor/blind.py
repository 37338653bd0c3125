"""What rows give away without their files: how often programs that look at nothing are right.

Each baseline is scored on rows whose files it was not fitted on (folds by file). One that is far
above chance says that a model can learn the answers in place of looking.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmreason.training.data.doctor.bayes import WordCounts, list_words
from mmreason.training.data.doctor.duplicates import normal_answer, normal_text
from mmreason.training.data.doctor.findings import Finding, FindingKind
from mmreason.training.data.doctor.groups import FileGroups
from mmreason.training.data.sample import Sample, SourceLine

Guess = TypeVar("Guess")

FOLDS = 5
LEAST_ROWS = 20
"""Of a baseline that is worth telling."""
MOST_CLASSES = 10
"""Answers of open rows that are few enough to be guessed."""
PREFIX_WORDS = 3
CONFIDENCE = 0.999
"""Of intervals: several baselines are looked at, and none is to cry for nothing."""
LEAST_ABOVE_CHANCE = 0.05
"""By which the whole interval must lie above chance before it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindScore:
    """How often a program that looks at nothing is right.

    Example:
        >>> score = BlindScore(name="longest option", right=60, rows=100, chance=0.25)
        >>> score.share, score.is_above_chance
        (0.6, True)
    """

    JSON_PROPERTIES = ("share", "low", "high", "is_above_chance")

    name: str
    right: int
    rows: int
    chance: float
    """Share that guessing evenly among the answers gets."""

    @property
    def share(self) -> float:
        return self.right / self.rows

    @property
    def low(self) -> float:
        return binomial_interval(self.right, self.rows, CONFIDENCE)[0]

    @property
    def high(self) -> float:
        return binomial_interval(self.right, self.rows, CONFIDENCE)[1]

    @property
    def is_above_chance(self) -> bool:
        """Whether that is far more than chance."""
        return self.low > self.chance + LEAST_ABOVE_CHANCE

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.share:.1%} ({self.low:.1%} to {self.high:.1%}, chance "
            f"{self.chance:.1%}, n = {self.rows:,})"
        )


def score_blind(samples: Sequence[Sample], groups: FileGroups) -> tuple[BlindScore, ...]:
    """All baselines that the rows allow: of rows with options, and of rows with one of few answers.
    None where there are too few rows."""
    choices = [sample for sample in samples if sample.truth.choice is not None]
    # A row whose answer is long or seldom is no matter of guessing.
    others = [s for s in samples if s.truth.choice is None and normal_answer(s)]
    classes = {normal_answer(sample) for sample in others}
    scores: list[BlindScore] = []
    if len(choices) >= LEAST_ROWS:
        scores += _score_choices(choices, groups)
    if len(others) >= LEAST_ROWS and 2 <= len(classes) <= MOST_CLASSES:
        scores += _score_classes(others, groups, 1 / len(classes))
    return tuple(scores)


def find_blind(scores: Sequence[BlindScore], name: str) -> Iterator[Finding]:
    """Baselines that are far above chance."""
    for score in scores:
        if score.is_above_chance:
            yield Finding(FindingKind.BLIND_ANSWERS, SourceLine(name, 0), str(score))


def binomial_interval(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """The exact interval of a share (Clopper and Pearson 1934); (0, 1) where nothing was measured.

    Example:
        >>> low, high = binomial_interval(50, 100, 0.95)
        >>> round(low, 4), round(high, 4)
        (0.3983, 0.6017)
    """
    if not n:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    # The share at which so many hits or more (or less) would be as seldom as the tail.
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - _at_most(hits - 1, n, p) < tail)
    high = 1.0 if hits == n else _solve(lambda p: _at_most(hits, n, p) > tail)
    return low, high


def _solve(is_below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def _at_most(hits: int, n: int, p: float) -> float:
    """Probability of so many hits or fewer."""
    if p <= 0 or p >= 1:
        return float(p <= 0)
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(n + 1)
    logs = (
        whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q
        for k in range(hits + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def _score_choices(samples: Sequence[Sample], groups: FileGroups) -> list[BlindScore]:
    chance = sum(1 / len(sample.truth.options) for sample in samples) / len(samples)
    guessers = {
        "longest option": _guess_longest,
        "place of the right option": _guess_place,
        "most frequent answer": _guess_frequent,
        "most frequent answer by first words": _guess_by_prefix,
        "words of question and options (naive Bayes)": _guess_by_words,
    }
    return [
        BlindScore(
            name=name,
            right=sum(
                guess == sample.truth.choice
                for sample, guess in _cross_validate(samples, groups, guesser)
            ),
            rows=len(samples),
            chance=chance,
        )
        for name, guesser in guessers.items()
    ]


def _score_classes(
    samples: Sequence[Sample], groups: FileGroups, chance: float
) -> list[BlindScore]:
    guessers = {
        "most frequent answer, no options": _class_frequent,
        "most frequent answer by first words, no options": _class_by_prefix,
        "words of the question (naive Bayes), no options": _class_by_words,
    }
    return [
        BlindScore(
            name=name,
            right=sum(
                guess == normal_answer(sample)
                for sample, guess in _cross_validate(samples, groups, guesser)
            ),
            rows=len(samples),
            chance=chance,
        )
        for name, guesser in guessers.items()
    ]


def _cross_validate(
    samples: Sequence[Sample],
    groups: FileGroups,
    fit: Callable[[Sequence[Sample]], Callable[[Sample], Guess]],
) -> Iterator[tuple[Sample, Guess]]:
    """Each row with the guess of a program that was fitted on rows about other files."""
    by_fold: defaultdict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        media = sample.media
        name = groups.name(media[0].path) if media else str(sample.source)
        by_fold[zlib.crc32(name.encode(errors="surrogatepass")) % FOLDS].append(sample)
    for fold, held_out in by_fold.items():
        fitted_on = [s for other, rows in by_fold.items() if other != fold for s in rows]
        guess = fit(fitted_on)
        yield from ((sample, guess(sample)) for sample in held_out)


def _guess_longest(samples: Sequence[Sample]) -> Callable[[Sample], int]:
    return lambda sample: max(
        range(len(sample.truth.options)), key=lambda i: len(sample.truth.options[i])
    )


def _guess_place(samples: Sequence[Sample]) -> Callable[[Sample], int]:
    counts = Counter(sample.truth.choice for sample in samples)
    return lambda sample: max(range(len(sample.truth.options)), key=lambda i: counts[i])


def _guess_frequent(samples: Sequence[Sample]) -> Callable[[Sample], int]:
    counts = Counter(map(normal_answer, samples))
    return lambda sample: _best_option(sample, lambda text: counts[text])


def _guess_by_prefix(samples: Sequence[Sample]) -> Callable[[Sample], int]:
    counts = Counter((_prefix(sample), normal_answer(sample)) for sample in samples)
    return lambda sample: _best_option(sample, lambda text: counts[_prefix(sample), text])


def _guess_by_words(samples: Sequence[Sample]) -> Callable[[Sample], int]:
    """Whether an option is right, by its words and by them together with the question's."""
    counts = WordCounts()
    for sample in samples:
        for index in range(len(sample.truth.options)):
            counts.add(index == sample.truth.choice, _option_words(sample, index))
    return lambda sample: max(
        range(len(sample.truth.options)),
        key=lambda i: (
            counts.score(True, words := _option_words(sample, i)) - counts.score(False, words)
        ),
    )


def _class_frequent(samples: Sequence[Sample]) -> Callable[[Sample], str]:
    answer = Counter(map(normal_answer, samples)).most_common(1)[0][0] if samples else ""
    return lambda sample: answer


def _class_by_prefix(samples: Sequence[Sample]) -> Callable[[Sample], str]:
    by_prefix: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        by_prefix[_prefix(sample)][normal_answer(sample)] += 1
        by_prefix[""][normal_answer(sample)] += 1

    def guess(sample: Sample) -> str:
        counts = by_prefix.get(_prefix(sample)) or by_prefix[""]
        return counts.most_common(1)[0][0] if counts else ""

    return guess


def _class_by_words(samples: Sequence[Sample]) -> Callable[[Sample], str]:
    counts = WordCounts()
    for sample in samples:
        counts.add(normal_answer(sample), list_words(sample.question))
    classes = sorted({normal_answer(sample) for sample in samples})
    if not classes:
        return lambda sample: ""
    return lambda sample: max(
        classes, key=lambda answer: counts.score(answer, list_words(sample.question))
    )


def _best_option(sample: Sample, count: Callable[[str], int]) -> int:
    options = sample.truth.options
    return max(range(len(options)), key=lambda i: count(normal_text(options[i])))


def _option_words(sample: Sample, index: int) -> list[str]:
    words = list_words(sample.truth.options[index])
    question = list_words(sample.question)[:PREFIX_WORDS]
    pairs = [f"{asked} {word}" for asked in question for word in words]
    lengths = [len(option) for option in sample.truth.options]
    # What is left of writers' habits: how long an option is among the others.
    rank = sorted(lengths).index(lengths[index])
    return [*words, *pairs, f"rank {rank}", f"place {index}"]


def _prefix(sample: Sample) -> str:
    return " ".join(list_words(sample.question)[:PREFIX_WORDS])
