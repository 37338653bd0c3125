"""English words that are one word in several forms: irregular plurals, British and American
spelling. What is regular is a rule, what is not is a list."""

from __future__ import annotations

import re
from functools import lru_cache

_PLURALS = """
women:woman men:man children:child people:person persons:person feet:foot teeth:tooth geese:goose
mice:mouse lice:louse oxen:ox dice:die knives:knife wives:wife lives:life leaves:leaf wolves:wolf
shelves:shelf halves:half loaves:loaf thieves:thief calves:calf scarves:scarf hooves:hoof
selves:self elves:elf wharves:wharf criteria:criterion phenomena:phenomenon bacteria:bacterium
analyses:analysis crises:crisis theses:thesis hypotheses:hypothesis diagnoses:diagnosis axes:axis
oases:oasis parentheses:parenthesis bases:base indices:index matrices:matrix vertices:vertex
appendices:appendix vortices:vortex alumni:alumnus cacti:cactus fungi:fungus stimuli:stimulus
nuclei:nucleus radii:radius curricula:curriculum spectra:spectrum strata:stratum
"""
_SINGULARS: dict[str, str] = {
    plural: singular for plural, singular in (pair.split(":") for pair in _PLURALS.split())
}
_MEN = re.compile(r"(?<=[a-z]{3})(?<!speci)(?<!regi)(?<!abdo)(?<!acu)(?<!sta)men$")
"""Firemen, policewomen; not specimen, regimen, abdomen, acumen."""

_BRITISH = """
grey:gray programme:program programmes:programs tyre:tire tyres:tires aluminium:aluminum
mould:mold plough:plow sceptic:skeptic sceptical:skeptical aeroplane:airplane aeroplanes:airplanes
manoeuvre:maneuver manoeuvres:maneuvers jewellery:jewelry pyjamas:pajamas cosy:cozy
artefact:artifact artefacts:artifacts judgement:judgment ageing:aging cheque:check cheques:checks
kerb:curb draught:draft encyclopaedia:encyclopedia paediatric:pediatric anaesthetic:anesthetic
haemoglobin:hemoglobin oestrogen:estrogen moustache:mustache yoghurt:yogurt sulphur:sulfur
enrol:enroll fulfil:fulfill skilful:skillful instalment:installment
"""
_AMERICAN: dict[str, str] = {
    british: american for british, american in (pair.split(":") for pair in _BRITISH.split())
}
_OUR = re.compile(
    r"^(arm|behavi|cand|cl[ao]m|col|demean|endeav|fav|ferv|flav|glam|harb|hon|hum|lab|misdemean|"
    r"neighb|od|parl|ranc|rum|savi|sav|splend|tum|val|vap|vig|disco?l|dishon|unfav)our"
)
_RE = re.compile(
    r"(cent|theat|lit|fib|calib|lust|spect|somb|meag|reconnoit|(?:^|[a-z])met)re(?=s?$)"
)
_OGUE = re.compile(r"(catal|dial|anal|monol|prol|epil)ogue(?=s?$)")
_ENCE = re.compile(r"^(def|lic|off|pret)ence(?=s?$)")
_LL = re.compile(
    r"^(cancel|channel|counsel|dial|equal|fuel|initial|jewel|label|level|marvel|model|panel|pedal|"
    r"quarrel|signal|total|travel|tunnel)l(?=(?:ed|ing|er|ers|or|ors|ous)$)"
)
_IZE = re.compile(r"(?<=[a-z]{2})([iy])z(?=(?:e|es|ed|er|ers|ing|ation|ations|ational)$)")


@lru_cache(maxsize=65_536)
def spell_alike(word: str) -> str:
    """One spelling of a folded word for both sides of the Atlantic. That of -ise and -ize is the
    shorter rule, and no spelling to be shown: prizes become prises everywhere.

    Example:
        >>> spell_alike("colour"), spell_alike("organize") == spell_alike("organise")
        ('color', True)
    """
    word = _AMERICAN.get(word, word)
    word = _OUR.sub(r"\1or", word)
    word = _RE.sub(r"\1er", word)
    word = _OGUE.sub(r"\1og", word)
    word = _ENCE.sub(r"\1ense", word)
    word = _LL.sub(r"\1", word)
    return _IZE.sub(r"\1s", word)


def find_singular(word: str) -> str:
    """The singular of an English plural that no ending tells; other words as they are.

    Example:
        >>> find_singular("women"), find_singular("dogs")
        ('woman', 'dogs')
    """
    if word in _SINGULARS:
        return _SINGULARS[word]
    return _MEN.sub("man", word)
