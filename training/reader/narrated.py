"""Narrations (`mmreason.narration`) as notes: other words, facts and questions than those that the
reader is taught with. Times are those of a voice at the narration's pace; nothing is spoken."""

from __future__ import annotations

import numpy as np

from mmreason.narration.maker import make_narration
from mmreason.narration.questions import make_questions
from mmreason.narration.render import describe_narration
from mmreason.narration.script import Narration
from mmreason.narration.track import LEAST_SCENE_S, SpokenSentence, SpokenTrack
from mmreason.training.reader.notes import Note, NoteQuestion, NotesWorld
from mmreason.video.types import Span

_PAUSE_S = 0.4
_KINDS = {"answerable": "told", "near_miss": "near-miss", "off_topic": "absent"}


def make_narrated_world(seed: int) -> NotesWorld:
    """The sentences and screen lines of the narration of `seed` by time, with its questions about
    what is said and written, and with such as it does not answer.

    Example:
        >>> world = make_narrated_world(3)
        >>> [question.family for question in world.questions[-2:]]
        ['near-miss', 'absent']
    """
    narration = make_narration(seed)
    truth = describe_narration(narration, _pace(narration))
    lines = [(s.span, s.text) for s in truth.sentences]
    lines += [(line.span, line.text) for line in truth.lines]
    notes = tuple(Note(span, text) for span, text in sorted(lines))
    questions: list[NoteQuestion] = []
    for question in make_questions(narration, truth):
        if question.kind not in _KINDS or question.channel == "label":
            continue
        proofs = tuple(i for i, note in enumerate(notes) if note.text == question.quote)
        questions.append(
            NoteQuestion(
                text=question.text,
                family=_KINDS[question.kind],
                answer=question.answer or "",
                notes=proofs[:1],
            )
        )
    return NotesWorld(f"narrated-{seed}", notes, tuple(questions))


def _pace(narration: Narration) -> SpokenTrack:
    sentences: list[SpokenSentence] = []
    scenes: list[Span] = []
    time_s = 0.0
    for number, scene in enumerate(narration.scenes):
        start_s = time_s
        for text in scene.sentences:
            length_s = len(text.split()) * 60 / narration.words_per_minute
            span = Span(time_s + _PAUSE_S, time_s + _PAUSE_S + length_s)
            sentences.append(SpokenSentence(text, span, number, ()))
            time_s = span.end_s
        time_s = max(time_s + _PAUSE_S, start_s + LEAST_SCENE_S)
        scenes.append(Span(start_s, time_s))
    return SpokenTrack(np.zeros(0, np.float32), 16_000, tuple(sentences), tuple(scenes))
