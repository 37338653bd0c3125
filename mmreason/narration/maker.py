"""Makes narrations from a seed: facts of many families, each told through one channel only."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from mmreason.narration.script import (
    Fact,
    NarratedScene,
    Narration,
    PannedPhotograph,
    Slide,
    SlideLine,
)
from mmreason.narration.speech import NarrationError

PICTURE_KINDS = (".jpg", ".jpeg", ".png", ".webp")
_COLOURS = (
    ((255, 255, 255), (20, 20, 20)),
    ((250, 244, 226), (50, 30, 20)),
    ((24, 34, 54), (240, 240, 240)),
    ((226, 236, 246), (10, 30, 80)),
    ((20, 20, 20), (250, 220, 120)),
)
"""(ground, letters) of slides."""
_MOST_FACTS = 8
"""Of one narration, all of other families: six scenes, one of which tells two."""
_HEIGHTS_PX = (20, 22, 24, 26, 28)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactFamily:
    """One kind of fact: what it can be about, its values, and how it is said, written and asked.

    A value is (as spoken, *other forms); a form in digits is what slides show.
    """

    name: str
    subjects: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    spoken: tuple[str, ...]
    written: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrationTexts:
    """All words of made narrations, as they lie in `texts/facts.json`."""

    families: tuple[FactFamily, ...]
    titles: tuple[str, ...]
    fillers: tuple[str, ...]
    slide_fillers: tuple[str, ...]
    label_questions: tuple[str, ...]
    off_topic: tuple[str, ...]
    absent_labels: tuple[str, ...]


@cache
def read_narration_texts() -> NarrationTexts:
    """The packaged texts, read once."""
    path = resources.files("mmreason.narration") / "texts" / "facts.json"
    texts = json.loads(path.read_text(encoding="utf-8"))
    families = tuple(
        FactFamily(
            name=family["name"],
            subjects=tuple(family["subjects"]),
            values=tuple(tuple(value.split("|")) for value in family["values"]),
            spoken=tuple(family["spoken"]),
            written=tuple(family["written"]),
            questions=tuple(family["questions"]),
        )
        for family in texts.pop("families")
    )
    return NarrationTexts(
        families=families, **{name: tuple(lines) for name, lines in texts.items()}
    )


def list_photographs(folder: Path | None = None) -> tuple[Path, ...]:
    """Pictures of `folder` (default: those that ship with mmreason) in the order of their names.

    The name says what a picture shows: `cat.jpg`, `red_fox_2.png`. NarrationError where the folder
    has none.
    """
    if folder is None:
        folder = Path(str(resources.files("mmreason.narration"))) / "pictures"
    paths = folder.iterdir() if folder.is_dir() else ()
    pictures = sorted(path for path in paths if path.suffix.lower() in PICTURE_KINDS)
    if not pictures:
        raise NarrationError(f"{folder}: no picture ({', '.join(PICTURE_KINDS)}) in this folder")
    return tuple(pictures)


def name_label(path: Path) -> str:
    """What the file's name says a picture shows.

    Example:
        >>> name_label(Path("red_fox_2.png"))
        'red fox'
    """
    return path.stem.replace("_", " ").rstrip("0123456789 ").lower()


def make_narration(seed: int, *, pictures: Path | None = None) -> Narration:
    """The narration of `seed`: the same seed and pictures always give the same one.

    Each has at least one fact that is only spoken, one that is only written on a slide, and one
    photograph; no two facts of a narration are of one family. `pictures` is a folder of
    photographs named by what they show.

    Example:
        >>> narration = make_narration(3)
        >>> 3 <= len(narration.scenes) <= 6, make_narration(3) == narration
        (True, True)
    """
    rng = random.Random(f"narration {seed}")
    return _make_narration(rng, seed, _Deck(rng), pictures)


def make_narrations(
    count: int, *, seed: int = 0, pictures: Path | None = None
) -> tuple[Narration, ...]:
    """`count` narrations of which no two tell about the same subject in the same way, so that a
    question fits one of them. NarrationError where the packaged texts do not suffice (about 50).

    Example:
        >>> [len(narration.scenes) > 2 for narration in make_narrations(2, seed=7)]
        [True, True]
    """
    rng = random.Random(f"narrations {seed}")
    deck = _Deck(rng)
    return tuple(_make_narration(rng, seed + number, deck, pictures) for number in range(count))


class _Deck:
    """Deals families and their subjects, each pair once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._subjects = {
            family.name: rng.sample(family.subjects, len(family.subjects))
            for family in read_narration_texts().families
        }

    def order_families(self) -> list[FactFamily]:
        """All families that have subjects left; the fullest come last, to be popped first."""
        families = list(read_narration_texts().families)
        self._rng.shuffle(families)
        filled = [family for family in families if self._subjects[family.name]]
        # By fives, so that early narrations differ in what they are about.
        return sorted(filled, key=lambda family: len(self._subjects[family.name]) // 5)

    def draw_subject(self, family: FactFamily) -> str:
        return self._subjects[family.name].pop()


def _make_narration(rng: random.Random, seed: int, deck: _Deck, pictures: Path | None) -> Narration:
    families = deck.order_families()
    if len(families) < _MOST_FACTS:
        raise NarrationError("too many narrations: no subjects are left; make fewer at a time")
    photographs = list(list_photographs(pictures))
    rng.shuffle(photographs)
    count = rng.randint(3, 6)
    # One photograph for three or four scenes, two for more; never in the first scene.
    places = set(rng.sample(range(1, count), min(len(photographs), 1 if count < 5 else 2)))
    slides = [number for number in range(count) if number not in places]
    both = rng.choice(slides)
    scenes = []
    for number in range(count):
        if number in places:
            scenes.append(_make_photograph_scene(rng, photographs.pop(), families, deck))
        else:
            tells_speech = number == both or rng.random() < 0.6
            written = families.pop() if number == both or not tells_speech else None
            spoken = families.pop() if tells_speech else None
            scenes.append(_make_slide_scene(rng, written, spoken, deck, first=number == 0))
    return Narration(
        seed=seed,
        scenes=tuple(scenes),
        voice=rng.choice(("en-us", "en-gb")),
        words_per_minute=rng.choice((130, 150, 170)),
        has_cursor=rng.random() < 0.3,
        has_inset=rng.random() < 0.3,
    )


def _make_slide_scene(
    rng: random.Random,
    written: FactFamily | None,
    spoken: FactFamily | None,
    deck: _Deck,
    *,
    first: bool,
) -> NarratedScene:
    texts = read_narration_texts()
    facts: list[Fact] = []
    sentences = [texts.fillers[0] if first else rng.choice(texts.fillers[1:6])]
    if spoken is not None:
        sentence, fact = _say_fact(rng, spoken, deck)
        sentences.append(sentence)
        facts.append(fact)
    title = SlideLine(rng.choice(texts.titles), 0.0, rng.choice((32, 36, 40)))
    bodies = rng.sample(texts.slide_fillers, rng.randint(1, 2))
    fact_line = None
    if written is not None:
        line, fact = _write_fact(rng, written, deck)
        place = rng.randint(0, len(bodies))
        bodies.insert(place, line)
        facts.append(fact)
        fact_line = place + 1
    builds = rng.random() < 0.5
    height_px = rng.choice(_HEIGHTS_PX)
    lines = [
        # Spread over the first half, so that every line stays for two seconds or more.
        SlideLine(body, 0.5 * number / len(bodies) if builds else 0.0, height_px)
        for number, body in enumerate(bodies)
    ]
    return NarratedScene(
        ground=Slide((title, *lines), *rng.choice(_COLOURS)),
        sentences=tuple(sentences),
        facts=tuple(facts),
        fact_sentence=1 if spoken is not None else None,
        fact_line=fact_line,
    )


def _make_photograph_scene(
    rng: random.Random, path: Path, families: list[FactFamily], deck: _Deck
) -> NarratedScene:
    """A photograph that nobody names, and a spoken fact half of the time."""
    label = name_label(path)
    windows = [(0.0, 0.0, 1.0), (rng.choice((0.0, 0.25)), rng.choice((0.0, 0.25)), 0.75)]
    rng.shuffle(windows)
    sentences = [rng.choice(read_narration_texts().fillers[6:])]
    facts = [Fact("label", "label", label, label)]
    tells = rng.random() < 0.5
    if tells:
        sentence, fact = _say_fact(rng, families.pop(), deck)
        sentences.append(sentence)
        facts.append(fact)
    return NarratedScene(
        ground=PannedPhotograph(path, label, windows[0], windows[1]),
        sentences=tuple(sentences),
        facts=tuple(facts),
        fact_sentence=1 if tells else None,
    )


def _say_fact(rng: random.Random, family: FactFamily, deck: _Deck) -> tuple[str, Fact]:
    subject, value = deck.draw_subject(family), rng.choice(family.values)
    sentence = _fill(rng.choice(family.spoken), subject, value[0])
    return sentence, Fact(family.name, "speech", subject, value[0], value[1:])


def _write_fact(rng: random.Random, family: FactFamily, deck: _Deck) -> tuple[str, Fact]:
    subject, value = deck.draw_subject(family), rng.choice(family.values)
    line = _fill(rng.choice(family.written), subject.removeprefix("the "), value[-1])
    return line, Fact(family.name, "screen_text", subject, value[-1], value[:-1])


def _fill(template: str, subject: str, value: str) -> str:
    text = template.format(subject=subject, value=value, bare=subject.removeprefix("the "))
    return text[:1].upper() + text[1:]
