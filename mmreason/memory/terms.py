"""Words of any language as terms that can be compared: the one rule for what is kept and what is
looked for. No model; of English, numbers, spellings and irregular plurals are known.

Text is compared without case and accents. Words of scripts that part them also count by a light
stem; runs of scripts that do not (Chinese, Japanese, Thai, ...) count by pairs of letters.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from mmreason.memory.number_words import write_numbers_alike
from mmreason.memory.spellings import find_singular, spell_alike

STEM_LETTERS = 5
"""Letters of a stem: endings and second halves of compounds lie behind them."""
_ENDINGS = re.compile(r"(?<=...)(?:ing|e|ed|en|er|e?s)+$")
"""Of words in Latin letters, in whatever language, alone or one behind another."""
_LAST_Y = re.compile(r"(?<=..)y$")
_STEM_MARK = "\N{MIDDLE DOT}"
"""Parts stems from words: "car" as a word is not "cars" cut short."""
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\U00020000-\U0002ffff]+"
)
_UNSPACED_FUNCTION = re.compile(
    "什么|多少|为什么|怎么|哪里|时候|哪|谁|吗|呢|是|的|了|在|他们|她|何|誰|どこ|ですか|です|ます|は|が|の|を|に|で"
)
"""Words of Chinese and Japanese that questions are made of."""
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0900-\u0963\u0966-\u0dff])*")
"""Letters and numbers, with the vowel signs of Indian scripts, which are neither."""
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_OTHER_STEM_LETTERS = 4
"""Of words in letters other than a to z, whose endings are not known here."""
_HANGUL_STEM_LETTERS = 2
"""Of Korean words, whose particles are joined to them."""

_FUNCTION_TEXT = """
a an the this that these those it its they them their he she his her we you i who whom whose which
what where when why how is are was were be been do does did has have had could would should must
of in on at to from by for with about into and or but not no as if there then
der das dem des ein eine einen einem einer und oder aber nicht kein keine ist sind waren wird
werden haben wer wie wo wann warum welche welcher welches auf im am zu zum zur mit von vom bei nach
aus uber es er sie ihr
el la los las un una unos unas y o pero es fue esta estan ser han que quien como donde cuando por
para de del en con sobre se su sus lo al cual
le les du et ou mais ne pas sont etait dans sur avec sans qui quoi quel quelle comment quand
pourquoi ce cette ces il elle ils elles au aux
gli uno dei della delle di da nel nella per tra che chi quando perche e ed
os um uma uns umas dos das nos nas em com quem onde
het niet zijn wat waar hoe wanneer waarom op aan voor te
во на не что кто как где когда почему это она они из по за от для был была были есть
"""
FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
"""Words of the most spoken European languages that hold a sentence together, without accents, and
without those that name things in another of them (pour, hat, van). Others are recognised by
standing in most records."""


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """One word or pair of letters of a query, in the forms that count as it.

    Example:
        >>> extract_query_terms("two red cars")[2].stem
        '·car'
    """

    exact: str
    stem: str = ""
    """Empty where the word has none."""
    is_prefix: bool = False
    """A single letter of a script without spaces: terms that begin with it count."""
    alike: tuple[str, ...] = ()
    """Compounds of it and its neighbour that texts hold: "dataset" beside "data set"."""
    halves: tuple[str, str] | None = None
    """Two words that texts write in its place: "data set" for "dataset"."""


def extract_query_terms(text: str) -> tuple[QueryTerm, ...]:
    """The distinct terms of a query, without words that only hold sentences together.

    Example:
        >>> [term.exact for term in extract_query_terms("预算是多少")]
        ['预算']
    """
    folded = fold_text(text)
    terms: dict[str, QueryTerm] = {}
    # Function words become spaces, so that no pair reaches across one.
    for run in _UNSPACED.findall(_UNSPACED_FUNCTION.sub(" ", folded)):
        # A single letter makes no pair and is looked for as a prefix.
        pairs = [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        for pair in pairs:
            terms.setdefault(pair, QueryTerm(pair, is_prefix=len(pair) == 1))
    for word in _find_words(_UNSPACED.sub(" ", folded)):
        if word not in FUNCTION_WORDS:
            terms.setdefault(word, QueryTerm(word, stem_term(word)))
    return tuple(terms.values())


def pair_words(text: str) -> tuple[tuple[str, str], ...]:
    """The words of a text that stand one behind the other, by two.

    Example:
        >>> pair_words("The data-set.")
        (('the', 'data'), ('data', 'set'))
    """
    return tuple(itertools.pairwise(_find_words(_UNSPACED.sub(" ", fold_text(text)))))


def extract_record_terms(text: str) -> tuple[str, ...]:
    """All terms of a record's text, repeated ones too: pairs of letters, words, stems of words.

    Example:
        >>> extract_record_terms("Häuser")
        ('hauser', '·hau')
    """
    folded = fold_text(text)
    terms: list[str] = []
    if not folded.isascii():
        for run in _UNSPACED.findall(folded):
            # The last letter by itself too: a query of one letter finds what begins with it.
            terms += [run[i : i + 2] for i in range(len(run))]
        folded = _UNSPACED.sub(" ", folded)
    words = _find_words(folded)
    return (*terms, *words, *filter(None, map(stem_term, words)))


def _find_words(folded: str) -> list[str]:
    return [spell_alike(word) for word in _WORD.findall(write_numbers_alike(folded))]


@lru_cache(maxsize=65_536)
def stem_term(word: str) -> str:
    """The stem of a folded word as a term, by its first letters; empty for numbers.

    Example:
        >>> stem_term("children") == stem_term("child"), stem_term("22")
        (True, '')
    """
    if word.isdecimal():
        return ""
    if word.isascii():
        # "City" and "cities" alike: the y goes where an ending was, and where none was.
        stem = _ENDINGS.sub("", find_singular(word))
        return _STEM_MARK + _LAST_Y.sub("i", stem)[:STEM_LETTERS]
    letters = _HANGUL_STEM_LETTERS if _HANGUL.match(word) else _OTHER_STEM_LETTERS
    return _STEM_MARK + word[:letters]


def fold_text(text: str) -> str:
    """Without case and accents, and in one spelling of what Unicode can write in several.

    Example:
        >>> fold_text("Crème BRÛLÉE"), fold_text("Straße")
        ('creme brulee', 'strasse')
    """
    if text.isascii():
        return text.lower()
    # Vowel signs of scripts such as Thai and Hindi are marks too, but not accents: they stay.
    letters = unicodedata.normalize("NFKD", text.casefold())
    kept = (c for c in letters if not unicodedata.combining(c) or ord(c) >= _FIRST_INDIC)
    return unicodedata.normalize("NFC", "".join(kept))


_FIRST_INDIC = 0x0900
"""Combining characters from here on belong to the spelling of words."""
