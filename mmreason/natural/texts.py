"""The words of the natural benchmark: what each genre shows, and the sentences and questions that
all of them share, every text in four languages.

The texts lie in `texts/` as JSON. A text is a tuple, one entry for each of `LANGUAGES`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from mmreason.types import UsageError

Language = Literal["en", "de", "zh", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES: Mapping[Language, str] = {
    "en": "English",
    "de": "German",
    "zh": "Chinese",
    "es": "Spanish",
}
GENRES = (
    "cooking",
    "lecture",
    "match",
    "surveillance",
    "vlog",
    "news",
    "assembly",
    "nature",
)
Text = tuple[str, ...]
"""The same text in each of `LANGUAGES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """What videos of one kind can show.

    Example:
        >>> cooking = read_genre("cooking")
        >>> say(cooking.garment, "de"), len(cooking.people)
        ('die Schürze', 5)
    """

    name: str
    themes: tuple[Text, ...]
    people: tuple[Text, ...]
    """Who acts: subjects of a sentence."""
    verbs: tuple[Text, ...]
    objects: tuple[Text, ...]
    places: tuple[Text, ...]
    garment: Text
    """What everybody wears, in a colour of its own in each shot."""
    things: tuple[Text, ...]
    """What can be counted, in the plural."""
    visitor: Text
    """Who comes back in the background of several shots."""
    doings: tuple[Text, ...]
    """What the visitor does, each once a video."""
    topics: tuple[Text, ...]
    """What is spoken of, or bears a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTexts:
    """What does not depend on the genre.

    Example:
        >>> say(read_shared_texts().colours[0], "zh")
        '红色'
    """

    event: Text
    subordinate: Text
    """The event as a clause after a conjunction."""
    sentences: Mapping[str, Text]
    speech: Mapping[str, Text]
    chatter: tuple[Text, ...]
    fillers: tuple[Text, ...]
    colours: tuple[Text, ...]
    cities: tuple[Text, ...]
    reasons: tuple[Text, ...]
    same_number: Text
    not_shown: Text
    verbose: Text
    """An answer with much around it."""
    refusal: Text
    questions: Mapping[str, tuple[Text, ...]]
    """Ways to ask, by family."""


@cache
def read_genre(name: str) -> Genre:
    """The texts of a genre. Raises UsageError for a name that is none."""
    if name not in GENRES:
        raise UsageError(f"{name!r} is no genre; genres are {', '.join(GENRES)}")
    return Genre(name=name, **_read_texts(f"genres/{name}.json"))


@cache
def read_shared_texts() -> SharedTexts:
    """What all genres share."""
    return SharedTexts(**_read_texts("shared.json"))


def say(text: Text, language: Language) -> str:
    """A text in one language.

    Example:
        >>> say(("red", "rot", "红色", "rojo"), "es")
        'rojo'
    """
    return text[LANGUAGES.index(language)]


def checked_languages(names: tuple[str, ...]) -> tuple[Language, ...]:
    """The languages of these codes, without repeats. Raises UsageError for one that is none.

    Example:
        >>> checked_languages(("de", "en", "de"))
        ('de', 'en')
    """
    for name in names:
        if name not in LANGUAGES:
            raise UsageError(f"{name!r} is no language here; there are {', '.join(LANGUAGES)}")
    return tuple(language for language in dict.fromkeys(names) if language in LANGUAGES)


def _read_texts(name: str) -> dict[str, Any]:
    file = resources.files("mmreason.natural").joinpath(f"texts/{name}")
    return {key: _to_tuples(value) for key, value in json.loads(file.read_text("utf-8")).items()}


def _to_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_tuples(entry) for key, entry in value.items()}
    # Tuples, as the cached texts are shared: nobody can change them.
    return tuple(_to_tuples(entry) for entry in value) if isinstance(value, list) else value
