"""Items of the natural benchmark: a question with its answer, where the proof is, and what has to
be seen to give the answer honestly. JSON in and out.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mmreason.natural.texts import Language
from mmreason.video.types import Span

Rule = Literal["any", "all", "count", "first", "last", "most", "heard", "never"]
"""What has to be seen: any or all of the shots; each of them to count them; those of the options to
order them; a few to tell what the whole is about; a line of speech; nothing suffices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NaturalItem:
    """One question about one video, in one language.

    Example:
        >>> item = NaturalItem(
        ...     id="natural-news-600s-1-03-en", pair="natural-news-600s-1-03",
        ...     video="natural-news-600s-1", genre="news", language="en", duration_s=600.0, seed=1,
        ...     family="colour", question="What colour is the tie when the farmer sings?",
        ...     options=("red", "blue"), answer=0, answer_text="red",
        ...     gold_spans=(Span(61.0, 85.0),), rule="any", shots=(4,), fact="colour",
        ... )
        >>> NaturalItem.from_dict(item.to_dict()) == item
        True
    """

    id: str
    pair: str
    """The same in all languages."""
    video: str
    genre: str
    language: Language
    duration_s: float
    seed: int
    family: str
    question: str
    options: tuple[str, ...]
    """Empty for an open question."""
    answer: int | None
    """Index of the right option; None for an open question and where there is no answer."""
    answer_text: str
    """The right answer in words; empty where there is none."""
    gold_spans: tuple[Span, ...]
    """Shots that prove the answer; empty where there is none."""
    rule: Rule
    shots: tuple[int, ...]
    """Shots that `rule` is about; for an order, that of each option, -1 for one that has none."""
    fact: str
    """Name of the sentence of a shot that tells the answer; of speech the line itself."""

    @property
    def is_answerable(self) -> bool:
        """Whether the video holds an answer."""
        return bool(self.answer_text)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        spans = [span.to_list() for span in self.gold_spans]
        lists = {"options": list(self.options), "shots": list(self.shots), "gold_spans": spans}
        return asdict(self) | lists

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NaturalItem:
        """What `to_dict` gave. Raises TypeError, KeyError or ValueError for anything else."""
        values: dict[str, Any] = {
            **data,
            "options": tuple(data["options"]),
            "shots": tuple(data["shots"]),
            "gold_spans": tuple(Span(*map(float, pair)) for pair in data["gold_spans"]),
        }
        return cls(**values)


def says_answer(text: str, answer_text: str) -> bool:
    """Whether an open answer says what is right: its words in their order, a number as a number.

    Example:
        >>> says_answer("It is red.", "red"), says_answer("17 of them", "7")
        (True, False)
        >>> says_answer("围裙是红色的", "红色")
        True
    """
    spoken, right = (" ".join(re.findall(r"\w+", t.casefold())) for t in (text, answer_text))
    if not right:
        return False
    # Letters of languages that part words by blanks must not go on; others have no such borders.
    edge = r"(?<![a-z0-9à-ÿ]){}(?![a-z0-9à-ÿ])"
    return re.search(edge.format(re.escape(right)), spoken) is not None
