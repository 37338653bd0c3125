"""Which right answers stand in the text that a model was trained on, and how often.

After NanoKnow (arXiv 2602.20122), in three stages: the likeliest documents by BM25, those of them
that hold a right answer as whole words, and of these the ones that speak of what is asked. Unlike
its code, an answer has word borders, and an empty one is in no document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmreason.language.text import STOP_WORDS, stem_word
from mmreason.training.evaluation.training_text import TextIndex, split_tokens

MOST_DOCUMENTS = 100
"""That are looked at for one question."""
WINDOW_WORDS = 100
"""Before and behind an answer, in which the question's words are looked for."""
LEAST_SHARED = 0.5
"""Of the question's content words that must stand near the answer."""
BUCKETS: tuple[tuple[str, int, int | None], ...] = (
    ("unsupported", 0, 0),
    ("1-5", 1, 5),
    ("6-20", 6, 20),
    ("21-50", 21, 50),
    ("51+", 51, None),
)
"""(name, least, most documents)."""
_BARE = frozenset(("yes", "no", "true", "false", "none"))


@dataclass(frozen=True, slots=True)
class AnswerSupport:
    """How often a right answer stands in a training text.

    Example:
        >>> AnswerSupport(documents=7).bucket
        '6-20'
    """

    documents: int
    """That hold it and speak of what is asked."""

    @property
    def is_supported(self) -> bool:
        return self.documents > 0

    @property
    def bucket(self) -> str:
        """Of `BUCKETS`."""
        return next(
            name
            for name, least, most in BUCKETS
            if least <= self.documents and (most is None or self.documents <= most)
        )


Verifier = Callable[[str, str, Sequence[str]], bool]
"""From (question, answer, words round the answer) to whether they support it."""


def speaks_of_question(question: str, answer: str, window: Sequence[str]) -> bool:
    """Whether at least half of the question's content words stand near the answer; of a question
    without any other words than the answer's, always.

    Example:
        >>> question = "What colour is the kettle in the kitchen?"
        >>> speaks_of_question(question, "red", split_tokens("a red kettle in a kitchen"))
        True
        >>> speaks_of_question(question, "red", split_tokens("the red army marched"))
        False
    """
    answer_stems = {stem_word(word) for word in split_tokens(answer)}
    wanted = {stem_word(word) for word in split_tokens(question) if word not in STOP_WORDS}
    wanted -= answer_stems
    near = {stem_word(word) for word in window}
    return not wanted or len(wanted & near) >= LEAST_SHARED * len(wanted)


def project_answers(
    questions: Mapping[str, tuple[str, Sequence[str]]],
    index: TextIndex,
    *,
    verifier: Verifier = speaks_of_question,
) -> dict[str, AnswerSupport]:
    """For each (question, right answers) by id how often they stand in the text. Questions whose
    answer is a bare yes or no, or has no word, are left out: such a word stands everywhere.

    Example:
        >>> index = TextIndex(["the kettle in the kitchen is red", "it was built in 2010"])
        >>> questions = {"1": ("Which colour has the kettle?", ["red"]), "2": ("How many?", ["10"])}
        >>> [support.documents for support in project_answers(questions, index).values()]
        [1, 0]
    """
    supports: dict[str, AnswerSupport] = {}
    for name, (question, answers) in questions.items():
        worded = [answer for answer in answers if _is_worded(answer)]
        if not worded:
            continue
        # The answer is part of the query: what is asked for is where both are.
        numbers = index.search(" ".join([question, *worded]), MOST_DOCUMENTS)
        count = sum(_supports(index.tokens[n], question, worded, verifier) for n in numbers)
        supports[name] = AnswerSupport(count)
    return supports


def find_answer(answer: str, tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where an answer stands in words of a text, as (start, end); nowhere for an empty one.

    Example:
        >>> list(find_answer("10", split_tokens("in 2010 there were 10")))
        [(4, 5)]
        >>> list(find_answer("", ["red"]))
        []
    """
    words = split_tokens(answer)
    if not words:
        return
    for start in range(len(tokens) - len(words) + 1):
        if tokens[start : start + len(words)] == words:
            yield start, start + len(words)


def _is_worded(answer: str) -> bool:
    words = split_tokens(answer)
    return bool(words) and not (len(words) == 1 and words[0] in _BARE)


def _supports(
    tokens: Sequence[str], question: str, answers: Sequence[str], verifier: Verifier
) -> bool:
    for answer in answers:
        for start, end in find_answer(answer, tokens):
            window = tokens[max(0, start - WINDOW_WORDS) : end + WINDOW_WORDS]
            if verifier(question, answer, window):
                return True
    return False
