"""What can be done where the senses found no answer: what is nearest, what is missing, who sees
more. Sentences that are true of this very question."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mmreason.agent.record_answer import RecordAnswer
from mmreason.language.fact_questions import FactQuestion, Sense
from mmreason.language.text import split_words
from mmreason.video.labels.words import explain_gap
from mmreason.video.plain_text import show_line

QUOTED_CHARACTERS = 160
_FOUND = {"speech": "said", "screen": "on the screen", "labels": "recognised"}


def why_unanswered(
    fact: FactQuestion,
    answer: RecordAnswer,
    missing: Mapping[Sense, str],
    without: Collection[str],
) -> tuple[str, ...]:
    """The most telling first."""
    steps = [
        f"Nearest, and no answer: {passage.span} {_FOUND[passage.sense]}: "
        f'"{show_line(passage.text)[:QUOTED_CHARACTERS]}"'
        for passage in answer.nearest
    ]
    steps += [f"{_capitalise(why)}" for why in missing.values()]
    if "labels" in fact.senses:
        gaps = (explain_gap(word) for word in split_words(fact.query))
        steps += [f"{_capitalise(gap)}." for gap in dict.fromkeys(filter(None, gaps))]
    left_out = [sense for sense in ("speech", "screen", "labels") if sense in without]
    if left_out:
        steps.append(f"Leave out --without {left_out[0]}, where that may tell.")
    steps.append(
        "The records hold what was said, written and named, and not all that there is to see: a "
        "video model looks at the pictures themselves, --model NAME (a Hugging Face name, a folder "
        "or the URL of a server)."
    )
    return tuple(steps)


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
