"""Questions in plain language that went wrong by word matching, each with its right outcome.

The observer is perfect: what is wrong is the policy's doing.
"""

from __future__ import annotations

import pytest

from mmreason.memory.store import Store
from mmreason.models.scripted import ScriptedModel
from mmreason.reasoner import Reasoner
from tests.policies.conftest import PerfectObserver, PlainQuestion, plain_video

QUESTIONS = {
    "premise of a summary": PlainQuestion(
        "What is the video mainly about?", "an evening in a restaurant", (0, 10, 15)
    ),
    "premise with a clause": PlainQuestion(
        "What does the chef do when the water boils?", "he adds salt", (1,)
    ),
    "premise of a sign": PlainQuestion(
        "What does the sign above the door say?", "Open Daily", (4,)
    ),
    "premise of weather": PlainQuestion("What is the weather like in the video?", "rainy", (13,)),
    "premise of clothes": PlainQuestion("What is the man wearing?", "a red cap", (3,)),
    "premise of an order": PlainQuestion(
        "What is the first thing the man does after entering?", "he stirs", (3,)
    ),
    "premise of a tool": PlainQuestion("Which utensil does the man use to stir?", "a whisk", (3,)),
    "premise of a name": PlainQuestion(
        "What is the name of the team in the white jersey?", "the Lions", (11,)
    ),
    "how often": PlainQuestion("How often does the chef taste the broth?", "once", (12,)),
    "how many people": PlainQuestion("How many people appear in the video?", "seven", (2, 3)),
    "how many in total": PlainQuestion(
        "How many eggs does the woman crack in total?", "none", (2,), ("none", "two", "three")
    ),
    "last dish": PlainQuestion(
        "Which dish is shown last?", "pasta", (14,), ("pasta", "a chocolate cake")
    ),
    "count of children": PlainQuestion(
        "How many children are on the beach?", "two", (5,), ("one", "two", "five")
    ),
    "context of an age": PlainQuestion(
        "How old was Mozart when he wrote his first opera?", "eleven", (6,)
    ),
    "context of an event": PlainQuestion(
        "What happens when the woman enters the kitchen?", "she waves", (2,)
    ),
    "context of a colour": PlainQuestion(
        "What is the colour of the woman's dress when she first appears in the video?",
        "green",
        (2,),
    ),
    "context of a reason": PlainQuestion("Why was he sad when she left?", "it rained", (13,)),
    "no order": PlainQuestion("What is the first, and most important, rule?", "open daily", (4,)),
    "order with a clause": PlainQuestion(
        "Which comes first, the scene where Anna, the nurse, cries, or the wedding?",
        "the wedding",
        (9,),
    ),
    "order of goals": PlainQuestion(
        "Which team scored first in the second half, Arsenal or Chelsea?", "Arsenal", (11,)
    ),
    "yes or no that stays no": PlainQuestion("Is the door closed?", "No, it is open.", (4,)),
    "another word": PlainQuestion("What colour is the automobile?", "red", (7,)),
    "another word for children": PlainQuestion(
        "Where do the kids play?", "on a beach", (5,), ("on a beach", "at the piano")
    ),
    "another place on the body": PlainQuestion(
        "What is the man wearing on his head?", "a red cap", (3,), ("a red cap", "a watch")
    ),
    "Chinese": PlainQuestion("厨师在水烧开后做了什么", "他加了盐", (1,)),
    "German": PlainQuestion("Was macht der Koch, wenn das Wasser kocht?", "er salzt es", (1,)),
    "total of goals": PlainQuestion(
        "What is the total number of goals scored?", "one", (11,), ("one", "two")
    ),
    "imperative": PlainQuestion("Count the plates.", "three", (14,)),
    "which is true": PlainQuestion(
        "Which is true of the video?", "a dog sleeps", (8,), ("a dog sleeps", "a cat sleeps")
    ),
    "in which order": PlainQuestion(
        "In which order are the car and the dog shown?",
        "car, dog",
        (7, 8),
        ("car, dog", "dog, car"),
        needs_all=True,
    ),
}
VIDEO = plain_video()


@pytest.fixture(scope="module")
def store():
    """Shared, so that the video is scanned once."""
    return Store.in_memory()


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_perfect_observer_is_asked_what_the_user_asked_and_believed(name, store):
    question = QUESTIONS[name]
    observer = PerfectObserver(VIDEO, (question,))
    reasoner = Reasoner(ScriptedModel(observer, tier="small"), store=store)
    answer = reasoner.ask(
        VIDEO, question.text, options=list(question.options) or None, subtitles=None
    )
    assert answer.text.casefold().strip(". ") == question.answer.casefold().strip(". ")
    assert answer.evidence[0].check.agreed is True
    gold = [(30.0 * shot, 30.0 * (shot + 1)) for shot in question.shots]
    span = answer.evidence[0].span
    assert any(span.start_s < end_s and start_s < span.end_s for start_s, end_s in gold)
    # Whoever looks is asked the whole question, with all of its options, each once.
    looks = [text for text, _ in observer.asked if text != "Describe the clip."]
    assert looks and all(question.text in text for text in looks)
    for option in question.options:
        assert all(sum(line[3:] == option for line in text.split("\n")) == 1 for text in looks)
    assert answer.cost.frames <= 128


@pytest.mark.parametrize("name", ["another word", "another place on the body", "Chinese"])
def test_an_index_that_holds_none_of_the_words_loses_no_answer(name):
    question = QUESTIONS[name]
    observer = PerfectObserver(VIDEO, (question,))
    reasoner = Reasoner(ScriptedModel(observer, tier="small"))
    for _ in reasoner.index(VIDEO, subtitles=None):
        pass
    answer = reasoner.ask(
        VIDEO, question.text, options=list(question.options) or None, subtitles=None
    )
    assert answer.text == question.answer


def test_nothing_shown_is_no_answer_in_any_language():
    question = PlainQuestion("Welche Farbe hat das Flugzeug?", "blau", ())
    observer = PerfectObserver(VIDEO, (question,))
    answer = Reasoner(ScriptedModel(observer, tier="small")).ask(
        VIDEO, question.text, subtitles=None
    )
    assert not answer.answered and answer.evidence == ()
