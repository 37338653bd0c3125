"""Questions about a narration whose answers are known: in other words than it tells, and such that
it does not answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from mmreason.narration.maker import FactFamily, read_narration_texts
from mmreason.narration.render import NarrationTruth
from mmreason.narration.script import Channel, Fact, Narration, Slide
from mmreason.video.types import Span

QuestionKind = Literal["answerable", "near_miss", "off_topic", "gibberish", "absent_label"]
_SYLLABLES = ("ba", "dro", "fli", "gu", "kex", "lor", "mip", "nuz", "plo", "qua", "ske", "vun")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedQuestion:
    """A question and all that a right answer holds.

    `kind` "answerable" has a `channel`, the `spans` that show or say it, the `answer` and other
    forms of it (`accepted`), the `quote` that tells it, and four `options`. All other kinds have
    no answer in the video: "near_miss" asks what it tells of something else, "off_topic" and
    "absent_label" what it never mentions, "gibberish" nothing.

    Example:
        >>> PlantedQuestion(text="Ba kex?", kind="gibberish").answer is None
        True
    """

    text: str
    kind: QuestionKind
    channel: Channel | None = None
    spans: tuple[Span, ...] = ()
    answer: str | None = None
    accepted: tuple[str, ...] = ()
    quote: str | None = None
    options: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "text": self.text,
            "kind": self.kind,
            "channel": self.channel,
            "spans": [span.to_list() for span in self.spans],
            "answer": self.answer,
            "accepted": list(self.accepted),
            "quote": self.quote,
            "options": list(self.options),
        }


def make_questions(
    narration: Narration, truth: NarrationTruth, *, seed: int | None = None
) -> tuple[PlantedQuestion, ...]:
    """One question about each fact, then one each that the video does not answer: a near miss, an
    off-topic one, gibberish, and a thing that no photograph shows.

    `seed` (default: the narration's) chooses among phrasings.
    """
    rng = random.Random(f"questions {narration.seed if seed is None else seed}")
    questions = []
    for number, scene in enumerate(narration.scenes):
        for fact in scene.facts:
            if fact.channel == "label":
                questions.append(_ask_label(rng, fact, truth))
                continue
            if fact.channel == "speech" and scene.fact_sentence is not None:
                sentences = [s for s in truth.sentences if s.scene == number]
                sentence = sentences[scene.fact_sentence]
                quote, span = sentence.text, sentence.span
            else:
                assert isinstance(scene.ground, Slide) and scene.fact_line is not None
                lines = [line for line in truth.lines if line.scene == number]
                quote, span = lines[scene.fact_line].text, lines[scene.fact_line].span
            questions.append(_ask_fact(rng, fact, quote, span))
    return (*questions, *_ask_absent(rng, narration))


def _ask_fact(rng: random.Random, fact: Fact, quote: str, span: Span) -> PlantedQuestion:
    family = _find_family(fact.family)
    position = 0 if fact.channel == "speech" else -1
    rivals = [value[position] for value in family.values if value[position] != fact.value]
    options = [fact.value, *rng.sample(rivals, 3)]
    rng.shuffle(options)
    return PlantedQuestion(
        text=rng.choice(family.questions).format(subject=fact.subject),
        kind="answerable",
        channel=fact.channel,
        spans=(span,),
        answer=fact.value,
        accepted=fact.accepted,
        quote=quote,
        options=tuple(options),
    )


def _ask_label(rng: random.Random, fact: Fact, truth: NarrationTruth) -> PlantedQuestion:
    spans = tuple(label.span for label in truth.labels if label.name == fact.value)
    return PlantedQuestion(
        text=rng.choice(read_narration_texts().label_questions).format(label=fact.value),
        kind="answerable",
        channel="label",
        spans=spans,
        answer=fact.value,
        quote=fact.value,
    )


def _ask_absent(rng: random.Random, narration: Narration) -> tuple[PlantedQuestion, ...]:
    texts = read_narration_texts()
    told = rng.choice([fact for fact in narration.facts if fact.channel != "label"])
    family = _find_family(told.family)
    subjects = {fact.subject for fact in narration.facts}
    stranger = rng.choice([subject for subject in family.subjects if subject not in subjects])
    shown = {fact.value for fact in narration.facts if fact.channel == "label"}
    label = rng.choice([label for label in texts.absent_labels if label not in shown])
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))) for _ in range(4)]
    return (
        PlantedQuestion(
            text=rng.choice(family.questions).format(subject=stranger), kind="near_miss"
        ),
        PlantedQuestion(text=rng.choice(texts.off_topic), kind="off_topic"),
        PlantedQuestion(text=" ".join(words).capitalize() + "?", kind="gibberish"),
        PlantedQuestion(
            text=rng.choice(texts.label_questions).format(label=label), kind="absent_label"
        ),
    )


def _find_family(name: str) -> FactFamily:
    return next(family for family in read_narration_texts().families if family.name == name)
