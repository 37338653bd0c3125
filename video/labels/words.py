"""Words of questions and the classes they mean: "puppy" is dog, "bike" is bicycle or motorcycle.

    find_classes("puppies")     # ("dog",)
    explain_gap("a woman")      # why labels cannot answer that

ImageNet names much and lacks the commonest things: people, faces, trees, houses. A question about
one of those is no "not found": nobody looked for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from mmreason.video.labels.classes import list_parents, read_classes

_EVERYDAY: Mapping[str, tuple[str, ...]] = {
    "puppy": ("dog",),
    "doggy": ("dog",),
    "hound": ("dog",),
    "kitten": ("cat",),
    "kitty": ("cat",),
    "pet": ("cat", "dog", "hamster", "guinea pig", "rabbit", "parrot", "goldfish"),
    "pony": ("horse",),
    "cow": ("cattle",),
    "bull": ("cattle",),
    "lamb": ("sheep",),
    "toad": ("frog",),
    "tortoise": ("turtle",),
    "alligator": ("crocodile",),
    "seal": ("sea lion",),
    "bunny": ("rabbit",),
    "squirrel": ("fox squirrel",),
    "bug": ("insect",),
    "mouse": ("computer mouse",),
    "eagle": ("bald eagle",),
    "automobile": ("car",),
    "cab": ("taxi",),
    "lorry": ("truck",),
    "bike": ("bicycle", "motorcycle"),
    "motorbike": ("motorcycle",),
    "plane": ("airplane",),
    "aeroplane": ("airplane",),
    "jet": ("airplane",),
    "rocket": ("missile", "projectile", "space shuttle"),
    "railway": ("train",),
    "vessel": ("ship", "boat"),
    "phone": ("telephone",),
    "smartphone": ("mobile phone",),
    "cellphone": ("mobile phone",),
    "tv": ("television",),
    "laptop": ("laptop", "notebook computer"),
    "keyboard": ("computer keyboard", "typewriter keyboard"),
    "display": ("screen",),
    "couch": ("sofa",),
    "settee": ("sofa",),
    "cupboard": ("cabinet",),
    "rubbish bin": ("trash can",),
    "bin": ("trash can",),
    "fridge": ("refrigerator",),
    "oven": ("stove", "microwave"),
    "coffee": ("espresso", "coffee mug", "coffee maker"),
    "wine": ("red wine", "wine bottle"),
    "beer": ("beer bottle", "beer glass"),
    "mug": ("coffee mug",),
    "glass": ("beer glass", "goblet"),
    "meal": ("dish", "fast food"),
    "burger": ("cheeseburger",),
    "hamburger": ("cheeseburger",),
    "apple": ("green apple",),
    "beach": ("coast",),
    "sea": ("coast", "underwater scene"),
    "ocean": ("coast", "underwater scene"),
    "hill": ("mountain",),
    "clothes": ("clothing",),
    "trousers": ("jeans",),
    "swimsuit": ("swimwear",),
    "instrument": ("musical instrument",),
    "store": ("shop",),
    "supermarket": ("grocery store",),
    "spectacles": ("glasses",),
    "appliance": ("household appliance",),
    "jewelry": ("jewellery",),
    "football": ("soccer ball", "football helmet"),
    "tennis": ("tennis ball", "racket"),
    "diver": ("scuba diver",),
    "wildlife": ("animal",),
    "creature": ("animal",),
}
"""Words of everyday speech, before anything in the table: there "plane" is a carpenter's."""

_GAPS: Mapping[str, str] = {
    "a person": "person people human man men woman women child children kid boy girl baby toddler "
    "crowd audience speaker presenter teacher student doctor actor player somebody someone anybody "
    "anyone nobody guy lady gentleman worker driver singer pedestrian face head eye nose mouth ear "
    "hair beard smile hand finger arm leg foot feet body",
    "a tree or its parts": "tree forest wood woods leaf leaves branch palm bush",
    "grass, gardens or most flowers": "grass lawn garden meadow field rose tulip",
    "a house or a street": "house home cottage skyscraper tower street road pavement city town "
    "village room kitchen bedroom office wall floor ceiling roof window stairs",
    "the sky or weather": "sky cloud sun moon star rain snow fog sunset sunrise rainbow lightning",
    "water by itself": "water river pond pool wave waterfall",
    "fire or smoke": "fire smoke flame explosion",
    "that animal": "giraffe kangaroo deer dolphin duckling pigeon crow sparrow seagull rat bat "
    "donkey dachshund",
    "that food": "cake tomato carrot rice cheese egg sandwich salad sushi soup noodles chocolate "
    "tea milk juice",
    "that thing": "book paper painting picture photo map flag helicopter fork spoon key box gift "
    "sheet robot money coin statue ring earring",
    "an event or a mood": "birthday party meeting concert dance fight love joy anger",
}

WHAT_IS_MISSING: Mapping[str, str] = {
    word: topic for topic, words in _GAPS.items() for word in words.split()
}
"""Everyday word -> what ImageNet-1k has no class for. Words of one form, singular where there is
one; `explain_gap` brings others to it."""

_POOR: Mapping[str, str] = {
    "horse": "of horses it knows one colour alone (sorrel)",
    "cow": "of cattle it knows ox, water buffalo and bison alone",
    "goat": "of goats it knows the ibex alone",
    "duck": "of ducks it knows the drake and the merganser alone",
    "owl": "of owls it knows the great grey one alone",
    "squirrel": "of squirrels it knows the fox squirrel alone",
    "mouse": "it knows the mouse of a computer, not the animal",
    "chair": "of chairs it knows folding, rocking and barber's chairs and thrones alone",
    "table": "of tables it knows dining and pool tables and desks alone",
    "bed": "of beds it knows four-posters, cots and cradles alone",
    "door": "of doors it knows sliding ones alone",
    "knife": "of knives it knows cleavers and letter openers alone",
    "apple": "of apples it knows green ones alone",
    "bread": "of bread it knows French loaves, bagels and pretzels alone",
    "flower": "of flowers it knows daisies, rapeseed and lady's slippers alone",
    "rocket": "it knows missiles, projectiles and space shuttles, no other rocket",
}
"""What has a class, but one that misses most of its kind."""


def find_classes(word: str) -> tuple[str, ...]:
    """Names of classes and kinds, as labels spell them, that a word of a question means; none where
    ImageNet has no such class. Articles and plurals do not matter.

    Example:
        >>> find_classes("puppies"), find_classes("a bike"), find_classes("person")
        (('dog',), ('bicycle', 'motorcycle'), ())
    """
    forms = _forms(word)
    if any(form in WHAT_IS_MISSING for form in forms):
        return ()
    for form in forms:
        names = _EVERYDAY.get(form) or _table_names().get(form)
        if names:
            return names
    # "terrier" is the head of many names; a name's other words say nothing ("house finch").
    return next((heads for form in forms if (heads := _heads().get(form))), ())


def explain_gap(word: str) -> str | None:
    """Why labels cannot tell of a word, or tell of little of its kind; None where nothing is known
    against it.

    Example:
        >>> explain_gap("women")
        'the classifier has no class for a person'
        >>> explain_gap("horse")
        'of horses it knows one colour alone (sorrel), so that others may go unnamed'
        >>> explain_gap("dog") is None
        True
    """
    forms = _forms(word)
    topic = next((WHAT_IS_MISSING[form] for form in forms if form in WHAT_IS_MISSING), None)
    if topic is not None:
        if topic.startswith("that "):
            return f"the classifier has no class for {topic} ({' '.join(word.split())})"
        return f"the classifier has no class for {topic}"
    poor = next((_POOR[form] for form in forms if form in _POOR), None)
    return None if poor is None else f"{poor}, so that others may go unnamed"


def _forms(word: str) -> tuple[str, ...]:
    """The word as given and its singulars, lower case, without an article, the likeliest first."""
    plain = re.sub(r"\s+", " ", word.strip().lower())
    plain = re.sub(r"^(?:an?|the|any|some) ", "", plain)
    forms = [plain]
    if plain.endswith("ies"):
        forms.append(plain[:-3] + "y")
    if plain.endswith(("ches", "shes", "ses", "xes", "oes")):
        forms.append(plain[:-2])
    if plain.endswith("ves"):
        forms += [plain[:-3] + "f", plain[:-3] + "fe"]
    if plain.endswith("s") and not plain.endswith("ss"):
        forms.append(plain[:-1])
    return tuple(forms)


@cache
def _table_names() -> Mapping[str, tuple[str, ...]]:
    """Every kind, name and synonym of the table, lower case, -> names of labels."""
    names: dict[str, tuple[str, ...]] = {}
    for item in read_classes():
        # "kite (bird)" is found as kite.
        for spelling in (item.name, re.sub(r" \(.*\)", "", item.name), *item.synonyms):
            key = spelling.lower()
            if item.name not in names.get(key, ()):
                names[key] = (*names.get(key, ()), item.name)
    # A kind stands for all of its classes.
    return names | {parent.lower(): (parent,) for parent in list_parents(read_classes())}


@cache
def _heads() -> Mapping[str, tuple[str, ...]]:
    """Last words of names -> those names."""
    heads: dict[str, tuple[str, ...]] = {}
    for item in read_classes():
        words = re.sub(r" \(.*\)", "", item.name).lower().split()
        if len(words) > 1:
            heads[words[-1]] = (*heads.get(words[-1], ()), item.name)
    return heads
