"""Made videos with speech, slides and photographs, of which everything is known.

A narration is a script (`make_narration`), spoken by espeak-ng and drawn (`render_narration`); what
is said, written and shown, and when, is its truth, and `make_questions` asks about it.

Example:
    >>> narration = make_narration(3)
    >>> truth = render_narration(narration, "talk.mp4")  # doctest: +SKIP
    >>> questions = make_questions(narration, truth)  # doctest: +SKIP
"""

from mmreason.narration.maker import list_photographs, make_narration, make_narrations
from mmreason.narration.questions import PlantedQuestion, make_questions
from mmreason.narration.render import (
    NarrationTruth,
    ShownLabel,
    ShownLine,
    describe_narration,
    draw_frame,
    render_narration,
)
from mmreason.narration.script import (
    Fact,
    NarratedScene,
    Narration,
    PannedPhotograph,
    Slide,
    SlideLine,
)
from mmreason.narration.speech import (
    VOICES,
    NarrationError,
    Speech,
    SpokenWord,
    speak_text,
)
from mmreason.narration.track import SpokenSentence, SpokenTrack, speak_narration

__all__ = [
    "VOICES",
    "Fact",
    "NarratedScene",
    "Narration",
    "NarrationError",
    "NarrationTruth",
    "PannedPhotograph",
    "PlantedQuestion",
    "ShownLabel",
    "ShownLine",
    "Slide",
    "SlideLine",
    "Speech",
    "SpokenSentence",
    "SpokenTrack",
    "SpokenWord",
    "describe_narration",
    "draw_frame",
    "list_photographs",
    "make_narration",
    "make_narrations",
    "make_questions",
    "render_narration",
    "speak_narration",
    "speak_text",
]
