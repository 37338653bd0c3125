"""What is said of a shot, of a line of speech and of an event, in each language.

Pure functions of texts and of a script's records.
"""

from __future__ import annotations

from mmreason.natural.records import Event, Shot, SpeechLine
from mmreason.natural.texts import Genre, Language, read_shared_texts, say

DETAILS = ("colour", "place", "tally", "reason", "sign", "visitor", "label", "theme")
"""Names of the sentences that may follow that of the event."""


def say_event(genre: Genre, event: Event, language: Language, *, subordinate: bool = False) -> str:
    """Who does what, as a sentence without its full stop, or as a clause after a conjunction."""
    shared = read_shared_texts()
    form = shared.subordinate if subordinate else shared.event
    return say(form, language).format(
        actor=say(genre.people[event.person], language),
        verb=say(genre.verbs[event.verb], language),
        object=say(genre.objects[event.object], language),
    )


def say_shot(genre: Genre, shot: Shot, language: Language) -> dict[str, str]:
    """The sentences that describe a shot, by name: "event" first, then what there is of
    `DETAILS`."""
    shared = read_shared_texts()
    values: dict[str, dict[str, str]] = {
        "event": {"event": say_event(genre, shot.event, language)},
        "colour": {
            "garment": say(genre.garment, language),
            "colour": say(shared.colours[shot.colour], language),
        },
        "place": {"place": say(genre.places[shot.place], language)},
        "tally": {"count": str(shot.tally), "things": say(genre.things[shot.thing], language)},
        "reason": {"reason": say(shared.reasons[shot.reason], language)},
    }
    if shot.sign is not None:
        values["sign"] = {"sign": shot.sign}
    if shot.doing is not None:
        values["visitor"] = {
            "visitor": say(genre.visitor, language),
            "doing": say(genre.doings[shot.doing], language),
        }
    if shot.label is not None:
        topic, number = shot.label
        values["label"] = {"topic": say(genre.topics[topic], language), "number": str(number)}
    if shot.theme is not None:
        values["theme"] = {"theme": say(genre.themes[shot.theme], language)}
    return {
        name: capitalise(say(shared.sentences[name], language).format(**slots))
        for name, slots in values.items()
    }


def say_speech(genre: Genre, line: SpeechLine, language: Language) -> str:
    """What is spoken."""
    shared = read_shared_texts()
    if line.kind == "chatter":
        return say(shared.chatter[line.topic], language)
    city = say(shared.cities[line.number], language) if line.kind == "origin" else ""
    return say(shared.speech[line.kind], language).format(
        topic=say(genre.topics[line.topic], language), number=line.number, city=city
    )


def capitalise(sentence: str) -> str:
    """With a capital letter at its start.

    Example:
        >>> capitalise("die Schürze ist rot.")
        'Die Schürze ist rot.'
    """
    return sentence[:1].upper() + sentence[1:]
