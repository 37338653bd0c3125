"""Words of a text: content terms and the phrases they belong to.

Plain English rules, no model.
"""

from __future__ import annotations

import re
import unicodedata

Terms = tuple[str, ...]
"""Stems of words, and pairs of them."""

_FUNCTION_TEXT = """
a an the this that these those it its they them their he she his her we you i who whom whose which
what where when why how is are was were be been being am do does did doing done has have had having
can could will would shall should may might must of in on at to from by for with about into over
under and or but not no nor so than then there here as if while any some all each every both other
another same very just only also more most please tell me us
"""
_ASKED_FOR_TEXT = """
color colour shape size kind type sort number many much count direction way pattern motion
object objects thing things item something anything someone anyone happen happens happening
appear appears appearing visible seen see show shown shows showing look looks video clip scene
moment time frame footage movie
"""
FUNCTION_WORDS = frozenset(_FUNCTION_TEXT.split())
"""Words that say nothing by themselves."""
STOP_WORDS = FUNCTION_WORDS | frozenset(_ASKED_FOR_TEXT.split())
"""With those that ask about anything: what they name is nothing to look for."""
_SPELLINGS = {"gray": "grey", "color": "colour", "centre": "center"}


def split_words(text: str) -> list[str]:
    """Lower-case words and numbers, without possessive endings.

    Example:
        >>> split_words("The dog's 2 balls")
        ['the', 'dog', '2', 'balls']
    """
    # Composed in one way: a letter with its accent apart would be two words.
    text = unicodedata.normalize("NFC", text).lower()
    return re.findall(r"[^\W_]+", re.sub(r"['\u2019]s\b", "", text))


def stem_word(word: str) -> str:
    """A light stem: plural, -ing, -ed and a final e go; short words stay.

    Example:
        >>> stem_word("moving"), stem_word("color")
        ('mov', 'colour')
    """
    word = _SPELLINGS.get(word, word)
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and re.search(r"(?:s|x|z|ch|sh)es$", word):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def extract_terms(text: str) -> Terms:
    """Distinct stems of the content words, and of neighbouring pairs of them.

    Example:
        >>> extract_terms("What colour is the red star?")
        ('red', 'star', 'red star')
    """
    stems: dict[str, None] = {}
    before: str | None = None
    for clause in re.split(r"[.,;:!?\n]", text):
        before = None
        for word in split_words(clause):
            current = None if word in STOP_WORDS else stem_word(word)
            if current is not None:
                stems.setdefault(current)
                if before is not None:
                    stems.setdefault(f"{before} {current}")
            before = current
    return tuple(stems)


def extract_phrases(text: str) -> tuple[Terms, ...]:
    """Terms of each thing told, one by one: what belongs together stays together, so that "a large
    green ring and a small star" tells of no small ring."""
    clauses = re.split(r"[.,;:!?\n]|\b(?:and|then|while|but)\b", text)
    return tuple(clause_terms for clause in clauses if (clause_terms := extract_terms(clause)))
